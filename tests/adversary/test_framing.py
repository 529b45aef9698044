"""Bodies and their framing, as no client should send them: a status or the end, and nobody else notices."""

from __future__ import annotations

import json

import pytest
from trio.testing import MockClock

from tests.adversary.posts import (
    ECHO,
    JSON,
    LIST,
    LIST_BODY,
    call,
    chunked,
    chunks,
    fields,
    head,
    post,
)
from tests.adversary.rows import Gone, Row, Status, Statuses
from tests.adversary.world import open_world, with_limits

CHUNKED = "Transfer-Encoding: chunked"
PADDED = LIST_BODY[:-1] + b" " * 5000 + b"}"
OLD = LIST.replace(b"HTTP/1.1", b"HTTP/1.0", 1)


def _sized(size: bytes) -> Row:
    """A chunk that claims a size, in a line that may be none."""
    return Row(chunked(size + b"\r\n" + LIST_BODY + b"\r\n0\r\n\r\n"), Status(400))


def _length(*lengths: str) -> bytes:
    lines = [f"Content-Length: {length}" for length in lengths]
    return head("POST /mcp HTTP/1.1", JSON, *fields("tools/list"), *lines) + LIST_BODY


def _coded(*codings: str) -> bytes:
    lines = [f"Transfer-Encoding: {coding}" for coding in codings]
    return head("POST /mcp HTTP/1.1", JSON, *fields("tools/list"), *lines) + chunks(LIST_BODY, 100)


LENGTH = len(LIST_BODY)

ROWS = {
    "a body shorter than its length": Row(post(b"{", length="100"), Gone(), eof=True),
    "no body where there should be one": Row(post(b"", length="100"), Gone(), eof=True),
    "chunks that break off": Row(chunked(b"10\r\n{"), Gone(), eof=True),
    "a chunk size that breaks off": Row(chunked(b"1"), Gone(), eof=True),
    "chunks without the last": Row(chunked(chunks(LIST_BODY, 100)[:-5]), Gone(), eof=True),
    "a trailer that breaks off": Row(chunked(chunks(LIST_BODY, 100)[:-2] + b"X: y"), Gone(), eof=True),
    "a body longer than its length": Row(
        post(LIST_BODY + b"}\r\n\r\n", *fields("tools/list"), length=str(LENGTH)), Statuses(200, 400)
    ),
    "a body too big by its length": Row(post(b"x" * 1000, length="65537"), Status(413)),
    "a body too big for any number": Row(post(b"x", length="9" * 20), Status(413)),
    "a body too big by its chunks": Row(chunked(chunks(b" " * 70_000, 1000)), Status(413)),
    "a chunk too big": Row(chunked(b"fffffff\r\n" + b" " * 70_000), Status(413)),
    "the biggest body": Row(
        post(LIST_BODY[:-1] + b" " * (65_536 - LENGTH) + b"}", *fields("tools/list")), Status(200, kept=True)
    ),
    **{
        f"the chunk size {size!r}": _sized(size)
        for size in (
            *(b"", b"zz", b"-1", b"+1", b"0x10", b"1 0", b" 10", b"10\x00", b"1,0", b"1_0", b"\xb2"),
            *(b"f" * 21, b"1\n", b"1\r", b";x=y"),
        )
    },
    "a chunk longer than its size": Row(chunked(b"1\r\n{}\r\n0\r\n\r\n"), Status(400)),
    "a chunk shorter than its size": Row(chunked(b"3\r\n{}\r\n0\r\n\r\n"), Status(400)),
    "lines that end with a bare line feed": Row(
        chunked(chunks(LIST_BODY, 100).replace(b"\r\n", b"\n") + b" " * 5000), Status(400)
    ),
    "a chunk size without end": Row(chunked(b"0" * 5000), Status(400)),
    "chunk extensions": Row(chunked(chunks(LIST_BODY, 10, b";a=b")), Status(200, kept=True)),
    "an extension of two thousand bytes at each of many chunks": Row(
        chunked(chunks(LIST_BODY, 4, b";" + b"x" * 1900)), Status(200, kept=True)
    ),
    "a chunk extension that is too long": Row(
        chunked(chunks(LIST_BODY, 100, b";" + b"x" * 5000)), Status(400)
    ),
    "a chunk extension without end": Row(chunked(b"1;" + b"x" * 5000), Status(400)),
    "a chunk extension with a line feed": Row(chunked(chunks(LIST_BODY, 100, b";a=\n0")), Status(400)),
    "a chunk extension with control characters": Row(
        chunked(chunks(LIST_BODY, 100, b";\r\x00\xff")), Status(200, kept=True)
    ),
    "trailers": Row(chunked(chunks(LIST_BODY, 9)[:-2] + b"X: y\r\n\r\n"), Status(200, kept=True)),
    "trailers that would change the request": Row(
        chunked(
            chunks(LIST_BODY, 9)[:-2]
            + b"Content-Length: 5\r\nHost: evil.example\r\nContent-Type: text/plain\r\n\r\n"
        ),
        Status(200, kept=True),
    ),
    "a trailer that would change the framing": Row(
        chunked(chunks(LIST_BODY, 9)[:-2] + b"Transfer-Encoding: gzip\r\n\r\n"), Status(400)
    ),
    "trailers without end": Row(chunked(chunks(LIST_BODY, 9)[:-2] + b"X: y\r\n" * 1000), Status(400)),
    "a trailer with a control character": Row(
        chunked(chunks(LIST_BODY, 9)[:-2] + b"X: \x00\r\n\r\n"), Status(400)
    ),
    "a trailer without a colon": Row(chunked(chunks(LIST_BODY, 9)[:-2] + b"xy\r\n\r\n"), Status(400)),
    "thousands of tiny chunks": Row(chunked(chunks(PADDED, 1)), Status(200, kept=True)),
    "no chunk but the last": Row(chunked(b"0\r\n\r\n"), Status(400, kept=True)),
    "the same length twice": Row(_length(str(LENGTH), str(LENGTH)), Status(400)),
    "two lengths": Row(_length(str(LENGTH), "5"), Status(400)),
    **{
        f"the length {length[:20]!r}": Row(_length(length), Status(400))
        for length in (
            *(f"{LENGTH}, {LENGTH}", f"{LENGTH}, 5", "", "-5", f"+{LENGTH}", "0x5", "5 5", "1e2"),
            *("five", "5\x00", "\xb2", "9" * 1500),
        )
    },
    "a length behind chunks": Row(
        chunked(chunks(LIST_BODY, 100) + LIST, f"Content-Length: {LENGTH}"), Status(400)
    ),
    "a length before chunks": Row(
        post(b"0\r\n\r\n" + LIST, CHUNKED, *fields("tools/list"), length="5"), Status(400)
    ),
    "a coding in capitals": Row(_coded("CHUNKED"), Status(200, kept=True)),
    **{
        f"the codings {codings!r}": Row(_coded(*codings), Status(501))
        for codings in (
            *(("chunked", "chunked"), ("chunked, chunked",), ("gzip, chunked",), ("chunked, gzip",)),
            *(("identity",), ("",), ("chunked;q=1",), ("xchunked",), ("identity", "chunked")),
        )
    },
    "a coding with a control character": Row(_coded("\x0bchunked"), Status(400)),
    "a name of two words, which is no coding": Row(
        post(LIST_BODY, *fields("tools/list"), "Transfer Encoding: chunked"), Status(400)
    ),
    "chunks in HTTP/1.0": Row(
        chunked(chunks(LIST_BODY, 100)).replace(b"HTTP/1.1", b"HTTP/1.0", 1), Status(400)
    ),
    "HTTP/1.0": Row(OLD, Status(200)),
    "HTTP/1.0 that would stay": Row(OLD.replace(b"\r\n", b"\r\nConnection: keep-alive\r\n", 1), Status(200)),
    "HTTP/1.0 that names no host": Row(OLD.replace(b"Host: localhost\r\n", b""), Status(403)),
    "HTTP/0.9": Row(LIST.replace(b" HTTP/1.1", b"", 1), Status(400)),
    "HTTP/2.0": Row(LIST.replace(b"HTTP/1.1", b"HTTP/2.0", 1), Status(200)),
    "HTTP/1.10": Row(LIST.replace(b"HTTP/1.1", b"HTTP/1.10", 1), Status(400)),
    "a client that is told to close": Row(
        LIST.replace(b"\r\n", b"\r\nConnection: x, Close\r\n", 1) + LIST, Status(200)
    ),
    "a body that was announced, and is there": Row(
        post(LIST_BODY, *fields("tools/list"), "Expect: 100-continue"), Status(200, kept=True)
    ),
    "a body that was announced, and is too big": Row(
        post(b"", "Expect: 100-continue", length="70000"), Status(413)
    ),
    "a body that was announced, and never comes": Row(
        post(b"", "Expect: 100-continue", length="100"), Gone(greeted=True), eof=True
    ),
    "a body that was announced, of a type that nobody wants": Row(
        post(b"", "Expect: 100-continue", length="100").replace(b"application/json", b"text/plain"),
        Status(415),
    ),
    "a hundred announcements": Row(
        post(LIST_BODY, *fields("tools/list"), *["Expect: 100-continue"] * 50), Status(200, kept=True)
    ),
    "another expectation": Row(post(LIST_BODY, *fields("tools/list"), "Expect: tea"), Status(200, kept=True)),
    "garbage behind a request": Row(LIST + b"\x00\x01garbage\r\n\r\n" + LIST, Statuses(200, 400)),
    "garbage behind a request that takes its time": Row(ECHO + b"?\r\n\r\n" + LIST, Statuses(200, 400)),
    "line breaks between requests": Row(LIST + b"\r\n\r\n" + LIST, Statuses(200, 400)),
    "a head too big behind a request": Row(
        LIST + head("GET / HTTP/1.1", "X: " + "x" * 5000), Statuses(200, 431)
    ),
    "an upgrade behind a request, without what it needs": Row(
        LIST + head("GET /mcp HTTP/1.1", "Upgrade: websocket", "Connection: upgrade"), Statuses(200, 400)
    ),
    "a body that is a request": Row(post(LIST, *fields("tools/list")), Status(400, kept=True)),
    "a GET with a body that is a request": Row(
        head("GET /healthz HTTP/1.1", f"Content-Length: {len(LIST)}") + LIST, Status(200, kept=True)
    ),
    "a hundred requests at once": Row(LIST * 100, Status(200, kept=True, times=100)),
    "requests of all kinds at once": Row(
        (LIST + ECHO + chunked(chunks(LIST_BODY, 7)) + head("HEAD /nowhere HTTP/1.1")),
        Statuses(200, 200, 200, 404),
    ),
    "requests that are refused, at once": Row(
        post(b"{").replace(b"/json", b"/xml") * 50, Status(415, kept=True, times=50)
    ),
}

SLOW = {
    "half a head": Row(LIST[:50], Status(408)),
    "half a body": Row(LIST[:-5], Status(408)),
    "half a chunk": Row(chunked(b"ff\r\n{"), Status(408)),
    "a chunk that is promised": Row(chunked(b"ffffffff\r\n" + b" " * 1000), Status(408)),
    "half a trailer": Row(chunked(b"0\r\nX: "), Status(408)),
    "a body that was announced and never comes": Row(
        post(b"", "Expect: 100-continue", length="100"), Statuses(100, 408)
    ),
    "a body behind a sound request that never comes": Row(LIST + LIST[:-5], Statuses(200, 408)),
    "half a head behind a sound request": Row(LIST + LIST[:5], Statuses(200, 408)),
    "half a body that nobody wants": Row(LIST.replace(b"application/json", b"text/plain")[:-5], Status(415)),
    "nothing behind a head that is refused": Row(
        call("echo").replace(b"localhost", b"evil")[:-5], Status(403)
    ),
}
IN_EARNEST = with_limits(head_timeout=0.2, body_timeout=0.2)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
async def test_a_peer_of_a_socket_that_frames_badly_gets_its_status(row: Row) -> None:
    async with open_world(sockets=True) as world:
        await row.play(world)


@pytest.mark.parametrize("row", (ROWS | SLOW).values(), ids=(ROWS | SLOW).keys())
async def test_a_peer_in_memory_that_frames_badly_gets_its_status(
    row: Row, autojump_clock: MockClock
) -> None:
    async with open_world(sockets=False) as world:
        await row.play(world)


@pytest.mark.parametrize("row", SLOW.values(), ids=SLOW.keys())
async def test_a_peer_of_a_socket_that_stops_half_way_gets_its_status(row: Row) -> None:
    async with open_world(sockets=True, settings=IN_EARNEST) as world:
        await row.play(world)


@pytest.mark.parametrize("sockets", [True, False], ids=["sockets", "memory"])
async def test_requests_that_are_sent_at_once_are_answered_one_after_the_other(sockets: bool) -> None:
    async with open_world(sockets=sockets) as world:
        raw = await world.dial()
        async with raw.stream:
            sent = b"".join(
                call("echo_thread" if number % 2 else "echo", number, text=f"x{number}")
                for number in range(60)
            )
            await raw.send(sent)
            await world.witness_is_served()
            for number in range(60):
                response = await raw.response()
                assert response.status == 200
                message = json.loads(response.body)
                assert message["id"] == number
                assert message["result"]["content"][0]["text"] == f"x{number}"
