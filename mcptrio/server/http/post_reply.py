"""A session's POST: where the answer of one 2025-11-25 request goes, whether or not its client is still there."""

from __future__ import annotations

from collections.abc import Callable

import trio

from mcptrio.protocol import Revision, RpcError
from mcptrio.server.http.event_store import EventStore
from mcptrio.server.http.response import TEXT, Response
from mcptrio.server.http.status import retry_after, status_of
from mcptrio.wire.sse import event


class PostReply:
    """The answer of one request in a session, and what comes before it.

    It goes as JSON if it is there soon, else as a stream. What goes by a stream is kept, so that a client that lost
    its connection gets it by coming back with the id of the last event it has seen. No client's leaving cancels it.
    """

    def __init__(
        self,
        store: EventStore,
        response: Response,
        *,
        primes: bool,
        is_gone: Callable[[], bool],
        on_stream: Callable[[PostReply], None],
        on_over: Callable[[PostReply], object],
    ) -> None:
        """`primes`: the client knows what an event without a message means. `is_gone`: the session has ended. The
        callbacks are for whom a client that comes back asks for the stream.
        """
        self.over = False
        self.stream = 0
        """The number of its stream; 0 as long as there is none."""
        self._store = store
        self._response: Response | None = response
        self._primes = primes
        self._is_gone = is_gone
        self._on_stream = on_stream
        self._on_over = on_over

    # ---- what the request does

    def push(self, payload: bytes) -> None:
        """Send a message that belongs to the request."""
        if not self.over:
            self.commit()
            self._send(payload)

    def answer(self, payload: bytes, error: RpcError | None = None) -> None:
        """Send the answer; in a stream it is kept for a client that has gone and may come back."""
        if self.over:
            return
        status = status_of(error, Revision.LEGACY)
        if self._response is not None and self._response.prefers_stream and error is None:
            self.commit()
        if self.stream:
            self._send(payload)
        elif self._response is not None:
            self._response.respond(status, payload, retry_after(error), refused=error is not None)
        self._end()

    def abandon(self) -> None:
        """There will be no answer: the response ends without one."""
        if not self.over:
            if not self.stream and self._response is not None:
                # A client that cancelled waits for nothing; one whose session has ended has to know.
                self._response.respond(404 if self._is_gone() else 202, b"", content_type=TEXT)
            self._end()

    def close_stream(self, retry: float | None = None) -> None:
        """End the response now; the client comes back for the rest, `retry` seconds later if that is given.

        Nothing happens where the client would not know how.
        """
        if self.over or self._response is None or not self._primes:
            return
        self.commit()
        if retry is not None:
            mark = self._store.mark(self.stream)
            self._response.open().push(event(b"", id=mark, retry=round(retry * 1000)))
        self._response.finish()
        self._response = None

    async def wait_not_behind(self) -> None:
        """Wait until the client has accepted enough; not for one that has gone."""
        await trio.lowlevel.checkpoint()
        if self._response is not None and self._response.stream is not None:
            await self._response.stream.wait_below_high_water()

    # ---- what the session does

    def commit(self) -> None:
        """Begin the stream, with an event that a client can come back to. Idempotent."""
        if not self.stream and not self.over:
            self.stream = self._store.open_stream()
            self._on_stream(self)
            if self._response is not None:
                stream = self._response.open()
                if self._primes:
                    stream.push(event(b"", id=self._store.mark(self.stream)))

    def attach(self, response: Response) -> None:
        """Go on with the stream in another response: its client has come back. The former one ends."""
        if self._response is not None:
            self._response.finish()
        self._response = response

    def detach(self, response: Response) -> None:
        """The client of this response has gone. Idempotent."""
        if self._response is response:
            self._response = None

    def _send(self, payload: bytes) -> None:
        sent = self._store.append(self.stream, payload)
        if self._response is not None:
            self._response.open().push(event(payload, id=sent.id))

    def _end(self) -> None:
        self.over = True
        if self._response is not None:
            self._response.finish()
            self._response = None
        self._on_over(self)
