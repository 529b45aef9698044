"""`mcptrio watch`: a line per change, gaps marked, refusals told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from mcptrio.app import App
from mcptrio.cli.exits import Exit, NobodyReads, UserError
from mcptrio.cli.remote import Losses, Remote
from mcptrio.cli.watch import watch
from mcptrio.cli.watch_lines import json_line, text_line
from mcptrio.client import Client, ConnectionLost, Update

from .conftest import Kept, in_memory, old_server

AT = datetime(2026, 11, 20, 9, 8, 7, tzinfo=UTC)


@asynccontextmanager
async def watching(remote: Remote, kept: Kept, *uris: str, as_json: bool = False) -> AsyncIterator[None]:
    """A watch that runs inside the block."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(watch, remote, uris, kept, as_json=as_json, now=lambda: AT))
        yield
        nursery.cancel_scope.cancel(reason="the test is over")


async def subscribed(app: App, uri: str) -> None:
    while not app.hub.subscribers(uri):
        await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_each_change_is_a_line(
    app: App, kept: Kept, revision: str, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with (
        in_memory(app, revision=revision) as remote,
        watching(remote, kept, "news://one", "news://two"),
    ):
        await subscribed(app, "news://two")
        app.updated_nowait("news://two")
        await kept.wait_lines(1)
        app.deleted_nowait("news://one")
        lines = await kept.wait_lines(2)
    clock = f"{AT.astimezone():%H:%M:%S}"
    assert lines == [f"{clock}  updated  news://two", f"{clock}  updated  news://one"]
    assert capsys.readouterr().err == "watching 2 resources\n"


async def test_with_json_each_line_is_an_object(app: App, kept: Kept, autojump_clock: MockClock) -> None:
    async with in_memory(app) as remote, watching(remote, kept, "news://one", as_json=True):
        await subscribed(app, "news://one")
        app.updated_nowait("news://one")
        [line] = await kept.wait_lines(1)
    assert json.loads(line) == {
        "time": AT.isoformat(),
        "uri": "news://one",
        "kind": "updated",
        "gap": False,
    }


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_a_refused_subscription_ends_it_with_its_own_exit_code(
    app: App, kept: Kept, revision: str, autojump_clock: MockClock
) -> None:
    async with in_memory(app, revision=revision) as remote:
        with pytest.raises(UserError, match=r"refused: .*nothing://here.*mcptrio inspect ws://") as caught:
            await watch(remote, ["nothing://here"], kept)
    assert caught.value.code == Exit.REFUSED
    assert kept.data == b""


async def test_a_server_without_subscriptions_is_said_to_be_one(
    kept: Kept, autojump_clock: MockClock
) -> None:
    async with old_server({}) as remote:
        with pytest.raises(UserError, match=r"refused: .*it has no subscriptions") as caught:
            await watch(remote, ["news://one"], kept)
    assert caught.value.code == Exit.REFUSED


async def test_a_lost_connection_is_said_and_what_follows_is_a_gap(
    app: App, kept: Kept, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    streams: list[trio.abc.Stream] = []
    async with app.connect():

        async def stream() -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            streams.append(app.server.connect())
            return streams[-1]

        remote = Remote(url="ws://localhost/mcp", connect=stream)
        async with watching(remote, kept, "news://one"):
            await subscribed(app, "news://one")
            await trio.aclose_forcefully(streams[0])
            [line] = await kept.wait_lines(1)
            assert line.endswith("  gap      news://one")
            app.updated_nowait("news://one")
            lines = await kept.wait_lines(2)
            assert lines[1].endswith("  updated  news://one")
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "watching 1 resource"
    assert told[1].startswith("connection lost (")
    assert "trying again " in told[1]
    assert told[2] == "connected again; changes meanwhile are marked as gaps"


def test_a_loss_is_said_once_and_each_other_reason_once(capsys: pytest.CaptureFixture[str]) -> None:
    refused = ConnectionLost("x")
    refused.__cause__ = OSError(111, "Error connecting to ('127.0.0.1', 8802): Connection refused")
    losses = Losses()
    for connections in (1, 2):
        losses.connections = lambda count=connections: count  # type: ignore[misc]
        losses.say(ConnectionLost("it closed"), 0.04)
        losses.say(refused, 0.1)
        losses.say(refused, 0.2)
        losses.say(ConnectionLost("it closed"), 0.4)
        losses.say(ConnectionLost("HTTP 503"), 0.8)
    losses.connections = lambda: 3
    losses.say(ConnectionLost("it closed"), 0.05)
    assert capsys.readouterr().err.splitlines() == [
        "connection lost (it closed); trying again at once",
        "not connected yet (Connection refused); trying on",
        "not connected yet (HTTP 503); trying on",
    ] * 2 + ["connection lost (it closed); trying again in 0.1 s"]


async def test_a_reader_that_leaves_ends_it(app: App, autojump_clock: MockClock) -> None:
    class Gone(Kept):
        async def write(self, data: bytes) -> None:
            await trio.lowlevel.checkpoint()
            raise NobodyReads

    async with in_memory(app) as remote:
        with pytest.RaisesGroup(NobodyReads):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch, remote, ["news://one"], Gone())
                await subscribed(app, "news://one")
                app.updated_nowait("news://one")
        assert not app.hub.subscribers("news://one")


async def test_cancelling_it_leaves_no_subscription(app: App, kept: Kept, autojump_clock: MockClock) -> None:
    async with in_memory(app) as remote:
        async with watching(remote, kept, "news://one"):
            await subscribed(app, "news://one")
        assert not app.hub.subscribers("news://one")


class Ended:
    """A client, and its subscription, that the server has ended."""

    uris = ("a://b",)
    connections = 1

    def subscribe(self, *uris: str) -> Ended:
        return self

    def statistics(self) -> Ended:
        return self

    async def __aenter__(self) -> Ended:
        await trio.lowlevel.checkpoint()
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    def __aiter__(self) -> Ended:
        return self

    async def __anext__(self) -> Update:
        await trio.lowlevel.checkpoint()
        raise StopAsyncIteration


async def test_a_subscription_that_the_server_ends_for_good_ends_it(kept: Kept) -> None:
    class EndedRemote(Remote):
        @asynccontextmanager
        async def client(self, *, reconnect: bool = False) -> AsyncIterator[Client]:
            yield cast(Client, Ended())

    with pytest.raises(UserError, match="the server ended the subscription") as caught:
        await watch(EndedRemote(url="x"), ["a://b"], kept)
    assert caught.value.code == Exit.REFUSED


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import time

    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_line_for_people_has_local_time_and_cannot_steer_the_terminal(zone: None) -> None:
    assert text_line(Update("a://\x1b[2J", gap=True), AT) == "11:08:07  gap      a://\\x1b[2J"


def test_a_line_for_programs_has_what_the_server_said_beside_it() -> None:
    at = AT.astimezone(timezone(timedelta(hours=1)))
    line = json.loads(json_line(Update("a://b", gap=True, meta={"x": 1}), at))
    assert line == {
        "time": "2026-11-20T10:08:07+01:00",
        "uri": "a://b",
        "kind": "gap",
        "gap": True,
        "meta": {"x": 1},
    }
