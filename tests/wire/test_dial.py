"""The client's way in: URLs, streams, TLS, and WebSockets that end well or say why not."""

import dataclasses
import socket
import ssl
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from mcptrio.wire.dial import DialError, Endpoint, dial, parse_url
from tests.wire.rig import BINARY, close_frame, frame


@pytest.mark.parametrize(
    ("url", "endpoint", "host_header", "websocket_url"),
    [
        ("http://h", Endpoint("h", 80, False, "/mcp"), "h", "ws://h/mcp"),
        ("ws://h:8765/", Endpoint("h", 8765, False, "/mcp"), "h:8765", "ws://h:8765/mcp"),
        ("https://h/x?a=b#c", Endpoint("h", 443, True, "/x?a=b"), "h", "wss://h/x?a=b"),
        ("WSS://H:80/x/", Endpoint("h", 80, True, "/x/"), "h:80", "wss://h:80/x/"),
        ("ws://[::1]:1/%C3%A4", Endpoint("::1", 1, False, "/%C3%A4"), "[::1]:1", "ws://[::1]:1/%C3%A4"),
        ("http://h?a", Endpoint("h", 80, False, "/mcp?a"), "h", "ws://h/mcp?a"),
        ("unix:/a b", Endpoint("localhost", 80, False, "/mcp", "/a b"), "localhost", "unix:/a b"),
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
        ("unix:", "must look like unix:/path"),
        ("unix:///x", "must look like unix:/path"),
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
    with pytest.raises(DialError, match=r"not trusted by this machine .* SSL_CERT_FILE"):
        await dial(endpoint, timeout=5)
    with pytest.raises(DialError, match="certificate is for another name: IP address mismatch"):
        await dial(dataclasses.replace(endpoint, host="127.0.0.1"), timeout=5, tls=client_side)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS there: use http:// or ws://"),
        (b"", r"TLS failed \(.*is this a port for https and wss\?"),
    ],
)
async def test_what_answers_without_tls_is_told(nursery: trio.Nursery, said: bytes, told: str) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(said)

    listeners = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
    with pytest.raises(DialError, match=told):
        await dial(Endpoint("127.0.0.1", listeners[0].socket.getsockname()[1], True, "/"), timeout=5)


async def test_a_unix_socket_is_connected_to(tmp_path: Path) -> None:
    path = tmp_path / "s"
    endpoint = parse_url(f"unix:{path}")
    with pytest.raises(DialError, match=f"cannot connect to {path}: .*No such file"):
        await dial(endpoint, timeout=5)
    with trio.socket.socket(socket.AF_UNIX) as listener:
        await listener.bind(str(path))
        listener.listen()
        async with await dial(endpoint, timeout=5) as stream:
            theirs, _ = await listener.accept()
            with theirs:
                await stream.send_all(b"x")
                assert await theirs.recv(9) == b"x"


def test_the_rig_writes_frames_as_a_client_must() -> None:
    assert close_frame(1000) == b"\x88\x82\x11\x22\x33\x44\x12\xca"
    assert frame(BINARY, b"", fin=False, rsv=7, masked=False) == b"\x72\x00"


async def test_a_peer_that_vanishes_is_looked_for() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    endpoint = Endpoint("127.0.0.1", listener.socket.getsockname()[1], False, "/")
    async with listener, await dial(endpoint, timeout=10) as stream:
        assert isinstance(stream, trio.SocketStream)
        assert stream.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
