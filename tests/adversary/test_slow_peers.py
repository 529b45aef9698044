"""Peers that do not read, do not finish, or do not answer: each is dropped in its time, and delays nobody."""

from __future__ import annotations

import socket

import pytest
import trio
from trio.testing import MockClock

from tests.adversary.world import (
    ALIVE,
    HOT,
    PATIENCE,
    Raw,
    World,
    listen,
    modern,
    open_world,
    rpc,
    text,
    with_limits,
)
from tests.wire.rig import BINARY, CLOSE, PING, TEXT, frame, upgrade_request

IN_EARNEST = with_limits(head_timeout=0.3, stall_timeout=0.3, heartbeat=0.3, pong_timeout=0.3)
"""For real sockets and a real clock: what has to happen happens soon."""


async def _until_closed(world: World, code: str) -> None:
    with trio.fail_after(PATIENCE):
        while not world.app.server.traffic.closes[code]:
            await world.witness_is_served()
            await trio.sleep(0.01)  # a clock that jumps does so when everybody waits


async def _never_reads_what_it_asks_for(world: World, message: bytes) -> None:
    raw = await world.open()
    async with raw.stream, trio.open_nursery() as nursery:

        async def flood() -> None:
            while True:
                await raw.send(message * 50)
                await trio.sleep(0.001)

        nursery.start_soon(flood)
        await _until_closed(world, "1008")
        nursery.cancel_scope.cancel()


FLOODS = {
    "pings": frame(PING, b"x" * 125) + ALIVE,
    "lists": text(modern("tools/list", 1)),
    "refusals": text(modern("tools/call", "same", name="hold", arguments={"tag": "flood"})),
    "errors": text(b"{"),
    "large answers": text(modern("tools/call", 1, name="large", arguments={"size": 100_000})),
}


@pytest.mark.parametrize("message", FLOODS.values(), ids=FLOODS.keys())
async def test_a_client_of_a_socket_that_never_reads_its_answers_is_closed(message: bytes) -> None:
    async with open_world(sockets=True, settings=IN_EARNEST) as world:
        await _never_reads_what_it_asks_for(world, message)


@pytest.mark.parametrize("message", FLOODS.values(), ids=FLOODS.keys())
async def test_a_client_in_memory_that_never_reads_its_answers_is_closed(
    message: bytes, autojump_clock: MockClock
) -> None:
    async with open_world(sockets=False) as world:
        await _never_reads_what_it_asks_for(world, message)


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_a_subscriber_that_never_reads_is_parked_then_closed_as_stalled(
    autojump_clock: MockClock, revision: str
) -> None:
    async with open_world(sockets=False) as world:
        raw = await world.open()
        async with raw.stream:
            if revision == "2025-11-25":
                await raw.initialize()
                await raw.subscribe(HOT)
            else:
                await raw.send(text(listen("a", HOT)) + text(listen("b", HOT)))
                await raw.message()
                await raw.message()
            (peer,) = [peer for peer in world.app.server._memory.peers.values() if "#2" in peer.name]
            while not peer.is_behind():
                await world.witness_is_served()
            pending = peer.wire.pending_bytes
            for _ in range(100):
                await world.witness_is_served()
            assert peer.wire.pending_bytes <= pending + 200, "more was sent to a peer that is behind"
            assert not world.app.server.traffic.closes
            await trio.sleep(4)
            assert world.app.server.traffic.closes == {"1008": 1}


async def test_a_subscriber_that_reads_again_gets_the_update_it_is_owed(autojump_clock: MockClock) -> None:
    async with open_world(sockets=False) as world:
        raw = await world.open()
        async with raw.stream:
            await raw.send(text(listen("a", HOT, "hot://last")))
            await raw.message()
            (peer,) = [peer for peer in world.app.server._memory.peers.values() if "#2" in peer.name]
            while not peer.is_behind():
                await world.witness_is_served()
            world.app.updated_nowait("hot://last")
            await world.witness_is_served()
            while (await raw.message())["params"]["uri"] != "hot://last":  # type: ignore[index]
                pass
            await raw.is_served()


async def test_a_subscriber_of_a_socket_that_never_reads_is_closed_as_stalled() -> None:
    uris = [f"hot://{number}{'x' * 1900}" for number in range(18)]
    async with open_world(sockets=True, settings=with_limits(stall_timeout=0.3)) as world:
        sock = trio.socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await sock.connect(("127.0.0.1", world.port))
        raw = Raw(trio.SocketStream(sock))
        async with raw.stream:
            await raw.send(upgrade_request())
            assert (await raw.take_head())[0] == 101
            for number in range(3):
                await raw.send(text(listen(number, *uris[number * 6 :][:6])))
                assert "method" in await raw.message()
            with trio.fail_after(PATIENCE):
                while not world.app.server.traffic.closes["1008"]:
                    for uri in uris:
                        world.app.updated_nowait(uri)
                    await world.witness_is_served()


async def _handshake_that_never_ends(world: World) -> None:
    silent, dripping, stuck = await world.dial(), await world.dial(), await world.dial()
    head = upgrade_request("X: " + "x" * 1000)
    async with silent.stream, dripping.stream, stuck.stream:
        await stuck.send(head[:100])
        async with trio.open_nursery() as nursery:

            async def drip() -> None:
                for byte in head:
                    await dripping.send(bytes([byte]))
                    await trio.sleep(world.app.settings.limits.head_timeout / 50)

            nursery.start_soon(drip)
            await world.witness_is_served()
            with trio.fail_after(PATIENCE):
                assert await silent.rest() == b""
                assert (await stuck.response()).status == 408
                assert (await dripping.response()).status == 408
            nursery.cancel_scope.cancel()


async def test_a_handshake_on_a_socket_that_never_ends_is_ended() -> None:
    async with open_world(sockets=True, settings=IN_EARNEST) as world:
        await _handshake_that_never_ends(world)


async def test_a_handshake_in_memory_that_never_ends_is_ended(autojump_clock: MockClock) -> None:
    async with open_world(sockets=False) as world:
        await _handshake_that_never_ends(world)


async def _mute(world: World) -> None:
    raw = await world.open()
    async with raw.stream:
        with trio.fail_after(PATIENCE * 5):
            opcode, _ = await raw.frame()
            assert opcode == PING
            await world.witness_is_served()
            assert await raw.close_code() == 1011


async def test_a_client_of_a_socket_that_answers_no_ping_is_closed() -> None:
    async with open_world(sockets=True, settings=IN_EARNEST) as world:
        await _mute(world)


async def test_a_client_in_memory_that_answers_no_ping_is_closed(autojump_clock: MockClock) -> None:
    async with open_world(sockets=False) as world:
        await _mute(world)


async def _close_unanswered(world: World) -> None:
    raw = await world.open()
    async with raw.stream:
        await raw.send(frame(BINARY, b"x"))
        await world.witness_is_served()
        with trio.fail_after(PATIENCE):
            opcode, _ = await raw.frame()
            assert opcode == CLOSE
            while await raw.more():  # it never answers, yet the end comes
                pass


@pytest.mark.parametrize("chatter", [b"", ALIVE * 100])
async def test_a_close_that_a_peer_in_memory_never_answers_ends_the_connection(
    autojump_clock: MockClock, chatter: bytes
) -> None:
    async with open_world(sockets=False) as world, trio.open_nursery() as nursery:
        raw = await world.open()

        async def chat() -> None:
            while True:
                await raw.send(chatter)
                await trio.sleep(0.01)

        async with raw.stream:
            await raw.send(frame(BINARY, b"x"))
            nursery.start_soon(chat)
            with trio.fail_after(PATIENCE):
                assert await raw.close_code() == 1003
            nursery.cancel_scope.cancel()


async def test_a_close_that_a_peer_of_a_socket_never_answers_ends_the_connection() -> None:
    async with open_world(sockets=True) as world:
        await _close_unanswered(world)


async def test_a_message_that_comes_a_byte_at_a_time_counts_as_life(autojump_clock: MockClock) -> None:
    settings = with_limits(heartbeat=2.0, pong_timeout=1.0)
    async with open_world(sockets=False, settings=settings) as world:
        raw = await world.open()
        async with raw.stream:
            for byte in frame(TEXT, rpc("ping", "slow")):
                await raw.send(bytes([byte]))
                await trio.sleep(1)
            assert "result" in await raw.answer("slow")
