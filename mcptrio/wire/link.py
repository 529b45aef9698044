"""One connection's bytes: its transport, its codec and its send buffer, kept together.

Owned by the connection's task. What is spoken over it (a request head, then perhaps a WebSocket) takes turns:
whoever speaks sets the send buffer's callbacks.
"""

import contextlib
import threading
from collections.abc import Awaitable, Callable

import trio

from mcptrio.wire.codec import IDENTITY, Codec
from mcptrio.wire.limits import Limits
from mcptrio.wire.send_buffer import SendBuffer
from mcptrio.wire.transport import Transport

__all__ = ["Link"]


class _Scratch(threading.local):
    """What all connections of a thread read into, one after the other: 64 KiB for each would be too much.

    It holds nothing between two statements: reading and copying out happen without an await in between.
    """

    def __init__(self) -> None:
        self.buffer = bytearray(65_536)


_scratch = _Scratch()


class Link:
    """A connection, as bytes.

    Args:
        transport: owned from now on; `abort` ends it.
        start_soon: starts a task that lives no longer than the connection (the send buffer's drain).
        limits: for the send buffer.
        codec: between plain bytes, which everything here is given and gives, and the wire.
    """

    __slots__ = ("buffer", "codec", "transport", "wait_readable")

    def __init__(
        self,
        transport: Transport,
        start_soon: Callable[[Callable[[], Awaitable[None]]], None],
        limits: Limits,
        codec: Codec = IDENTITY,
    ) -> None:
        self.transport = transport
        self.codec = codec
        self.buffer = SendBuffer(
            transport,
            start_soon,
            high_water=limits.high_water,
            limit=limits.max_pending,
            on_overflow=self.abort,
            on_broken=self._broken,
            codec=codec,
        )
        #: Wait until `read_nowait` has something to say; see `Transport.wait_readable`.
        self.wait_readable = transport.wait_readable if codec is IDENTITY else self._wait_more

    @property
    def secure(self) -> bool:
        """Whether the wire is encrypted."""
        return self.codec is not IDENTITY

    @property
    def peername(self) -> str:
        """Who is at the other end."""
        return self.transport.peername

    def read_nowait(self, limit: int = 65_536) -> bytes | bytearray | None:
        """Take at most `limit` wire bytes and return the plain bytes in them.

        None is the end of the peer's bytes; empty means that what came holds no plain byte (yet).
        Raises `BlockingIOError` if nothing is there, another `OSError` if the connection is broken; it is aborted
        if that is because of what came.
        """
        if self.codec.ended:
            return None
        scratch = _scratch.buffer
        if limit < len(scratch):
            size = self.transport.recv_into(memoryview(scratch)[:limit])
        else:
            size = self.transport.recv_into(scratch)
        if not size:
            return None
        try:
            plain, reply = self.codec.open(scratch[:size])
        except OSError:
            self._say_goodbye()
            self.abort()
            raise
        if reply:
            self.buffer.push_sealed(reply)
        return None if not plain and self.codec.ended else plain

    def push(self, data: bytes) -> bool:
        """Send plain bytes; see `SendBuffer.push`."""
        return self.buffer.push(data)

    def finish(self, last: bytes = b"", *, eof: bool = False) -> None:
        """Send the last plain bytes, refuse all others, and half-close after them if `eof`.

        See `SendBuffer.finish`.
        """
        self.buffer.finish(last, eof=eof)

    def reclaim(self) -> None:
        """Let nobody be told any more of what befalls the connection: who spoke over it has had their turn."""
        if not self.buffer.broken:
            self.buffer.on_overflow = self.abort
            self.buffer.on_broken = self._broken

    def close(self) -> None:
        """End a connection on which nothing is pending: as `abort`, but the codec says goodbye."""
        self.finish()
        self.abort()

    def abort(self) -> None:
        """End the connection at once and drop what is pending. Idempotent; raises nothing."""
        if self.buffer.flushed:
            self._say_goodbye()
        self.buffer.discard()
        self.transport.abort()

    def _say_goodbye(self) -> None:
        if not self.buffer.broken and not self.buffer.pending_bytes and (goodbye := self.codec.end()):
            with contextlib.suppress(OSError):  # what does not go at once is not worth waiting for
                self.transport.send(goodbye)

    def _broken(self, error: OSError) -> None:
        self.transport.abort()

    def _wait_more(self) -> Awaitable[None]:
        # The codec's end of bytes may come without the transport's: then there is nothing to wait for.
        if self.codec.ended:
            return trio.lowlevel.checkpoint()  # noqa: ASYNC105
        return self.transport.wait_readable()
