"""What one connection means once its revision is agreed on: requests in its form, and subscriptions.

A session lives as long as its connection and is owned by the client. Its tables are changed by tasks that
enter and leave subscriptions and read by the connection's reader, always without a checkpoint in between.
"""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Callable, Mapping

import msgspec
import trio
from msgspec import UNSET

from mcptrio.client.call import Call, OnProgress
from mcptrio.client.connection import Connection
from mcptrio.client.errors import ConnectionLost
from mcptrio.client.negotiation import Agreed, envelope
from mcptrio.client.subscription import LEAVE_TIMEOUT, LIST_KINDS, AnyListener, ListKind, names_above
from mcptrio.protocol import Failure, Notification, ProtocolError, RequestId, RpcError
from mcptrio.protocol.codec import ACKNOWLEDGED, UPDATED
from mcptrio.protocol.envelope import SUBSCRIPTION_ID_KEY
from mcptrio.protocol.params import SubscriptionFilter
from mcptrio.protocol.types import Implementation, Object

WINDOW = 8
"""How many `resources/subscribe` are in flight at once: below what servers refuse as too many."""

_LIST_CHANGED: dict[str, ListKind] = {f"notifications/{kind}/list_changed": kind for kind in LIST_KINDS}
_NOT_FOUND = (Failure.RESOURCE_NOT_FOUND.legacy, Failure.RESOURCE_NOT_FOUND.modern)


class Session(abc.ABC):
    """A connection with a revision. `open` and `release` are the two ends of a subscription."""

    def __init__(self, connection: Connection, agreed: Agreed) -> None:
        self.connection = connection
        self.agreed = agreed
        connection.on_notification = self._on_notification

    @property
    def listed(self) -> frozenset[str]:
        """The lists whose changes the server announces."""
        return frozenset(kind for kind in LIST_KINDS if _declares(self.agreed.capabilities, kind))

    def params(self, params: Mapping[str, object]) -> Mapping[str, object]:
        """The params of a request as this revision wants them."""
        return params

    async def call(
        self, method: str, params: Mapping[str, object], on_progress: OnProgress | None = None
    ) -> msgspec.Raw:
        """As `Connection.call`."""
        return await self.connection.call(method, self.params(params), on_progress=on_progress)

    @abc.abstractmethod
    async def ping(self) -> None:
        """One round trip to the server and back."""

    @abc.abstractmethod
    async def open(self, listener: AnyListener) -> None:
        """Subscribe; returns once the server has confirmed. If it fails or is cut, nothing is left behind.

        Raises:
            RpcError: the server refused, or does not offer one of the URIs. ConnectionLost.
        """

    @abc.abstractmethod
    async def release(self, listener: AnyListener) -> None:
        """Unsubscribe. Deliveries stop at once; the caller bounds the rest. No-op if not open."""

    @abc.abstractmethod
    def _notified(self, method: str, params: Object) -> None:
        """A notification came."""

    def _on_notification(self, notification: Notification) -> None:
        if notification.params is None:
            params: Object = {}
        else:
            try:
                params = msgspec.json.decode(notification.params, type=dict[str, object])
            except (msgspec.MsgspecError, RecursionError) as error:
                raise ProtocolError(Failure.INVALID_PARAMS, f"Invalid params: {error}") from None
        self._notified(notification.method, params)


class LegacySession(Session):
    """2025-11-25: one subscription per URI and connection, shared by all who want it.

    Changes are made one at a time under a lock. `_held` is what the server may believe: True once it has
    confirmed, False while nobody can know. Leaving gives back whatever is held and no longer wanted, what an
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
        self._listeners[listener] = None
        for uri in listener.uris:
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
        for uri in listener.uris:
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
                if not (listener.missing_ok and error.code in _NOT_FOUND):
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
                    flying.append((uri, await self.connection.begin("resources/subscribe", {"uri": uri})))
            while flying:
                await land()
        finally:
            for _, call in flying:
                self.connection.abandon(call, "no longer wanted")
        await trio.lowlevel.checkpoint()
        return tuple(missing)

    async def _unsubscribe(self, uri: str) -> None:
        try:
            await self.connection.call("resources/unsubscribe", {"uri": uri})
        except RpcError:
            pass  # whatever it means, trying again would mean the same
        del self._held[uri]

    def _notified(self, method: str, params: Object) -> None:
        if method == UPDATED:
            uri = _uri(params)
            for name in names_above(uri):
                for listener in self._wanted.get(name, ()):
                    listener.updated_nowait(uri, _meta(params))
        elif (kind := _LIST_CHANGED.get(method)) is not None:
            for listener in self._listeners:
                listener.list_changed_nowait(kind)


class _Listen:
    """One `subscriptions/listen`. `ready` is set by the acknowledgement, or by an end before it."""

    __slots__ = ("call", "honoured", "listener", "ready")

    def __init__(self, listener: AnyListener) -> None:
        self.listener = listener
        self.call: Call | None = None
        self.honoured: SubscriptionFilter | None = None
        self.ready = trio.Event()


class ModernSession(Session):
    """2026-07-28: every request carries the envelope, every subscription is a request of its own.

    `on_ended` is called when the server ends an acknowledged listen while the connection lives.
    """

    def __init__(
        self,
        connection: Connection,
        agreed: Agreed,
        client_info: Implementation,
        on_ended: Callable[[AnyListener], None],
    ) -> None:
        super().__init__(connection, agreed)
        connection.answers_requests = False
        self._envelope = envelope(client_info)
        self._on_ended = on_ended
        self._listens: dict[RequestId, _Listen] = {}

    def params(self, params: Mapping[str, object]) -> Mapping[str, object]:
        """With the envelope in `_meta`, beside what the caller put there."""
        given = params.get("_meta")
        own = given if isinstance(given, Mapping) else {}
        return {**params, "_meta": {**own, **self._envelope}}

    async def ping(self) -> None:
        """`server/discover`: this revision has no ping, and this one needs nothing but the server."""
        await self.call("server/discover", {})

    async def open(self, listener: AnyListener) -> None:
        """Send the listen, wait for its acknowledgement."""
        listen = _Listen(listener)
        params = self.params({"notifications": listener.filter()})
        call = await self.connection.begin("subscriptions/listen", params, on_done=lambda: self._done(listen))
        listen.call = call
        self._listens[call.id] = listen
        try:
            await listen.ready.wait()
            if listen.honoured is None:
                if not call.done:
                    return  # left while a reconnect opened it again
                call.outcome()
                raise ConnectionLost(f"{self.connection.url}: the subscription ended before it began")
            listener.missing = _missing(listener, listen.honoured)
        except BaseException:
            self._drop(listen)
            raise

    async def release(self, listener: AnyListener) -> None:
        """Cancel the listen."""
        for listen in list(self._listens.values()):
            if listen.listener is listener:
                self._drop(listen)
        await trio.lowlevel.checkpoint()

    def _drop(self, listen: _Listen) -> None:
        assert listen.call is not None
        self._listens.pop(listen.call.id, None)
        self.connection.abandon(listen.call, "no longer wanted")
        listen.ready.set()

    def _done(self, listen: _Listen) -> None:
        """The listen was answered: refused, ended by the server, or ended with the connection."""
        assert listen.call is not None
        self._listens.pop(listen.call.id, None)
        if not listen.ready.is_set():
            listen.ready.set()
        elif listen.call.error is None:
            self._on_ended(listen.listener)
        elif isinstance(listen.call.error, RpcError):
            listen.listener.end(listen.call.error)

    def _notified(self, method: str, params: Object) -> None:
        if method == "notifications/cancelled":
            # The specification contradicts itself on how a server ends a listen: this is the other way.
            ended = self._listens.get(_id(params.get("requestId")))
            if ended is not None and ended.call is not None:
                self.connection.abandon(ended.call, None)
                ended.call.complete(msgspec.Raw(b"{}"))
            return
        meta = _meta(params) or {}
        listen = self._listens.get(_id(meta.pop(SUBSCRIPTION_ID_KEY, None)))
        if listen is None:
            return
        if method == ACKNOWLEDGED:
            listen.honoured = _honoured(params)
            listen.ready.set()
        elif method == UPDATED:
            listen.listener.updated_nowait(_uri(params), meta or None)
        elif (kind := _LIST_CHANGED.get(method)) is not None:
            listen.listener.list_changed_nowait(kind)


def _declares(capabilities: Object, kind: ListKind) -> bool:
    own = capabilities.get(kind)
    return isinstance(own, dict) and own.get("listChanged") is True


def _id(value: object) -> RequestId:
    """An id as sent, or one that this client never uses."""
    return value if isinstance(value, int | str) and not isinstance(value, bool) else ""


def _uri(params: Object) -> str:
    uri = params.get("uri")
    if not isinstance(uri, str):
        raise ProtocolError(Failure.INVALID_PARAMS, f"Invalid params: {UPDATED} without a uri")
    return uri


def _meta(params: Object) -> Object | None:
    meta = params.get("_meta")
    return dict(meta) if isinstance(meta, dict) and meta else None


def _honoured(params: Object) -> SubscriptionFilter:
    try:
        return msgspec.convert(params.get("notifications", {}), SubscriptionFilter)
    except msgspec.ValidationError as error:
        raise ProtocolError(Failure.INVALID_PARAMS, f"Invalid params: {error}") from None


def _missing(listener: AnyListener, honoured: SubscriptionFilter) -> tuple[str, ...]:
    """What the acknowledgement leaves out.

    Raises:
        RpcError: something, and the listener wants all.
    """
    given = honoured.resource_subscriptions
    offered = frozenset() if given is UNSET else frozenset(given)
    missing = tuple(uri for uri in listener.uris if uri not in offered)
    if missing and not listener.missing_ok:
        raise RpcError(
            f"Resource not found: {', '.join(missing)}",
            code=Failure.RESOURCE_NOT_FOUND.modern,
            data={"uri": missing[0], "uris": list(missing)},
            failure=Failure.RESOURCE_NOT_FOUND,
        )
    return missing
