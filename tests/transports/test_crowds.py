"""Many clients over HTTP, and such as do not read: nobody costs more than the bound, and nobody else notices."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from mcptrio import ServerSettings
from mcptrio.server.http.exchange_peer import ExchangePeer
from mcptrio.server.http.session_peer import SessionPeer
from mcptrio.server.peer import Peer
from mcptrio.server.subscriber import Subscriber
from mcptrio.wire import Limits
from mcptrio.wire.response_stream import ResponseStream
from tests.concurrency.crowd import living
from tests.server.http.rig import Answer, HttpHouse, HttpWire, http
from tests.server.rig import ACKNOWLEDGED, UPDATED
from tests.transports.clients import Way, world
from tests.transports.rooms import Rooms

pytestmark = pytest.mark.unmeasured

settled = trio.testing.wait_all_tasks_blocked

URIS = ("room://a", "room://b", "room://c")
HIGH_WATER = 1000
LIMITS = Limits(high_water=HIGH_WATER, max_pending=65_536)
KINDS = (Peer, Subscriber, ResponseStream)
listening = pytest.mark.parametrize("modern", [False, True], ids=["2025-11-25", "2026-07-28"])


def alive() -> list[object]:
    """What there is of peers, subscribers and streams, after all that can be collected is."""
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, KINDS)]


async def listen(home: HttpHouse, number: int, *uris: str, capacity: int = 65_536) -> tuple[HttpWire, Answer]:
    wire = await home.connect(capacity)
    answer = await wire.modern(
        number, "subscriptions/listen", {"notifications": {"resourceSubscriptions": list(uris)}}
    )
    assert (await answer.message())["method"] == ACKNOWLEDGED
    return wire, answer


async def test_a_thousand_listens_that_vanish_at_once_leave_nothing(autojump_clock: MockClock) -> None:
    async with http(Rooms(ServerSettings(introspection=False)).app) as home:
        wire, answer = await listen(home, 0, "room://all")
        await settled()
        tasks, objects, opened = living(), len(alive()), home.endpoint.listener.statistics().open
        crowd: list[HttpWire] = []

        async def come(number: int) -> None:
            crowd.append((await listen(home, 1, "room://all", f"room://{number}"))[0])

        async with trio.open_nursery() as nursery:
            for number in range(1000):
                nursery.start_soon(come, number)
        assert len(home.endpoint.peers) == 1001
        assert home.app.hub.statistics().subscriptions == 2001
        home.app.updated_nowait("room://all")
        await settled()
        home.app.updated_nowait("room://all")  # on its way when they go
        for each in crowd:
            await trio.aclose_forcefully(each.stream)
        await settled()
        assert len(home.endpoint.peers) == len(home.endpoint.http.exchanges) == 1
        assert home.app.hub.statistics().subscriptions == 1
        assert home.endpoint.listener.statistics().open == opened
        assert living() == tasks
        crowd.clear()
        home._streams.clear()
        assert len(alive()) < objects + 10, "but for what the last step of some task still names"
        assert [(await answer.message())["method"] for _ in range(2)] == [UPDATED] * 2
        await trio.aclose_forcefully(wire.stream)


async def test_sessions_whose_clients_vanish_at_once_are_gone_after_their_time(
    autojump_clock: MockClock,
) -> None:
    async with http(Rooms(ServerSettings(introspection=False)).app) as home:
        await settled()
        tasks, objects = living(), len(alive())

        async def come(number: int) -> None:
            session = await home.initialize()
            await session.call(1, "resources/subscribe", {"uri": f"room://{number}"})
            await (await session.get()).event()

        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(come, number)
        assert len(home.endpoint.http.sessions) == 200
        for each in home._streams:
            await trio.aclose_forcefully(each)
        home._streams.clear()
        await trio.sleep(home.app.settings.session_timeout + 2)
        assert len(home.endpoint.http.sessions) == len(home.endpoint.peers) == 0
        assert home.app.hub.statistics().subscriptions == 0
        assert living() == tasks
        assert len(alive()) < objects + 10, "but for what the last step of some task still names"


class Slow:
    """A client of three URIs that does not read what it is told."""

    def __init__(self, wire: HttpWire, answer: Answer, peer: Peer) -> None:
        self.wire = wire
        self.answer = answer
        self.peer = peer

    async def rest(self) -> list[str]:
        """The URIs that it is told of, when it reads at last."""
        uris: list[str] = []
        with trio.move_on_after(1):
            while True:
                message = await self.answer.message()
                if message["method"] == UPDATED:  # who comes back is told of lists, too
                    params = message["params"]
                    assert isinstance(params, dict)
                    uris.append(params["uri"])
        return uris


@asynccontextmanager
async def slow(modern: bool) -> AsyncIterator[tuple[HttpHouse, Slow]]:
    async with http(Rooms(ServerSettings(limits=LIMITS, introspection=False)).app) as home:
        if modern:
            wire, answer = await listen(home, 1, *URIS, capacity=256)
            (peer,) = home.endpoint.peers.values()
        else:
            session = await home.initialize()
            for uri in URIS:
                await session.call(uri, "resources/subscribe", {"uri": uri})
            wire = await home.connect(256)
            answer = await wire.request("GET", mcp_session_id=session.id)
            peer = session.peer
        assert isinstance(peer, ExchangePeer if modern else SessionPeer)
        yield home, Slow(wire, answer, peer)


@listening
async def test_who_does_not_read_is_told_of_the_last_change_of_each_and_costs_no_more_than_the_bound(
    modern: bool, autojump_clock: MockClock
) -> None:
    async with slow(modern) as (home, client):
        _, quick = await listen(home, 1, *URIS)
        for number in range(300):
            for uri in URIS:
                home.app.updated_nowait(uri)
            told = [(await quick.message())["params"]["uri"] for _ in URIS]  # type: ignore[index]
            assert told == list(URIS)
            await settled()
            assert client.peer.wire.pending_bytes < HIGH_WATER + 1000
            if number % 100 == 0:
                answer = await (await home.connect()).modern(
                    number, "tools/call", {"name": "echo", "arguments": {"text": "on"}}
                )
                assert "result" in await answer.json()
        assert client.peer.wire.pending_bytes >= HIGH_WATER
        came = await client.rest()
        assert len(came) < 60, "merged"
        assert sorted(came[-3:]) == list(URIS)
        home.app.updated_nowait("room://b")
        assert await client.rest() == ["room://b"]


@listening
async def test_who_reads_slowly_is_told_of_changes_for_ever_and_never_cut_off(
    modern: bool, autojump_clock: MockClock
) -> None:
    async with slow(modern) as (home, client):
        for _ in range(30):
            for _ in range(50):
                for uri in URIS:
                    home.app.updated_nowait(uri)
                await settled()
            await trio.sleep(home.app.settings.limits.stall_timeout * 0.3)
            await client.answer.message()
        home.app.updated_nowait("room://a")
        assert "room://a" in (await client.rest())[-3:]


@listening
async def test_who_accepts_no_byte_for_too_long_is_cut_off(modern: bool, autojump_clock: MockClock) -> None:
    async with slow(modern) as (home, client):
        _, quick = await listen(home, 1, "room://a")
        for _ in range(100):
            for uri in URIS:
                home.app.updated_nowait(uri)
            await quick.message()
        await trio.sleep(home.app.settings.limits.stall_timeout - 2)
        assert home.app.hub.statistics().subscriptions == 4
        assert client.peer.wire.pending_bytes
        await trio.sleep(4)
        assert client.peer.wire.pending_bytes == 0
        home.app.updated_nowait("room://a")
        assert (await quick.message())["method"] == UPDATED
        if modern:
            assert home.app.hub.statistics().subscriptions == 1
            assert len(home.endpoint.peers) == 1
            return
        # The session is still there, and its client may come back for what it did not read.
        assert isinstance(client.peer, SessionPeer)
        stream = await (await home.connect()).request("GET", mcp_session_id=client.peer.id)
        told = await Slow(client.wire, stream, client.peer).rest()
        assert sorted(set(told)) == list(URIS)


async def test_a_slow_listen_and_a_quick_one_of_the_same_client_are_each_on_their_own(
    autojump_clock: MockClock,
) -> None:
    async with world(Rooms(ServerSettings(limits=LIMITS, introspection=False)).app) as here:
        _, never_read = await listen(here.home, 1, "room://a", capacity=256)
        client = await here.open(Way("http", True))
        told = await client.subscribe("room://a")
        for _ in range(200):
            here.app.updated_nowait("room://a")
            assert await told.next() == "room://a"
        assert (await never_read.message())["method"] == UPDATED
