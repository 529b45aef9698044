"""A session's standing stream: what GET opens, and what belongs to no request goes by."""

from __future__ import annotations

import trio

from mcptrio.server.http.event_store import STANDING, EventStore
from mcptrio.server.http.response import Response
from mcptrio.wire.response_stream import ResponseStream
from mcptrio.wire.sse import event


class SessionWire:
    """The standing stream as a peer's wire: over one GET after the other, or none for a while.

    While there is none, messages wait in their subscribers' outboxes, where they merge and the last is not lost.
    """

    def __init__(self, store: EventStore, primes: bool) -> None:
        """`primes`: the client knows what an event without a message means."""
        self.closed = False
        self.running = trio.Event()
        """Set when the peer can take requests."""
        self.gone = trio.Event()
        """Set when nothing is left of the session."""
        self._store = store
        self._primes = primes
        self._response: Response | None = None
        self._ended = trio.Event()
        self._changed = trio.Event()

    @property
    def stream(self) -> ResponseStream | None:
        """What goes to the client now; None while nobody reads."""
        response = self._response
        if response is None or response.over or response.stream is None or response.stream.closed:
            return None
        return response.stream

    @property
    def pending_bytes(self) -> int:
        """Bytes of the standing stream that the client has not accepted yet."""
        return 0 if self.stream is None else self.stream.pending_bytes

    def attach(self, response: Response) -> None:
        """Go on in this response; the former one ends, for a message goes by one stream only."""
        if self._response is not None:
            self._response.finish()
        self._response = response
        stream = response.open()
        if self._primes:
            stream.push(event(b"", id=self._store.mark(STANDING)))
        self._changed.set()

    def detach(self, response: Response) -> None:
        """The client of this response has gone. Idempotent."""
        if self._response is response:
            self._response = None

    async def receive(self) -> list[bytes]:
        """Nothing, at the end: what the client sends comes by its POSTs."""
        self.running.set()
        await self._ended.wait()
        return []

    def push_text(self, payload: bytes) -> bool:
        """Send one message; it is kept for a client that comes back."""
        sent = self._store.append(STANDING, payload)
        return self.stream is not None and self.stream.push(event(payload, id=sent.id))

    def push_frame(self, frame: bytes) -> bool:
        """As `push_text`: an event's id is the session's own, so there are no ready-made frames."""
        return self.push_text(frame)

    def close(self, code: int, reason: str) -> None:
        """End the session. Idempotent."""
        if not self.closed:
            self.closed = True
            if self._response is not None:
                self._response.finish()
            self._ended.set()
            self._changed.set()

    def abort(self) -> None:
        """End the session."""
        self.close(0, "")

    async def wait_below_high_water(self) -> None:
        """Wait until somebody reads and has accepted enough, or the session has ended."""
        await trio.lowlevel.checkpoint()
        while not self.closed:
            stream = self.stream
            if stream is None:
                if self._changed.is_set():
                    self._changed = trio.Event()
                await self._changed.wait()
            else:
                await stream.wait_below_high_water()
                if stream is self.stream:
                    return

    async def wait_closed(self) -> None:
        """Wait for the end."""
        await self._ended.wait()
