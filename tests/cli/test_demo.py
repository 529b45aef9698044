"""`mcptrio demo`: changes at once, a line for each, and nobody held up by the terminal."""

from __future__ import annotations

import re
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from mcptrio.app import Address
from mcptrio.catalog import Catalog
from mcptrio.cli.demo import (
    Board,
    ShownRegistry,
    about,
    command_here,
    demo_app,
    free_port_near,
    greeting,
    line_of,
)
from mcptrio.live import Change, Feed, Hub, Pump, SourceState
from mcptrio.sources import Registry

from .conftest import Kept

AT = datetime(2026, 11, 20, tzinfo=UTC)


async def test_a_first_change_is_shown_within_two_seconds(kept: Kept) -> None:
    """In real time, with the deadline of a hang: the feed's port is a socket."""
    app = demo_app(kept)
    with trio.fail_after(20):
        async with app.connect() as client:
            [line] = (await kept.wait_lines(1))[:1]
            assert re.match(r"\d\d:\d\d:\d\d  created  email://messages/1  \S+@", line)
            resources = {each.uri for each in await client.list_resources()}
            assert "email://live-feed" in resources
            # The poller reads the feed that the demo serves.
            assert any(uri.startswith("releases://") for uri in resources)


async def test_what_a_slow_terminal_does_not_take_is_counted(autojump_clock: MockClock) -> None:
    class Slow(Kept):
        async def write(self, data: bytes) -> None:
            await trio.sleep(1)
            await super().write(data)

    kept = Slow()
    board = Board(kept)
    async with trio.open_nursery() as nursery:
        for number in range(300):
            board.show_nowait(Change(uri=f"a://{number}"))
        nursery.start_soon(board.run)
        lines = await kept.wait_lines(257)
        nursery.cancel_scope.cancel()
    assert "a://0" in lines[0]
    assert lines[1] == "(44 changes more)"
    assert "a://255" in lines[-1]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (None, ""),
        ("text", ""),
        ({"project": "anchor", "version": "1.0", "x": 1}, "anchor, 1.0"),
        ({"subject": "y" * 100}, "y" * 67 + "..."),
    ],
)
def test_a_change_is_told_in_a_few_words(data: object, text: str) -> None:
    assert about(data) == text


def test_a_line_has_time_kind_and_uri() -> None:
    line = line_of(Change(uri="a://\x1b", kind="deleted", at=AT))
    assert line == f"{AT.astimezone():%H:%M:%S}  deleted  a://\\x1b"


def test_the_greeting_says_what_to_type() -> None:
    shown = greeting(Address("127.0.0.1", 5))
    assert "http://127.0.0.1:5/mcp" in shown
    assert "mcptrio watch ws://127.0.0.1:5/mcp email://live-feed" in shown


def test_a_port_that_is_taken_is_left_to_its_owner() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port_near(port) == 0
    assert free_port_near(port) == port


async def test_a_shown_source_reports_and_says_how_it_is_as_before(autojump_clock: MockClock) -> None:
    hub = Hub()
    pump = Pump(hub)
    shown: list[str] = []
    states: list[tuple[SourceState, str]] = []
    inner = Registry(Catalog(on_change=lambda kind: None))
    registry = ShownRegistry(inner, lambda change: shown.append(change.uri))

    async def body(feed: Feed) -> None:
        assert feed.name == "it"
        feed.live()
        feed.polling()
        feed.degraded("slow")
        feed.failed("gone")
        feed.starting()
        await feed.updated("a://one")
        await feed.updated("a://two")

    registry.add_source("it", body, pattern="a://{x}")
    [spec] = inner.sources()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.run)
        await spec.run(pump.feed("it", lambda name, state, reason: states.append((state, reason))))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert shown == ["a://one", "a://two"]
    assert hub.offset == 2
    assert states == [
        (SourceState.LIVE, ""),
        (SourceState.POLLING, ""),
        (SourceState.DEGRADED, "slow"),
        (SourceState.FAILED, "gone"),
        (SourceState.STARTING, ""),
    ]


def test_the_greeting_names_the_program_as_it_can_be_called_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr("sys.argv", [str(tmp_path / ".venv" / "bin" / "mcptrio"), "demo"])
    assert command_here() == ".venv/bin/mcptrio"
    monkeypatch.setattr("sys.argv", ["/elsewhere/bin/mcptrio", "demo"])
    assert command_here() == "/elsewhere/bin/mcptrio"
    monkeypatch.setattr("sys.argv", ["/somewhere/__main__.py", "demo"])
    assert command_here() == "mcptrio"
    assert "\n  .venv/bin/mcptrio watch ws://" in greeting(Address("127.0.0.1", 5), ".venv/bin/mcptrio")
