"""docs/sources.md: its table of what changes bring has every built-in kind, the names that each gives, and filters that work."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import trio

from mcptrio.config import KINDS
from mcptrio.live import Change, Feed
from mcptrio.live.filter import parse_filter
from mcptrio.simulators.email_mock import EmailMock, EmailMockSettings
from mcptrio.sources.files.scan import File
from mcptrio.sources.files.told import change_of
from mcptrio.sources.mail import Envelope, Found
from mcptrio.sources.poller.items import Shape, differences
from mcptrio.sources.smtp import Inlet, SmtpSettings
from mcptrio.sources.smtp.delivery import Delivery
from mcptrio.sources.websocket.inbox import Inbox
from mcptrio.sources.websocket.route import Route
from mcptrio.sources.websocket.router import Router

PAGE = (Path(__file__).parents[2] / "docs" / "sources.md").read_text()
SECTION = PAGE.partition("\n## What a change brings\n")[2].partition("\n## ")[0]
ROWS = {
    kind: (data, metadata, json.loads(filter))
    for kind, data, metadata, filter in re.findall(
        r"^\| `(\w+)` \| (.+?) \| (.+?) \| `(\{.+\})` \|$", SECTION, re.MULTILINE
    )
}


async def poller() -> list[Change]:
    states = ["published", "planned"]
    bodies = [json.dumps({"state": state}).encode() for state in states]
    shape = Shape("releases://anchor", None, None)
    return [change for body in bodies for change in differences({}, shape.snapshot(body).items)]


async def websocket() -> list[Change]:
    routes = [Route(type="posted", uri="chat://newest")]
    router = Router(routes, type="/event", id=None, data="/data")
    inbox = Inbox(keep=10, keep_bytes=10_000, remember=10)
    texts = ["the deploy is over", "lunch"]
    events = [router.event(json.dumps({"event": "posted", "data": {"text": text}})) for text in texts]
    return [change for event in events for change in inbox.take(event, "chat")]


async def smtp() -> list[Change]:
    inlet = Inlet(SmtpSettings())
    now = datetime(2026, 1, 2, tzinfo=UTC)
    for subject in ("Invoice 17", "Lunch"):
        found = Found(
            sender="Ada <ada@example.org>",
            subject=subject,
            date=now,
            keywords=("urgent",),
            contents={},
            size=512,
        )
        inlet._take(Delivery(Envelope("", ()), found, subject.encode()), "mail")
    return await reported(inlet)


async def files() -> list[Change]:
    file = File(1, 2, 3_000_000_000, 4_000_000_000)
    paths = ("src/deep/a.py", "doc/a.md")
    return [change_of(f"files://x/{path}", "created", path, file, "x") for path in paths]


async def email_mock() -> list[Change]:
    told: list[Change] = []
    for urgency in ("high", "low"):
        mock = EmailMock(EmailMockSettings(urgency={urgency: 1.0}))
        mock._arrive("email")
        told += await reported(mock)
    return told


async def reported(source: Inlet | EmailMock) -> list[Change]:
    send, receive = trio.open_memory_channel[Change](100)
    await source._outstanding.report_to(Feed("mail", send))
    return [receive.receive_nowait() for _ in range(receive.statistics().current_buffer_used)]


SAMPLES = {each.__name__: each for each in (poller, websocket, smtp, files, email_mock)}
"""For each kind what it tells when two things happen, of which the filter in the table matches the first."""


def names(cell: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", cell))


def given(value: object) -> Mapping[str, object]:
    found: object = msgspec.json.decode(msgspec.json.encode(value))
    assert isinstance(found, dict)
    return found


def test_every_built_in_kind_has_its_row() -> None:
    assert sorted(ROWS) == sorted(KINDS)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_filter_of_a_kind_finds_what_it_is_for(kind: str) -> None:
    filter_ = parse_filter(ROWS[kind][2])
    told = await SAMPLES[kind]()
    assert len(told) >= 2
    assert [index for index, change in enumerate(told) if filter_.matches(change)] == [0]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_metadata_of_a_kind_are_those_in_its_row(kind: str) -> None:
    metadata = [given(change.metadata) for change in await SAMPLES[kind]() if change.metadata is not None]
    assert metadata
    for each in metadata:
        assert set(each) == names(ROWS[kind][1])
        assert all(isinstance(each[name], str) for name in ("version", "author") if name in each)
        assert isinstance(each["size"], int) and isinstance(each.get("tags", []), list)


@pytest.mark.parametrize("kind", ["smtp", "files", "email_mock"])
async def test_the_data_of_a_kind_are_those_in_its_row(kind: str) -> None:
    told = {name for change in await SAMPLES[kind]() for name in given(change.data)}
    assert told == names(ROWS[kind][0])
