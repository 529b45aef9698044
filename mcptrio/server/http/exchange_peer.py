"""A peer of one request: what a 2026-07-28 POST is."""

from __future__ import annotations

import trio

from mcptrio.protocol import Message, Revision, RpcError
from mcptrio.server.dispatch import Dispatch
from mcptrio.server.http.response import Headers, Response
from mcptrio.server.http.status import retry_after, status_of
from mcptrio.server.peer import Peer
from mcptrio.server.subscriptions import Subscriptions
from mcptrio.wire.sse import event_frame


class ExchangeWire:
    """One response as a peer's wire. Its first message decides: JSON if that is the answer, else a stream.

    The client's leaving ends it, and with it the peer and all that the request has started.
    """

    def __init__(self, response: Response, patience: float) -> None:
        """`patience` is how long (s) the client waits for the head of the response at most."""
        self.response = response
        self._patience = patience
        self._begun = False
        self._closed: trio.Event | None = None

    @property
    def pending_bytes(self) -> int:
        """Bytes of the stream that the client has not accepted yet."""
        stream = self.response.stream
        return 0 if stream is None else stream.pending_bytes

    async def receive(self) -> list[bytes]:
        """First the sign to begin; then nothing, as soon as the request has been answered or its client has gone."""
        if not self._begun:
            self._begun = True
            return [b""]
        await self.response.wait(self._patience, self.response.open)
        self.response.end()
        if self._closed is not None:
            self._closed.set()
        return []

    def push_text(self, payload: bytes) -> bool:
        """Send a message that is no answer."""
        return self.push_frame(event_frame(payload))

    def push_frame(self, frame: bytes) -> bool:
        """Send messages that are no answers, as frames of the stream."""
        return not self.response.over and self.response.open().push_frame(frame)

    def answer(self, payload: bytes, status: int, headers: Headers) -> None:
        """Send the answer, and end. The first one counts."""
        response = self.response
        if response.over:
            return
        if response.stream is None:
            response.respond(status, payload, headers)
        else:
            response.stream.push_frame(event_frame(payload))
            response.finish()

    def close(self, code: int, reason: str) -> None:
        """End without an answer."""
        self.response.break_off(reason)

    def abort(self) -> None:
        """End at once."""
        self.response.break_off("the server is shutting down")

    async def wait_below_high_water(self) -> None:
        """Wait until the client has accepted enough, or is gone."""
        await trio.lowlevel.checkpoint()
        if self.response.stream is not None:
            await self.response.stream.wait_below_high_water()

    async def wait_closed(self) -> None:
        """Wait for the end."""
        if self.response.over:
            await trio.lowlevel.checkpoint()
        else:
            self._closed = self._closed or trio.Event()
            await self._closed.wait()


class ExchangePeer(Peer):
    """The client of one request, for as long as that takes. Nothing is remembered of it."""

    wire: ExchangeWire

    async def serve(self, message: Message, dispatch: Dispatch, subscriptions: Subscriptions) -> None:
        """Have the request answered; returns when it was, or when its client has gone."""
        await self.run(lambda peer, _: dispatch.take(peer, message, peer), subscriptions.gone)

    def answer(self, payload: bytes, error: RpcError | None = None) -> None:
        """Send the answer with its HTTP status, or as the last event of the stream."""
        self.wire.answer(payload, status_of(error, Revision.MODERN), retry_after(error))
