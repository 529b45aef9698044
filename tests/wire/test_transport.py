"""The same contract, on a socket pair and in memory; and Trio's own checks of the stream over it."""

import socket
from collections.abc import AsyncIterator, Callable

import pytest
import trio
import trio.testing

from mcptrio.wire import Limits, Link, SocketTransport, Transport, TransportStream, memory_transport_pair
from mcptrio.wire.head import HeadParser, read_head
from mcptrio.wire.inbound import Inbound

Pair = tuple[Transport, Transport]


def _sockets() -> Pair:
    left, right = socket.socketpair()
    for sock in (left, right):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return SocketTransport(left, "left"), SocketTransport(right, "right")


@pytest.fixture(params=[_sockets, memory_transport_pair], ids=["socket", "memory"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    make: Callable[[], Pair] = request.param
    left, right = make()
    yield left, right
    for transport in (left, right):
        transport.abort()


async def test_bytes_arrive_and_then_their_end(pair: Pair) -> None:
    left, right = pair
    scratch = bytearray(100)
    with pytest.raises(BlockingIOError):
        right.recv_into(scratch)
    assert left.send(b"hello") == 5
    await right.wait_readable()
    assert right.recv_into(memoryview(scratch)[:2]) == 2
    assert right.recv_into(scratch) == 3
    left.send_eof()
    left.send_eof()
    await right.wait_readable()
    assert right.recv_into(scratch) == 0
    assert right.send(b"still there") == 11
    await left.wait_readable()
    assert left.recv_into(scratch) == 11


async def test_a_full_transport_blocks_until_it_is_read(pair: Pair, nursery: trio.Nursery) -> None:
    left, right = pair
    with pytest.raises(BlockingIOError):
        while left.send(b"x" * 10_000):
            pass
    writable = trio.Event()

    async def wait() -> None:
        await left.wait_writable()
        writable.set()

    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    assert not writable.is_set()
    scratch = bytearray(1_000_000)
    while not writable.is_set():
        await right.wait_readable()
        right.recv_into(scratch)
        await trio.testing.wait_all_tasks_blocked()
    assert left.send(b"y") == 1


async def test_abort_wakes_both_waiters_and_ends_everything(pair: Pair) -> None:
    left, right = pair
    with pytest.raises(BlockingIOError):
        while left.send(b"x" * 10_000):
            pass

    async def wait(which: Callable[[], object]) -> None:
        with pytest.raises(trio.ClosedResourceError):
            await which()  # type: ignore[misc]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, left.wait_readable)
        nursery.start_soon(wait, left.wait_writable)
        await trio.testing.wait_all_tasks_blocked()
        left.abort()
        left.abort()
    for which in (left.wait_readable, left.wait_writable):
        with pytest.raises(trio.ClosedResourceError):
            await which()
    with pytest.raises(OSError):
        left.send(b"x")
    with pytest.raises(OSError):
        left.recv_into(bytearray(1))
    left.send_eof()
    scratch = bytearray(1_000_000)
    while right.recv_into(scratch):
        pass
    await right.wait_writable()
    with pytest.raises(OSError):
        right.send(b"x")


async def test_one_task_at_a_time_waits_at_each_end(pair: Pair) -> None:
    left, _ = pair
    with pytest.raises(BlockingIOError):
        while left.send(b"x" * 10_000):
            pass
    for which in (left.wait_readable, left.wait_writable):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(which)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await which()
            nursery.cancel_scope.cancel()


async def test_options_are_left_out_where_they_do_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT")
    left, right = _sockets()  # not TCP either
    assert isinstance(left, SocketTransport)
    left.set_options(user_timeout=1)
    left.send_eof()
    right.abort()
    left.abort()


async def test_a_half_close_of_a_dead_connection_is_quiet() -> None:
    sock = socket.socket()
    transport = SocketTransport(sock, "never connected")
    transport.send_eof()
    transport.abort()


async def test_the_stream_in_memory_is_a_trio_stream() -> None:
    async def make() -> tuple[TransportStream, TransportStream]:
        left, right = memory_transport_pair(10_000)
        return TransportStream(left), TransportStream(right)

    async def make_clogged() -> tuple[TransportStream, TransportStream]:
        left, right = memory_transport_pair(1)
        left.send(b"x")
        right.send(b"x")
        return TransportStream(left), TransportStream(right)

    await trio.testing.check_half_closeable_stream(make, make_clogged)


async def test_the_stream_waits_out_a_false_alarm_and_reports_a_broken_transport() -> None:
    class Fickle:
        peername = "fickle"

        def __init__(self) -> None:
            self.answers: list[OSError] = [BlockingIOError(), ConnectionResetError("reset")]

        def recv_into(self, buffer: bytearray | memoryview, /) -> int:
            raise self.answers.pop(0)

        def send(self, data: bytes | bytearray | memoryview, /) -> int:
            raise BrokenPipeError("gone")

        async def wait_readable(self) -> None:
            await trio.lowlevel.checkpoint()

        async def wait_writable(self) -> None:
            raise trio.ClosedResourceError

        def send_eof(self) -> None:
            raise AssertionError

        def abort(self) -> None:
            pass

    stream = TransportStream(Fickle())
    with pytest.raises(trio.BrokenResourceError, match="reset"):
        await stream.receive_some()
    with pytest.raises(trio.BrokenResourceError, match="gone"):
        await stream.send_all(b"x")
    with pytest.raises(trio.BrokenResourceError):
        await stream.wait_send_all_might_not_block()


class _Rot13:
    """A codec that shows where it stands: it also asks for an acknowledgement of everything it opens."""

    ended = False

    def seal(self, data: bytes, /) -> bytes:
        return data[::-1]

    def open(self, data: bytearray, /) -> tuple[bytes | bytearray, bytes]:
        return data[::-1], b"!"

    def end(self) -> bytes:
        return b"."


async def test_a_codec_stands_between_plain_and_wire_bytes_both_ways(nursery: trio.Nursery) -> None:
    server, client = memory_transport_pair()
    link = Link(server, nursery.start_soon, Limits(), codec=_Rot13())
    client.send(b"olleh")
    assert link.read_nowait() == b"hello"
    link.push(b"dlrow")
    link.finish(b"eyb", eof=True)
    scratch = bytearray(100)
    assert scratch[: client.recv_into(scratch)] == b"!worldbye."
    assert client.recv_into(scratch) == 0


async def test_a_head_is_read_through_a_codec_that_needs_more_bytes_than_it_gives(
    nursery: trio.Nursery,
) -> None:
    class Hesitant(_Rot13):
        """Gives nothing for its first bytes, as TLS does in its handshake."""

        opened = 0

        def open(self, data: bytearray, /) -> tuple[bytes | bytearray, bytes]:
            self.opened += 1
            return (b"", b"!") if self.opened == 1 else (data, b"")

    server, client = memory_transport_pair()
    link = Link(server, nursery.start_soon, Limits(), codec=Hesitant())
    client.send(b"hello")

    async def ask() -> None:
        await trio.testing.wait_all_tasks_blocked()
        client.send(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n")

    nursery.start_soon(ask)
    head = await read_head(Inbound(link), HeadParser(1000))
    assert head is not None
    assert head.path == "/x"


async def test_a_link_reads_no_more_than_it_is_told_and_then_the_end(nursery: trio.Nursery) -> None:
    server, client = memory_transport_pair()
    link = Link(server, nursery.start_soon, Limits())
    client.send(b"0123456789")
    client.send_eof()
    assert link.read_nowait(4) == b"0123"
    assert link.read_nowait() == b"456789"
    assert link.read_nowait() is None
    assert link.peername == "memory client"


async def test_a_link_that_nobody_looks_after_is_aborted_when_it_overflows_or_breaks(
    nursery: trio.Nursery,
) -> None:
    server, client = memory_transport_pair()
    link = Link(server, nursery.start_soon, Limits(max_pending=10))
    assert not link.push(b"x" * 11)
    assert client.recv_into(bytearray(1)) == 0
    server, client = memory_transport_pair()
    link = Link(server, nursery.start_soon, Limits())
    client.abort()
    assert not link.push(b"x")
    with pytest.raises(trio.ClosedResourceError):
        await server.wait_readable()
