"""Accepting, counting and telling; on memory transports and on real sockets."""

import errno
import logging
import socket
import struct

import pytest
import trio
import trio.testing
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
from tests.wire.rig import TEXT, Rig, close_frame, echo, frame, upgrade_request


async def test_one_connection_too_many_is_answered_503(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery, Limits(max_connections=2))
    kept = [rig.connect(), rig.connect()]
    for client in kept:
        await client.upgrade()
    assert (await rig.ask(upgrade_request()))[0] == 503
    assert rig.told(EventKind.REFUSED) == [("connection_limit", 503)]
    statistics = rig.listener.statistics()
    assert (statistics.open, statistics.websockets, statistics.accepted, statistics.refused) == (2, 2, 2, 1)
    await kept[0].send(close_frame(1000))
    await kept[0].closing()
    await rig.wait_closed()
    await rig.still_serves()


async def test_who_is_turned_away_may_be_gone_already(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery, Limits(max_connections=0))
    server, client = memory_transport_pair()
    client.abort()
    await rig.listener.connection(server)
    with pytest.raises(OSError, match="aborted"):
        server.send(b"x")


async def test_a_cancelled_connection_says_going_away(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        rig = Rig(nursery)
        client = rig.connect()
        await client.upgrade()
        nursery.cancel_scope.cancel()
    assert rig.told(EventKind.CLOSED) == [("going away", 1001)]
    assert await client.closing() == (1001, "going away")
    assert rig.listener.statistics().open == rig.listener.statistics().websockets == 0


async def test_a_connection_that_is_cancelled_before_its_request_is_told_so(
    autojump_clock: MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        rig = Rig(nursery)
        rig.connect()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert rig.told(EventKind.CLOSED) == [("cancelled", None)]


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
    client.send(b"GET /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    await trio.testing.wait_all_tasks_blocked()
    client.send(b"more")
    assert await rig.wait_closed() == [closed]
    assert len(caplog.records) == logged
    await rig.still_serves()


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
    for _ in range(2):
        assert (await client.get("/mcp")).status == 426
    await client.upgrade()
    assert rig.events[0].peername == "unix"
    stranger = rig.hold(await trio.open_unix_socket(f"{tmp_path}/s"))
    await stranger.send(upgrade_request(host="evil.example"))
    assert (await stranger.response()).status == 403


async def test_the_bound_address_is_an_allowed_host(nursery: trio.Nursery) -> None:
    rig = Rig(nursery)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.2")
    sock = listeners[0].socket
    nursery.start_soon(rig.listener.serve, [sock])
    host, port = sock.getsockname()[:2]
    client = await rig.dial(port, host)
    await client.send(upgrade_request(host=f"{host}:{port}"))
    assert (await client.take_head())[0] == 101
