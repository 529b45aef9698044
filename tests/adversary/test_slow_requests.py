"""Slow and silent HTTP clients: each is dropped in its time, costs a bounded memory, and delays nobody."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack

import pytest
import trio
from trio.testing import MockClock

from mcptrio.wire import raise_nofile_limit
from mcptrio.wire.response_stream import ResponseStream
from tests.adversary.posts import LIST, call, delete, get, in_session, listen_post
from tests.adversary.test_sessions import ask, begin, connected, session
from tests.adversary.world import (
    LIMITS,
    ONLY_WITNESS,
    PATIENCE,
    Raw,
    World,
    left,
    open_world,
    rpc,
    settled,
    until,
    with_limits,
)

pytestmark = pytest.mark.unmeasured

LONG = [f"hot://{number}{'x' * 1900}" for number in range(18)]
"""Resources whose changes are worth some bytes each."""
IN_EARNEST = with_limits(stall_timeout=0.3)
BOUND = LIMITS.high_water + 50_000
"""What may be pending for one stream: producers hold back at `high_water`, and what they had begun is added."""


@pytest.mark.parametrize(("sent", "byte"), [(LIST[:60], b"x"), (LIST[:-100], b" ")], ids=["head", "body"])
async def test_a_request_that_dribbles_ends_in_its_time(
    sent: bytes, byte: bytes, autojump_clock: MockClock
) -> None:
    async with open_world(sockets=False) as world, trio.open_nursery() as nursery:
        raw = await world.dial()

        async def dribble() -> None:
            await raw.send(sent)
            while True:
                await trio.sleep(0.1)
                await raw.send(byte)

        async with raw.stream:
            started = trio.current_time()
            nursery.start_soon(dribble)
            assert (await raw.response()).status == 408
            assert trio.current_time() - started <= LIMITS.body_timeout + 0.5
            nursery.cancel_scope.cancel()


def _streams(world: World) -> list[ResponseStream]:
    return [each for each in world.app.server._sweeper._watched if isinstance(each, ResponseStream)]


async def _change_until_cut_off(world: World, sent: bytes) -> int:
    """Change much of what a client wants to hear of that never reads; return the most that was pending for it."""
    raw = await world.dial()
    if world.port is not None:
        await raw.stream.aclose()
        sock = trio.socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # its kernel takes little ahead
        await sock.connect(("127.0.0.1", world.port))
        raw = Raw(trio.SocketStream(sock))
    most = 0
    async with raw.stream:
        await raw.send(sent)
        await until(lambda: _streams(world))
        with trio.fail_after(PATIENCE):
            while streams := _streams(world):
                most = max(most, *(stream.pending_bytes for stream in streams))
                for uri in LONG:
                    world.app.updated_nowait(uri)
                await world.witness_is_served()
                await trio.sleep(0.01)
    return most


async def _listen_that_is_never_read(world: World) -> None:
    assert 0 < await _change_until_cut_off(world, listen_post(*LONG)) < BOUND
    await settled(world.app, ONLY_WITNESS)


async def test_a_listen_over_a_socket_that_is_never_read_is_cut_off() -> None:
    async with open_world(sockets=True, settings=IN_EARNEST) as world:
        await _listen_that_is_never_read(world)


async def test_a_listen_in_memory_that_is_never_read_is_cut_off(autojump_clock: MockClock) -> None:
    async with open_world(sockets=False) as world:
        await _listen_that_is_never_read(world)


async def _stream_of_a_session_that_is_never_read(world: World) -> None:
    id = await begin(world)
    for number, uri in enumerate(LONG):
        message = rpc("resources/subscribe", number, uri=uri)
        assert (await ask(world, in_session(id, message))).status == 200
    assert 0 < await _change_until_cut_off(world, get(id)) < BOUND
    peer = session(world, id)
    assert peer._store.pending_bytes <= world.app.settings.stored_bytes
    assert len(peer._store) <= world.app.settings.stored_events
    # The session is as it was: who comes back is told what it has missed, once.
    async with connected(world, get(id)) as raw:
        await raw.take_head()
        told = b""
        with trio.fail_after(PATIENCE):
            while not all(f'{uri}"'.encode() in told for uri in LONG):
                told += await raw.chunk()
    assert (await ask(world, delete(id))).status == 204


async def test_a_sessions_stream_over_a_socket_that_is_never_read_is_cut_off() -> None:
    async with open_world(sockets=True, settings=IN_EARNEST) as world:
        await _stream_of_a_session_that_is_never_read(world)


async def test_a_sessions_stream_in_memory_that_is_never_read_is_cut_off(autojump_clock: MockClock) -> None:
    async with open_world(sockets=False) as world:
        await _stream_of_a_session_that_is_never_read(world)


async def test_answers_that_are_never_read_end_the_connection(autojump_clock: MockClock) -> None:
    async with open_world(sockets=False) as world:
        raw = await world.dial()
        async with raw.stream, trio.open_nursery() as nursery:
            nursery.start_soon(raw.send, call("large", size=60_000) * 100)
            started = trio.current_time()
            while left(world.app).connections > 1:
                await world.witness_is_served()
                await trio.sleep(0.1)
            assert trio.current_time() - started < LIMITS.stall_timeout + LIMITS.head_timeout
            nursery.cancel_scope.cancel()
        await settled(world.app, ONLY_WITNESS)


async def test_a_thousand_idle_connections_in_all_phases_cost_nobody_anything() -> None:
    if raise_nofile_limit() < 4096:
        pytest.skip("too few descriptors for two thousand sockets")
    phases = [b"", LIST[:30], LIST[:-5], LIST, listen_post("hot://1")]
    async with open_world(
        sockets=True, settings=with_limits(max_connections=1001, head_timeout=100, body_timeout=100)
    ) as world:
        async with AsyncExitStack() as stack:
            for number in range(1000):
                raw = await world.dial()
                await stack.enter_async_context(raw.stream)
                await raw.send(phases[number % len(phases)])
            await until(lambda: left(world.app).subscriptions == 201)
            await world.witness_is_served()
            assert left(world.app).connections == 1001
            assert (await ask(world, LIST)).status == 503, "this is one too many"
            await world.witness_is_served()
        await settled(world.app, ONLY_WITNESS)
