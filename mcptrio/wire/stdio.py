"""Messages over a plain flow of bytes: one message is one line. What MCP calls stdio.

Owned by the connection's task, which alone calls `receive`. Everything else is synchronous and may be called from any
task of the same Trio run.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from mcptrio.wire.limits import Limits
from mcptrio.wire.link import Link

__all__ = ["LineSplitter", "StdioWire", "line"]

_ABNORMAL, _POLICY = 1006, 1008


def line(payload: bytes) -> bytes:
    """Return the line that carries `payload`, a JSON text.

    A line break in it can only stand between two tokens, since JSON strings hold none, and becomes a blank.
    """
    return payload.replace(b"\n", b" ") + b"\n"


class LineSplitter:
    """Cuts bytes into lines of at most `limit` bytes; of a longer one nothing is kept, and `on_oversized` is called.

    Line ends are LF or CRLF and not part of the line; lines of blanks are left out.
    """

    def __init__(self, limit: int, on_oversized: Callable[[], None]) -> None:
        self._limit = limit
        self._on_oversized = on_oversized
        self._parts: list[bytes] = []
        self._size = 0
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes, in order."""
        *ended, rest = data.split(b"\n")
        lines: list[bytes] = []
        for part in ended:
            self._add(part)
            self._complete(lines)
        self._add(rest)
        return lines

    def end(self) -> list[bytes]:
        """Return the last line, if there is one that no line end has followed."""
        lines: list[bytes] = []
        self._complete(lines)
        return lines

    def _add(self, part: bytes) -> None:
        if part and not self._skipping:
            self._size += len(part)
            if self._size > self._limit + 1:  # the CR of a line end may be in it
                self._skip()
            else:
                self._parts.append(part)

    def _complete(self, lines: list[bytes]) -> None:
        if self._skipping:
            self._skipping = False
            return
        whole = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        whole = whole.removesuffix(b"\r")
        if len(whole) > self._limit:
            self._on_oversized()
        elif whole and not whole.isspace():
            lines.append(whole)

    def _skip(self) -> None:
        self._skipping = True
        self._parts.clear()
        self._size = 0
        self._on_oversized()


class StdioWire:
    """Messages to and from one client, as lines.

    How it ends, first come first served; `close_code` and `close_reason` say which it was, in a WebSocket's codes:

    - `close`, also by whoever reads when the client's bytes have ended: what is pending still goes out, within
      `close_timeout`;
    - the client is too slow: 1008 "too far behind" with `max_pending` bytes pending, 1008 "stalled" when it accepts no
      byte for `stall_timeout`;
    - nothing can be sent or received any more (the client has closed its end), or `abort` is called: 1006.

    Args:
        link: the connection's bytes, aborted in the end.
        limits: see above. A line longer than `max_message` is dropped; the wire goes on.
        on_oversized: called for each line that was dropped.
        on_closed: called once, when it has ended.
    """

    def __init__(
        self,
        link: Link,
        *,
        limits: Limits,
        on_oversized: Callable[[], None],
        on_closed: Callable[[StdioWire], None],
    ) -> None:
        self._link = link
        self._buffer = link.buffer
        self._buffer.on_overflow = self._overflowed
        self._buffer.on_broken = self._broken
        self._limits = limits
        self._splitter = LineSplitter(limits.max_message, on_oversized)
        self._on_closed = on_closed
        self._input_ended = False
        self._ended = trio.Event()
        self._deadline = 0.0
        self.close_code: int | None = None
        self.close_reason = ""

    @property
    def pending_bytes(self) -> int:
        """Bytes that were pushed and not yet accepted by the transport."""
        return self._buffer.pending_bytes

    @property
    def closed(self) -> bool:
        """Whether it has ended. (After `close` this takes a moment; `close_code` is set at once.)"""
        return self._ended.is_set()

    async def receive(self) -> list[bytes]:
        """Return the lines completed by the next read, in order; empty when the client's bytes have ended, or once closed.

        Every read is a checkpoint. Nothing is lost if it is cancelled. At most one task may call it.
        """
        while self.close_code is None and not self._input_ended:
            try:
                await self._link.wait_readable()
                data = self._link.read_nowait()
            except BlockingIOError:
                continue
            except (OSError, trio.ClosedResourceError):
                self._lose()
                break
            if data is None:
                self._input_ended = True
                lines = self._splitter.end()
            else:
                lines = self._splitter.feed(bytes(data))
            if lines and self.close_code is None:
                return lines
        if self._input_ended:
            # What is still to be said may be said: whoever reads this closes.
            await trio.lowlevel.checkpoint()
        else:
            await self._ended.wait()
        return []

    def push_text(self, payload: bytes) -> bool:
        """Send one message; see `push_frame`."""
        return self._buffer.push(line(payload))

    def push_frame(self, frame: bytes) -> bool:
        """Send ready lines (`line`, or several of them joined), after all that was pushed before.

        Returns whether they were taken: not once it is closing, and not beyond `max_pending` (which closes it).
        """
        return self._buffer.push(frame)

    def close(self, code: int, reason: str = "") -> None:
        """Refuse every push from now on; end when what is pending has gone, or `close_timeout` later.

        The first caller wins, and whatever ended it before wins too. The client is told neither code nor reason.
        """
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason
            self._deadline = trio.current_time() + self._limits.close_timeout
            self._buffer.on_flushed = self.abort
            self._link.finish()

    def abort(self) -> None:
        """End at once; what is pending is dropped. Idempotent; raises nothing."""
        if self.closed:
            return
        if self.close_code is None:
            self.close_code, self.close_reason = _ABNORMAL, "aborted"
        self._ended.set()
        self._link.abort()
        self._on_closed(self)

    async def wait_below_high_water(self) -> None:
        """Wait until fewer than `high_water` bytes are pending, or it has ended."""
        await self._buffer.wait_below_high_water()

    async def wait_closed(self) -> None:
        """Wait for the end."""
        await self._ended.wait()

    def check_deadlines(self, now: float) -> None:
        """Do what is due at `now` (Trio's clock): give up a client that reads nothing, or end an unfinished close."""
        if self.closed:
            return
        if self.close_code is not None:
            if now >= self._deadline:
                self.abort()
        elif self._buffer.pending_bytes and now - self._buffer.last_accepted_at >= self._limits.stall_timeout:
            self.close_code, self.close_reason = _POLICY, "stalled"
            self.abort()

    def _overflowed(self) -> None:
        self.close(_POLICY, "too far behind")

    def _broken(self, error: OSError) -> None:
        self._lose()

    def _lose(self) -> None:
        """Nothing comes or goes any more, because the client has gone, unless a close was under way."""
        if self.close_code is None:
            self.close_code, self.close_reason = _ABNORMAL, "connection lost"
        self.abort()
