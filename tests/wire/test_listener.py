"""One port, any bytes: every peer gets its answer, and nobody else notices."""

import errno
import logging
import socket
import struct

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from mcptrio.wire import (
    ConnectionEvent,
    EventKind,
    Exchange,
    Limits,
    Listener,
    MemoryTransport,
    memory_transport_pair,
)
from tests.wire.rig import CLOSE, PONG, TEXT, Rig, close_frame, echo, frame, upgrade_request


async def _refusal(rig: Rig, request: bytes) -> tuple[int, bytes]:
    client = rig.connect()
    await client.send(request)
    response = await client.response()
    assert response.headers["connection"] == "close"
    return response.status, response.body


async def _still_served(rig: Rig) -> None:
    client = rig.connect()
    await client.upgrade()
    await client.send(frame(TEXT, b"still there?"))
    assert await client.frame() == (TEXT, b"still there?")
    await client.send(close_frame(1000))
    assert await client.closing() == (1000, "")


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        pytest.param(b"hello\r\n\r\n", 400, "bad_request", id="not http"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "bad_request", id="tls hello"),
        pytest.param(b"\x00" * 100, 400, "bad_request", id="zeros"),
        pytest.param(b"GET /mcp HTTP/1.1\r\n\r\n", 400, "bad_request", id="no host"),
        pytest.param(b"GET /mcp HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "bad_request", id="two hosts"),
        pytest.param(b"GET mcp HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "bad_request", id="no path"),
        pytest.param(
            b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "bad_request", id="bad target"
        ),
        pytest.param(b"GET /mcp HTTP/1.1\r\nHost: \xff\r\n\r\n", 400, "bad_request", id="host not ascii"),
        pytest.param(
            upgrade_request("Sec-WebSocket-Protocol: m\xfcp"), 400, "bad_request", id="protocol not ascii"
        ),
        pytest.param(
            upgrade_request("Sec-WebSocket-Extensions: \xff"), 400, "bad_request", id="extensions not ascii"
        ),
        pytest.param(upgrade_request("Sec-WebSocket-Protocol: a b"), 400, "bad_handshake", id="bad protocol"),
        pytest.param(upgrade_request(drop="Sec-WebSocket-Key"), 400, "bad_handshake", id="no key"),
        pytest.param(
            upgrade_request("Sec-WebSocket-Key: aaaa", drop="Sec-WebSocket-Key"),
            400,
            "bad_handshake",
            id="short key",
        ),
        pytest.param(upgrade_request("Sec-WebSocket-Key: aaaa"), 400, "bad_handshake", id="two keys"),
        pytest.param(upgrade_request(drop="Sec-WebSocket-Version"), 400, "bad_handshake", id="no version"),
        pytest.param(upgrade_request(drop="Connection"), 426, "bad_handshake", id="no connection upgrade"),
        pytest.param(
            upgrade_request("Sec-WebSocket-Version: 8", drop="Sec-WebSocket-Version"),
            426,
            "bad_handshake",
            id="old version",
        ),
        pytest.param(upgrade_request().replace(b"GET", b"POST"), 405, "bad_handshake", id="upgrade by post"),
        pytest.param(upgrade_request("X: " + "y" * 20_000), 431, "head_too_big", id="huge head"),
        pytest.param(b"GET /" + b"a" * 70_000, 431, "head_too_big", id="endless request line"),
        pytest.param(upgrade_request("Transfer-Encoding: gzip"), 501, "bad_request", id="transfer encoding"),
        pytest.param(upgrade_request(path="/nowhere"), 404, "not_found", id="unknown path"),
        pytest.param(upgrade_request(host="evil.example"), 403, "host", id="rebound host"),
        pytest.param(upgrade_request("Origin: https://evil.example"), 403, "origin", id="foreign origin"),
        pytest.param(
            b"GET http://evil.example/mcp HTTP/1.1\r\nHost: localhost\r\n\r\n",
            403,
            "host",
            id="host in the target",
        ),
        pytest.param(b"GET /mcp HTTP/1.0\r\n\r\n", 403, "host", id="no host at all"),
        pytest.param(
            upgrade_request("Content-Length: 5") + b"hello", 400, "bad_handshake", id="upgrade with a body"
        ),
    ],
)
async def test_a_bad_request_is_answered_and_nobody_else_notices(
    nursery: trio.Nursery, autojump_clock: MockClock, request_: bytes, status: int, reason: str
) -> None:
    rig = Rig(nursery)
    assert (await _refusal(rig, request_))[0] == status
    assert rig.told(EventKind.REFUSED) == [(reason, status)]
    assert await rig.wait_closed() == [(reason, status)]
    await _still_served(rig)


async def test_a_refused_handshake_names_what_would_do(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery)
    client = rig.connect()
    await client.send(upgrade_request("Sec-WebSocket-Version: 8", drop="Sec-WebSocket-Version"))
    assert (await client.response()).headers["sec-websocket-version"] == "13"
    client = rig.connect()
    await client.send(upgrade_request().replace(b"GET", b"PUT"))
    assert (await client.response()).headers["allow"] == "GET"


async def test_a_head_of_exactly_the_limit_is_read_and_one_byte_more_is_not(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery, Limits(head_bytes=1000))
    request = upgrade_request("X: " + "y" * (1000 - len(upgrade_request("X: "))))
    assert len(request) == 1000
    client = rig.connect()
    await client.send(request)
    assert (await client.take_head())[0] == 101
    assert (await _refusal(rig, request.replace(b"X: ", b"X: y")))[0] == 431


async def test_a_head_that_dribbles_on_is_answered_408_in_time(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery, Limits(head_timeout=10))
    client = rig.connect()
    started = trio.current_time()

    async def dribble() -> None:
        for byte in upgrade_request():
            try:
                await client.send(bytes([byte]))
            except trio.BrokenResourceError:
                return
            await trio.sleep(1)

    nursery.start_soon(dribble)
    status, _ = await client.take_head()
    assert status == 408
    assert trio.current_time() - started == pytest.approx(10)
    assert (await rig.wait_closed())[0] == ("head_timeout", 408)


async def test_who_says_nothing_is_let_go_without_a_word(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery, Limits(head_timeout=10))
    client = rig.connect()
    assert await client.rest() == b""
    assert await rig.wait_closed() == [("no request", None)]
    client = rig.connect()
    await client.stream.aclose()
    assert await rig.wait_closed(2) == [("no request", None)] * 2


async def test_a_request_that_breaks_off_is_a_bad_request(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery)
    client = rig.connect()
    await client.send(b"GET /mcp HT")
    await client.stream.send_eof()
    assert (await client.response()).status == 400


async def test_one_connection_too_many_is_answered_503(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery, Limits(max_connections=2))
    kept = [rig.connect(), rig.connect()]
    for client in kept:
        await client.upgrade()
    assert (await _refusal(rig, upgrade_request()))[0] == 503
    assert rig.told(EventKind.REFUSED) == [("connection_limit", 503)]
    statistics = rig.listener.statistics()
    assert (statistics.open, statistics.websockets, statistics.accepted, statistics.refused) == (2, 2, 2, 1)
    await kept[0].send(close_frame(1000))
    await kept[0].closing()
    await rig.wait_closed()
    await _still_served(rig)


async def test_who_is_turned_away_may_be_gone_already(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery, Limits(max_connections=0))
    server, client = memory_transport_pair()
    client.abort()
    await rig.listener.connection(server)
    with pytest.raises(OSError, match="aborted"):
        server.send(b"x")


async def test_a_plain_response_closes_and_head_gets_no_body(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def health(exchange: Exchange) -> None:
        assert (exchange.path, exchange.query, exchange.peername) == ("/healthz", "deep=1", "memory client")
        assert ("x-case", "Kept") in exchange.headers
        exchange.respond(
            200, b'{"ok":true}', content_type="application/json", headers=[("Cache-Control", "no-store")]
        )

    rig = Rig(nursery, routes={"/healthz": health})
    for method, body in (("GET", b'{"ok":true}'), ("HEAD", b"")):
        client = rig.connect()
        await client.send(
            f"{method} /healthz?deep=1 HTTP/1.1\r\nHost: localhost:1\r\nX-Case: Kept\r\n\r\n".encode()
        )
        response = await client.response()
        assert response.status == 200
        assert response.body == body
        assert response.headers["content-length"] == "11"
        assert response.headers["content-type"] == "application/json"
        assert response.headers["connection"] == "close"
        assert response.headers["cache-control"] == "no-store"
        await client.stream.aclose()
    assert await rig.wait_closed(2) == [("answered", 200)] * 2


@pytest.mark.parametrize("status", [204, 304, 299])
async def test_every_status_can_be_answered(
    nursery: trio.Nursery, autojump_clock: MockClock, status: int
) -> None:
    async def route(exchange: Exchange) -> None:
        exchange.respond(status, b"text")

    rig = Rig(nursery, routes={"/": route})
    answered, body = await _refusal(rig, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (answered, body) == (status, b"text" if status == 299 else b"")


async def test_an_absolute_target_and_http_1_0_are_understood(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery)
    assert await _refusal(rig, b"GET http://127.0.0.1:80/mcp?x HTTP/1.1\r\nHost: localhost\r\n\r\n") == (
        426,
        b"use ws\n",
    )
    # HTTP/1.0 knows no upgrade: to the route it is a plain request.
    assert (await _refusal(rig, upgrade_request().replace(b"HTTP/1.1", b"HTTP/1.0")))[0] == 426
    # Nor is another protocol than WebSocket one of ours.
    assert (await _refusal(rig, upgrade_request("Upgrade: h2c", drop="Upgrade")))[0] == 426


async def test_the_rest_of_a_long_body_does_not_take_the_response_back(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery)
    client = rig.connect()
    await client.send(b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n")
    status, _ = await client.take_head()
    assert status == 426
    with pytest.raises(trio.BrokenResourceError):  # so much is drained, and no more
        await client.send(b"x" * 900_000)
    assert trio.current_time() < 1


async def test_who_never_reads_the_response_is_let_go_in_time(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def big(exchange: Exchange) -> None:
        exchange.respond(200, b"x" * 200_000)

    rig = Rig(nursery, Limits(head_timeout=10, close_timeout=1), routes={"/": big})
    client = rig.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await rig.wait_closed()
    assert trio.current_time() == pytest.approx(10, abs=0.1)
    assert len(await client.rest()) == 65_536


async def test_the_101_goes_first_then_what_was_pipelined_behind_the_request(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery)
    client = rig.connect()
    await client.upgrade(behind=frame(9, b"early") + frame(TEXT, b"bird"))
    assert await client.frame() == (PONG, b"early")
    assert await client.frame() == (TEXT, b"bird")
    await client.send(close_frame(1000))
    await client.closing()


@pytest.mark.parametrize(
    ("behind", "code"),
    [
        pytest.param(upgrade_request(), 1002, id="second request"),
        pytest.param(frame(TEXT, b"\xff"), 1007, id="bad text"),
        pytest.param(frame(TEXT, b"naked", masked=False), 1002, id="unmasked"),
        pytest.param(close_frame(4000), 4000, id="close"),
    ],
)
async def test_bad_bytes_behind_the_request_close_with_their_code_after_the_101(
    nursery: trio.Nursery, autojump_clock: MockClock, behind: bytes, code: int
) -> None:
    rig = Rig(nursery)
    client = rig.connect()
    await client.upgrade(behind=behind)
    assert (await client.closing())[0] == code
    await rig.wait_closed()
    assert rig.listener.statistics().websockets == 0


async def test_a_known_subprotocol_is_agreed_on_and_none_is_needed(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery)
    assert (await rig.connect().upgrade("Sec-WebSocket-Protocol: chat, mcp"))[
        "sec-websocket-protocol"
    ] == "mcp"
    for offer in ((), ("Sec-WebSocket-Protocol: chat",)):
        headers = await rig.connect().upgrade(*offer)
        assert "sec-websocket-protocol" not in headers
        assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert "sec-websocket-extensions" not in headers


async def test_a_route_that_fails_costs_its_own_connection(
    nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def failing(exchange: Exchange) -> None:
        if exchange.wants_websocket:
            exchange.accept_websocket()
        raise RuntimeError("a bug")

    rig = Rig(nursery, routes={"/mcp": echo, "/bug": failing})
    assert await _refusal(rig, b"GET /bug HTTP/1.1\r\nHost: localhost\r\n\r\n") == (
        500,
        b"Internal server error.\n",
    )
    client = rig.connect()
    await client.send(upgrade_request(path="/bug"))
    await client.take_head()
    assert await client.closing() == (1011, "internal error")
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    await _still_served(rig)


async def test_a_route_that_leaves_its_websocket_open_closes_it_and_one_that_forgets_to_answer_is_500(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def leaving(exchange: Exchange) -> None:
        if exchange.wants_websocket:
            exchange.accept_websocket()

    rig = Rig(nursery, routes={"/mcp": leaving})
    client = rig.connect()
    await client.upgrade(behind=frame(TEXT, b"unread"))
    assert await client.frame() == (CLOSE, struct.pack("!H", 1000))
    await rig.wait_closed()  # without an answer, at the deadline
    assert trio.current_time() == pytest.approx(1, abs=0.1)
    assert rig.listener.statistics().websockets == 0
    assert (await _refusal(rig, b"GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n"))[0] == 500


async def test_a_request_is_answered_once(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async def route(exchange: Exchange) -> None:
        with pytest.raises(RuntimeError, match="not a WebSocket"):
            exchange.accept_websocket()
        with pytest.raises(ValueError, match="not a valid response"):
            exchange.respond(200, headers=[("X", "a\r\nInjected: b")])
        with pytest.raises(ValueError, match="not a valid response"):
            exchange.respond(200, headers=[("X", "€")])
        exchange.respond(200, b"fine")
        with pytest.raises(RuntimeError, match="answered already"):
            exchange.respond(200)

    rig = Rig(nursery, routes={"/": route})
    assert await _refusal(rig, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") == (200, b"fine")


async def test_a_cancelled_connection_says_going_away(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        rig = Rig(nursery)
        client = rig.connect()
        await client.upgrade()
        nursery.cancel_scope.cancel()
    assert rig.told(EventKind.CLOSED) == [("cancelled", None)]
    assert await client.closing() == (1001, "going away")
    assert rig.listener.statistics().open == rig.listener.statistics().websockets == 0


async def test_a_failing_event_callback_is_logged_and_harmless(
    nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: ConnectionEvent) -> None:
        raise RuntimeError("a bug")

    listener = Listener(
        {"/mcp": echo}, limits=Limits(), start_connection=lambda name, run: None, on_event=fail
    )
    server, client = memory_transport_pair()
    client.abort()
    await listener.connection(server)
    assert len(caplog.records) == 2
    quiet = Listener({}, limits=Limits(), start_connection=lambda name, run: None)
    server, client = memory_transport_pair()
    client.abort()
    await quiet.connection(server)
    assert quiet.statistics().accepted == 1


class _Odd:
    """A transport in memory whose reads fail in a way of their own, once the request has been read."""

    def __init__(self, inner: MemoryTransport, errors: list[Exception]) -> None:
        self.inner = inner
        self.errors = errors
        self.asked = False
        self.peername, self.send, self.send_eof = inner.peername, inner.send, inner.send_eof
        self.abort, self.wait_writable, self.wait_readable = (
            inner.abort,
            inner.wait_writable,
            inner.wait_readable,
        )

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        if self.asked and self.errors:
            raise self.errors.pop(0)
        self.asked = True
        return self.inner.recv_into(buffer)


@pytest.mark.parametrize(
    ("errors", "closed", "logged"),
    [
        pytest.param([BlockingIOError()], ("answered", 426), 0, id="false alarm"),
        pytest.param([ConnectionResetError()], ("answered", 426), 0, id="reset"),
        pytest.param([RuntimeError("a bug of ours")], ("internal error", None), 1, id="bug"),
    ],
)
async def test_whatever_happens_after_the_response_ends_the_connection_only(
    nursery: trio.Nursery,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
    errors: list[Exception],
    closed: tuple[str, int | None],
    logged: int,
) -> None:
    rig = Rig(nursery)
    server, client = memory_transport_pair()
    rig.serve(_Odd(server, errors))
    client.send(b"GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await trio.testing.wait_all_tasks_blocked()
    client.send(b"more")
    assert await rig.wait_closed() == [closed]
    assert len(caplog.records) == logged
    await _still_served(rig)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from([b"\r\n", b"GET / HTTP/1.1\r\n", b"Host: localhost\r\n", b": ", b"\r\n\r\n"]),
            st.sampled_from([upgrade_request(), upgrade_request("Sec-WebSocket-Protocol: \x80")]),
            st.builds(
                frame, st.integers(0, 15), st.binary(max_size=130), fin=st.booleans(), rsv=st.integers(0, 7)
            ),
        ),
        max_size=8,
    )
)
def test_any_bytes_end_in_an_answer_or_the_end(pieces: list[bytes]) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            rig = Rig(nursery)
            client = rig.connect()
            nursery.start_soon(client.rest)
            for piece in pieces:
                try:
                    await client.send(piece)
                except trio.BrokenResourceError:
                    break
            await client.stream.send_eof()
            with trio.fail_after(30):
                await rig.wait_closed()
                assert rig.events[-1].reason != "internal error"
                await _still_served(rig)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))


# ---- on real sockets


async def test_accepted_sockets_are_set_up_and_echo(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int, int]] = []
    original = socket.socket.close

    def spy(self: socket.socket) -> None:
        if self.fileno() >= 0 and self.family == socket.AF_INET:
            get = self.getsockopt
            seen.append(
                (
                    get(socket.IPPROTO_TCP, socket.TCP_NODELAY),
                    get(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT),
                    get(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
                )
            )
        original(self)

    rig = Rig(nursery)
    port = await rig.listen()
    client = await rig.dial(port)
    monkeypatch.setattr(socket.socket, "close", spy)
    await client.upgrade()
    await client.send(frame(TEXT, b"x" * 300_000))
    assert await client.frame() == (TEXT, b"x" * 300_000)
    await client.send(close_frame(1000))
    assert await client.closing() == (1000, "")
    await rig.wait_closed()
    assert (1, 16_384, 60_000) in seen
    assert rig.events[0].peername.startswith("127.0.0.1:")


async def test_a_reset_is_quiet(nursery: trio.Nursery, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(nursery)
    port = await rig.listen()
    for upgraded in (False, True):
        client = await rig.dial(port)
        if upgraded:
            await client.upgrade()
        else:
            await client.send(b"GET /")
        assert isinstance(client.stream, trio.SocketStream)
        client.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.stream.socket.close()
        await rig.wait_closed(1 + upgraded)
    assert rig.told(EventKind.CLOSED) == [("no request", None), ("connection lost", 1006)]
    assert caplog.records == []


async def test_a_client_that_never_reads_is_closed_while_others_are_served(nursery: trio.Nursery) -> None:
    limits = Limits(stall_timeout=0.2, close_timeout=0.1, max_pending=64 * 1024 * 1024, high_water=1024)

    async def fountain(exchange: Exchange) -> None:
        websocket = exchange.accept_websocket()
        websocket.push_text(b"x" * 32_000_000)
        while await websocket.receive():
            pass

    rig = Rig(nursery, limits, routes={"/mcp": echo, "/fountain": fountain})
    rig.listener.sweeper._interval = 0.05
    port = await rig.listen()
    stalled = await rig.dial(port)
    await stalled.send(upgrade_request(path="/fountain"))
    client = await rig.dial(port)
    await client.upgrade()
    with trio.fail_after(10):
        while not rig.told(EventKind.CLOSED):
            await client.send(frame(TEXT, b"quick"))
            assert await client.frame() == (TEXT, b"quick")
    assert rig.told(EventKind.CLOSED) == [("stalled", 1008)]


async def test_beyond_the_limit_real_connections_get_their_503(nursery: trio.Nursery) -> None:
    rig = Rig(nursery, Limits(max_connections=1, close_timeout=0.1))
    port = await rig.listen()
    first = await rig.dial(port)
    await first.upgrade()
    others = [await rig.dial(port) for _ in range(70)]
    statuses = []
    for client in others:
        try:
            await client.send(upgrade_request())
            statuses.append((await client.response()).status)
        except (trio.BrokenResourceError, AssertionError):
            statuses.append(0)  # beyond 64 at a time there is not even that
        await client.stream.aclose()
    assert statuses.count(503) >= 64
    await first.send(frame(TEXT, b"mine"))
    assert await first.frame() == (TEXT, b"mine")


class _FailingSocket:
    """A listening socket whose accept fails a few times first."""

    def __init__(self, sock: trio.socket.SocketType, errors: list[int]) -> None:
        self._sock = sock
        self._errors = errors
        self.calls = 0

    async def accept(self) -> tuple[trio.socket.SocketType, object]:
        self.calls += 1
        if self._errors:
            code = self._errors.pop(0)
            await trio.lowlevel.checkpoint()
            raise OSError(code, "no")
        return await self._sock.accept()

    def getsockname(self) -> object:
        return self._sock.getsockname()

    def close(self) -> None:
        self._sock.close()


async def test_the_accept_loop_survives_errors_and_says_so_once(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    rig = Rig(nursery)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    inner = listeners[0].socket
    port: int = inner.getsockname()[1]
    failing = _FailingSocket(inner, [errno.ECONNABORTED, errno.EMFILE, errno.EMFILE])
    nursery.start_soon(rig.listener.serve, [failing])
    client = await rig.dial(port)
    await client.upgrade()
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "accepting connections fails (trying on)",
        "accepting connections works again",
    ]


async def test_serving_ends_when_the_sockets_are_closed_by_others() -> None:
    async with trio.open_nursery() as nursery:
        rig = Rig(nursery)
        for error in (None, errno.EBADF):
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            sock = listeners[0].socket
            async with trio.open_nursery() as serving:
                if error is None:
                    serving.start_soon(rig.listener.serve, [sock])
                    await trio.testing.wait_all_tasks_blocked()
                    sock.close()
                else:
                    serving.start_soon(rig.listener.serve, [_FailingSocket(sock, [error])])
        nursery.cancel_scope.cancel()


async def test_a_connection_that_cannot_be_started_is_dropped(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(name: str, run: object) -> None:
        raise RuntimeError("stopping")

    events: list[ConnectionEvent] = []
    listener = Listener({}, limits=Limits(), start_connection=refuse, on_event=events.append)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port: int = listeners[0].socket.getsockname()[1]
    nursery.start_soon(listener.serve, [listeners[0].socket])
    client = await Rig(nursery).dial(port)
    assert await client.rest() == b""
    assert [(event.kind, event.reason) for event in events] == [
        (EventKind.ACCEPTED, ""),
        (EventKind.CLOSED, "not started"),
    ]
    assert listener.statistics().open == 0


async def test_a_unix_socket_serves_too(nursery: trio.Nursery, tmp_path: object) -> None:
    sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    await sock.bind(f"{tmp_path}/s")
    sock.listen()
    rig = Rig(nursery)
    nursery.start_soon(rig.listener.serve, [sock])
    client = rig.hold(await trio.open_unix_socket(f"{tmp_path}/s"))
    await client.upgrade()
    assert rig.events[0].peername == "local"


async def test_the_bound_address_is_an_allowed_host(nursery: trio.Nursery) -> None:
    rig = Rig(nursery)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.2")
    sock = listeners[0].socket
    nursery.start_soon(rig.listener.serve, [sock])
    host, port = sock.getsockname()[:2]
    client = await rig.dial(port, host)
    await client.send(upgrade_request(host=f"{host}:{port}"))
    assert (await client.take_head())[0] == 101
