"""A response that goes on: pieces pushed as they come up, for as long as the client stays.

Everything but waiting is synchronous and may be called from any task of the same Trio run. It has no task of its own:
its deadlines are the `Sweeper`'s, and who wants to know that the client has gone asks `Exchange.wait_disconnected`.
"""

from collections.abc import Callable

import trio

from mcptrio.wire.limits import Limits
from mcptrio.wire.link import Link
from mcptrio.wire.sse import LAST_CHUNK, chunk, unchunk

__all__ = ["ResponseStream"]


class ResponseStream:
    """The body of one response, in pieces.

    What is pushed leaves in that order, until the stream is closed. How it closes, first come first served:

    - `finish`: the body is complete; the connection may serve another request;
    - `abort`: the connection ends at once, which tells the client that the body is not complete. So do, with the
      word in `close_reason`: "too far behind" with `max_pending` bytes pending, "stalled" when the client accepts no
      byte for `stall_timeout`, "connection lost" when a send fails.

    Args:
        link: the connection's bytes; the head was pushed.
        limits: see above.
        framed: in chunks; else the end of the connection is the end of the body (HTTP/1.0).
        idle_chunk: sent when nothing was pushed for `comment_interval`; empty for nothing.
        on_gone: called once, when there is nothing left to watch over: see `gone`.
    """

    __slots__ = (
        "_buffer",
        "_changed",
        "_framed",
        "_idle_chunk",
        "_limits",
        "_link",
        "_on_gone",
        "_pushed",
        "_quiet_since",
        "close_reason",
        "closed",
        "gone",
    )

    def __init__(
        self,
        link: Link,
        *,
        limits: Limits,
        framed: bool = True,
        idle_chunk: bytes = b"",
        on_gone: Callable[["ResponseStream"], None] | None = None,
    ) -> None:
        self._link = link
        self._buffer = link.buffer
        self._buffer.on_overflow = self._overflowed
        self._buffer.on_broken = self._broken
        self._limits = limits
        self._framed = framed
        self._idle_chunk = idle_chunk
        self._on_gone = on_gone
        self._pushed = True
        self._quiet_since = 0.0
        self._changed: trio.Event | None = None
        #: Whether it takes no more: finished, aborted or broken.
        self.closed = False
        #: Whether, moreover, its bytes have left or were dropped: the connection is another's, or has ended.
        self.gone = False
        #: Why it was aborted; empty after `finish`.
        self.close_reason = ""

    @property
    def pending_bytes(self) -> int:
        """Bytes that were pushed and not yet accepted by the transport."""
        return 0 if self.gone else self._buffer.pending_bytes

    def push(self, data: bytes) -> bool:
        """Send `data`, unless empty, as the next piece; see `push_frame`."""
        if not data:
            return not self.closed
        return self.push_frame(chunk(data))

    def push_frame(self, frame: bytes) -> bool:
        """Send ready chunks (`sse.chunk`, or several of them joined), after all that was pushed before.

        Returns whether they were taken: not once it is closed, and not beyond `max_pending` (which aborts it).
        """
        if self.closed:
            return False
        self._pushed = True
        return self._buffer.push(frame if self._framed else unchunk(frame))

    def finish(self, last: bytes = b"") -> None:
        """Complete the body, with `last` as its last piece unless that is empty. Idempotent: the first end wins."""
        if last:
            self.push(last)
        if not self.closed:
            if self._framed:
                self._buffer.push(LAST_CHUNK)
            self._close("")

    def abort(self, reason: str = "aborted") -> None:
        """End the connection at once; what is pending is dropped, of a finished stream too. Raises nothing."""
        if not self.gone:
            self._close(reason)
            self._link.abort()
            self.release()

    async def wait_below_high_water(self) -> None:
        """Wait until fewer than `high_water` bytes are pending, or it is closed."""
        await self._buffer.wait_below_high_water()

    async def wait_closed(self) -> None:
        """Wait until it is closed. Sends that fail are noticed, a client that goes in silence is not."""
        if not self.closed:
            if self._changed is None:
                self._changed = trio.Event()
            await self._changed.wait()
        else:
            await trio.lowlevel.checkpoint()

    def release(self) -> None:
        """Give its connection back: what it was to send has left, or was dropped. Idempotent."""
        if not self.gone:
            self.gone = True
            self._link.reclaim()
            if self._on_gone is not None:
                self._on_gone(self)

    def check_deadlines(self, now: float) -> None:
        """Do what is due at `now` (Trio's clock): give up a client that takes nothing, or send the idle chunk."""
        limits = self._limits
        if self._buffer.pending_bytes:
            if now - self._buffer.last_accepted_at >= limits.stall_timeout:
                self.abort("stalled")
        elif self._pushed:
            # Noting the time here and not at every push is exact enough, and free.
            self._pushed = False
            self._quiet_since = now
        elif self._idle_chunk and not self.closed and now - self._quiet_since >= limits.comment_interval:
            self.push(self._idle_chunk)

    def _overflowed(self) -> None:
        self.abort("too far behind")

    def _broken(self, error: OSError) -> None:
        self.abort("connection lost")

    def _close(self, reason: str) -> None:
        if self.closed:
            # Finished, but not gone yet: that it was cut is the better answer to how it ended.
            self.close_reason = self.close_reason or reason
            return
        self.closed = True
        self.close_reason = reason
        if self._changed is not None:
            self._changed.set()
