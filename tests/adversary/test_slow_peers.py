"""Peers that do not read, do not finish, or do not answer: each is dropped in its time, and delays nobody."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from mcptrio.server import ServerSettings
from tests.adversary.world import (
    ALIVE,
    HOT,
    PATIENCE,
    World,
    listen,
    modern,
    open_world,
    rpc,
    text,
    with_limits,
)
from tests.wire.rig import BINARY, CLOSE, PING, frame, upgrade_request

IN_EARNEST = with_limits(head_timeout=0.3, stall_timeout=0.3, heartbeat=0.3, pong_timeout=0.3)
"""For real sockets and a real clock: what has to happen happens soon."""


async def _until_closed(world: World, code: str) -> None:
    with trio.fail_after(PATIENCE):
        while not world.app.server.traffic.closes[code]:
            await world.witness_is_served()


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
            assert not world.app.server.traffic.closes["1008"]
            await trio.sleep(4)
            assert world.app.server.traffic.closes["1008"] == 1


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
    # Many subscriptions, so that the kernel's own buffers fill soon.
    uris = [f"hot://{number}/{'x' * 1900}" for number in range(20)]
    async with open_world(sockets=True, settings=IN_EARNEST) as world:
        raw = await world.open()
        async with raw.stream:
            for number, uri in enumerate(uris):
                await raw.send(text(rpc("ping", number)))
                assert await raw.answer(number)
                if number < 3:
                    await raw.send(text(listen(f"l{number}", *uris[number::3][:6])))
                    await raw.message()
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
            nursery.start_soon(chat)
            await raw.send(frame(BINARY, b"x"))
            with trio.fail_after(PATIENCE):
                assert await raw.close_code() == 1003
            nursery.cancel_scope.cancel()


async def test_a_close_that_a_peer_of_a_socket_never_answers_ends_the_connection() -> None:
    async with open_world(sockets=True) as world:
        await _close_unanswered(world)


async def test_a_message_that_never_ends_keeps_no_heartbeat_from_the_others(autojump_clock: MockClock) -> None:
    """Any byte counts as life, so a drip is served for ever; its memory is bounded by the message size."""
    async with open_world(sockets=False, settings=ServerSettings()) as world:
        raw = await world.open()
        async with raw.stream:
            for byte in frame(1, rpc("ping", "slow")):
                await raw.send(bytes([byte]))
                await trio.sleep(10)
            assert "result" in await raw.answer("slow")
