"""`Watch`: changes by the extension `io.mcptrio/live`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from mcptrio.client.backlog import Backlog
from mcptrio.client.chain import LOST, Chain, Delivered, Honoured
from mcptrio.client.errors import ExtensionMissing
from mcptrio.client.selection import Selection
from mcptrio.client.subscription import Listener, ListKind, Registrar, names_above
from mcptrio.client.watch_event import WatchEvent
from mcptrio.protocol.extension import EXTENSION, GAP, SUBSCRIPTION_URI, SUBSCRIPTIONS_KEY
from mcptrio.protocol.params import SubscriptionFilter
from mcptrio.protocol.types import Object


class _SubscribedMeta(msgspec.Struct):
    subscription: Object = msgspec.field(name=SUBSCRIPTIONS_KEY)


class _Subscribed(msgspec.Struct):
    meta: _SubscribedMeta = msgspec.field(name="_meta")


class Watch(Listener[WatchEvent]):
    """What one subscription of the extension is told: `async with client.watch(glob=...) as events: async for event in events`.

    Entering returns only after the server has confirmed; leaving unsubscribes, within two seconds. Events come in
    order: offsets rise. After a reconnect it goes on by itself after what was received last, so nothing is
    repeated, and what could not be had again is an event that is a gap; nothing is missing without one. What waits for
    the program is merged as the policy says, and bounded: beyond 10,000 events, or 16 MiB of them, all of it becomes one gap.

    A server without the extension can serve a `uri` alone, with no filter, policy, fields or `since`: each event then says
    `uri` and nothing more, what waits is merged, and after a reconnect there is a gap.

    Iteration stops when the server ends the subscription, and raises `ConnectionLost` when the connection is
    lost, both only for a client that does not reconnect; `RpcError` when the server refuses to subscribe again
    after a reconnect, and `ExtensionMissing` when it then has no longer what is needed.
    """

    def __init__(
        self,
        registrar: Registrar,
        selection: Selection,
        label: str,
        *,
        since: str | None,
        timeout: float | None,
    ) -> None:
        self._selection = selection
        self._label = label
        self._name = SUBSCRIPTION_URI + label
        self._about = selection.uri or self._name
        self._since = since
        self._backlog = Backlog(self._about, merges=selection.merges)
        self._chain = Chain(self._about, since, self._backlog.put_nowait)
        self._live = True
        self._unsure = False
        """Whether the server may have said less than it would by the extension."""
        self._cursor = since
        self._honoured: Object | None = None
        super().__init__(registrar, (self._name,), self._backlog, missing_ok=False, timeout=timeout)

    def __str__(self) -> str:
        return str(self._selection)

    @property
    def cursor(self) -> str | None:
        """What to give as `since` to go on after the last event that the program has taken.

        None with a server that does not have the extension.
        """
        return self._cursor

    @property
    def honoured(self) -> Mapping[str, object] | None:
        """What the server has acknowledged last, with its defaults; None from one that does not have the extension."""
        return self._honoured

    @property
    def recovered(self) -> bool | None:
        """Whether what came after the cursor that was asked for last is told; None where there was none to ask for."""
        value = (self._honoured or {}).get("recovered")
        return value if isinstance(value, bool) else None

    async def __anext__(self) -> WatchEvent:
        event = await super().__anext__()
        if event.cursor is not None:
            self._cursor = event.cursor
        return event

    def prepare(self, live: bool, url: str) -> None:
        """Subscribe by the extension, or plainly if that will do."""
        if not live and (self._since is not None or not self._selection.is_plain):
            raise ExtensionMissing(
                f"{url} does not have the extension {EXTENSION}, which watching {self} like this needs: "
                "ask for exact URIs, without filter, policy, fields and cursor"
            )
        self._live = live
        self.missing = ()
        exact = () if self._selection.uri is None else (self._selection.uri,)
        if live:
            self.uris, self.keeps = (self._name,), exact
        else:
            self.uris, self.keeps = exact, ()
            self._honoured = None
            self._unsure = True

    def _asked(self) -> Object:
        return self._selection.asked(self._label, self._chain.begin())

    def filter(self) -> SubscriptionFilter | Object:
        """The filter of its listen."""
        if self._live:
            return {SUBSCRIPTIONS_KEY: [self._asked()]}
        return SubscriptionFilter(resource_subscriptions=list(self.uris))

    def request(self, uri: str) -> Object:
        """The params of its `resources/subscribe`."""
        if self._live:
            return {"uri": self._about, "_meta": {SUBSCRIPTIONS_KEY: self._asked()}}
        return {"uri": uri}

    def acknowledged_nowait(self, notifications: Object) -> None:
        """Its listen was acknowledged."""
        if not self._live:
            super().acknowledged_nowait(notifications)
            return
        given = msgspec.convert(notifications.get(SUBSCRIPTIONS_KEY, []), list[Object])
        own = next((each for each in given if each.get("label") == self._label), None)
        if own is None:
            self.missing = (str(self._selection),)
        else:
            self._granted(own)

    def subscribed_nowait(self, result: msgspec.Raw) -> None:
        """Its `resources/subscribe` was answered."""
        if self._live:
            self._granted(msgspec.json.decode(result, type=_Subscribed).meta.subscription)

    def _granted(self, given: Object) -> None:
        honoured = msgspec.convert(given, Honoured)
        if self._unsure and self._chain.cursor is None:
            self._gap()
        self._unsure = False
        self._chain.acknowledged(honoured)
        self._honoured = given
        if self._cursor is None:
            self._cursor = honoured.cursor

    def changed_nowait(self, uri: str, told: object, size: int) -> None:
        """Something was delivered, if it is for this."""
        if self._live and isinstance(told, dict) and told.get("label") == self._label:
            self._chain.delivered(uri, msgspec.convert(told, Delivered), size)

    def updated_nowait(self, uri: str, meta: dict[str, object] | None) -> None:
        """The watched resource changed, or one below it, at a server without the extension."""
        if not self._live and any(name == self._selection.uri for name in names_above(uri)):
            self._backlog.put_nowait(WatchEvent(uri=uri), len(uri))

    def list_changed_nowait(self, kind: ListKind) -> None:
        """Of no interest here."""

    def gap_nowait(self, listed: frozenset[str]) -> None:
        """Without the extension nobody knows what was missed."""
        if not self._live:
            self._gap()

    def _gap(self) -> None:
        self._backlog.put_nowait(WatchEvent(uri=self._about, kind=GAP, reason=LOST), 0)
