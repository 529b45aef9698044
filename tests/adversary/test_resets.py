"""Peers that vanish with a TCP reset, at every stage: nothing is left of them."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from mcptrio.client import open_client
from tests.adversary.world import (
    ALIVE,
    HOT,
    INITIALIZE,
    NOTHING,
    ONLY_WITNESS,
    PATIENCE,
    Raw,
    listen,
    make_app,
    modern,
    open_world,
    settled,
    text,
    until,
)
from tests.wire.rig import BINARY, PING, TEXT, frame, upgrade_request

STAGES = {
    "before any byte": b"",
    "inside the request line": b"GET /m",
    "inside the head": upgrade_request()[:60],
    "right behind the head": upgrade_request(),
    "inside a frame's header": upgrade_request() + text(b"x" * 200)[:3],
    "inside a frame": upgrade_request() + text(b"x" * 200)[:100],
    "between fragments": upgrade_request() + frame(TEXT, b"x", fin=False),
    "behind a request": upgrade_request() + ALIVE,
    "behind many requests": upgrade_request() + ALIVE * 500,
    "behind initialize": upgrade_request() + INITIALIZE,
    "behind a listen": upgrade_request() + text(listen(1, HOT, "hot://2")),
    "behind pings": upgrade_request() + frame(PING, b"x") * 500,
    "behind a fault": upgrade_request() + frame(BINARY, b"x"),
    "behind a plain request": b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "inside a plain request's body": b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx",
    "behind garbage": b"\x00" * 5000,
}


@pytest.mark.parametrize("sent", STAGES.values(), ids=STAGES.keys())
async def test_a_reset_leaves_nothing(sent: bytes) -> None:
    async with open_world(sockets=True) as world:
        before = trio.lowlevel.current_statistics().tasks_living
        for _ in range(3):
            raw = await world.dial()
            await raw.send(sent)
            await raw.reset()
            await world.witness_is_served()
        await settled(world.app, ONLY_WITNESS)
        assert trio.lowlevel.current_statistics().tasks_living == before


async def test_a_reset_cancels_running_requests_and_ends_subscriptions_and_tasks() -> None:
    async with open_world(sockets=True) as world:
        before = trio.lowlevel.current_statistics().tasks_living
        raw = await world.open()
        await raw.initialize()
        await raw.subscribe(HOT, "hot://2", "hot://3")
        await raw.send(text(listen(1, HOT, "hot://4")))
        await raw.message()
        for tag in ("a", "b"):
            await raw.send(text(modern("tools/call", tag, name="hold", arguments={"tag": tag})))
        await world.entered_is("a", "b")
        assert world.app.hub.statistics().subscriptions == 6
        await raw.reset()
        await settled(world.app, ONLY_WITNESS)
        assert sorted(world.cancelled) == ["a", "b"]
        assert len(world.app.hub.subscribers(HOT)) == 1
        assert trio.lowlevel.current_statistics().tasks_living == before


async def test_a_reset_with_bytes_pending_leaves_nothing() -> None:
    async with open_world(sockets=True) as world:
        before = trio.lowlevel.current_statistics().tasks_living
        raw = await world.open()
        with trio.fail_after(PATIENCE):
            while not any(
                peer.wire.pending_bytes
                for endpoint in world.app.server.endpoints
                for peer in endpoint.peers.values()
            ):
                await raw.send(text(modern("tools/call", 1, name="large", arguments={"size": 30_000})))
                await trio.sleep(0.001)
        await raw.reset()
        await settled(world.app, ONLY_WITNESS)
        assert trio.lowlevel.current_statistics().tasks_living == before


async def test_a_reset_while_the_server_drains_delays_nobody() -> None:
    app = make_app()

    @app.tool
    async def hold_still() -> str:
        await trio.sleep_forever()
        return ""

    async with trio.open_nursery() as outer:
        done = trio.Event()

        async def serve(*, task_status: trio.TaskStatus[tuple[object, trio.CancelScope]]) -> None:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    address = await nursery.start(partial(app.serve, port=0))
                    task_status.started((address, scope))
            done.set()

        address, scope = await outer.start(serve)
        async with open_client(address.websocket, reconnect=False) as client, client.subscribe(HOT):
            stream = await trio.open_tcp_stream("127.0.0.1", address.port)
            raw = Raw(stream)
            await raw.send(
                upgrade_request() + text(modern("tools/call", 1, name="hold_still")) + text(listen(2, HOT))
            )
            await raw.take_head()
            await until(lambda: len(app.hub.subscribers(HOT)) == 2)
            scope.cancel()
            assert (await raw.message())["method"] == "notifications/subscriptions/acknowledged"
            assert "result" in await raw.answer(2), "the listen's final result: the server is draining"
            await raw.reset()
            with trio.fail_after(PATIENCE):
                await done.wait()
        await settled(app, NOTHING)


async def test_requests_of_a_peer_that_left_are_cancelled_by_its_half_close_too() -> None:
    async with open_world(sockets=True) as world:
        raw = await world.open()
        async with raw.stream:
            await raw.send(text(modern("tools/call", 1, name="hold", arguments={"tag": "half"})))
            await world.entered_is("half")
            await raw.stream.send_eof()
            with trio.fail_after(PATIENCE):
                assert await raw.rest() == b""
            await settled(world.app, ONLY_WITNESS)
            assert world.cancelled == ["half"]
