"""What one connection means once its revision is agreed on: requests in its form, and subscriptions.

A session lives as long as its connection and is owned by the client. Its tables are changed by tasks that
enter and leave subscriptions and read by the connection's reader, always without a checkpoint in between.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec

from mcptrio.client.call import OnProgress
from mcptrio.client.connection import Connection
from mcptrio.client.negotiation import Agreed
from mcptrio.client.subscription import LIST_KINDS, AnyListener, ListKind
from mcptrio.protocol import Failure, Notification, ProtocolError
from mcptrio.protocol.codec import UPDATED
from mcptrio.protocol.extension import is_declared
from mcptrio.protocol.types import Object

LIST_CHANGED: dict[str, ListKind] = {f"notifications/{kind}/list_changed": kind for kind in LIST_KINDS}


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

    @property
    def live(self) -> bool:
        """Whether the server has the extension `io.mcptrio/live`."""
        return is_declared(self.agreed.capabilities)

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
    def _notified(self, method: str, params: Object, size: int) -> None:
        """A notification came, whose params were so many bytes."""

    def _on_notification(self, notification: Notification) -> None:
        data = notification.params or b"{}"
        try:
            params = msgspec.json.decode(data, type=dict[str, object])
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ProtocolError(Failure.INVALID_PARAMS, f"Invalid params: {error}") from None
        self._notified(notification.method, params, len(data))


@contextmanager
def as_violation(method: str) -> Iterator[None]:
    """What a message says wrongly is a violation of the protocol; `msgspec.ValidationError` is a ValueError too."""
    try:
        yield
    except ValueError as error:
        raise ProtocolError(Failure.INVALID_PARAMS, f"Invalid params: {method}: {error}") from None


def uri_of(params: Object) -> str:
    """The URI of an update."""
    uri = params.get("uri")
    if not isinstance(uri, str):
        raise ProtocolError(Failure.INVALID_PARAMS, f"Invalid params: {UPDATED} without a uri")
    return uri


def meta_of(params: Object) -> Object | None:
    """A copy of `_meta`, None if it says nothing."""
    meta = params.get("_meta")
    return dict(meta) if isinstance(meta, dict) and meta else None


def _declares(capabilities: Object, kind: ListKind) -> bool:
    own = capabilities.get(kind)
    return isinstance(own, dict) and own.get("listChanged") is True
