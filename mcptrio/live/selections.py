"""Selections: who asked for changes by the extension, and what is kept for those who come back."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from functools import partial
from weakref import WeakValueDictionary

from msgspec.structs import replace

from mcptrio.live.allowance import Allowance, Tally
from mcptrio.live.change import Entry
from mcptrio.live.cursor import Cursor, InvalidCursor
from mcptrio.live.deliveries import HISTORY
from mcptrio.live.filter import Filter
from mcptrio.live.held import Held
from mcptrio.live.history import LOOKS, History, Missed
from mcptrio.live.index import SelectorIndex
from mcptrio.live.outbox import Outbox
from mcptrio.live.replay import Replay
from mcptrio.live.selector import Selector
from mcptrio.live.subscription import Subscription
from mcptrio.live.terms import Terms
from mcptrio.live.view import View
from mcptrio.live.weight import Weighed
from mcptrio.timers import Timers

STEP = 256
"""How many changes of history are looked through in one step; each that is selected counts more, as many and as large as it is."""

_AT_HAND = 128
"""How many subscriptions of a client that leaves are ended together."""

Interest = Callable[[Sequence[Selector], bool], None]


class Selections:
    """The hub's second table: subscriptions by selector, filter and policy, and the history that they can go on from.

    Sans-IO: every method is synchronous and complete. A subscriber is its outbox, as for the hub; the keys that it gets
    here are `Subscription` and `Replay`. Whoever takes one of them calls `settle` or `advance` in the same step. Who is
    called by an outbox or by `on_timer` publishes nothing in that step.

    Nothing is kept before the first subscription, so that a server whose clients do not use it pays nothing.
    """

    def __init__(self, clock: Callable[[], float], interest: Interest) -> None:
        """`clock` tells the time in seconds. `interest` is called as `Hub.watch_selections` has it."""
        self.tally = Tally()
        """What became of changes that waited."""
        self.history = History("")
        self.recovered = self.unrecovered = 0
        """How many subscriptions came back with a cursor and had missed nothing that is not kept; and how many had."""
        self.spent = 0
        """What looking at changes has cost beside the subscriptions that they were for, in about as many outboxes."""
        self.changes = 0
        """Rises with every subscription that begins or ends."""
        self.on_timer: Callable[[], None] = lambda: None
        """Called when `next_due` has become earlier."""
        self._clock = clock
        self._interest = interest
        self._is_used = False
        self._index: SelectorIndex[Subscription] = SelectorIndex()
        self._held: dict[Outbox, Held] = {}
        self._filters: WeakValueDictionary[Hashable, Filter] = WeakValueDictionary()
        """Equal filters are one, which judges each change once."""
        self._timers: Timers[Subscription] = Timers()

    # Changes

    def publish(self, entry: Entry) -> int:
        """Keep a change, and have it wait for everyone whose subscription wants it. Returns how many those are."""
        if not self._is_used:
            return 0
        now = self._clock()
        item = Weighed.of(entry)
        self.history.append(item, now)
        found = self._index.matching(entry.change.uri)
        self.spent += len(found) + item.weight // 1024
        return self._offer(item, [one for one in found if one.replay is None], now) if found else 0

    def _offer(self, item: Weighed, found: Iterable[Subscription], now: float) -> int:
        change = item.entry.change
        view = View(change)
        verdicts: dict[Filter, bool] = {}
        light: Weighed | None = None
        wanted = 0
        for subscription in found:
            filter = subscription.filter
            if filter is not None:
                verdict = verdicts.get(filter)
                if verdict is None:
                    verdict = verdicts[filter] = filter.judge(view)
                if not verdict:
                    continue
            wanted += 1
            kept = item
            if change.data is not None and not subscription.fields.uses_data:
                if light is None:
                    light = Weighed.of(Entry(item.entry.offset, replace(change, data=None)))
                kept = light
            if subscription.deliveries.put(kept, now):
                self._announce(subscription, now)
        return wanted

    def _announce(self, subscription: Subscription, now: float) -> None:
        """Say when there is something to take: now, or by the timer. Without one that is not needed."""
        due = subscription.deliveries.due()
        if due <= now:
            self._disarm(subscription)
            subscription.outbox.send_nowait(subscription)
        elif due < math.inf and subscription.timer is None:
            earliest = self._timers.next_due()
            subscription.timer = self._timers.set(due, subscription)
            if due < earliest:
                self.on_timer()

    def _disarm(self, subscription: Subscription) -> None:
        if subscription.timer is not None:
            self._timers.cancel(subscription.timer)
            subscription.timer = None

    # Whoever takes keys out of outboxes

    def settle(self, subscription: Subscription) -> None:
        """Something was taken from a subscription: see to it that the rest is taken in its time."""
        self._announce(subscription, self._clock())
        self._go_on(subscription.allowance)

    def advance(self, replay: Replay[Subscription]) -> None:
        """Look through one more step of history, and see to it that the rest follows. While much waits, that waits too."""
        if replay.allowance.is_half_full:
            replay.allowance.paused[replay] = partial(replay.outbox.send_nowait, replay)
            return
        now = self._clock()
        history = self.history
        history.expire(now)
        if replay.position < history.floor:
            self._pass_over(replay, now)
        spent = 0
        for item in history.after(replay.position, STEP):
            found = replay.index.matching(item.entry.change.uri)
            self._offer(item, found, now)
            replay.position = item.entry.offset
            spent += 1 + len(found)
            if found:
                spent += item.weight // 1024
            if spent >= STEP or replay.allowance.is_half_full:
                break
        if replay.position < history.offset:
            replay.outbox.send_nowait(replay)
            return
        for subscription in replay.items:
            subscription.replay = None

    def _pass_over(self, replay: Replay[Subscription], now: float) -> None:
        """Leave out what history has forgotten meanwhile, and tell those a gap who may have missed something."""
        floor = self.history.floor
        looks = LOOKS // max(1, len(replay.items))
        for subscription in tuple(replay.items):
            deliveries = subscription.deliveries
            known = max(replay.position, deliveries.newest)
            is_lost = self.history.is_lost(known, subscription.selector, looks)
            if is_lost and deliveries.give_up(floor, HISTORY):
                self._announce(subscription, now)
        replay.position = floor

    def _go_on(self, allowance: Allowance) -> None:
        if allowance.paused and not allowance.is_half_full:
            paused = tuple(allowance.paused.values())
            allowance.paused.clear()
            for resume in paused:
                resume()

    def next_due(self) -> float:
        """When `ring` has something to do; infinity if nothing waits for its time."""
        return self._timers.next_due()

    def ring(self) -> None:
        """Have everything taken whose time has come."""
        now = self._clock()
        while (subscription := self._timers.pop_due(now)) is not None:
            subscription.timer = None
            self._announce(subscription, now)

    def hurry(self, outbox: Outbox) -> None:
        """Have everything taken that waits for one subscriber, its time come or not: its end is near."""
        now = self._clock()
        for subscription in self.of(outbox):
            subscription.deliveries.hurry()
            self._announce(subscription, now)

    # Subscriptions

    def subscribe(
        self, outbox: Outbox, asked: Sequence[Terms], allowance: Allowance, epoch: str, offset: int
    ) -> list[dict[str, object]]:
        """Begin subscriptions of one subscriber; returns, for each, what the acknowledgement says.

        `epoch` and `offset` are the hub's. One of a label that the subscriber has already takes its place. What comes
        back with a cursor is told what it has missed before anything that happens from now on.

        Raises:
            InvalidCursor: a cursor that was not given out yet; the message begins with its place. Then nothing has begun.
        """
        if not self._is_used:
            self.history.restart(epoch, offset)
            self._is_used = True
        now = self._clock()
        history = self.history
        looks = LOOKS // max(1, len(asked))
        missed = [self._missed(terms, now, looks) for terms in asked]
        honoured: list[dict[str, object]] = []
        formers: list[Subscription] = []
        first = [terms.selector for terms in asked if not self._index.has(terms.selector)]
        returning: list[Subscription] = []
        position = history.offset
        for terms, place in zip(asked, missed, strict=True):
            begins = history.offset if place is None else place.offset
            subscription = self._begin(outbox, terms, begins, allowance, formers)
            cursor = Cursor(history.epoch, begins)
            if place is None:
                honoured.append(terms.honoured(cursor))
                continue
            honoured.append(terms.honoured(cursor, recovered=not place.reason))
            if place.reason:
                self.unrecovered += 1
                subscription.deliveries.give_up(place.position, place.reason)
                self._announce(subscription, now)
            else:
                self.recovered += 1
            if place.position < history.offset:
                returning.append(subscription)
                position = min(position, place.position)
        if returning:
            replay = Replay([(one.selector, one) for one in returning], outbox, allowance, position)
            for subscription in returning:
                subscription.replay = replay
            outbox.send_nowait(replay)
        # Only now, since who hears of it may act at once.
        self.changes += len(asked)
        if first:
            self._interest(list({each.pattern: each for each in first}.values()), True)
        if formers:
            self._end(outbox, formers)
            self._go_on(allowance)
        return honoured

    def _missed(self, terms: Terms, now: float, looks: int) -> Missed | None:
        if terms.since is None:
            return None
        try:
            return self.history.missed(terms.since, terms.selector, now, looks)
        except InvalidCursor as error:
            raise InvalidCursor(str(terms.since), f"{terms.where}.since") from error

    def _begin(
        self, outbox: Outbox, terms: Terms, offset: int, allowance: Allowance, formers: list[Subscription]
    ) -> Subscription:
        filter = terms.filter
        if filter is not None:
            filter = self._filters.setdefault(filter.key, filter)
        subscription = Subscription(terms, filter, outbox, offset, allowance)
        held = self._held.setdefault(outbox, Held())
        former = held.pop(terms.label)
        if former is not None:
            formers.append(former)
        held.add(subscription)
        self._index.add(terms.selector, subscription)
        return subscription

    def unsubscribe(self, outbox: Outbox, label: str) -> bool:
        """End a subscription, and forget what waits for it. True if there was one. Idempotent."""
        held = self._held.get(outbox)
        subscription = None if held is None else held.pop(label)
        if held is None or subscription is None:
            return False
        if not held.labels:
            del self._held[outbox]
        self._end(outbox, (subscription,))
        self._go_on(subscription.allowance)
        return True

    def unsubscribe_uri(self, outbox: Outbox, uri: str) -> None:
        """End those that a subscriber has for exactly this URI. Idempotent."""
        held = self._held.get(outbox)
        for label in () if held is None else tuple(held.uris.get(uri, ())):
            self.unsubscribe(outbox, label)

    def leave(self, outbox: Outbox) -> None:
        """End all subscriptions of a subscriber. Synchronous and idempotent."""
        held = self._held.pop(outbox, None)
        if held is None:
            return
        labels = held.labels
        while labels:
            # Some at a time: what is taken away, told of and let go together is still at hand in the processor's cache.
            self._end(outbox, [labels.popitem()[1] for _ in range(min(_AT_HAND, len(labels)))])
        for allowance in held.allowances:
            self._go_on(allowance)  # it may have other subscribers, who wait for room

    def _end(self, outbox: Outbox, ended: Collection[Subscription]) -> None:
        # A client may leave with ten thousand, which is mostly waiting for memory: each is looked at once. And it makes no
        # ten thousand pairs: then the garbage collector would look through all that everybody has.
        gone = self._index.remove_all(self._closed(outbox, ended))
        self.changes += len(ended)
        if gone:
            self._interest(gone, False)

    def _closed(
        self, outbox: Outbox, ended: Iterable[Subscription]
    ) -> Iterator[tuple[Selector, Subscription]]:
        is_owed = len(outbox) > 0
        for one in ended:
            if one.timer is not None:
                self._disarm(one)
            one.close()
            if is_owed:
                outbox.purge(one)
            if one.replay is not None:
                one.replay.drop(one)
            yield one.selector, one

    # All of them

    def restart(self, epoch: str, offset: int) -> None:
        """Forget history: the numbers have begun anew, or the clock has. Subscriptions stay."""
        self.history.restart(epoch, offset)

    def rebuild(self, epoch: str, offset: int) -> None:
        """Make the index anew from what each subscriber has subscribed; the numbers have begun anew, and all are told a gap."""
        self._index = SelectorIndex()
        self.restart(epoch, offset)
        now = self._clock()
        for subscription in [one for held in self._held.values() for one in held.labels.values()]:
            self._index.add(subscription.selector, subscription)
            if subscription.replay is not None:
                subscription.replay.drop(subscription)
                subscription.replay = None
            if subscription.deliveries.restart(offset):
                self._announce(subscription, now)

    def remind(self, outbox: Outbox) -> None:
        """What was sent to a subscriber may have been lost: it is told a gap by each subscription that has told it anything.

        What waits is told after that.
        """
        now = self._clock()
        for subscription in self.of(outbox):
            if subscription.deliveries.doubt(HISTORY):
                self._announce(subscription, now)

    # To be looked at

    def __len__(self) -> int:
        """How many subscriptions there are."""
        return len(self._index)

    def of(self, outbox: Outbox) -> tuple[Subscription, ...]:
        """The subscriptions of one subscriber."""
        held = self._held.get(outbox)
        return () if held is None else tuple(held.labels.values())

    def find(self, outbox: Outbox, label: str) -> Subscription | None:
        """The subscription that one subscriber has under a label."""
        held = self._held.get(outbox)
        return None if held is None else held.labels.get(label)

    def count(self, outbox: Outbox) -> int:
        """How many subscriptions one subscriber has."""
        held = self._held.get(outbox)
        return 0 if held is None else len(held.labels)

    def nodes(self, outbox: Outbox) -> int:
        """How many filters its filters are made of."""
        held = self._held.get(outbox)
        return 0 if held is None else held.nodes

    def wanted(self) -> Iterator[tuple[Selector, int]]:
        """Each selector, and how many subscriptions it has. Not to be kept over a checkpoint."""
        return ((one.selector, count) for one, count in self._index.groups())
