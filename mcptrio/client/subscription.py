"""What a program holds while it wants to hear of changes: `Subscription` and `ListChanges`; `Watch` is another.

They are async context managers and async iterators (objects, so that leaving the loop early leaves nothing
behind). What is pending is merged and bounded, and never dropped: the connection's reader puts changes in
without waiting, the program takes them out in its own time.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Literal, Protocol, Self, TypeVar

import msgspec
import trio
from msgspec import UNSET, UnsetType

from mcptrio.client.inbox import Inbox, InboxByKey
from mcptrio.protocol.params import SubscriptionFilter
from mcptrio.protocol.types import Object, Wire

ListKind = Literal["tools", "resources", "prompts"]
LIST_KINDS: tuple[ListKind, ...] = ("tools", "resources", "prompts")
LEAVE_TIMEOUT = 2.0
"""Seconds that leaving a subscription may wait for the server, cancelled or not."""

MAX_MEMBERS = 256
"""How many resources below the subscribed ones may be pending before they become a gap of the subscribed."""

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Update:
    """A resource changed, so read it again.

    With `gap`, changes may have been missed (the connection was lost meanwhile), and perhaps none happened.
    `meta` is what the server said beside it, None if nothing.
    """

    uri: str
    gap: bool = False
    meta: dict[str, object] | None = None


class _Given(Wire):
    """What a `Subscription` reads of an acknowledged filter."""

    resource_subscriptions: list[str] | UnsetType = UNSET


class Registrar(Protocol):
    """The client, as seen by what it delivers to."""

    async def enter(self, listener: Listener[object], timeout: float | None) -> None:
        """Subscribe, within the timeout (None is the client's)."""

    async def leave(self, listener: Listener[object]) -> None:
        """Unsubscribe: locally at once, then at the server, for which the caller sets the bound."""


class Listener(abc.ABC, Generic[T_co]):
    """Whom a session delivers to. Entered once; the session calls the `*_nowait` methods synchronously."""

    keeps: tuple[str, ...] = ()
    """URIs beside `uris` whose end at the server would end this, too."""

    def __init__(
        self,
        registrar: Registrar,
        uris: tuple[str, ...],
        inbox: Inbox[T_co],
        *,
        missing_ok: bool,
        timeout: float | None,
    ) -> None:
        self.uris = uris
        self.missing_ok = missing_ok
        self.missing: tuple[str, ...] = ()
        self._registrar = registrar
        self._timeout = timeout
        self._entered = False
        self._inbox = inbox

    def __str__(self) -> str:
        return ", ".join(self.uris) or "list changes"

    @property
    def closed(self) -> bool:
        """Whether it was left."""
        return self._inbox.closed

    @property
    def pending(self) -> int:
        """How many items wait to be taken."""
        return len(self._inbox)

    def prepare(self, live: bool, url: str) -> None:
        """It is going to be subscribed, anew, at a server that has `io.mcptrio/live` or not.

        Raises:
            ExtensionMissing: that will not do.
        """

    @abc.abstractmethod
    def filter(self) -> SubscriptionFilter | Object:
        """What a `subscriptions/listen` for it asks for."""

    def request(self, uri: str) -> Object:
        """What a `resources/subscribe` for one of its `uris` asks for."""
        return {"uri": uri}

    def acknowledged_nowait(self, notifications: Object) -> None:
        """Its listen was acknowledged with this filter: `missing` is what that leaves out.

        Raises:
            ValueError: it is none.
        """
        given = msgspec.convert(notifications, _Given).resource_subscriptions
        offered = frozenset() if given is UNSET else frozenset(given)
        self.missing = tuple(uri for uri in self.uris if uri not in offered)

    def subscribed_nowait(self, result: msgspec.Raw) -> None:
        """Its `resources/subscribe` was answered.

        Raises:
            ValueError: with something else.
        """

    def changed_nowait(self, uri: str, told: object, size: int) -> None:
        """An update came that belongs to the extension, of so many bytes.

        Raises:
            ValueError: what it says is no change.
        """

    @abc.abstractmethod
    def gap_nowait(self, listed: frozenset[str]) -> None:
        """Changes may have been missed; `listed` are the lists whose changes the server announces."""

    @abc.abstractmethod
    def updated_nowait(self, uri: str, meta: dict[str, object] | None) -> None:
        """A resource changed."""

    @abc.abstractmethod
    def list_changed_nowait(self, kind: ListKind) -> None:
        """A list changed."""

    def end(self, error: Exception) -> None:
        """Nothing more will come: iteration raises this after what is pending. The first reason counts."""
        self._inbox.end(error)

    def close(self) -> None:
        """It was left: nothing is given out any more."""
        self._inbox.close()

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("a subscription can be entered only once")
        self._entered = True
        await self._registrar.enter(self, self._timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with trio.move_on_after(LEAVE_TIMEOUT, shield=True):
            await self._registrar.leave(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T_co:
        return await self._inbox.get()


AnyListener = Listener[object]


class Subscription(Listener[Update]):
    """Changes of some resources: `async with client.subscribe(uri) as changes: async for update in changes`.

    Entering returns only after the server has confirmed; leaving unsubscribes, within two seconds. Each URI
    has at most one update pending: later ones are merged into it (a gap stays a gap, the newest `meta`
    counts). Updates of different URIs come in the order in which they became pending. A server may announce
    a resource below the subscribed one; past `MAX_MEMBERS` of those the subscribed one gets a gap instead.
    `missing` are the URIs that the server does not offer (empty unless `missing_ok`).

    Iteration stops when the server ends the subscription, and raises `ConnectionLost` when the connection is
    lost, both only for a client that does not reconnect; and `RpcError` when the server refuses to subscribe
    again after a reconnect.
    """

    def __init__(
        self, registrar: Registrar, uris: tuple[str, ...], *, missing_ok: bool, timeout: float | None
    ) -> None:
        self._inbox: InboxByKey[Update]
        super().__init__(registrar, uris, InboxByKey(), missing_ok=missing_ok, timeout=timeout)
        self._own = frozenset(uris)
        self._bound = len(uris) + MAX_MEMBERS

    def filter(self) -> SubscriptionFilter:
        """The filter of its listen."""
        return SubscriptionFilter(resource_subscriptions=list(self.uris))

    def updated_nowait(self, uri: str, meta: dict[str, object] | None) -> None:
        """Merge a change in, if it is of a subscribed resource or of one below."""
        own = next((name for name in names_above(uri) if name in self._own), None)
        if own is None:
            return
        gap = False
        if own != uri and self._inbox.peek(uri) is None and len(self._inbox) >= self._bound:
            uri, gap, meta = own, True, None
        self._merge(uri, gap, meta)

    def list_changed_nowait(self, kind: ListKind) -> None:
        """Of no interest here."""

    def gap_nowait(self, listed: frozenset[str]) -> None:
        """One synthetic update of each URI."""
        for uri in self.uris:
            if uri not in self.missing:
                self._merge(uri, True, None)

    def _merge(self, uri: str, gap: bool, meta: dict[str, object] | None) -> None:
        before = self._inbox.peek(uri)
        if before is not None:
            gap = gap or before.gap
            meta = before.meta if meta is None else meta
        self._inbox.put_nowait(uri, Update(uri, gap, meta))


class ListChanges(Listener[ListKind]):
    """Changes of the lists of tools, resources and prompts: `async for kind in changes`, each pending once.

    After a reconnect every list that the server announces changes of is given once. Ends as `Subscription`.
    """

    def __init__(self, registrar: Registrar, *, timeout: float | None) -> None:
        self._inbox: InboxByKey[ListKind]
        super().__init__(registrar, (), InboxByKey(), missing_ok=True, timeout=timeout)

    def filter(self) -> SubscriptionFilter:
        """The filter of its listen."""
        return SubscriptionFilter(
            tools_list_changed=True, prompts_list_changed=True, resources_list_changed=True
        )

    def updated_nowait(self, uri: str, meta: dict[str, object] | None) -> None:
        """Of no interest here."""

    def list_changed_nowait(self, kind: ListKind) -> None:
        """A list changed."""
        self._inbox.put_nowait(kind, kind)

    def gap_nowait(self, listed: frozenset[str]) -> None:
        """All lists that the server announces may have changed."""
        for kind in LIST_KINDS:
            if kind in listed:
                self.list_changed_nowait(kind)


def names_above(uri: str) -> Iterator[str]:
    """The URI itself, and everything that contains it by its spelling, the nearest first."""
    yield uri
    end = len(uri)
    while (end := uri.rfind("/", 0, end)) >= 0:
        yield uri[: end + 1]
        yield uri[:end]
