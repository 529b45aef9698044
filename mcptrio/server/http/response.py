"""The response to one HTTP request, as JSON or as a stream of events, and the wait for its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from mcptrio.wire import Exchange
from mcptrio.wire.response_stream import ResponseStream

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
TEXT = "text/plain; charset=utf-8"

_COMMENT = b":\n\n"  # what an idle stream is kept open by
_STREAM_HEADERS = (("Cache-Control", "no-store"), ("X-Accel-Buffering", "no"))

_MOMENT = 4
"""Steps that an answer may take before the client's leaving is watched for, which costs more than all of them."""

Headers = Sequence[tuple[str, str]]


class Response:
    """What one HTTP request is answered with: once, by `respond`, or by a stream that `open` begins.

    `wait` is to be called by the connection's task: it returns when the response is over or its client has gone.
    """

    __slots__ = ("_exchange", "_scope", "headers", "over", "prefers_stream", "promises", "stream")

    def __init__(self, exchange: Exchange, headers: Headers, *, prefers_stream: bool = False) -> None:
        """`headers` go with the response in either form; more may be added before it is answered."""
        self._exchange = exchange
        self.headers = list(headers)
        self.promises: list[tuple[str, str]] = []
        """Fields that go with it too, unless it refuses the request."""
        self._scope: trio.CancelScope | None = None
        self.prefers_stream = prefers_stream
        """Whether the client would rather have a stream, where that can be resumed."""
        self.over = False
        self.stream: ResponseStream | None = None

    def open(self) -> ResponseStream:
        """The stream; it is begun if it was not."""
        if self.stream is None:
            self.stream = self._exchange.open_stream(
                content_type=EVENT_STREAM,
                headers=[*_STREAM_HEADERS, *self.headers, *self.promises],
                idle_chunk=_COMMENT,
            )
        return self.stream

    def respond(
        self,
        status: int,
        payload: bytes,
        headers: Headers = (),
        *,
        content_type: str = JSON,
        refused: bool = False,
    ) -> None:
        """Answer in one piece, and end. Not after `open`."""
        promises = [] if refused else self.promises
        fields = [*self.headers, *promises, *headers]
        self._exchange.respond(status, payload, content_type=content_type, headers=fields)
        self.end()

    def finish(self) -> None:
        """End, and with it the stream if there is one. Idempotent."""
        if self.stream is not None:
            self.stream.finish()
        self.end()

    def break_off(self, reason: str) -> None:
        """End without an answer: 503 if nothing was sent, else the stream breaks off. Idempotent."""
        if self.over:
            return
        if self.stream is None:
            self.respond(503, f"{reason}\n".encode(), [("Retry-After", "5")], content_type=TEXT)
        else:
            self.stream.abort()
            self.end()

    def end(self) -> None:
        """Let `wait` return. Idempotent."""
        self.over = True
        if self._scope is not None:
            self._scope.cancel(reason="the response has ended")

    async def wait(self, patience: float, on_late: Callable[[], object]) -> None:
        """Wait until it is over or the client has gone; after `patience` seconds without a stream, call `on_late`."""
        for _ in range(_MOMENT):
            await trio.lowlevel.checkpoint()
            if self.over:
                return
        with trio.CancelScope() as self._scope:
            if self.stream is None:
                with trio.move_on_after(patience) as scope:
                    await self._exchange.wait_disconnected()
                if not scope.cancelled_caught:
                    return
                on_late()
            await self._exchange.wait_disconnected()
