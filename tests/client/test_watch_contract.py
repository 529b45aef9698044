"""Watches and the real server, over each carrier in memory: what is told, and that nothing is lost with a connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
import trio

from mcptrio import App, Change, RpcError
from mcptrio.client import Client, ConnectionLost, Update, WatchEvent, batch, open_client
from mcptrio.supervision.backoff import Backoff
from tests.client.notes_app import notes_app
from tests.client.test_subscriptions import settle

ONE, TWO = "note://one", "note://two"
each_scheme = pytest.mark.parametrize("scheme", ["ws", "http"])


@dataclass
class Kept:
    """A real server, a client of it, and the streams in between."""

    app: App
    client: Client
    streams: list[trio.abc.Stream] = field(default_factory=list)
    down: bool = False

    def publish(self, uri: str, kind: str = "updated", **more: object) -> None:
        self.app.publish_nowait(Change(uri=uri, kind=kind, **more))  # type: ignore[arg-type]

    async def lose(self, *uris: str) -> None:
        """Break every connection; these change before there is a new one."""
        self.down = True
        for stream in self.streams:
            await trio.aclose_forcefully(stream)
        self.streams.clear()
        await settle()
        for uri in uris:
            self.publish(uri)
        self.down = False
        connections = self.client.statistics().connections
        with trio.fail_after(60):
            while self.client.statistics().connections == connections:
                with suppress(ConnectionLost):
                    await self.client.list_tools()  # by HTTP a loss is noticed by whoever asks
                await trio.sleep(0.1)
        await settle()

    @property
    def watched(self) -> int:
        return len(self.app.hub.selections)


@asynccontextmanager
async def keeping(scheme: str, revision: str) -> AsyncIterator[Kept]:
    """A client, and nothing left at the server after it."""
    app = notes_app()
    kept: Kept

    async def connect() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if kept.down:
            raise OSError("down")
        kept.streams.append(app.server.connect())
        return kept.streams[-1]

    kept = Kept(app, None)  # type: ignore[arg-type]
    async with (
        app.connect(),
        open_client(
            f"{scheme}://localhost/mcp",
            connect=connect,
            revision=revision,
            backoff=Backoff(initial=0.1, jitter=False),
        ) as kept.client,
    ):
        yield kept
        await settle()
        if kept.watched:
            await trio.sleep(700)  # sessions that were lost by HTTP are kept for ten minutes
        assert kept.client.statistics().subscriptions == kept.client.statistics().calls == 0
        assert kept.watched == 0
        assert not app.hub.subscribers(ONE)


async def take(events: AsyncIterator[WatchEvent], count: int) -> list[tuple[str, str]]:
    got: list[tuple[str, str]] = []
    with trio.fail_after(60):
        while len(got) < count:
            event = await anext(events)
            got.append((event.reason or event.kind, event.uri))
    return got


@each_scheme
async def test_a_pattern_a_filter_and_fields_are_served(scheme: str, revision: str) -> None:
    async with (
        keeping(scheme, revision) as kept,
        kept.client.watch(
            template="note://{name}",
            filter={"prefix": {"/text": "s"}},
            policy="every",
            fields=["/text"],
        ) as events,
    ):
        assert events.honoured is not None and events.honoured["fields"] == ["/text"]
        kept.publish(ONE, data={"text": "rain"})
        kept.publish(ONE, "created", data={"text": "snow", "deep": 3}, event_id="e1", metadata={"size": 4})
        kept.publish(TWO, data={"text": "sun"})
        first, second = [await anext(events) for _ in range(2)]
        assert (first.uri, first.kind, first.event_id) == (ONE, "created", "e1")
        assert (first.data, first.metadata) == ({"/text": "snow"}, {"size": 4})
        assert first.at is not None and first.at.tzinfo is not None
        assert (second.uri, second.data) == (TWO, {"/text": "sun"})
        assert first.offset is not None and second.offset == first.offset + 1


@each_scheme
async def test_plain_and_watched_beside_each_other(scheme: str, revision: str) -> None:
    async with keeping(scheme, revision) as kept, kept.client.watch(ONE) as events:
        async with kept.client.subscribe(ONE) as plain:
            kept.publish(ONE)
            assert await anext(plain) == Update(ONE)
            assert await take(events, 1) == [("updated", ONE)]
            await settle()
            assert (plain.pending, events.pending) == (0, 0)
            async with kept.client.watch(ONE, policy="every") as other:
                kept.publish(ONE)
                assert await take(other, 1) == [("updated", ONE)]
            assert await anext(plain) == Update(ONE)
            assert await take(events, 1) == [("updated", ONE)]
        kept.publish(ONE)
        assert await take(events, 1) == [("updated", ONE)]
        assert kept.watched == 1


@each_scheme
async def test_every_change_arrives_once_although_the_connection_is_lost(scheme: str, revision: str) -> None:
    async with (
        keeping(scheme, revision) as kept,
        kept.client.watch(glob="note://*", policy="every") as events,
    ):
        expected = []
        for round in range(3):
            uris = [f"note://{round}-{number}" for number in range(5)]
            for uri in uris[:2]:
                kept.publish(uri)
            if round:
                await settle()
            await kept.lose(*uris[2:4])
            kept.publish(uris[4])
            expected += [("updated", uri) for uri in uris]
        assert await take(events, len(expected)) == expected
        assert events.recovered is True
        assert events.pending == 0


@pytest.mark.parametrize("policy", ["every", "conflate"])
async def test_a_session_over_http_that_loses_its_streams_misses_nothing(policy: str) -> None:
    async with (
        keeping("http", "2025-11-25") as kept,
        kept.client.watch(glob="note://*", policy=policy) as events,
    ):
        for number in range(4):
            kept.publish(f"note://{number}-a")
            if number % 2:
                await settle()
            for stream in kept.streams:
                await trio.aclose_forcefully(stream)
            kept.streams.clear()
            kept.publish(f"note://{number}-b")
            await trio.sleep(10)
        kept.publish(ONE)
        await settle()
        got = await take(events, events.pending)
        sent = [f"note://{number}-{half}" for number in range(4) for half in "ab"]
        assert got == [("updated", uri) for uri in [*sent, ONE]]
        assert kept.client.statistics().connections == 1


@each_scheme
async def test_the_last_change_of_each_uri_arrives_although_the_connection_is_lost(
    scheme: str, revision: str
) -> None:
    async with keeping(scheme, revision) as kept, kept.client.watch(glob="note://*") as events:
        kept.publish(ONE)
        await kept.lose(TWO, ONE)
        await settle()
        assert await take(events, events.pending) == [("updated", TWO), ("updated", ONE)]


@each_scheme
async def test_a_program_goes_on_where_an_earlier_one_was(scheme: str, revision: str) -> None:
    async with keeping(scheme, revision) as kept:
        async with kept.client.watch(glob="note://*", policy="every") as events:
            for name in "abc":
                kept.publish(f"note://{name}")
            assert await take(events, 1) == [("updated", "note://a")]
            cursor = events.cursor
        async with kept.client.watch(glob="note://*", policy="every", since=cursor) as events:
            assert events.recovered is True
            assert await take(events, 2) == [("updated", "note://b"), ("updated", "note://c")]
        async with kept.client.watch(glob="note://*", since="0123456789abcdef.7") as events:
            assert events.recovered is False
            [(reason, uri)] = await take(events, 1)
            assert reason == "restarted" and uri.startswith("mcptrio://subscriptions/")


@each_scheme
async def test_a_server_that_began_anew_is_followed(scheme: str, revision: str) -> None:
    async with keeping(scheme, revision) as kept, kept.client.watch(ONE, policy="every") as events:
        kept.publish(ONE)
        assert await take(events, 1) == [("updated", ONE)]
        kept.app.hub.selections.restart("f" * 16, kept.app.hub.offset)
        kept.app.hub.epoch = "f" * 16
        await kept.lose(ONE)
        kept.publish(ONE)
        got = await take(events, 2)
        assert got == [("restarted", ONE), ("updated", ONE)]


@each_scheme
async def test_a_batch_is_told_together(scheme: str, revision: str) -> None:
    async with (
        keeping(scheme, revision) as kept,
        kept.client.watch(glob="note://*", policy=batch(0.5, 2)) as events,
    ):
        began = trio.current_time()
        for uri in (ONE, TWO, ONE):
            kept.publish(uri)
        assert await take(events, 2) == [("updated", TWO), ("updated", ONE)]
        assert trio.current_time() - began >= 0.5


@each_scheme
async def test_refusals_name_the_part(scheme: str, revision: str) -> None:
    async with keeping(scheme, revision) as kept:
        with pytest.raises(RpcError, match=r"filter.*nonsense"):
            async with kept.client.watch(ONE, filter={"nonsense": 1}):
                raise AssertionError
        for watch in (kept.client.watch("nothing://here"), kept.client.watch(glob="nothing://*")):
            with pytest.raises(RpcError, match="not found"):
                async with watch:
                    raise AssertionError
        with pytest.raises(RpcError, match="cursor"):
            async with kept.client.watch(ONE, since="x"):
                raise AssertionError
