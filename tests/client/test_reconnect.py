"""Losing the connection and coming back: what fails, what waits, what is made again, and the gap."""

from __future__ import annotations

import pytest
import trio

from mcptrio.client import Client, ConnectionLost, RpcError, TimedOut, Update
from mcptrio.supervision.backoff import Backoff
from tests.client.conftest import Open, notices, only_websocket
from tests.client.fake_server import LEGACY, MODERN, FakeServer, Message, Peer, answers, never, refuses
from tests.client.test_subscriptions import A, B, C, held, settle


async def test_calls_in_flight_fail_and_new_ones_wait_for_the_connection(
    client: Client, server: FakeServer
) -> None:
    server.handlers["tools/call"] = never
    async with trio.open_nursery() as nursery:

        async def call() -> None:
            with pytest.raises(ConnectionLost):
                await client.call_tool("x")

        nursery.start_soon(call)
        await server.wait_for("tools/call")
        server.down = OSError("restarting")
        await server.peer.drop()
    assert not client.statistics().connected
    server.handlers["tools/call"] = answers({"content": []})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.call_tool, "x")
        await trio.sleep(5)
        assert server.dials > 2
        server.down = None
    assert client.statistics().connected
    assert client.statistics().connections == 2


@notices
async def test_waiting_for_the_connection_counts_against_the_timeout(
    client: Client, server: FakeServer
) -> None:
    server.down = OSError("gone")
    await server.peer.drop()
    began = trio.current_time()
    with pytest.raises(TimedOut):
        await client.call_tool("x", timeout=4)
    with pytest.raises(TimedOut):
        async with client.subscribe(A, timeout=4):
            raise AssertionError
    with pytest.raises(TimedOut):
        await client.list_tools(timeout=2)
    assert trio.current_time() - began == pytest.approx(10)


@only_websocket
async def test_tries_go_on_for_ever_with_the_backoffs_waits(server: FakeServer, opening: Open) -> None:
    told: list[tuple[str, float]] = []
    backoff = Backoff(initial=1, maximum=60, jitter=False)
    async with opening(backoff=backoff, on_lost=lambda error, delay: told.append((str(error), delay))):
        server.down = OSError("gone")
        await server.peer.drop()
        await trio.sleep(3600)
    assert [delay for _, delay in told[:8]] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert len(told) > 50
    assert "broke" in told[0][0]
    assert told[1][0] == "ws://localhost/mcp: gone"


async def test_a_callback_for_a_lost_connection_that_raises_is_logged_and_the_client_goes_on(
    server: FakeServer, opening: Open, revision: str, caplog: pytest.LogCaptureFixture
) -> None:
    def on_lost(error: Exception, delay: float) -> None:
        raise LookupError("no screen to tell it on")

    async with opening(revision=revision, on_lost=on_lost) as client, client.subscribe(A) as changes:
        for connections in (2, 3):
            await server.peer.drop()
            assert await anext(changes) == Update(A, gap=True)
            assert client.statistics().connections == connections
    assert caplog.text.count("LookupError: no screen to tell it on") == 2


@notices
async def test_a_stable_connection_makes_the_backoff_forget(server: FakeServer, opening: Open) -> None:
    delays: list[float] = []
    backoff = Backoff(initial=1, jitter=False, reset_after=60)
    async with opening(backoff=backoff, on_lost=lambda _, delay: delays.append(delay)) as client:
        for lasted in (0, 0, 100, 0):
            await trio.sleep(lasted)
            await server.peer.drop()
            await client.ping()
    assert delays == [1, 2, 1, 2]


async def test_the_first_connection_is_tried_once(server: FakeServer, opening: Open) -> None:
    server.down = OSError("gone")
    with pytest.raises(ConnectionLost, match="gone"):
        async with opening(reconnect=True):
            raise AssertionError
    assert server.dials == 1


async def test_subscriptions_are_made_again_with_one_gap_update_for_each_uri(
    client: Client, server: FakeServer
) -> None:
    async with client.subscribe(A, B) as one, client.subscribe(B) as other:
        await server.peer.drop()
        assert [await anext(one), await anext(one)] == [Update(A, gap=True), Update(B, gap=True)]
        assert await anext(other) == Update(B, gap=True)
        assert held(server) == ([A, B] if client.revision == LEGACY else [A, B, B])
        assert (one.pending, other.pending) == (0, 0)
        await server.updated(B)
        assert await anext(one) == await anext(other) == Update(B)
    await settle()
    assert held(server) == []


async def test_each_reconnect_is_a_gap(client: Client, server: FakeServer) -> None:
    async with client.subscribe(A) as changes:
        for _ in range(3):
            await server.peer.drop()
            assert await anext(changes) == Update(A, gap=True)
        assert client.statistics().connections == 4


async def test_a_gap_is_merged_with_what_is_pending(client: Client, server: FakeServer) -> None:
    async with client.subscribe(A, B) as changes:
        await server.updated(B, why="mail")
        await server.peer.drop()
        await trio.sleep(3)
        await client.ping()
        await settle()
        await server.updated(B)
        await settle()
        assert changes.pending == 2
        assert [await anext(changes), await anext(changes)] == [
            Update(B, True, {"why": "mail"}),
            Update(A, True),
        ]


async def test_all_announced_lists_may_have_changed_after_a_reconnect(
    client: Client, server: FakeServer
) -> None:
    async with client.list_changes() as changes:
        await server.peer.drop()
        assert [await anext(changes), await anext(changes)] == ["tools", "resources"]
        await settle()
        assert changes.pending == 0


async def test_a_refused_resubscription_is_raised_by_its_iteration_only(
    client: Client, server: FakeServer
) -> None:
    async with client.subscribe(A) as lost, client.subscribe(B) as kept:
        server.unknown = {A}
        await server.peer.drop()
        assert await anext(kept) == Update(B, gap=True)
        for _ in range(2):
            with pytest.raises(RpcError, match=A):
                await anext(lost)
        assert client.statistics().subscriptions == 1
        await server.peer.drop()
        assert await anext(kept) == Update(B, gap=True)
    assert client.statistics().subscriptions == 0


async def test_what_was_missing_may_be_there_after_a_reconnect(client: Client, server: FakeServer) -> None:
    server.unknown = {A}
    async with client.subscribe(A, B, missing_ok=True) as changes:
        server.unknown = {B}
        await server.peer.drop()
        assert await anext(changes) == Update(A, gap=True)
        assert changes.missing == (B,)
        assert changes.pending == 0


async def test_a_resubscription_that_is_not_answered_makes_a_new_connection(
    client: Client, server: FakeServer
) -> None:
    method = "subscriptions/listen" if client.revision == MODERN else "resources/subscribe"
    original = server.handlers[method]
    async with client.subscribe(A) as changes:
        server.handlers[method] = never
        await server.peer.drop()
        await server.wait_for(method, peers=2)
        await settle()
        server.handlers[method] = original
        assert await anext(changes) == Update(A, gap=True)
        assert client.statistics().connections == 3


async def test_losing_the_connection_while_resubscribing_tries_again(
    client: Client, server: FakeServer
) -> None:
    method = "subscriptions/listen" if client.revision == MODERN else "resources/subscribe"
    original = server.handlers[method]

    async def hang_up(peer: Peer, message: Message) -> None:
        server.handlers[method] = original
        await peer.drop()

    async with client.subscribe(A) as changes:
        server.handlers[method] = hang_up
        await server.peer.drop()
        assert await anext(changes) == Update(A, gap=True)
        await settle()
        assert changes.pending == 0


async def test_losing_the_connection_while_entering_is_raised(client: Client, server: FakeServer) -> None:
    async def hang_up(peer: Peer, message: Message) -> None:
        await peer.drop()

    server.handlers |= {"subscriptions/listen": hang_up, "resources/subscribe": hang_up}
    with pytest.raises(ConnectionLost):
        async with client.subscribe(A, B):
            raise AssertionError
    assert client.statistics().subscriptions == 0
    await client.ping()
    await settle()
    assert held(server) == []


async def test_leaving_while_the_connection_is_lost_is_quick_and_final(
    client: Client, server: FakeServer
) -> None:
    async with client.subscribe(A):
        server.down = OSError("gone")
        await server.peer.drop()
        began = trio.current_time()
    assert trio.current_time() == began
    server.down = None
    await client.ping()
    await settle()
    assert held(server) == []


async def test_leaving_while_being_resubscribed_leaves_nothing(client: Client, server: FakeServer) -> None:
    method = "subscriptions/listen" if client.revision == MODERN else "resources/subscribe"
    original = server.handlers[method]
    go = trio.Event()

    async def slowly(peer: Peer, message: Message) -> Message | None:
        await go.wait()
        if message["id"] in [m["params"].get("requestId") for m in peer.received if "params" in m]:
            return None
        return await original(peer, message)

    async with client.subscribe(A), trio.open_nursery() as nursery:
        async with client.subscribe(B):
            server.handlers[method] = slowly
            await server.peer.drop()
            await server.wait_for(method, peers=2)
            await settle()
            nursery.start_soon(_after, 1, go)
        await trio.sleep(3)
        assert held(server) == [A]
        assert client.statistics().subscriptions == 1
    assert client.statistics().connections == 2


async def _after(seconds: float, event: trio.Event) -> None:
    await trio.sleep(seconds)
    event.set()


async def test_leaving_before_its_turn_to_be_resubscribed_asks_for_nothing(
    server: FakeServer, opening: Open
) -> None:
    async with opening(revision=MODERN) as client:
        leave = trio.Event()

        async def hold(uri: str) -> None:
            async with client.subscribe(uri):
                await leave.wait()

        async with trio.open_nursery() as nursery:
            for n in range(9):
                nursery.start_soon(hold, f"n://{n}")
            await settle()
            server.handlers["subscriptions/listen"] = never
            await server.peer.drop()
            await server.wait_for("subscriptions/listen", 8, peers=2)
            leave.set()
        await settle()
        assert server.peer.methods().count("subscriptions/listen") == 8
        assert client.statistics().calls == 0


async def test_without_reconnect_iteration_raises_connection_lost(server: FakeServer, opening: Open) -> None:
    async with opening(reconnect=False) as client, client.subscribe(A) as changes:
        await server.updated(A)
        await settle()
        await server.peer.drop()
        assert await anext(changes) == Update(A)
        for _ in range(2):
            with pytest.raises(ConnectionLost):
                await anext(changes)
        with pytest.raises(ConnectionLost):
            await client.ping()
        with pytest.raises(ConnectionLost):
            async with client.subscribe(B):
                raise AssertionError
    assert server.dials == 1


@only_websocket
async def test_a_draining_server_is_listened_to_again_after_it_has_closed(
    server: FakeServer, opening: Open
) -> None:
    async with opening(revision=MODERN) as client, client.subscribe(A) as changes:
        await server.end_listens()
        await server.peer.ws.aclose(1001, "going away")
        assert await anext(changes) == Update(A, gap=True)
        assert client.statistics().connections == 2
        assert held(server) == [A]


async def test_a_listen_that_was_ended_on_a_living_connection_is_made_again_there(
    server: FakeServer, opening: Open
) -> None:
    async with opening(revision=MODERN) as client, client.subscribe(A) as one, client.subscribe(B) as other:
        began = trio.current_time()
        await server.end_listens()
        assert [await anext(one), await anext(other)] == [Update(A, gap=True), Update(B, gap=True)]
        assert trio.current_time() - began == pytest.approx(5)
        assert held(server) == [A, B]
        server.unknown = {A}
        await server.end_listens()
        with pytest.raises(RpcError, match=A):
            await anext(one)
        assert client.statistics().connections == 1


async def test_an_ended_listen_that_is_left_is_not_made_again(server: FakeServer, opening: Open) -> None:
    async with opening(revision=MODERN) as client:
        async with client.subscribe(A):
            await server.end_listens()
            await settle()
        await trio.sleep(60)
        assert server.peer.methods().count("subscriptions/listen") == 1
        assert client.statistics().subscriptions == 0


async def test_subscriptions_survive_a_server_that_changes_its_revision(
    server: FakeServer, opening: Open
) -> None:
    async with opening() as client, client.subscribe(A) as changes:
        assert client.revision == MODERN
        server.handlers |= {"server/discover": refuses(-32601), "subscriptions/listen": refuses(-32601)}
        await server.peer.drop()
        assert await anext(changes) == Update(A, gap=True)
        assert client.revision == LEGACY
        assert server.peer.subscribed == {A}
    await settle()
    assert held(server) == []


async def test_leaving_the_client_ends_what_is_still_subscribed(opening: Open) -> None:
    async with opening() as client:
        changes = await client.subscribe(A).__aenter__()
    with pytest.raises(ConnectionLost, match="this client is closed"):
        await anext(changes)
    await changes.__aexit__(None, None, None)


async def test_leaving_the_client_between_two_tries_is_immediate(server: FakeServer, opening: Open) -> None:
    async with opening(backoff=Backoff(initial=1000, maximum=1000, jitter=False)):
        await server.peer.drop()
        began = trio.current_time()
    assert trio.current_time() == began


@notices
async def test_a_cancelled_program_unsubscribes_and_closes_in_words(
    client: Client, server: FakeServer, opening: Open
) -> None:
    with trio.move_on_after(1):
        async with opening(revision=client.revision) as other, other.subscribe(A, B, C):
            await trio.sleep_forever()
    peer = server.peer
    await peer.gone.wait()
    assert (peer.subscribed, peer.listens) == (set(), {})
    assert peer.close_code == 1000
