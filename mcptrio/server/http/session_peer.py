"""A peer that comes by many requests: what a 2025-11-25 session over HTTP is."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import trio

from mcptrio.protocol import Message, Request
from mcptrio.server.dispatch import Dispatch
from mcptrio.server.http.event_store import STANDING, EventStore
from mcptrio.server.http.post_reply import PostReply
from mcptrio.server.http.response import Response
from mcptrio.server.http.session_wire import SessionWire
from mcptrio.server.peer import Peer
from mcptrio.server.settings import ServerSettings
from mcptrio.server.subscriptions import Subscriptions
from mcptrio.wire.sse import event

_PRIMING_SINCE = "2025-11-25"
"""The first version whose clients know what an event without a message is for."""


class SessionPeer(Peer):
    """A client with a session: its POSTs, its standing stream, and what it has subscribed.

    Requests run in the session's nursery, so they survive the connections that brought them. It ends by the client's
    DELETE, with the server, or when it was without any connection for `session_timeout`; then nothing of it is left.
    """

    wire: SessionWire

    def __init__(
        self,
        name: str,
        version: str,
        settings: ServerSettings,
        changed: Callable[[], None],
        *,
        principal: str | None,
        address: str,
    ) -> None:
        """`version` is the one that the client asks for."""
        self.id = secrets.token_urlsafe(32)
        self._primes = version >= _PRIMING_SINCE
        self._settings = settings
        self._store = EventStore(settings.stored_events, settings.stored_bytes)
        wire = SessionWire(self._store, self._primes)
        super().__init__(
            wire,
            name,
            settings.limits.high_water,
            changed,
            frame=bytes,  # each event has an id of its own: there is nothing that could be made ready for many
            principal=principal,
            address=address,
        )
        self._replies: dict[int, PostReply] = {}
        self._connections = 0
        self._left_at = self.since

    def live(self, dispatch: Dispatch, subscriptions: Subscriptions) -> Awaitable[None]:
        """Be there until the end; requests can be taken when `wire.running` is set."""
        return self.run(dispatch.received, subscriptions.gone)

    @property
    def client_key(self) -> str:
        """Whose session it is, as far as can be told."""
        return self.principal or self.address

    @property
    def is_connected(self) -> bool:
        """Whether somebody has a request or a stream of it open."""
        return self._connections > 0

    def is_behind(self) -> bool:
        """Nobody reads the standing stream, or more is pending than the bound: subscribers wait."""
        return self.wire.stream is None or super().is_behind()

    def push_frames(self, frames: Sequence[bytes]) -> None:
        """Send messages on the standing stream."""
        for frame in frames:
            self.wire.push_text(frame)

    # ---- its requests

    async def post(self, message: Message, dispatch: Dispatch, response: Response) -> None:
        """Take the message of a POST, and answer it as long as its client is there; at once if it is no request."""
        with self._connected():
            reply = PostReply(
                self._store,
                response,
                primes=self._primes,
                is_gone=lambda: self.wire.closed,
                on_stream=self._streaming,
                on_over=lambda reply: self._replies.pop(reply.stream, None),
            )
            dispatch.take(self, message, reply)
            if not isinstance(message, Request):
                response.respond(202, b"")
                return
            try:
                await response.wait(self._settings.stream_after, reply.commit)
            finally:
                reply.detach(response)

    def _streaming(self, reply: PostReply) -> None:
        self._replies[reply.stream] = reply

    async def get(self, last: str | None, subscriptions: Subscriptions, response: Response) -> bool:
        """Carry a stream until its client has gone: the standing one, or the one of `last`, the last event's id.

        False if the session has never sent such an event.
        """
        stream, events, whole = STANDING, [], not self._store.unseen()
        if last is not None:
            replay = self._store.after(last)
            if replay is None:
                return False
            stream, events, whole = replay.stream, replay.events, replay.whole
        with self._connected():
            for each in events:
                response.open().push(event(each.payload, id=each.id))
            reply = self._replies.get(stream)
            carrier = self.wire if stream == STANDING else reply
            if carrier is None:
                response.finish()  # it was answered: that was the last of the events
                return True
            carrier.attach(response)
            if not whole and self.session is not None:
                subscriptions.remind(self.session)
            try:
                await response.wait(0, response.open)
            finally:
                carrier.detach(response)
        return True

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Somebody is there in this block."""
        self._connections += 1
        try:
            yield
        finally:
            self._connections -= 1
            self._left_at = trio.current_time()

    # ---- its end

    def check_deadlines(self, now: float) -> None:
        """End the session if nobody was there for too long."""
        if not self._connections and now - self._left_at >= self._settings.session_timeout:
            self.wire.close(0, "idle")
