"""A transport in memory, and a Trio stream over any transport.

The memory form behaves as a socket does (short sends, half-close, end of bytes) but is driven by Trio alone,
so that a mock clock can drive everything above it: stalls, heartbeats, drains.
"""

import trio

from mcptrio.wire.transport import Transport

__all__ = ["MemoryTransport", "TransportStream", "memory_transport_pair"]

_RECEIVE_BYTES = 65_536


class _Pipe:
    """One direction: at most `capacity` bytes on their way, and at most one task waiting at each end."""

    __slots__ = ("buffer", "capacity", "ended", "gone", "readable", "writable")

    def __init__(self, capacity: int) -> None:
        self.buffer = bytearray()
        self.capacity = capacity
        self.ended = False  # the writer will write no more
        self.gone = False  # the reader will read no more
        self.readable: trio.Event | None = None
        self.writable: trio.Event | None = None

    def wake(self) -> None:
        """Let whoever waits look again."""
        for event in (self.readable, self.writable):
            if event is not None:
                event.set()


class MemoryTransport:
    """One end of a pair made by `memory_transport_pair`."""

    __slots__ = ("_closed", "_incoming", "_outgoing", "peername")

    def __init__(self, incoming: _Pipe, outgoing: _Pipe, peername: str) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._closed = False
        self.peername = peername

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        """Take what is there; see `Transport.recv_into`."""
        pipe = self._incoming
        if self._closed:
            raise OSError("the transport was aborted")
        if not pipe.buffer:
            if pipe.ended:
                return 0
            raise BlockingIOError
        size = min(len(buffer), len(pipe.buffer))
        buffer[:size] = pipe.buffer[:size]
        del pipe.buffer[:size]
        pipe.wake()
        return size

    def send(self, data: bytes | bytearray | memoryview, /) -> int:
        """Put in what fits; see `Transport.send`. Raises `BrokenPipeError` once the peer has aborted."""
        pipe = self._outgoing
        if self._closed or pipe.ended:
            raise OSError("the transport was aborted or half-closed")
        if pipe.gone:
            raise BrokenPipeError("the peer has gone")
        room = pipe.capacity - len(pipe.buffer)
        if room <= 0 and len(data):
            raise BlockingIOError
        part = memoryview(data)[:room]
        pipe.buffer += part
        pipe.wake()
        return len(part)

    async def wait_readable(self) -> None:
        """Wait for bytes or the end of them."""
        pipe = self._incoming
        if pipe.readable is not None:
            raise trio.BusyResourceError("another task is waiting to read")
        await trio.lowlevel.checkpoint()
        while not (self._closed or pipe.buffer or pipe.ended):
            pipe.readable = trio.Event()
            try:
                await pipe.readable.wait()
            finally:
                pipe.readable = None
        if self._closed:
            raise trio.ClosedResourceError("the transport was aborted")

    async def wait_writable(self) -> None:
        """Wait for room, or for the peer to go."""
        pipe = self._outgoing
        if pipe.writable is not None:
            raise trio.BusyResourceError("another task is waiting to write")
        await trio.lowlevel.checkpoint()
        while not (self._closed or pipe.ended or pipe.gone or len(pipe.buffer) < pipe.capacity):
            pipe.writable = trio.Event()
            try:
                await pipe.writable.wait()
            finally:
                pipe.writable = None
        if self._closed:
            raise trio.ClosedResourceError("the transport was aborted")

    def send_eof(self) -> None:
        """End this end's bytes; the peer reads what is on its way, then the end."""
        if not self._closed:
            self._outgoing.ended = True
            self._outgoing.wake()

    def abort(self) -> None:
        """End both directions; the peer reads what is on its way, then the end, and can send no more."""
        if not self._closed:
            self._closed = True
            self._outgoing.ended = True
            self._incoming.gone = True
            self._incoming.buffer.clear()
            self._outgoing.wake()
            self._incoming.wake()


def memory_transport_pair(capacity: int = 65_536) -> tuple[MemoryTransport, MemoryTransport]:
    """Return both ends of a connection in memory that holds `capacity` bytes in each direction.

    By convention the first is the server's and the second the client's: their peer names say so.
    """
    towards_server, towards_client = _Pipe(capacity), _Pipe(capacity)
    return (
        MemoryTransport(towards_server, towards_client, "memory client"),
        MemoryTransport(towards_client, towards_server, "memory server"),
    )


class TransportStream(trio.abc.HalfCloseableStream):
    """A Trio stream over a transport that it owns: what the client's end of a memory connection needs.

    As every Trio stream: a `send_all` that was cancelled has sent an unknown part of its bytes.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self._closed = False
        self._eof_sent = False
        self._sending = False
        self._receiving = False

    def _check(self, *, busy: bool) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this stream was closed")
        if busy:
            raise trio.BusyResourceError("another task is using this stream")

    def _broken(self, error: Exception) -> Exception:
        """What to raise for an error of the transport: whose fault was it?"""
        if self._closed:
            return trio.ClosedResourceError("this stream was closed")
        return trio.BrokenResourceError(f"the connection broke: {error}")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of `data`."""
        self._check(busy=self._sending)
        if self._eof_sent:
            raise trio.ClosedResourceError("this stream's sending side was closed")
        self._sending = True
        try:
            await trio.lowlevel.checkpoint()
            with memoryview(data) as view:
                sent = 0
                while sent < len(view):
                    try:
                        sent += self.transport.send(view[sent:])
                    except BlockingIOError:
                        await self.transport.wait_writable()
        except (OSError, trio.ClosedResourceError) as error:
            raise self._broken(error) from error
        finally:
            self._sending = False

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until a send would probably go through."""
        self._check(busy=self._sending)
        self._sending = True
        try:
            await self.transport.wait_writable()
        except trio.ClosedResourceError as error:
            raise self._broken(error) from error
        finally:
            self._sending = False

    async def send_eof(self) -> None:
        """End the sending side. Idempotent."""
        self._check(busy=self._sending)
        await trio.lowlevel.checkpoint()
        self._eof_sent = True
        self.transport.send_eof()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return the next bytes, at most `max_bytes`; empty at the end of them."""
        if max_bytes is not None and max_bytes < 1:
            raise ValueError("max_bytes must be at least 1")
        self._check(busy=self._receiving)
        buffer = bytearray(_RECEIVE_BYTES if max_bytes is None else max_bytes)
        self._receiving = True
        try:
            while True:
                await self.transport.wait_readable()
                try:
                    size = self.transport.recv_into(buffer)
                except BlockingIOError:
                    continue
                return bytes(buffer[:size])
        except (OSError, trio.ClosedResourceError) as error:
            raise self._broken(error) from error
        finally:
            self._receiving = False

    async def aclose(self) -> None:
        """Abort the transport. Idempotent; closes even if cancelled."""
        self._closed = True
        self.transport.abort()
        await trio.lowlevel.checkpoint()
