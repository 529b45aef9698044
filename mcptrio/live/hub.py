"""The hub: numbers changes, drops repeated ones, and finds who asked.

Sans-IO: every method is synchronous and complete.

Its tables belong to the program's root, so that the task which pumps changes into it may crash and come
back over them.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from types import MappingProxyType

import trio
from msgspec import Struct

from mcptrio.live.allowance import Allowance
from mcptrio.live.change import CREATED, DELETED, Change, Entry
from mcptrio.live.outbox import Outbox
from mcptrio.live.selections import Selections
from mcptrio.live.selector import Selector
from mcptrio.live.terms import Terms
from mcptrio.live.uri import check_uri
from mcptrio.log import get_logger

DEDUPLICATION_WINDOW = 16_384
"""How many event ids are remembered to recognise a repeated report."""

MEMBERSHIP: Hashable = object()
"""The key under which a creation or deletion reaches those who watch the list of resources."""


_log = get_logger("mcptrio.live")


def _now() -> float:
    # What is published outside of a run is history to nobody: `begin_run` forgets it.
    return trio.current_time() if trio.lowlevel.in_trio_run() else 0.0


class HubStatistics(Struct, frozen=True):
    """Counts since the hub began, and the size of its index of exact URIs now. Those of `select` count in `matched` only."""

    offset: int
    duplicates: int
    matched: int
    conflated: int
    uris: int
    subscriptions: int


class Hub:
    """The live engine's tables: epoch and offset of all changes, the index from exact URI to outboxes, and `selections`.

    A subscription is known before anybody is told of it, so nothing between is lost; unsubscribing purges
    what is pending, so nothing follows it. Both are idempotent. Changes of one URI are delivered in the
    order in which they were published.
    """

    def __init__(self, clock: Callable[[], float] = _now) -> None:
        """`clock` tells the time in seconds, to those who subscribe with `select`."""
        self.epoch = secrets.token_hex(8)
        self.offset = 0
        self.changes = 0
        """Rises with everything that changes the index: two equal figures mean an unchanged index."""
        self._interested: list[Callable[[str, bool], None]] = []
        self._selected: list[Callable[[Sequence[Selector], bool], None]] = []
        self._watching: list[Callable[[Entry], None]] = []
        self._outboxes: dict[str, dict[Outbox, None]] = {}
        self._uris: dict[Outbox, set[str]] = {}
        self._membership: dict[Outbox, None] = {}
        self._seen: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._duplicates = 0
        self.matched = 0
        self._conflated = 0
        self._subscriptions = 0
        self.selections = Selections(clock, self._tell_selections)

    def publish(self, change: Change) -> Entry | None:
        """Number a change and put it into the outbox of everyone who asked for its URI.

        A URI that nobody watches costs nothing but the number; from the first `select` on, every change is also kept
        for a while. Returns None for a repeated event id, which changes nothing.

        Raises:
            InvalidUri: the change names no resource; nothing was numbered.
        """
        outboxes = self._outboxes.get(change.uri)
        if outboxes is None:
            check_uri(change.uri)
        if change.event_id is not None and self._is_repeated(change.source, change.uri, change.event_id):
            self._duplicates += 1
            return None
        self.offset += 1
        entry = Entry(self.offset, change)
        if self._watching:
            try:
                for callback in self._watching:
                    callback(entry)
            except Exception:
                # Those who asked are told in any case.
                _log.exception("somebody who watches changes failed", uri=change.uri)
        if outboxes is not None:
            self.matched += len(outboxes)
            for outbox in tuple(outboxes):
                self._conflated += outbox.send_nowait(change.uri, entry)
        self.matched += self.selections.publish(entry)
        if change.kind in (CREATED, DELETED):
            for outbox in tuple(self._membership):
                outbox.send_nowait(MEMBERSHIP, entry)
        return entry

    def _is_repeated(self, source: str, uri: str, event_id: str) -> bool:
        key = (source, uri, event_id)
        if key in self._seen:
            self._seen.move_to_end(key)
            return True
        self._seen[key] = None
        if len(self._seen) > DEDUPLICATION_WINDOW:
            self._seen.popitem(last=False)
        return False

    def subscribe(self, uri: str, outbox: Outbox) -> bool:
        """Deliver changes of exactly this URI to an outbox from now on. True if it was not subscribed before.

        Raises:
            InvalidUri: the string names no resource.
        """
        check_uri(uri)
        outboxes = self._outboxes.setdefault(uri, {})
        if outbox in outboxes:
            return False
        outboxes[outbox] = None
        self._uris.setdefault(outbox, set()).add(uri)
        self._subscriptions += 1
        self.changes += 1
        if len(outboxes) == 1:
            self._tell(uri, True)
        return True

    def unsubscribe(self, uri: str, outbox: Outbox) -> bool:
        """Stop delivering a URI and forget what is pending for it. True if it was subscribed. Idempotent."""
        outbox.purge(uri)
        uris = self._uris.get(outbox)
        if uris is None or uri not in uris:
            return False
        uris.remove(uri)
        if not uris:
            del self._uris[outbox]
        self._remove(uri, outbox)
        return True

    def watch_membership(self, outbox: Outbox) -> None:
        """Deliver every creation and deletion, under the key `MEMBERSHIP`. Idempotent; `leave` ends it."""
        self._membership[outbox] = None

    def leave(self, outbox: Outbox) -> None:
        """Drop all subscriptions of an outbox and close it: a subscriber's whole cleanup.

        Synchronous and idempotent.
        """
        outbox.close()
        self.selections.leave(outbox)
        self._membership.pop(outbox, None)
        for uri in self._uris.pop(outbox, ()):
            self._remove(uri, outbox)

    def _remove(self, uri: str, outbox: Outbox) -> None:
        outboxes = self._outboxes[uri]
        del outboxes[outbox]
        self._subscriptions -= 1
        self.changes += 1
        if not outboxes:
            del self._outboxes[uri]
            self._tell(uri, False)

    def select(self, outbox: Outbox, asked: Sequence[Terms], allowance: Allowance) -> list[dict[str, object]]:
        """Begin subscriptions by selector, filter and policy, all or none; returns what their acknowledgements say.

        As `Selections.subscribe`; `leave` ends them.

        Raises:
            InvalidCursor: one of them has a cursor that was not given out yet.
        """
        return self.selections.subscribe(outbox, asked, allowance, self.epoch, self.offset)

    def watch_changes(self, callback: Callable[[Entry], None]) -> None:
        """Have `callback` called with every change once it is numbered, before any outbox hears of it.

        Synchronously, within the step that publishes, whoever asked for the URI: it publishes and subscribes nothing. What
        it raises is logged and goes no further.
        """
        self._watching.append(callback)

    def watch_interest(self, callback: Callable[[str, bool], None]) -> None:
        """Have `callback(uri, True)` called when a URI gets its first subscription, `(uri, False)` when it loses its last.

        Synchronously, within the step that subscribes or leaves. What it raises is logged and goes no further.
        """
        self._interested.append(callback)

    def watch_selections(self, callback: Callable[[Sequence[Selector], bool], None]) -> None:
        """Have `callback` called when selectors get their first subscription by `select`, and when they lose their last.

        As `watch_interest`, which is not told of those; all of one step at once, for a client may leave with thousands.
        """
        self._selected.append(callback)

    def _tell_selections(self, selectors: Sequence[Selector], wanted: bool) -> None:
        self.changes += 1
        for callback in self._selected:
            try:
                callback(selectors, wanted)
            except Exception:
                _log.exception("somebody who watches interest failed", selectors=len(selectors))

    def _tell(self, uri: str, wanted: bool) -> None:
        for callback in self._interested:
            try:
                callback(uri, wanted)
            except Exception:
                # Nobody must be kept from subscribing by it, nor from leaving with all that is left to leave.
                _log.exception("somebody who watches interest failed", uri=uri)

    def rebuild(self) -> None:
        """Make all tables anew from the one they can be derived from: what each outbox has subscribed.

        For a hub that cannot go on: the numbering begins again in a new epoch, and no event id is known any
        longer. Subscriptions, what is pending in outboxes, and the counters stay.
        """
        self.epoch = secrets.token_hex(8)
        self.offset = 0
        self._seen.clear()
        self._outboxes = {}
        for outbox, uris in self._uris.items():
            for uri in uris:
                self._outboxes.setdefault(uri, {})[outbox] = None
        self._subscriptions = sum(map(len, self._uris.values()))
        self.changes += 1
        self.selections.rebuild(self.epoch, self.offset)

    def begin_run(self) -> None:
        """Another run of the program begins, with a clock of its own: forget what was kept by the former one."""
        self.selections.restart(self.epoch, self.offset)

    def remind(self, outbox: Outbox) -> None:
        """Deliver every URI that an outbox is subscribed to, as if it had changed: something may have been missed."""
        for uri in self._uris.get(outbox, ()):
            outbox.send_nowait(uri)
        self.selections.remind(outbox)

    def subscribers(self, uri: str) -> tuple[Outbox, ...]:
        """Who is told of a URI; empty for one that nobody watches."""
        return tuple(self._outboxes.get(uri, ()))

    def subscriptions(self) -> MappingProxyType[str, tuple[Outbox, ...]]:
        """A snapshot of all subscriptions: URI to outboxes, no URI without one."""
        return MappingProxyType({uri: tuple(outboxes) for uri, outboxes in self._outboxes.items()})

    def audiences(self) -> Iterator[tuple[str, int]]:
        """Each subscribed URI, and how many outboxes it is delivered to. Not to be kept over a checkpoint."""
        return ((uri, len(outboxes)) for uri, outboxes in self._outboxes.items())

    def count(self, outbox: Outbox) -> int:
        """How many URIs an outbox is subscribed to."""
        return len(self._uris.get(outbox, ()))

    def is_subscribed(self, uri: str, outbox: Outbox) -> bool:
        """Whether an outbox is subscribed to a URI."""
        return uri in self._uris.get(outbox, ())

    def statistics(self) -> HubStatistics:
        """A snapshot of the counters."""
        return HubStatistics(
            offset=self.offset,
            duplicates=self._duplicates,
            matched=self.matched,
            conflated=self._conflated,
            uris=len(self._outboxes),
            subscriptions=self._subscriptions,
        )
