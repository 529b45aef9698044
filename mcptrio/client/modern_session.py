"""A session of 2026-07-28."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import trio

from mcptrio.client.call import Call
from mcptrio.client.connection import Connection
from mcptrio.client.errors import ConnectionLost
from mcptrio.client.negotiation import Agreed, envelope
from mcptrio.client.session import LIST_CHANGED, Session, as_violation, meta_of, uri_of
from mcptrio.client.subscription import AnyListener
from mcptrio.protocol import Failure, RequestId, RpcError
from mcptrio.protocol.codec import ACKNOWLEDGED, UPDATED
from mcptrio.protocol.envelope import SUBSCRIPTION_ID_KEY
from mcptrio.protocol.extension import CHANGE_KEY
from mcptrio.protocol.types import Implementation, Object


class _Listen:
    """One `subscriptions/listen`. `ready` is set by the acknowledgement, or by an end before it."""

    __slots__ = ("acknowledged", "call", "listener", "ready")

    def __init__(self, listener: AnyListener) -> None:
        self.listener = listener
        self.call: Call | None = None
        self.acknowledged = False
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
        listener.prepare(self.live, self.connection.url)
        listen = _Listen(listener)
        params = self.params({"notifications": listener.filter()})
        call = await self.connection.begin("subscriptions/listen", params, on_done=lambda: self._done(listen))
        listen.call = call
        self._listens[call.id] = listen
        try:
            await listen.ready.wait()
            if not listen.acknowledged:
                if not call.done:
                    return  # left while a reconnect opened it again
                call.outcome()
                raise ConnectionLost(f"{self.connection.url}: the subscription ended before it began")
            if listener.missing and not listener.missing_ok:
                raise _not_found(listener.missing)
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

    def _notified(self, method: str, params: Object, size: int) -> None:
        if method == "notifications/cancelled":
            # The specification contradicts itself on how a server ends a listen: this is the other way.
            ended = self._listens.get(_id(params.get("requestId")))
            if ended is not None and ended.call is not None:
                self.connection.abandon(ended.call, None)
                ended.call.complete(msgspec.Raw(b"{}"))
            return
        meta = meta_of(params) or {}
        listen = self._listens.get(_id(meta.pop(SUBSCRIPTION_ID_KEY, None)))
        if listen is None:
            return
        if method == ACKNOWLEDGED:
            given = params.get("notifications", {})
            with as_violation(ACKNOWLEDGED):
                listen.listener.acknowledged_nowait(msgspec.convert(given, dict[str, object]))
            listen.acknowledged = True
            listen.ready.set()
        elif method == UPDATED and CHANGE_KEY in meta:
            with as_violation(UPDATED):
                listen.listener.changed_nowait(uri_of(params), meta[CHANGE_KEY], size)
        elif method == UPDATED:
            listen.listener.updated_nowait(uri_of(params), meta or None)
        elif (kind := LIST_CHANGED.get(method)) is not None:
            listen.listener.list_changed_nowait(kind)


def _id(value: object) -> RequestId:
    """An id as sent, or one that this client never uses."""
    return value if isinstance(value, int | str) and not isinstance(value, bool) else ""


def _not_found(missing: tuple[str, ...]) -> RpcError:
    return RpcError(
        f"Resource not found: {', '.join(missing)}",
        code=Failure.RESOURCE_NOT_FOUND.modern,
        data={"uri": missing[0], "uris": list(missing)},
        failure=Failure.RESOURCE_NOT_FOUND,
    )
