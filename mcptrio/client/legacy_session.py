"""A session of 2025-11-25."""

from __future__ import annotations

from collections import deque

import trio

from mcptrio.client.call import Call
from mcptrio.client.connection import Connection
from mcptrio.client.errors import ConnectionLost, InvalidResponse
from mcptrio.client.negotiation import Agreed
from mcptrio.client.session import LIST_CHANGED, Session, as_violation, meta_of, uri_of
from mcptrio.client.subscription import LEAVE_TIMEOUT, AnyListener, names_above
from mcptrio.protocol import Failure, RpcError
from mcptrio.protocol.codec import UPDATED
from mcptrio.protocol.extension import CHANGE_KEY, SUBSCRIPTION_URI
from mcptrio.protocol.types import Object

WINDOW = 8
"""How many `resources/subscribe` are in flight at once: below what servers refuse as too many."""

NOT_FOUND = (Failure.RESOURCE_NOT_FOUND.legacy, Failure.RESOURCE_NOT_FOUND.modern)


class LegacySession(Session):
    """2025-11-25: one plain subscription per URI and connection, shared by all who want it; a watch has a name of its own.

    Changes are made one at a time under a lock. `_held` is what the server may believe: True once it has
    confirmed, False while nobody can know. `_wanted` says who would miss what, a watch also the plain URI whose end would be its
    own. Leaving gives back whatever is held and no longer wanted, what an
    earlier, cut attempt left included.
    """

    def __init__(self, connection: Connection, agreed: Agreed) -> None:
        super().__init__(connection, agreed)
        self._listeners: dict[AnyListener, None] = {}
        self._wanted: dict[str, dict[AnyListener, None]] = {}
        self._held: dict[str, bool] = {}
        self._lock = trio.Lock()
        connection.on_missed = self._on_missed

    def _on_missed(self) -> None:
        for listener in self._listeners:
            listener.gap_nowait(self.listed)

    async def ping(self) -> None:
        """`ping`."""
        await self.connection.call("ping", {})

    async def open(self, listener: AnyListener) -> None:
        """`resources/subscribe` for each URI that is not held yet."""
        listener.prepare(self.live, self.connection.url)
        self._listeners[listener] = None
        for uri in (*listener.uris, *listener.keeps):
            self._wanted.setdefault(uri, {})[listener] = None
        try:
            async with self._lock:
                listener.missing = await self._subscribe(listener)
        except BaseException:
            with trio.move_on_after(LEAVE_TIMEOUT, shield=True):
                await self.release(listener)
            raise

    async def release(self, listener: AnyListener) -> None:
        """`resources/unsubscribe` for each URI that nobody wants any more."""
        self._listeners.pop(listener, None)
        for uri in (*listener.uris, *listener.keeps):
            if uri in self._wanted:
                self._wanted[uri].pop(listener, None)
                if not self._wanted[uri]:
                    del self._wanted[uri]
        try:
            async with self._lock:
                for uri in [uri for uri in self._held if uri not in self._wanted]:
                    if uri not in self._wanted:
                        await self._unsubscribe(uri)
        except ConnectionLost:
            self._held.clear()

    async def _subscribe(self, listener: AnyListener) -> tuple[str, ...]:
        missing: list[str] = []
        flying: deque[tuple[str, Call]] = deque()

        async def land() -> None:
            uri, call = flying[0]
            await call.wait()
            flying.popleft()
            try:
                call.outcome()
            except RpcError as error:
                del self._held[uri]
                if not (listener.missing_ok and error.code in NOT_FOUND):
                    raise
                missing.append(uri)
            else:
                self._held[uri] = True

        try:
            for uri in listener.uris:
                if not self._held.get(uri, False):
                    if len(flying) == WINDOW:
                        await land()
                    self._held[uri] = False
                    flying.append((uri, await self._begin(listener, uri)))
            while flying:
                await land()
        finally:
            for _, call in flying:
                self.connection.abandon(call, "no longer wanted")
        await trio.lowlevel.checkpoint()
        return tuple(missing)

    async def _begin(self, listener: AnyListener, uri: str) -> Call:
        def answered() -> None:
            # By the reader, because deliveries follow the answer.
            if call.error is None:
                try:
                    listener.subscribed_nowait(call.outcome())
                except ValueError as error:
                    call.error = InvalidResponse(f"resources/subscribe: no such result: {error}")

        call = await self.connection.begin("resources/subscribe", listener.request(uri), on_done=answered)
        return call

    async def _unsubscribe(self, uri: str) -> None:
        try:
            await self.connection.call("resources/unsubscribe", {"uri": uri})
        except RpcError:
            pass  # whatever it means, trying again would mean the same
        del self._held[uri]

    def _notified(self, method: str, params: Object, size: int) -> None:
        if method == UPDATED:
            uri, meta = uri_of(params), meta_of(params)
            if meta is not None and CHANGE_KEY in meta:
                told = meta[CHANGE_KEY]
                for listener in self._wanted.get(_name(told), ()):
                    with as_violation(UPDATED):
                        listener.changed_nowait(uri, told, size)
                return
            for name in names_above(uri):
                for listener in self._wanted.get(name, ()):
                    listener.updated_nowait(uri, meta_of(params))
        elif (kind := LIST_CHANGED.get(method)) is not None:
            for listener in self._listeners:
                listener.list_changed_nowait(kind)


def _name(told: object) -> str:
    """Under which name the server holds the subscription that a change is for; an empty one if it does not say."""
    label = told.get("label") if isinstance(told, dict) else None
    return f"{SUBSCRIPTION_URI}{label}" if isinstance(label, str) else ""
