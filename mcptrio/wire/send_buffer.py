"""What one peer is still to be sent: ready bytes, first in first out, bounded.

Only the SendBuffer touches the sending side of its transport. Everything that changes it is synchronous, so any
task may push, the connection's reader too. A task exists only while something is queued.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from mcptrio.wire.codec import IDENTITY, Codec
from mcptrio.wire.transport import Transport

__all__ = ["SendBuffer", "SendBufferStatistics"]

_GATHER_BYTES = 65_536


def _ignore(*_: object) -> None:
    """What a discarded buffer has to tell, and to whom."""


@dataclass(frozen=True, slots=True)
class SendBufferStatistics:
    """A look at a SendBuffer: bytes and pushes pending, and whether it still takes more."""

    pending_bytes: int
    pending_pushes: int
    open: bool
    broken: bool


class SendBuffer:
    """The bytes that wait for one transport.

    Bytes leave in the order of their pushes, each push whole or, when the transport breaks, cut for ever.

    Args:
        transport: where the bytes go.
        start_soon: starts the drain task; a nursery's `start_soon` that lives as long as the connection.
        high_water: `wait_below_high_water` waits for fewer pending bytes than this.
        limit: a push that would take the pending bytes beyond this is refused, and `on_overflow` called, once; but
            below `high_water` any push is taken that is itself within the limit, since its producer has waited.
        on_overflow: must end the peer; usually by `finish` with a close frame.
        on_broken: called once, with the error, when a send fails; all that was pending is gone.
        codec: seals what was taken, once, just before it is sent or queued: what is refused was never sealed.

    `on_flushed` may be set: it is called once, after `finish`, when the last byte was handed to the transport.
    All callbacks are synchronous and must not raise.
    """

    __slots__ = (
        "_codec",
        "_empty",
        "_eof",
        "_finished",
        "_limit",
        "_low",
        "_overflowed",
        "_patient_below",
        "_queue",
        "_send",
        "_start_soon",
        "_transport",
        "broken",
        "high_water",
        "last_accepted_at",
        "on_broken",
        "on_flushed",
        "on_overflow",
        "pending_bytes",
    )

    def __init__(
        self,
        transport: Transport,
        start_soon: Callable[[Callable[[], Awaitable[None]]], None],
        *,
        high_water: int,
        limit: int,
        on_overflow: Callable[[], None],
        on_broken: Callable[[OSError], None],
        codec: Codec = IDENTITY,
    ) -> None:
        self._transport = transport
        self._send = transport.send
        self._start_soon = start_soon
        self._codec = None if codec is IDENTITY else codec
        self._limit = limit
        # A list, not a deque: an empty one costs a tenth, and thousands of them are empty.
        self._queue: list[bytes | memoryview] = []
        self._finished = False
        self._overflowed = False
        self._eof = False
        self._low: trio.Event | None = None
        self._empty: trio.Event | None = None
        self.on_overflow = on_overflow
        self.on_broken = on_broken
        self.on_flushed: Callable[[], None] | None = None
        self.high_water = high_water
        self._patient_below = high_water if high_water < limit else 0
        self.pending_bytes = 0
        self.broken = False
        #: When the transport last took a byte of a backlog, or the backlog began (Trio's clock). It means
        #: something only while bytes are pending: a push that goes straight through does not look at the clock.
        self.last_accepted_at = 0.0

    def push(self, data: bytes) -> bool:
        """Send `data`, after all that was pushed before; return whether it was taken.

        Taken is not delivered. Refused are: everything after `finish`, `discard` or a broken send, and what
        exceeds the limit.
        """
        if self._finished:
            return False
        if self._queue:
            # One who is not behind may be sent anything that may be sent at all: producers who waited are not punished.
            if self.pending_bytes + len(data) > self._limit and (
                self.pending_bytes >= self._patient_below or len(data) > self._limit
            ):
                self._overflow()
                return False
            if self._codec is not None:
                data = self._codec.seal(data)
            self._queue.append(data)
            self.pending_bytes += len(data)
            return True
        if len(data) > self._limit:
            self._overflow()
            return False
        if self._codec is not None:
            data = self._codec.seal(data)
        return self._send_or_queue(data)

    def push_sealed(self, data: bytes) -> None:
        """Send wire bytes that the codec itself wants sent, after all that was pushed before."""
        if not self._finished:
            codec, self._codec = self._codec, None
            self.push(data)
            self._codec = codec

    def finish(self, last: bytes = b"", *, eof: bool = False) -> None:
        """Take `last` as the last bytes (beyond the limit, if need be) and refuse every push from now on.

        With `eof` the transport is half-closed after them. May be called again, to ask for the half-close
        only: then `last` is ignored. `on_flushed` is called when everything has gone, perhaps before this
        returns.
        """
        if self.broken or (self._finished and (self._eof or not eof)):
            return
        if self._finished:
            last = b""
        elif last and self._codec is not None:
            last = self._codec.seal(last)
        if eof and self._codec is not None:
            last += self._codec.end()
        self._finished = True
        self._eof = self._eof or eof
        if self._queue:
            if last:
                self._queue.append(last)
                self.pending_bytes += len(last)
        elif (not last or self._send_or_queue(last)) and not self._queue:
            self._flushed()

    @property
    def flushed(self) -> bool:
        """Whether `finish` was called and all has gone (or was dropped)."""
        return self._finished and not self._queue

    def discard(self) -> None:
        """Drop what is pending and refuse every push: the connection is over. Idempotent; calls nothing back."""
        self.broken = True
        self._finished = True
        self._queue.clear()
        self.pending_bytes = 0
        # Whom they belong to often holds this buffer: let it go without the garbage collector.
        self.on_overflow = self.on_broken = _ignore
        self.on_flushed = None
        self._wake()

    async def wait_below_high_water(self) -> None:
        """Wait until fewer than `high_water` bytes are pending, or nothing can be sent any more.

        A checkpoint in any case, and none between finding that and returning: all who wait are woken at once, and what
        the first of them pushes holds back the others.
        """
        await trio.lowlevel.checkpoint()
        while self.pending_bytes >= self.high_water:
            if self._low is None:
                self._low = trio.Event()
            await self._low.wait()

    async def wait_empty(self) -> None:
        """Wait until nothing is pending: all was handed to the transport, or dropped (`broken` tells)."""
        while self._queue:
            if self._empty is None:
                self._empty = trio.Event()
            await self._empty.wait()
        await trio.lowlevel.checkpoint()

    def statistics(self) -> SendBufferStatistics:
        """Return a look at it."""
        return SendBufferStatistics(self.pending_bytes, len(self._queue), not self._finished, self.broken)

    def _send_or_queue(self, data: bytes) -> bool:
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._break(error)
            return False
        if sent < len(data):
            self._queue.append(memoryview(data)[sent:] if sent else data)
            self.pending_bytes = len(data) - sent
            self.last_accepted_at = trio.current_time()
            self._start_soon(self._drain)
        return True

    async def _drain(self) -> None:
        """Send what is queued as the transport takes it; ends when nothing is.

        There is no await between the send that empties the queue and the end, so a push that finds the queue
        empty finds no drain task either, and starts one.
        """
        try:
            while self._queue:
                await self._transport.wait_writable()
                self._send_some()
        except trio.ClosedResourceError:
            self.discard()  # aborted by whoever owns the connection, who knows

    def _send_some(self) -> None:
        """Send one piece, many small pushes joined: one call of the kernel per small push would cost the most."""
        queue = self._queue
        if not queue:  # discarded meanwhile
            return
        if len(queue) > 1:
            size = count = 0
            while count < len(queue) and size < _GATHER_BYTES:
                size += len(queue[count])
                count += 1
            queue[:count] = [b"".join(queue[:count])]
        piece = queue[0]
        try:
            sent = self._send(piece)
        except BlockingIOError:
            return
        except OSError as error:
            self._break(error)
            return
        self.pending_bytes -= sent
        self.last_accepted_at = trio.current_time()
        if sent < len(piece):
            queue[0] = memoryview(piece)[sent:]
        else:
            del queue[0]
        if self._low is not None and self.pending_bytes < self.high_water:
            self._low.set()
            self._low = None
        if not queue:
            self._wake()
            if self._finished:
                self._flushed()

    def _flushed(self) -> None:
        if self._eof:
            self._transport.send_eof()
        on_flushed, self.on_flushed = self.on_flushed, None
        if on_flushed is not None:
            on_flushed()

    def _overflow(self) -> None:
        if not self._overflowed:
            self._overflowed = True
            self.on_overflow()

    def _break(self, error: OSError) -> None:
        on_broken = self.on_broken
        self.discard()
        on_broken(error)

    def _wake(self) -> None:
        for event in (self._low, self._empty):
            if event is not None:
                event.set()
        self._low = self._empty = None
