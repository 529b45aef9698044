"""The end of a server: what is owed is sent, what runs is let finish for a moment, nobody new is taken."""

from __future__ import annotations

import json

import pytest
import trio
import trio.testing

from mcptrio import App
from mcptrio.server.peer import Peer
from mcptrio.server.subscriptions import Subscriptions
from tests.server.rig import request, running
from tests.server.work import Work, call, reason_of, text_of


async def test_a_request_while_the_server_drains_is_refused_with_the_reason() -> None:
    work = Work()
    async with running(work.app) as home:
        wire = await home.connect(initialized=True)
        await wire.send(call(1, "wait"))
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(home.app.server.endpoints[0].drain)
            await trio.testing.wait_all_tasks_blocked()
            await wire.send(request("late", "tools/list"))
            assert reason_of(await wire.receive()) == "shutting_down"
            work.gate.set()  # what runs is let finish
            assert text_of(await wire.receive()) == "done"
            assert (await wire.closed())[0] == 1001
        assert wire.peer.requests == {}


async def test_what_overstays_the_drain_is_cancelled_and_the_wire_closed() -> None:
    work = Work()
    async with running(work.app) as home:
        wire = await home.connect(initialized=True)
        await wire.send(call(1, "wait"))
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(home.app.server.endpoints[0].drain)
            assert (await wire.closed())[0] == 1001
        assert trio.current_time() - began <= home.app.settings.drain_timeout
        assert work.ended == ["cancelled"]


async def test_while_it_drains_the_server_says_so_and_takes_nobody_new() -> None:
    app = App("house")
    hold = trio.Event()

    @app.tool
    async def wait() -> str:
        await hold.wait()
        return "done"

    async with running(app) as home:
        wire = await home.connect(initialized=True)
        await wire.send(request(1, "tools/call", {"name": "wait"}))
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(app.server.endpoints[0].drain)
            await trio.testing.wait_all_tasks_blocked()
            assert (await home.get("/healthz"))[::2] == (503, '{"status":"draining"}\n')
            stream = await home.stream()
            await stream.send_all(
                b"GET /mcp HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 503 ")
            await stream.aclose()
            hold.set()
            assert (await wire.receive())["id"] == 1
            assert (await wire.closed())[0] == 1001


async def test_a_drain_ends_any_number_of_peers() -> None:
    app = App("house")
    async with running(app) as home:
        wires = [await home.connect() for _ in range(130)]
        for wire in wires:
            await wire.listen(1, toolsListChanged=True)
        before = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(app.server.endpoints[0].drain)
            for wire in wires:
                assert (await wire.receive())["id"] == 1
                assert (await wire.closed())[0] == 1001
        assert trio.current_time() - before < app.settings.drain_timeout
        assert app.server.list_changes.watchers() == 0


async def test_a_listen_that_comes_while_its_peer_is_drained_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Nothing says that the drain's task runs before the peer's reader: the two may come in the same tick.
    app = App("house")
    end_listens = Subscriptions.end_listens

    def end_and_read(self: Subscriptions, peer: Peer) -> None:
        end_listens(self, peer)
        message = request("late", "subscriptions/listen", {"notifications": {}}, modern=True)
        app.server.dispatch.received(peer, json.dumps(message).encode())

    monkeypatch.setattr(Subscriptions, "end_listens", end_and_read)
    async with running(app) as home:
        wire = await home.connect()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(app.server.endpoints[0].drain)
            answer = await wire.receive()
            assert "error" in answer, answer
            assert answer["error"]["data"] == {"reason": "shutting_down"}  # type: ignore[index]
            assert (await wire.closed())[0] == 1001
