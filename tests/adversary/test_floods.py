"""More of everything than is allowed: the one too many is refused at once, and nobody else notices."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from tests.adversary.world import (
    ALIVE,
    HOT,
    LIMITS,
    ONLY_WITNESS,
    PATIENCE,
    SETTINGS,
    Raw,
    World,
    listen,
    modern,
    open_world,
    rpc,
    settled,
    text,
    until,
)

pytestmark = pytest.mark.unmeasured


def _reason(message: dict[str, object]) -> object:
    error = message["error"]
    assert isinstance(error, dict), message
    assert error["code"] == -32603
    return error["data"]["reason"]


def _hold(id: object, tag: str = "flood") -> bytes:
    return text(modern("tools/call", id, name="hold", arguments={"tag": tag}))


def _cancel(id: object) -> bytes:
    return text(rpc("notifications/cancelled", requestId=id))


@asynccontextmanager
async def _attacker(sockets: bool) -> AsyncIterator[tuple[World, Raw]]:
    with trio.fail_after(PATIENCE):
        async with open_world(sockets=sockets) as world:
            raw = await world.open()
            async with raw.stream:
                yield world, raw


both = pytest.mark.parametrize("sockets", [True, False], ids=["sockets", "memory"])


@both
async def test_requests_beyond_the_limit_are_refused_at_once_and_the_others_run_on(sockets: bool) -> None:
    async with _attacker(sockets) as (world, raw):
        await raw.send(b"".join(_hold(number, f"t{number}") for number in range(100)))
        for number in range(SETTINGS.max_requests, 100):
            message = await raw.message()
            assert (message["id"], _reason(message)) == (number, "too_many_requests")
        await world.witness_is_served()
        await world.entered_is(*(f"t{number}" for number in range(SETTINGS.max_requests)))
        assert not world.cancelled
        await raw.is_served()
        await raw.send(_cancel(0))
        await until(lambda: world.cancelled)
        await raw.send(text(modern("tools/call", 0, name="echo", arguments={"text": "room"})))
        assert "result" in await raw.answer(0)


@both
async def test_an_id_that_is_in_use_is_refused_and_its_request_runs_on(sockets: bool) -> None:
    async with _attacker(sockets) as (world, raw):
        await raw.send(_hold(1, "mine") + _hold(1) + _hold("1", "other") + text(listen(1)))
        for _ in range(2):
            message = await raw.message()
            assert (message["id"], message["error"]["code"]) == (1, -32600)  # type: ignore[index]
        await world.entered_is("mine", "other")
        assert "flood" not in world.entered


@both
async def test_listens_beyond_the_limit_are_refused_and_the_others_are_told(sockets: bool) -> None:
    async with _attacker(sockets) as (world, raw):
        await raw.send(b"".join(text(listen(number, HOT)) for number in range(50)))
        for number in range(50):
            message = await raw.message()
            if number < SETTINGS.max_listens:
                assert message["method"] == "notifications/subscriptions/acknowledged"
            else:
                assert (message["id"], _reason(message)) == (number, "too_many_requests")
        await world.witness_is_served()
        told = {(await raw.message())["method"] for _ in range(SETTINGS.max_listens)}
        assert told == {"notifications/resources/updated"}


@both
async def test_subscriptions_beyond_the_limit_are_refused_over_session_and_listens(sockets: bool) -> None:
    async with _attacker(sockets) as (world, raw):
        await raw.initialize()
        await raw.send(text(listen("l", *(f"hot://l{number}" for number in range(15)))))
        assert (await raw.message())["method"] == "notifications/subscriptions/acknowledged"
        await raw.send(
            b"".join(text(rpc("resources/subscribe", n, uri=f"hot://s{n}")) for n in range(100))
            + text(listen("m", "hot://m"))
            + text(rpc("resources/subscribe", "again", uri="hot://s0"))
        )
        for number in range(100):
            message = await raw.message()
            assert message["id"] == number
            assert ("result" in message) if number < 5 else (_reason(message) == "subscription_limit")
        assert _reason(await raw.answer("m")) == "subscription_limit"
        assert "result" in await raw.answer("again"), "what is subscribed already costs nothing"
        await world.witness_is_served()
        assert world.app.hub.statistics().subscriptions == 21


@both
async def test_a_listen_to_too_many_is_refused_as_a_whole(sockets: bool) -> None:
    async with _attacker(sockets) as (world, raw):
        await raw.send(text(listen(1, *(f"hot://{number}" for number in range(1000)))))
        assert _reason(await raw.answer(1)) == "subscription_limit"
        assert world.app.hub.statistics().subscriptions == 1


async def test_a_listen_to_more_than_anybody_may_have_is_refused_unread() -> None:
    async with _attacker(sockets=False) as (world, raw):
        asked = 0
        could_serve = world.app.catalog.could_serve

        def count(uri: str) -> bool:
            nonlocal asked
            asked += 1
            return could_serve(uri)

        world.app.catalog.could_serve = count  # type: ignore[method-assign]
        await raw.send(text(listen(1, *(f"x:{number}" for number in range(5000)))))
        await raw.message()
        assert asked <= SETTINGS.max_subscriptions + 1, f"{asked} URIs were looked up in one step"


@both
async def test_a_storm_of_cancellations_leaves_no_request_and_answers_none_of_the_cancelled(
    sockets: bool,
) -> None:
    async with _attacker(sockets) as (world, raw):
        for _ in range(20):
            storm = b"".join(_hold(n, f"t{n}") + _cancel(n) * 3 for n in range(100))
            await raw.send(storm + ALIVE)
            while (message := await raw.message())["id"] != "alive":
                assert _reason(message) == "too_many_requests"  # a cancelled one is not answered
        await world.witness_is_served()
        assert world.entered
        assert len(world.cancelled) == len(world.entered)


@both
async def test_a_storm_of_listens_and_cancellations_leaves_nothing(sockets: bool) -> None:
    async with _attacker(sockets) as (world, raw):
        for _ in range(10):
            await raw.send(b"".join(text(listen(n, HOT, "hot://2")) + _cancel(n) for n in range(100)) + ALIVE)
            for _ in range(100):
                assert (await raw.message())["method"] == "notifications/subscriptions/acknowledged"
            assert "result" in await raw.answer("alive")
            await world.witness_is_served()
        assert world.app.hub.statistics().subscriptions == 1


async def test_ten_thousand_subscribe_and_unsubscribe_leave_nothing(autojump_clock: MockClock) -> None:
    async with _attacker(sockets=False) as (world, raw):
        await raw.initialize()
        cycle = text(rpc("resources/subscribe", 1, uri="hot://2")) + text(
            rpc("resources/unsubscribe", 2, uri="hot://2")
        )
        for _ in range(100):
            await raw.send(cycle * 100 + ALIVE)
            world.app.updated_nowait("hot://2")
            while (await raw.message()).get("id") != "alive":
                pass
        assert world.app.hub.statistics().subscriptions == 1
        assert world.app.server.flusher.statistics().current_buffer_used == 0


async def test_a_subscriber_is_in_the_flushers_queue_once_however_it_comes_and_goes(
    autojump_clock: MockClock,
) -> None:
    async with _attacker(sockets=False) as (world, raw):
        await raw.initialize()
        (peer,) = [peer for peer in world.app.server._memory.peers.values() if peer.session is not None]
        assert peer.session is not None
        outbox = peer.session.outbox
        for _ in range(1000):  # as a source does between two steps of a peer that subscribes and unsubscribes
            world.app.hub.subscribe("hot://2", outbox)
            world.app.updated_nowait("hot://2")
            world.app.hub.unsubscribe("hot://2", outbox)
        assert world.app.server.flusher.statistics().current_buffer_used <= 2


async def test_connections_beyond_the_limit_are_turned_away_and_those_within_are_served() -> None:
    with trio.fail_after(PATIENCE):
        async with open_world(sockets=True) as world, trio.open_nursery() as nursery:
            held: list[Raw] = []
            for _ in range(LIMITS.max_connections - 1):
                held.append(await world.open())
            refused = [await world.dial() for _ in range(20)]
            for raw in refused:
                async with raw.stream:
                    assert (await raw.response()).status == 503
            await world.witness_is_served()
            for raw in held:
                nursery.start_soon(raw.reset)
            await settled(world.app, ONLY_WITNESS)
            async with (await world.open()).stream:
                pass


@both
async def test_connections_that_come_and_go_leave_nothing(sockets: bool) -> None:
    with trio.fail_after(PATIENCE):
        async with open_world(sockets=sockets) as world:
            for _ in range(10):
                for _ in range(20):
                    raw = await world.dial()
                    await raw.send(b"GET")
                    await raw.reset()
                await world.witness_is_served()
                await settled(world.app, ONLY_WITNESS)


class _MostRequests(trio.abc.Instrument):
    """The most messages that were taken in one step of one task."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._before = world.app.server.dispatch.errors
        self.most = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._before = self._world.app.server.dispatch.errors

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.most = max(self.most, self._world.app.server.dispatch.errors - self._before)


async def test_a_flood_of_small_messages_lets_others_run_in_between(autojump_clock: MockClock) -> None:
    async with _attacker(sockets=False) as (world, raw):
        await raw.initialize()
        instrument = _MostRequests(world)
        await raw.send(text(b"{") * 500)
        trio.lowlevel.add_instrument(instrument)
        await world.witness_is_served()
        trio.lowlevel.remove_instrument(instrument)
        assert 0 < instrument.most <= 128


async def test_ids_of_a_listen_do_not_fill_the_servers_memory(autojump_clock: MockClock) -> None:
    """What is cached to be sent to many is bounded in bytes, too."""
    uris = [f"hot://u{number}" for number in range(20)]
    async with _attacker(sockets=False) as (world, raw):
        await raw.send(text(listen("i" * 60_000, *uris)))
        if "error" in await raw.message():
            return  # refused: then nothing is cached
        for uri in uris:
            world.app.updated_nowait(uri)
            assert (await raw.message())["method"] == "notifications/resources/updated"
        assert sum(map(len, world.app.server.flusher._frames.values())) < 262_144
