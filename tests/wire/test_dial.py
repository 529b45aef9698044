"""The client's way in: URLs, streams, TLS, and WebSockets that end well or say why not."""

import ssl
from functools import partial

import pytest
import trio
import trustme
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

from mcptrio.wire import Exchange, TransportStream, memory_transport_pair
from mcptrio.wire.dial import DialError, Endpoint, Rejected, dial, dial_websocket, parse_url
from tests.wire.rig import BINARY, Held, Rig, close_frame, frame


@pytest.mark.parametrize(
    ("url", "endpoint", "host_header", "websocket_url"),
    [
        ("http://h", Endpoint("h", 80, False, "/mcp"), "h", "ws://h/mcp"),
        ("ws://h:8765/", Endpoint("h", 8765, False, "/mcp"), "h:8765", "ws://h:8765/mcp"),
        ("https://h/x?a=b#c", Endpoint("h", 443, True, "/x?a=b"), "h", "wss://h/x?a=b"),
        ("WSS://H:80/x/", Endpoint("h", 80, True, "/x/"), "h:80", "wss://h:80/x/"),
        ("ws://[::1]:1/%C3%A4", Endpoint("::1", 1, False, "/%C3%A4"), "[::1]:1", "ws://[::1]:1/%C3%A4"),
        ("http://h?a", Endpoint("h", 80, False, "/mcp?a"), "h", "ws://h/mcp?a"),
    ],
)
def test_http_and_websocket_urls_are_the_same_place(
    url: str, endpoint: Endpoint, host_header: str, websocket_url: str
) -> None:
    assert parse_url(url) == endpoint
    assert endpoint.host_header == host_header
    assert endpoint.websocket_url == websocket_url
    assert parse_url(endpoint.http_url) == endpoint


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "must look like"),
        ("localhost:8765", "must look like"),
        ("ftp://h/", "must look like"),
        ("http:///x", "must look like"),
        ("http://h:99999/", "not a valid URL"),
        ("http://[::1/", "not a valid URL"),
        ("http://user:secret@h/", "user name"),
        ("http://h/ä", "percent-encoded"),
        ("http://h/a b", "percent-encoded"),
    ],
)
def test_any_other_url_is_a_value_error_that_says_why(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        parse_url(url)
    assert "secret" not in str(caught.value)


@given(st.one_of(st.text(), st.text().map("http://h".__add__), st.text().map("ws://".__add__)))
def test_any_text_is_a_place_or_a_value_error(url: str) -> None:
    try:
        endpoint = parse_url(url)
    except ValueError:
        return
    assert endpoint.target.isascii()
    assert endpoint.target.startswith("/")


async def test_a_websocket_over_a_real_socket(nursery: trio.Nursery) -> None:
    rig = Rig(nursery)
    port = await rig.listen()
    connection = await dial_websocket(nursery, f"http://127.0.0.1:{port}", timeout=5)
    await connection.send_message("hello")
    assert await connection.get_message() == "hello"
    assert connection.subprotocol == "mcp"
    await connection.aclose()
    assert (await rig.wait_closed())[0][1] == 1000


async def test_header_fields_and_the_path_reach_the_server(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    held = Held()
    rig = Rig(nursery, routes={"/other": held})
    stream = rig.connect().stream
    await dial_websocket(
        nursery, "ws://localhost:1/other", timeout=5, stream=stream, headers=[("Authorization", "Bearer x")]
    )
    assert ("authorization", "Bearer x") in (await held.get()).headers


async def test_a_rejected_handshake_carries_status_and_body(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery)
    with pytest.raises(Rejected, match="HTTP 404") as caught:
        await dial_websocket(nursery, "ws://localhost/nowhere", timeout=5, stream=rig.connect().stream)
    assert (caught.value.status, caught.value.body) == (404, b"Not found.\n")
    assert isinstance(caught.value, OSError)


async def test_a_server_that_does_not_answer_is_given_up(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    _, client = memory_transport_pair()
    with pytest.raises(DialError, match="within 5 s"):
        await dial_websocket(nursery, "ws://localhost", timeout=5, stream=TransportStream(client))
    assert trio.current_time() == 5


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 101 Fine\r\n\r\n", b"\xff\xff\xff\xff\n"]
)
async def test_a_server_that_answers_nonsense_is_a_dial_error(
    nursery: trio.Nursery, autojump_clock: MockClock, answer: bytes
) -> None:
    server, client = memory_transport_pair()
    server.send(answer)
    server.send_eof()
    with pytest.raises(DialError):
        await dial_websocket(nursery, "ws://localhost", timeout=5, stream=TransportStream(client))
    assert trio.current_time() < 1
    server.recv_into(bytearray(1000))
    with pytest.raises(OSError):  # it was closed
        server.send(b"x")


async def test_a_server_that_accepts_and_leaves_at_once_is_a_dial_error_or_a_closed_connection(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def leave(exchange: Exchange) -> None:
        exchange.accept_websocket().abort()

    rig = Rig(nursery, routes={"/mcp": leave})
    try:
        connection = await dial_websocket(nursery, "ws://localhost", timeout=5, stream=rig.connect().stream)
        with pytest.raises(ConnectionClosed):
            await connection.get_message()
    except DialError as error:
        assert "closed the connection" in str(error)
    assert trio.current_time() < 1


async def test_a_reader_that_dies_ends_its_connection_only(
    nursery: trio.Nursery, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """trio-websocket's reader raises for some bytes: here for any pong."""
    from trio_websocket import WebSocketConnection

    async def fail(self: WebSocketConnection, event: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(WebSocketConnection, "_handle_ping_event", fail)
    held = Held()
    rig = Rig(nursery, routes={"/mcp": held})
    connection = await dial_websocket(nursery, "ws://localhost", timeout=5, stream=rig.connect().stream)
    (await held.get()).push_frame(frame(9, masked=False))
    with pytest.raises(ConnectionClosed):
        await connection.get_message()
    assert await rig.wait_closed() == [("connection lost", 1006)]


async def test_the_end_of_the_nursery_closes_the_connection(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as serving:
        rig = Rig(serving)
        async with trio.open_nursery() as nursery:
            await dial_websocket(nursery, "ws://localhost", timeout=5, stream=rig.connect().stream)
            nursery.cancel_scope.cancel()
        assert await rig.wait_closed() == [("connection lost", 1006)]
        serving.cancel_scope.cancel()


async def test_nobody_listening_is_a_dial_error(nursery: trio.Nursery) -> None:
    sock = trio.socket.socket()
    await sock.bind(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    with pytest.raises(DialError, match=f"cannot connect to 127.0.0.1:{port}"):
        await dial_websocket(nursery, f"ws://127.0.0.1:{port}", timeout=5)
    sock.close()


async def test_connecting_has_a_deadline(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async def never(host: str, port: int) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(trio, "open_tcp_stream", never)
    with pytest.raises(DialError, match="longer than 3 s"):
        await dial(parse_url("ws://h"), timeout=3)


async def test_tls_is_verified(nursery: trio.Nursery) -> None:
    authority = trustme.CA()
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)

    async def answer(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            await stream.send_all(await stream.receive_some())
        except trio.BrokenResourceError:
            pass
        await trio.aclose_forcefully(stream)

    listeners = await nursery.start(
        partial(trio.serve_ssl_over_tcp, answer, 0, server_side, host="127.0.0.1")
    )
    endpoint = Endpoint("localhost", listeners[0].transport_listener.socket.getsockname()[1], True, "/")
    stream = await dial(endpoint, timeout=5, tls=client_side)
    await stream.send_all(b"secret")
    assert await stream.receive_some() == b"secret"
    await trio.aclose_forcefully(stream)
    with pytest.raises(DialError, match="certificate"):
        await dial(endpoint, timeout=5)


async def test_messages_beyond_the_limit_close_the_connection(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    held = Held()
    rig = Rig(nursery, routes={"/mcp": held})
    connection = await dial_websocket(
        nursery, "ws://localhost", timeout=5, stream=rig.connect().stream, max_message=100
    )
    (await held.get()).push_text(b"x" * 101)
    with pytest.raises(ConnectionClosed):
        await connection.get_message()
    assert (await rig.wait_closed())[0][1] == 1009


def test_the_rig_writes_frames_as_a_client_must() -> None:
    assert close_frame(1000) == b"\x88\x82\x11\x22\x33\x44\x12\xca"
    assert frame(BINARY, b"", fin=False, rsv=7, masked=False) == b"\x72\x00"
