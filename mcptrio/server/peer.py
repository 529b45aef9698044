"""A peer: one wire and everything that lives and ends with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog
import trio

from mcptrio.live import Allowance
from mcptrio.protocol import RequestId, Revision, RpcError
from mcptrio.protocol.types import ClientInfo
from mcptrio.server.outstanding import Outstanding
from mcptrio.server.reply import Reply
from mcptrio.server.subscriber import Listen, Session
from mcptrio.wire import text_frame

GOING_AWAY = 1001
INTERNAL_ERROR = 1011
SERVICE_RESTART = 1012

_FAIRNESS = 64
"""Messages of one read that are handled before others get their turn: one read may hold a thousand."""

_LONGEST_NAME = 256
"""Characters kept of a client's name and of its version: a client decides how long they are."""

Key = tuple[type, RequestId]
"""A request id with its type: 1 and "1" are different ids."""

Answer = tuple[bytes, RpcError | None]
"""A request's answer as JSON, and the error that it is, if it is one."""


class PeerWire(Protocol):
    """What a peer needs of its wire: whole messages in, frames out, one way to end."""

    @property
    def pending_bytes(self) -> int:
        """Bytes pushed that the other side has not accepted yet."""

    async def receive(self) -> list[bytes]:
        """The next messages; empty once closed."""

    def push_text(self, payload: bytes) -> bool:
        """Send one message."""

    def push_frame(self, frame: bytes) -> bool:
        """Send ready-made frames."""

    def close(self, code: int, reason: str) -> None:
        """End the wire: synchronous, idempotent, first caller wins."""

    async def wait_below_high_water(self) -> None:
        """Wait until less than the bound is pending, or the wire has ended."""

    async def wait_closed(self) -> None:
        """Wait for the end."""

    def abort(self) -> None:
        """End the wire at once, without a word. Idempotent."""


class Peer:
    """One client on one wire: its tables, its tasks, its end.

    On a wire that carries everything, the peer itself is where each request is answered: it is their `Reply`.

    The reader never waits for a write and runs no handler: what takes time runs as a task in the peer's nursery, under
    a cancel scope found by the request's id. When `run` has returned, nothing of the peer is left.
    """

    def __init__(
        self,
        wire: PeerWire,
        name: str,
        high_water: int,
        changed: Callable[[], None] = lambda: None,
        *,
        frame: Callable[[bytes], bytes] = text_frame,
        principal: str | None = None,
        address: str = "",
        grace: float = 0.0,
    ) -> None:
        """`changed` is called when the peer says who it is, and when its session or a listen begins or ends.

        `frame` makes a message the bytes that `wire.push_frame` takes. `address` is where the peer comes from, without
        what differs between its connections. `grace` is how long (s) running requests may still be answered when the peer
        says that it will send no more.
        """
        self.name = name
        self.wire = wire
        self.changed = changed
        self.frame = frame
        self._grace = grace
        self.since = trio.current_time()
        self.revision: Revision | None = None
        """What it speaks: the revision of its session; without one, of its requests; None before the first."""
        self.client: ClientInfo | None = None
        """Who it says it is. Never trusted."""
        self.principal = principal
        """Who it is, by its token; None for an anonymous one."""
        self.address = address
        self.session: Session | None = None
        self.listens: dict[Key, Listen] = {}
        self.requests: dict[Key, trio.CancelScope] = {}
        self.outstanding = Outstanding()
        """What it was asked and has not answered yet."""
        self.allowance: Allowance | None = None
        """How much may wait of what it has subscribed by the extension; None before the first."""
        self.draining = False
        self._ending = False
        self._high_water = high_water
        self._nursery: trio.Nursery | None = None
        self._parked: list[Callable[[], None]] = []
        self._idle: trio.Event | None = None

    async def run(
        self, received: Callable[[Peer, bytes], None], disconnected: Callable[[Peer], None]
    ) -> None:
        """Hand every message to `received`, in order, until the wire ends; then cancel what still runs.

        `disconnected` is called as soon as the wire has ended, in any case: what the peer subscribed does not wait for
        a handler that takes long to end. The nursery ends with the last of them.
        """
        self._name_in_logs()
        async with trio.open_nursery() as self._nursery:
            try:
                while messages := await self.wire.receive():
                    for number, data in enumerate(messages, 1):
                        received(self, data)
                        if number % _FAIRNESS == 0:
                            await trio.lowlevel.checkpoint()
                if self._grace:
                    await self._wait_idle(self._grace)
            finally:
                self._ending = True
                disconnected(self)
            if self._nursery.child_tasks:
                self._nursery.cancel_scope.cancel(reason=f"{self.name} disconnected")

    def _name_in_logs(self) -> None:
        structlog.contextvars.bind_contextvars(peer=self.name)
        if self.principal is None:
            structlog.contextvars.unbind_contextvars("principal")
        else:
            structlog.contextvars.bind_contextvars(principal=self.principal)

    def introduce(self, revision: Revision, client: ClientInfo | None) -> None:
        """Note what the client speaks and who it says it is; for people, nothing is decided by it."""
        self.revision = revision
        if client is not None:
            self.client = ClientInfo(name=client.name[:_LONGEST_NAME], version=client.version[:_LONGEST_NAME])
        self.changed()

    def start(
        self,
        key: Key,
        label: str,
        scope: trio.CancelScope,
        answer: Callable[[], Awaitable[Answer]],
        reply: Reply,
    ) -> None:
        """Run a request as a task of this peer, in `scope`; its answer goes to `reply` unless it is cancelled by then."""
        assert self._nursery is not None
        self.requests[key] = scope
        self._nursery.start_soon(self._answer, key, answer, scope, reply, name=label)

    async def _answer(
        self, key: Key, answer: Callable[[], Awaitable[Answer]], scope: trio.CancelScope, reply: Reply
    ) -> None:
        # A request of a session is started by whichever connection brought it, and would go by that one's name.
        self._name_in_logs()
        structlog.contextvars.bind_contextvars(request=key[1])
        answered = False
        try:
            with scope:
                payload, error = await answer()
                await reply.wait_not_behind()
                if not scope.cancel_called:
                    answered = True
                    reply.answer(payload, error)
        finally:
            if not answered:
                reply.abandon()
            del self.requests[key]
            if self._idle is not None and not self.requests:
                self._idle.set()
                self._idle = None

    def push(self, payload: bytes) -> None:
        """Send one message; after the wire's end this does nothing."""
        self.wire.push_text(payload)

    def answer(self, payload: bytes, error: RpcError | None = None) -> None:
        """Send the answer of a request, which refuses it if there is an `error`."""
        self.push(payload)

    def abandon(self) -> None:
        """A request will not be answered, because it was cancelled."""

    def close_stream(self, retry: float | None = None) -> None:
        """Nothing: the one way there is stays open."""

    def push_frames(self, frames: Sequence[bytes]) -> None:
        """Send messages made by `frame`; after the wire's end this does nothing."""
        self.wire.push_frame(frames[0] if len(frames) == 1 else b"".join(frames))

    def is_behind(self) -> bool:
        """More is pending than the bound: subscribers and answers wait."""
        return self.wire.pending_bytes >= self._high_water

    async def wait_not_behind(self) -> None:
        """Wait until the peer has accepted enough of what it was sent. A checkpoint in any case."""
        await self.wire.wait_below_high_water()

    def park(self, resume: Callable[[], None]) -> None:
        """Call `resume` once this peer is no longer behind, unless it ends first."""
        if self._ending or self._nursery is None:
            return  # a nursery that is closing takes no more tasks, and nobody will be told anything
        self._parked.append(resume)
        if len(self._parked) == 1:
            self._nursery.start_soon(self._unpark, name=f"{self.name} is behind")

    async def _unpark(self) -> None:
        await self.wire.wait_below_high_water()
        parked, self._parked = self._parked, []
        for resume in parked:
            resume()

    def fail(self) -> None:
        """Close with 1011: a bug of ours has lost what this peer was owed."""
        self.wire.close(INTERNAL_ERROR, "internal error")

    def abort(self) -> None:
        """End at once, without a word. Synchronous and idempotent."""
        self.wire.abort()

    async def drain(self, patience: float) -> None:
        """End politely: running requests get `patience` seconds, then the wire is closed with 1001."""
        await self._wait_idle(patience)
        self.wire.close(GOING_AWAY, "the server is shutting down")
        await self.wire.wait_closed()

    async def _wait_idle(self, patience: float) -> None:
        if self.requests:
            # Two may wait: the client has gone, and then the server ends, too.
            if self._idle is None:
                self._idle = trio.Event()
            with trio.move_on_after(patience):
                await self._idle.wait()
