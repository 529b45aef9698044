"""What one handler, source or reader does wrong hurts nobody else."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from mcptrio import App
from mcptrio.live import Feed
from mcptrio.protocol import RpcError
from tests.adversary.world import HOT, SETTINGS, World, listen, make_app, modern, open_world, text


class Pool:
    """What a lifespan would give."""


class _Odd(Exception):
    """An exception that cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def _break(app: App) -> None:
    @app.tool
    async def crash(kind: str) -> str:
        if kind == "group":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_raise)
                await trio.sleep_forever()
        raise {
            "exception": LookupError("x"),
            "odd": _Odd(),
            "channel": trio.EndOfChannel(),
            "too slow": trio.TooSlowError(),
            "recursion": RecursionError("x"),
            "memory": MemoryError(),
            "stop": StopAsyncIteration(),
        }[kind]

    @app.tool
    async def unserializable() -> dict[str, object]:
        return {"x": object()}

    @app.tool
    async def surrogate() -> str:
        return "\ud800"

    @app.tool
    async def leave_a_scope() -> str:
        with trio.CancelScope() as scope:
            scope.cancel()
            await trio.sleep_forever()
        return "done"

    @app.resource("broken://{name}")
    async def broken(name: str) -> str:
        if name == "surrogate":
            return "\udfff"
        raise LookupError(name)

    @app.prompt
    async def broken_prompt() -> str:
        raise LookupError("prompt")


async def _raise() -> None:
    raise LookupError("in a nursery")


@pytest.mark.parametrize(
    "kind", ["exception", "group", "odd", "channel", "too slow", "recursion", "memory", "stop"]
)
async def test_a_tool_that_raises_anything_fails_alone(autojump_clock: MockClock, kind: str) -> None:
    async with open_world(sockets=False, prepare=_break) as world:
        raw = await world.open()
        async with raw.stream:
            await raw.send(text(modern("tools/call", 1, name="crash", arguments={"kind": kind})))
            await world.witness_is_served()
            result = (await raw.answer(1))["result"]
            assert result["isError"] is True  # type: ignore[index]
            await raw.is_served()


@pytest.mark.parametrize("name", ["unserializable", "surrogate"])
async def test_a_tool_whose_result_cannot_be_sent_fails_alone(autojump_clock: MockClock, name: str) -> None:
    async with open_world(sockets=False, prepare=_break) as world:
        raw = await world.open()
        async with raw.stream:
            await raw.send(text(modern("tools/call", 1, name=name)))
            await world.witness_is_served()
            assert await raw.answer(1)
            await raw.is_served()


@pytest.mark.parametrize("uri", ["broken://x", "broken://surrogate"])
async def test_a_resource_that_fails_does_so_alone(autojump_clock: MockClock, uri: str) -> None:
    async with open_world(sockets=False, prepare=_break) as world:
        with pytest.raises(RpcError):
            await world.witness.read_resource(uri)
        with pytest.raises(RpcError):
            await world.witness.get_prompt("broken_prompt", {})
        await world.witness_is_served()


async def test_a_result_too_large_to_send_is_refused_and_the_connection_goes_on(
    autojump_clock: MockClock,
) -> None:
    async with open_world(sockets=False) as world:
        with pytest.raises(RpcError) as caught:
            await world.witness.call_tool("large", {"size": SETTINGS.limits.max_pending})
        assert caught.value.data["reason"] == "result_too_large"  # type: ignore[index]
        await world.witness_is_served()


async def test_a_source_that_raises_at_once_and_always_hurts_nobody(autojump_clock: MockClock) -> None:
    attempts: list[float] = []

    def prepare(app: App) -> None:
        @app.source("bad://{x}")
        async def bad(feed: Feed) -> None:
            attempts.append(trio.current_time())
            await feed.updated("bad://1")
            raise LookupError("always")

        @app.source("good://{x}")
        async def good(feed: Feed) -> None:
            while True:
                await feed.updated("good://1")
                await trio.sleep(1)

    async with open_world(sockets=False, prepare=prepare) as world:
        async with world.witness.subscribe("good://1", "bad://1") as updates:
            seen = {(await anext(updates)).uri for _ in range(20)}
            assert "good://1" in seen
            await trio.sleep(60)
            await world.witness_is_served()
            assert world.app.sources.feeds["bad"].state == "failed" or attempts
    assert 3 < len(attempts) < 200, "it is tried again, ever more seldom"


async def test_a_source_that_reports_nonsense_fails_alone(autojump_clock: MockClock) -> None:
    def prepare(app: App) -> None:
        @app.source("odd://{x}")
        async def odd(feed: Feed) -> None:
            await feed.updated("no uri at all")

        @app.source()
        async def odder(feed: Feed) -> None:
            await feed.updated(17)  # type: ignore[arg-type]

        @app.source()
        async def oddest(feed: Feed) -> None:
            await feed.updated("odd://1", event_id=[])  # type: ignore[arg-type]

    async with open_world(sockets=False, prepare=prepare) as world:
        await trio.sleep(30)
        await world.witness_is_served()


async def test_a_source_that_floods_lets_requests_through_and_its_last_change_arrives(
    autojump_clock: MockClock,
) -> None:
    done = trio.Event()

    def prepare(app: App) -> None:
        @app.source("flood://{x}")
        async def flood(feed: Feed) -> None:
            for number in range(10_000):
                await feed.updated(f"flood://{number % 10}")
            await feed.updated("flood://last")
            done.set()
            await trio.sleep_forever()

    async with open_world(sockets=False, prepare=prepare) as world:
        async with world.witness.subscribe("flood://last") as updates:
            served = 0
            while not done.is_set():
                await world.witness_is_served()
                served += 1
            assert served > 3
        assert updates.closed


async def test_a_handler_that_keeps_the_thread_is_found_and_named(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    def prepare(app: App) -> None:
        @app.tool
        async def hog() -> str:
            time.sleep(SETTINGS.slow_step * 1.5)  # noqa: ASYNC251  the fault that is to be found
            return "done"

    async with open_world(sockets=False, prepare=prepare) as world:
        caplog.clear()
        await world.witness.call_tool("hog", {})
        await world.witness_is_served()
    found = [record for record in caplog.records if "kept the thread" in record.getMessage()]
    assert any("hog" in record.__dict__["task"] for record in found)
    assert all(record.levelno == logging.WARNING for record in found)


async def _unread(world: World, count: int) -> list[object]:
    """So many subscribers that never read, all of them behind."""
    crowd = []
    for _ in range(count):
        raw = await world.open()
        await raw.send(
            text(listen("l", HOT)) + text(modern("tools/call", 1, name="large", arguments={"size": 60_000}))
        )
        await raw.send(text(modern("tools/call", 2, name="large", arguments={"size": 60_000})))
        crowd.append(raw)
    await trio.testing.wait_all_tasks_blocked()
    return crowd  # type: ignore[return-value]


async def test_readers_that_never_read_delay_no_other(autojump_clock: MockClock) -> None:
    async with open_world(sockets=False) as world:
        crowd = await _unread(world, 20)
        peers = [peer for peer in world.app.server._memory.peers.values() if peer.is_behind()]
        assert len(peers) == 20
        before = trio.current_time()
        for _ in range(100):
            await world.witness_is_served()
        assert trio.current_time() == before, "nobody waits for anybody"
        assert world.app.server.flusher.statistics().current_buffer_used == 0
        for raw in crowd:
            await raw.reset()  # type: ignore[attr-defined]


async def test_progress_and_answers_wait_for_a_reader_that_is_behind_and_nobody_else_does(
    autojump_clock: MockClock,
) -> None:
    async with open_world(sockets=False) as world:
        raw = await world.open()
        async with raw.stream:
            calls = (modern("tools/call", id, name="large", arguments={"size": 60_000}) for id in range(4))
            await raw.send(b"".join(map(text, calls)))
            await trio.testing.wait_all_tasks_blocked()
            await world.witness_is_served()
            for _ in range(4):
                assert "result" in await raw.message(), "together they exceed what may be pending: they wait"
            await raw.is_served()


async def test_a_result_that_may_be_sent_is_sent_even_if_something_is_pending(
    autojump_clock: MockClock,
) -> None:
    largest = SETTINGS.limits.max_pending - 1000
    async with open_world(sockets=False) as world:
        raw = await world.open()
        async with raw.stream:
            # The first fills the transport and leaves a little pending: less than the bound.
            sizes = [SETTINGS.limits.max_message + 20_000, largest]
            for id, size in enumerate(sizes):
                await raw.send(text(modern("tools/call", id, name="large", arguments={"size": size})))
                await trio.testing.wait_all_tasks_blocked()
            for id in range(2):
                message = await raw.message()
                assert message["id"] == id
                assert "result" in message or message["error"]["data"]["reason"] == "result_too_large"  # type: ignore[index]
            await raw.is_served()


async def test_an_app_whose_lifespan_fails_says_so_and_leaves_nothing(autojump_clock: MockClock) -> None:
    app = make_app()

    @app.lifespan
    async def pool(app: App) -> AsyncIterator[Pool]:
        raise LookupError("no pool")
        yield Pool()

    for _ in range(3):
        with pytest.raises(LookupError):
            async with app.connect():
                raise AssertionError("unreachable")
