"""Bytes where an HTTP request is expected: the peer gets a status, and nobody else notices."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from tests.adversary.rows import Closed, Gone, Row, Served, Status
from tests.adversary.world import ALIVE, open_world
from tests.wire.rig import TEXT, frame, upgrade_request


def _plain(first: str, *lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join([first, *lines, "", ""]).encode("latin-1") + body


CLIENT_HELLO = bytes.fromhex(
    "16030100c8010000c40303" + "5a" * 32 + "20" + "a5" * 32 + "0008130213031301c02f0100007300000000"
)
H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

ROWS = {
    "nothing at all": Row(b"", Gone(), eof=True),
    "control bytes": Row(b"\x00\x01\x02\x03\r\n\r\n", Status(400)),
    "high bytes": Row(b"\xff\xfe\xfd\r\n\r\n", Status(400)),
    "a word": Row(b"hello\r\n\r\n", Status(400)),
    "newlines without end": Row(b"\r\n" * 2000, Status(400)),
    "a TLS ClientHello": Row(CLIENT_HELLO, Status(400)),
    "the HTTP/2 preface": Row(H2_PREFACE, Status(400)),
    "HTTP/0.9": Row(b"GET /\r\n\r\n", Status(400)),
    "HTTP/9.9": Row(_plain("GET /mcp HTTP/9.9", "Host: localhost"), Status(405)),
    "half a head": Row(b"GET /mcp HTTP/1.1\r\nHos", Status(400), eof=True),
    "an SSH greeting": Row(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", Status(400)),
    "a header name with a space": Row(_plain("GET /mcp HTTP/1.1", "Host : localhost"), Status(400)),
    "a header with NUL": Row(_plain("GET /mcp HTTP/1.1", "Host: localhost", "X: a\x00b"), Status(400)),
    "a header without a name": Row(_plain("GET /mcp HTTP/1.1", "Host: localhost", ": x"), Status(400)),
    "a header without a colon": Row(_plain("GET /mcp HTTP/1.1", "Host: localhost", "x"), Status(400)),
    "a target with NUL": Row(_plain("GET /m\x00cp HTTP/1.1", "Host: localhost"), Status(400)),
    "a target of a wrong form": Row(_plain("GET * HTTP/1.1", "Host: localhost"), Status(400)),
    "a target that is no URL": Row(_plain("GET http://[ HTTP/1.1", "Host: localhost"), Status(400)),
    "CONNECT": Row(_plain("CONNECT evil.example:443 HTTP/1.1", "Host: localhost"), Status(400)),
    "an unknown path": Row(_plain("GET /admin HTTP/1.1", "Host: localhost"), Status(404)),
    "a path that climbs": Row(_plain("GET /mcp/../metrics HTTP/1.1", "Host: localhost"), Status(404)),
    "an encoded path": Row(_plain("GET /%6dcp HTTP/1.1", "Host: localhost"), Status(404)),
    "a huge request line": Row(_plain("GET /" + "a" * 100_000 + " HTTP/1.1", "Host: localhost"), Status(431)),
    "a huge header": Row(_plain("GET /mcp HTTP/1.1", "Host: localhost", "X: " + "a" * 100_000), Status(431)),
    "many headers": Row(
        _plain("GET /mcp HTTP/1.1", "Host: localhost", *(f"X{n}: y" for n in range(5000))), Status(431)
    ),
    "a huge complete head in one piece": Row(
        _plain("GET /mcp HTTP/1.1", "Host: localhost", "X: " + "a" * 2300), Status(431)
    ),
    "no host": Row(upgrade_request(drop="Host"), Status(400)),
    "two hosts": Row(upgrade_request("Host: localhost"), Status(400)),
    "an evil host": Row(upgrade_request(host="evil.example"), Status(403)),
    "a host that begins well": Row(upgrade_request(host="localhost.evil.example"), Status(403)),
    "a host with a user": Row(upgrade_request(host="localhost@evil.example"), Status(403)),
    "a host that ends well": Row(upgrade_request(host="evil.example:localhost"), Status(403)),
    "an empty host": Row(upgrade_request(host=""), Status(403)),
    "another loopback name": Row(upgrade_request(host="127.0.0.1.nip.io"), Status(403)),
    "a non-ASCII host": Row(upgrade_request(host="löcalhost"), Status(400)),
    "an evil host in the target": Row(upgrade_request(path="http://evil.example/mcp"), Status(403)),
    "an evil origin": Row(upgrade_request("Origin: https://evil.example"), Status(403)),
    "the origin null": Row(upgrade_request("Origin: null"), Status(403)),
    "two origins": Row(
        upgrade_request("Origin: http://localhost", "Origin: https://evil.example"), Status(403)
    ),
    "an origin that begins well": Row(upgrade_request("Origin: http://localhost.evil.example"), Status(403)),
    "an origin with a user": Row(upgrade_request("Origin: http://localhost@evil.example"), Status(403)),
    "an origin that is no URL": Row(upgrade_request("Origin: http://["), Status(403)),
    "a non-ASCII origin": Row(upgrade_request("Origin: http://löcalhost"), Status(400)),
    "a non-ASCII subprotocol": Row(upgrade_request("Sec-WebSocket-Protocol: mcp, ä"), Status(400)),
    "a non-ASCII extension": Row(upgrade_request("Sec-WebSocket-Extensions: ä"), Status(400)),
    "a non-ASCII key": Row(upgrade_request("Sec-WebSocket-Key: ä", drop="Sec-WebSocket-Key"), Status(400)),
    "a broken extension": Row(upgrade_request("Sec-WebSocket-Extensions: ;;=,"), Served(handshake=True)),
    "a broken subprotocol": Row(upgrade_request("Sec-WebSocket-Protocol: a b"), Status(400)),
    "a non-ASCII header of no concern": Row(upgrade_request("X-Name: ä"), Served(handshake=True)),
    "compression, which is not offered": Row(
        upgrade_request("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=99"),
        Served(handshake=True),
    ),
    **{
        f"the control character {character!r} in {name}": Row(
            upgrade_request(f"{name}: a{character}b", drop=name), Status(400)
        )
        for name in (
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Protocol",
            "Sec-WebSocket-Extensions",
            "Connection",
        )
        for character in ("\x01", "\x1b", "\x7f")
    },
    "no key": Row(upgrade_request(drop="Sec-WebSocket-Key"), Status(400)),
    "a short key": Row(upgrade_request("Sec-WebSocket-Key: YWJj", drop="Sec-WebSocket-Key"), Status(400)),
    "a key that is not base64": Row(
        upgrade_request("Sec-WebSocket-Key: ====!!!!", drop="Sec-WebSocket-Key"), Status(400)
    ),
    "two keys": Row(upgrade_request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), Status(400)),
    "no version": Row(upgrade_request(drop="Sec-WebSocket-Version"), Status(400)),
    "an old version": Row(
        upgrade_request("Sec-WebSocket-Version: 8", drop="Sec-WebSocket-Version"), Status(426)
    ),
    "a version that is no number": Row(
        upgrade_request("Sec-WebSocket-Version: x", drop="Sec-WebSocket-Version"), Status(426)
    ),
    "no connection: upgrade": Row(upgrade_request(drop="Connection"), Status(426)),
    "an upgrade by POST": Row(upgrade_request().replace(b"GET", b"POST", 1), Status(405)),
    "an upgrade in HTTP/1.0": Row(upgrade_request().replace(b"HTTP/1.1", b"HTTP/1.0", 1), Status(405)),
    "an upgrade to h2c with bad settings": Row(
        _plain(
            "GET /mcp HTTP/1.1",
            "Host: localhost",
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            "HTTP2-Settings: %%%not base64%%%",
        ),
        Status(405, kept=True),
    ),
    "an upgrade with a body": Row(
        upgrade_request("Content-Length: 5").replace(b"\r\n\r\n", b"\r\n\r\nhello"), Status(400)
    ),
    "a smuggled request behind both lengths": Row(
        _plain(
            "POST /mcp HTTP/1.1",
            "Host: localhost",
            "Content-Length: 4",
            "Transfer-Encoding: chunked",
            body=b"0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ),
        Status(400),
    ),
    "an upgrade with both lengths": Row(
        upgrade_request("Content-Length: 0", "Transfer-Encoding: chunked"), Status(400)
    ),
    "two content lengths": Row(
        _plain("POST /mcp HTTP/1.1", "Host: localhost", "Content-Length: 1", "Content-Length: 2"), Status(400)
    ),
    "a negative content length": Row(
        _plain("POST /mcp HTTP/1.1", "Host: localhost", "Content-Length: -1"), Status(400)
    ),
    "an unknown transfer encoding": Row(
        _plain("POST /mcp HTTP/1.1", "Host: localhost", "Transfer-Encoding: gzip"), Status(501)
    ),
    "a POST with a body": Row(
        _plain("POST /mcp HTTP/1.1", "Host: localhost", "Content-Length: 17", body=b'{"jsonrpc":"2.0"}'),
        Status(415, kept=True),
    ),
    "a POST that waits for 100": Row(
        _plain("POST /mcp HTTP/1.1", "Host: localhost", "Content-Length: 9", "Expect: 100-continue"),
        Status(415),
    ),
    "a POST with a long body": Row(
        _plain("POST /mcp HTTP/1.1", "Host: localhost", "Content-Length: 60000", body=b"x" * 60_000),
        Status(415, kept=None),
    ),
    "pipelined requests": Row(
        _plain("GET /healthz HTTP/1.1", "Host: localhost") * 50, Status(200, kept=True, times=50)
    ),
    "another request behind the upgrade": Row(
        upgrade_request() + _plain("GET /metrics HTTP/1.1", "Host: localhost"), Closed(1002, handshake=True)
    ),
    "an upgrade behind the upgrade": Row(upgrade_request() * 2, Closed(1002, handshake=True)),
    "a frame before the 101": Row(upgrade_request() + ALIVE, Served(handshake=True)),
    "a ping before the 101": Row(upgrade_request() + frame(9, b"early"), Served(handshake=True)),
    "a bad frame before the 101": Row(
        upgrade_request() + frame(TEXT, b"x", masked=False), Closed(1002, handshake=True)
    ),
    "half-closed behind the upgrade": Row(upgrade_request(), Gone(handshake=True), eof=True),
    "a long query": Row(upgrade_request(path="/mcp?" + "x" * 1000), Served(handshake=True)),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
async def test_a_peer_of_a_socket_that_sends_no_sound_request_gets_its_status(row: Row) -> None:
    async with open_world(sockets=True) as world:
        await row.play(world)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
async def test_a_peer_in_memory_that_sends_no_sound_request_gets_its_status(
    row: Row, autojump_clock: MockClock
) -> None:
    async with open_world(sockets=False) as world:
        await row.play(world)
