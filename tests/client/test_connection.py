"""One connection by WebSocket: how it is made, kept alive, answered on, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
import trio_websocket

from mcptrio.client import Client, ConnectionLost, Limits, TimedOut, open_client
from mcptrio.client.call import Call
from mcptrio.client.stream import DeadlineStream
from tests.client.conftest import Open
from tests.client.fake_server import LEGACY, MODERN, FakeServer, Message, Peer, answers, never


@pytest.fixture
def wire() -> str:
    """What is said here is of WebSocket."""
    return "websocket"


async def test_leaving_closes_with_1000_after_what_was_queued(server: FakeServer, opening: Open) -> None:
    server.handlers["tools/call"] = never
    async with opening() as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.call_tool, "x")
            await server.wait_for("tools/call")
            nursery.cancel_scope.cancel()
    await server.peer.gone.wait()
    assert server.peer.methods()[-1] == "notifications/cancelled"
    assert server.peer.close_code == 1000


async def test_leaving_takes_at_most_two_seconds_with_a_server_that_sleeps(nursery: trio.Nursery) -> None:
    near, far = trio.testing.memory_stream_pair()
    ready = trio.Event()

    async def sleeper() -> None:
        request = await trio_websocket.wrap_server_stream(nursery, far)
        ws = await request.accept(subprotocol="mcp")
        message = json.loads(await ws.get_message())
        result = {"supportedVersions": [MODERN], "capabilities": {}}
        await ws.send_message(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}))
        ready.set()
        far.receive_stream.receive_some_hook = trio.sleep_forever

    async def connect() -> trio.abc.Stream:
        nursery.start_soon(sleeper)
        return near

    async with open_client("ws://localhost/mcp", connect=connect) as client:
        await ready.wait()
        near.send_stream.send_all_hook = trio.sleep_forever
        began = trio.current_time()
        with pytest.raises(TimedOut):
            await client.ping(timeout=1)
    assert trio.current_time() - began <= 3.0
    nursery.cancel_scope.cancel()


async def test_the_bodys_own_exception_comes_out_as_it_is(client: Client, opening: Open) -> None:
    with pytest.raises(ZeroDivisionError):
        async with opening():
            raise ZeroDivisionError
    with pytest.RaisesGroup(KeyError, match="mine"):
        async with opening():
            raise ExceptionGroup("mine", [KeyError(1)])


async def test_a_cancelled_body_leaves_cleanly(server: FakeServer, opening: Open) -> None:
    with trio.move_on_after(1) as scope:
        async with opening():
            await trio.sleep_forever()
    assert scope.cancelled_caught
    await server.peer.gone.wait()
    assert server.peer.close_code == 1000


async def test_a_server_that_cannot_be_reached_is_named_with_the_cause(
    server: FakeServer, opening: Open
) -> None:
    server.down = ConnectionRefusedError("nobody there")
    with pytest.raises(ConnectionLost, match="ws://localhost/mcp: nobody there") as lost:
        async with opening():
            raise AssertionError
    assert isinstance(lost.value, OSError)
    assert lost.value.__cause__ is server.down
    assert server.dials == 1


@pytest.mark.parametrize("scheme", ["ws", "http"])
async def test_a_real_port_where_nobody_listens_is_connection_lost(scheme: str) -> None:
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(ConnectionLost, match=f"{scheme}://127.0.0.1:{port}/mcp: "):
            async with open_client(f"{scheme}://127.0.0.1:{port}"):
                raise AssertionError


async def test_a_url_that_is_none_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="gopher"):
        async with open_client("gopher://localhost"):
            raise AssertionError


Script = Callable[[trio.StapledStream], Awaitable[None]]


async def answer_403(stream: trio.abc.Stream) -> None:
    await stream.receive_some()
    body = b"origin not allowed"
    head = f"HTTP/1.1 403 Forbidden\r\nContent-Length: {len(body)}\r\n\r\n"
    await stream.send_all(head.encode() + body)


async def answer_503(stream: trio.abc.Stream) -> None:
    await stream.receive_some()
    await stream.send_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    await trio.aclose_forcefully(stream)


async def answer_garbage(stream: trio.abc.Stream) -> None:
    await stream.receive_some()
    await stream.send_all(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")


async def hang_up(stream: trio.abc.Stream) -> None:
    await stream.receive_some()
    await stream.aclose()


async def break_off(stream: trio.abc.Stream) -> None:
    await trio.aclose_forcefully(stream)


async def answer_a_header_that_is_no_ascii(stream: trio.abc.Stream) -> None:
    await stream.receive_some()
    await stream.send_all(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nX\xff: \xff\r\n\r\n")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (answer_403, "HTTP 403: origin not allowed"),
        (answer_503, "HTTP 503"),
        (answer_garbage, ""),
        (hang_up, "handshake"),
        (break_off, "handshake"),
        (answer_a_header_that_is_no_ascii, ""),
    ],
)
async def test_a_failed_upgrade_is_connection_lost_at_once(
    nursery: trio.Nursery, script: Script, said: str
) -> None:
    async def connect() -> trio.abc.Stream:
        near, far = trio.testing.memory_stream_pair()
        nursery.start_soon(script, far)
        return near

    began = trio.current_time()
    with pytest.raises(ConnectionLost, match=f"ws://localhost/mcp: .*{said}") as lost:
        async with open_client("ws://localhost/mcp", connect=connect):
            raise AssertionError
    assert trio.current_time() - began < 3
    assert lost.value.status == {answer_403: 403, answer_503: 503}.get(script)


async def test_a_server_that_never_answers_the_upgrade_times_out() -> None:
    near, _far = trio.testing.memory_stream_pair()

    async def connect() -> trio.abc.Stream:
        return near

    with pytest.raises(TimedOut, match="not connected within 4 s"):
        async with open_client("ws://localhost/mcp", connect=connect, timeout=4):
            raise AssertionError


@pytest.mark.parametrize(
    ("send", "code"),
    [
        (b"\x00\x01", 1003),
        ("{", 1007),
        ("[]", 1007),
        ('{"jsonrpc": "2.0"}', 1007),
        ('{"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}', 1007),
        ("[" * 10_000, 1007),
    ],
)
async def test_what_is_no_message_of_the_protocol_ends_the_connection_with_a_code(
    server: FakeServer, opening: Open, send: str | bytes, code: int
) -> None:
    server.handlers["tools/call"] = never
    async with opening(reconnect=False) as client:
        await server.peer.ws.send_message(send)
        with pytest.raises(ConnectionLost) as lost:
            await client.call_tool("x")
        assert lost.value.code == code
        await server.peer.gone.wait()
    assert server.peer.close_code == code


@pytest.mark.parametrize(
    ("revision", "params"),
    [
        (LEGACY, {}),
        (LEGACY, {"uri": 5}),
        (MODERN, {"_meta": {"io.modelcontextprotocol/subscriptionId": 2}}),
    ],
)
async def test_an_update_of_nothing_ends_the_connection(
    server: FakeServer, opening: Open, revision: str, params: Message
) -> None:
    async with opening(revision=revision, reconnect=False) as client, client.subscribe("a://b") as changes:
        await server.peer.notify("notifications/resources/updated", **params)
        with pytest.raises(ConnectionLost, match="without a uri"):
            await anext(changes)


async def test_a_message_beyond_the_limit_ends_the_connection(server: FakeServer, opening: Open) -> None:
    server.handlers["tools/call"] = answers({"content": [{"type": "text", "text": "x" * 2000}]})
    async with opening(reconnect=False, limits=Limits(max_message=1000)) as client:
        with pytest.raises(ConnectionLost) as lost:
            await client.call_tool("x")
        assert lost.value.code == 1009


async def test_calls_in_flight_are_told_why_the_server_closed(server: FakeServer, opening: Open) -> None:
    async def leave(peer: Peer, message: Message) -> None:
        await peer.ws.aclose(1001, "going away")

    server.handlers["tools/call"] = leave
    async with opening(reconnect=False) as client:
        with pytest.raises(ConnectionLost, match=r"closed with 1001 \(going away\)") as lost:
            await client.call_tool("x")
        assert (lost.value.code, lost.value.reason) == (1001, "going away")
        with pytest.raises(ConnectionLost, match="1001"):
            await client.ping()


async def test_a_broken_connection_fails_all_calls_in_flight(server: FakeServer, opening: Open) -> None:
    server.handlers["tools/call"] = never
    lost = []
    async with opening(reconnect=False) as client:

        async def call() -> None:
            with pytest.raises(ConnectionLost, match="broke") as error:
                await client.call_tool("x")
            lost.append(error.value)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(call)
            await server.wait_for("tools/call", 3)
            await server.peer.drop()
    assert len({id(error) for error in lost}) == 3


async def test_pings_of_the_server_are_answered_while_calls_wait(server: FakeServer, opening: Open) -> None:
    server.handlers["tools/call"] = never
    async with opening() as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.call_tool, "x")
        await server.wait_for("tools/call")
        with trio.fail_after(1):
            await server.peer.ws.ping()
        nursery.cancel_scope.cancel()


async def test_a_server_that_vanished_is_noticed_by_the_heartbeat(server: FakeServer, opening: Open) -> None:
    server.handlers["tools/call"] = never
    async with opening(reconnect=False, timeout=600) as client:
        began = trio.current_time()
        server.peer.stream.receive_stream.receive_some_hook = trio.sleep_forever  # type: ignore[attr-defined]
        with pytest.raises(ConnectionLost, match="no pong within 20 s"):
            await client.call_tool("x")
        assert trio.current_time() - began == pytest.approx(50)


async def test_a_living_server_is_kept_for_hours(client: Client, server: FakeServer) -> None:
    await trio.sleep(10_000)
    await client.ping()
    assert client.statistics().connections == 1


async def test_a_server_that_takes_nothing_is_given_up_on(server: FakeServer, opening: Open) -> None:
    async with opening(reconnect=False, timeout=600, limits=Limits(heartbeat=1000)) as client:
        server.stall()
        began = trio.current_time()
        with pytest.raises(ConnectionLost, match="took nothing for 30 s"):
            await client.call_tool("x")
        assert trio.current_time() - began == pytest.approx(30)


async def test_a_cancelled_call_never_cuts_a_frame(server: FakeServer, opening: Open) -> None:
    server.handlers["tools/call"] = answers({"content": []})
    async with opening() as client:
        gate = server.stall()
        with trio.move_on_after(1):
            await client.call_tool("cut")
        gate.set()
        await client.call_tool("next")
        assert client.statistics().connections == 1
    assert server.peer.methods()[-3:] == ["tools/call", "notifications/cancelled", "tools/call"]


async def test_a_flood_of_requests_from_a_server_that_reads_nothing_ends_the_connection(
    server: FakeServer, opening: Open
) -> None:
    async with opening(revision=LEGACY, reconnect=False) as client:
        server.stall()
        for id in range(300):
            await server.peer.send({"id": id, "method": "ping"})
        with pytest.raises(ConnectionLost, match="too many messages") as lost:
            await client.call_tool("x")
        assert lost.value.code == 1008


async def test_the_servers_requests_are_answered_in_the_older_revision(
    server: FakeServer, opening: Open
) -> None:
    async with opening(revision=LEGACY):
        await server.peer.send({"id": "p", "method": "ping"})
        await server.peer.send({"id": 7, "method": "roots/list"})
        await trio.testing.wait_all_tasks_blocked()
    assert server.peer.received[-2:] == [
        {"jsonrpc": "2.0", "id": "p", "result": {}},
        {
            "jsonrpc": "2.0",
            "id": 7,
            "error": {"code": -32601, "message": "Method not found: roots/list"},
        },
    ]


async def test_the_servers_requests_get_no_answer_in_the_newer_revision(
    server: FakeServer, opening: Open
) -> None:
    async with opening(revision=MODERN) as client:
        await server.peer.send({"id": "p", "method": "ping"})
        await client.ping()
    assert server.peer.methods() == ["server/discover", "server/discover"]


async def test_a_ping_during_our_close_hurts_nobody(server: FakeServer, opening: Open) -> None:
    async with opening():
        far = server.peer.stream

        async def ping_late() -> None:
            await far.send_all(b"\x89\x00" * 3)

        server.near[-1].send_stream.send_all_hook = ping_late


async def test_a_client_that_is_left_is_of_no_more_use(opening: Open) -> None:
    async with opening() as client:
        pass
    with pytest.raises(ConnectionLost, match="closed"):
        await client.ping()
    with pytest.raises(ConnectionLost, match="closed"):
        async with client.subscribe("a://b"):
            raise AssertionError


async def test_a_stream_passes_on_what_it_does_not_guard() -> None:
    near, far = trio.testing.memory_stream_pair()
    stream = DeadlineStream(near, timeout=5)
    await stream.wait_send_all_might_not_block()
    await stream.send_all(b"there")
    assert await far.receive_some() == b"there"
    await far.aclose()
    stream.handshaken = True
    assert await stream.receive_some() == b""
    await stream.aclose()


async def test_a_call_keeps_its_first_outcome() -> None:
    call = Call(1, "x")
    call.fail(ZeroDivisionError())
    call.fail(KeyError())
    with pytest.raises(ZeroDivisionError):
        call.outcome()


async def test_a_cut_send_makes_every_later_send_fail() -> None:
    near, far = trio.testing.lockstep_stream_pair()
    stream = DeadlineStream(near, timeout=5)
    with trio.move_on_after(1):
        await stream.send_all(b"cut")
    with pytest.raises(trio.BrokenResourceError, match="earlier send"):
        await stream.send_all(b"spliced")
    assert not stream.stalled
    await stream.aclose()
    await far.aclose()
