"""Everything between an event's coming and its being announced: what is held, what waits for numbers, what is ready."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice

from mcptrio.live import InvalidUri, check_uri
from mcptrio.sources.listener.event import Event, Key
from mcptrio.sources.listener.memory import Announced, Memory
from mcptrio.sources.listener.series import Series
from mcptrio.sources.listener.statistics import Statistics

UNSHOWN = 16
"""How many facts of one URI that polls have not shown yet are kept, the latest ones."""

BEFORE = -1
"""In place of a number of polls: before this run."""

SERIES = 1_000
"""How many series are kept beyond those of which a fact is remembered."""


class Intake:
    """Events on their way. Each fact is in one place at most: held, waiting in its series, or ready."""

    def __init__(self, memory: Memory, statistics: Statistics, *, beyond: int) -> None:
        self._memory = memory
        self._statistics = statistics
        self._held: dict[Key, tuple[Event, float]] = {}
        self._series = {name: Series(through) for name, through in memory.greatest.items()}
        self._waiting: dict[Key, tuple[str, int]] = {}
        self._shown: set[Key] = set()  # what waits and a poll has shown
        self.holes: dict[str, Series] = {}
        """The series in which something waits."""
        self._ready: deque[Event] = deque()
        self._ready_keys: set[Key] = set()
        self.pushed = 0
        """How many events have become ready, ever."""
        self.popped = 0
        # What the stream brought and polls have not shown yet, by URI, with the number of polls begun before. What a
        # poll shows before it shows them is older, even if nothing in it says so.
        self._unshown: dict[str, dict[Key, tuple[Announced, int]]] = {}
        self._polls_begun = 0
        self._covered: dict[str, int] = {}
        for announced in islice(memory.recent, max(0, len(memory) - beyond), None):
            self._keep_unshown(announced, BEFORE)

    def __contains__(self, key: Key) -> bool:
        return key in self._memory or key in self._held or key in self._waiting or key in self._ready_keys

    @property
    def size(self) -> int:
        """How much waits, in all places."""
        holes = sum(len(series.waiting) for series in self.holes.values())
        return len(self._held) + max(holes, len(self._waiting)) + len(self._ready)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is ready."""
        return not self._ready

    # From the stream.

    def hold(self, event: Event, now: float) -> None:
        """Keep it until `release`."""
        self._held[event.key] = (event, now)

    @property
    def held_since(self) -> float:
        """Since when something is held; infinite while nothing is."""
        for _, at in self._held.values():
            return at
        return math.inf

    def release(self) -> None:
        """What is held waits no longer."""
        events = [event for event, _ in self._held.values()]
        self._held.clear()
        for event in in_order(events):
            self.push(event)

    def push(self, event: Event) -> None:
        """Nothing is before it any more."""
        self._keep_unshown(Announced.of(event), self._polls_begun)
        self._push(event)

    def take_numbered(self, event: Event, now: float) -> None:
        """The stream has brought an event with a number."""
        number = event.sequence
        assert number is not None
        series = self._series.get(event.series)
        if series is None:
            self._forget_series()
            series = self._series[event.series] = Series(number - 1, unsure_since_poll=self._polls_begun)
        if event.key in self:
            self._statistics.duplicates += 1
            self._see(event.series, number, now)
        elif not series.is_past(number):
            self._enter(event, number, now)
        elif series.was_missing(number) or number == series.through:
            self.push(event)
        else:
            self._statistics.duplicates += 1  # by its number, however long ago

    def expire(self, now: float, patience: float) -> Iterator[str]:
        """Wait no longer for numbers that something has waited for so long; tells in words what was given up."""
        for name, series in tuple(self.holes.items()):
            while series.since + patience <= now:
                first = min(series.waiting)
                of = f" of {name}" if name else ""
                if series.unsure:
                    yield f"what was before number {first}{of} is not known"
                    self._push_all(series.begin(first))
                else:
                    yield f"numbers {series.through + 1} to {first - 1}{of} were neither sent nor found"
                    self._push_all(series.pass_over(first - 1))
                self._note(name)

    # From polls.

    def poll_begins(self) -> None:
        """What comes from now on need not be in the answer."""
        self._polls_begun += 1
        self._covered = {name: max(series.waiting) for name, series in self.holes.items()}

    def poll_ends(self, *, numbered: bool) -> None:
        """All of its answer was taken in: what it should have shown and did not is not to come."""
        for uri, unshown in tuple(self._unshown.items()):
            left = {key: found for key, found in unshown.items() if found[1] == self._polls_begun}
            if left:
                self._unshown[uri] = left
            else:
                del self._unshown[uri]
        for name, series in tuple(self.holes.items()):
            if series.unsure_since_poll is not None and series.unsure_since_poll < self._polls_begun:
                self._push_all(series.begin(min(series.waiting)))
            if not numbered and not series.unsure and name in self._covered:
                self._push_all(series.pass_over(self._covered[name]))
            self._note(name)

    def remember(self, batch: Iterable[Event], now: float) -> None:
        """A baseline: what it lists counts as announced."""
        numbers: dict[str, list[int]] = {}
        for event in batch:
            if not is_usable(event):
                self._statistics.unusable += 1
                continue
            if event.sequence is not None:
                numbers.setdefault(event.series, []).append(event.sequence)
            self._held.pop(event.key, None)
            self._show(event)
            if event.key not in self._memory:
                self._memory.add(event)
        self._see_all(numbers, now)

    def take_in(self, batch: Sequence[Event], now: float, *, complete: bool, release: bool) -> set[Key]:
        """An answer, oldest first, or what has come of it; returns what of it is still to be announced.

        `release`: what is held goes with it, in one order.
        """
        numbers: dict[str, list[int]] = {}
        fresh = self._fresh(batch, numbers, complete)
        keys = {event.key for event in fresh}
        if release:
            fresh += [event for event, _ in self._held.values() if event.key not in keys]
        for name, found in numbers.items():
            if name not in self._series:
                self._forget_series()
                self._series[name] = Series(min(found) - 1)
        for event in in_order(fresh):
            self._place(event, now)
        self._see_all(numbers, now)
        return keys

    def _fresh(self, batch: Sequence[Event], numbers: dict[str, list[int]], complete: bool) -> list[Event]:
        """What of a batch is neither announced nor late, in its order; collects all its numbers."""
        keys = {event.key for event in batch}
        seen: set[Key] = set()
        fresh: list[Event] = []
        for event in batch:
            if not is_usable(event):
                self._statistics.unusable += 1
                continue
            if event.sequence is not None:
                numbers.setdefault(event.series, []).append(event.sequence)
            if event.key in seen:
                continue
            seen.add(event.key)
            self._show(event)
            if event.key in self._memory:
                continue
            if self._memory.is_older(event):
                self._statistics.late += 1
            elif self._is_overtaken(event, keys, complete):
                self._statistics.late += 1
                self._memory.add(event)  # it would not show that it is, if the stream brought it yet
            else:
                fresh.append(event)
        return fresh

    def _is_overtaken(self, event: Event, keys: Collection[Key], complete: bool) -> bool:
        """Whether something is to be announced before it, or has been, that polls have yet to show."""
        if event.key in self:
            return False
        for key, (announced, begun) in self._unshown.get(event.uri, {}).items():
            # What the whole of a later poll does not show is never shown: that says nothing.
            # Nor does what was announced before this run: a poll may have shown it then.
            to_be_shown = (not complete and begun != BEFORE) or begun == self._polls_begun or key in keys
            if to_be_shown and not announced.is_comparable(event):
                return True
        return False

    def _keep_unshown(self, announced: Announced, polls_begun: int) -> None:
        unshown = self._unshown.setdefault(announced.key[0], {})
        unshown[announced.key] = (announced, polls_begun)
        if len(unshown) > UNSHOWN:
            del unshown[next(iter(unshown))]

    def _show(self, event: Event) -> None:
        unshown = self._unshown.get(event.uri)
        if unshown is not None and unshown.pop(event.key, None) is not None and not unshown:
            del self._unshown[event.uri]

    def _place(self, event: Event, now: float) -> None:
        held = self._held.pop(event.key, None)
        if event.key in self._ready_keys:
            return
        if event.key in self._waiting:
            if event.sequence is None:
                # To the place that the answer gives it, with the number that the stream gave.
                name, number = self._waiting.pop(event.key)
                self._push(self._series[name].withdraw(number, event.key))
            else:
                self._shown.add(event.key)
            return
        if held is None:
            self._statistics.found += 1
        if event.sequence is None:
            self._push(event)
        elif self._series[event.series].is_past(event.sequence):
            self._series[event.series].was_missing(event.sequence)
            self._push(event)
        else:
            self._shown.add(event.key)
            self._enter(event, event.sequence, now)

    def _see_all(self, numbers: dict[str, list[int]], now: float) -> None:
        for name, found in numbers.items():
            if name not in self._series:
                self._forget_series()
                self._series[name] = Series(min(found) - 1)
            for number in found:
                self._see(name, number, now)
            series = self._series[name]
            self._push_all(series.begin(min(found)))
            self._push_all(series.pass_over(max(found)))
            self._note(name)

    # Within.

    def _enter(self, event: Event, number: int, now: float) -> None:
        self._waiting[event.key] = (event.series, number)
        self._push_all(self._series[event.series].take(number, event, now))
        self._note(event.series)

    def _see(self, name: str, number: int, now: float) -> None:
        series = self._series[name]
        if series.is_past(number):
            series.was_missing(number)
        else:
            self._push_all(series.take(number, None, now))
            self._note(name)

    def _note(self, name: str) -> None:
        series = self._series[name]
        if series.waiting:
            self.holes[name] = series
        else:
            self.holes.pop(name, None)

    def _forget_series(self) -> None:
        if len(self._series) - len(self._memory.greatest) >= SERIES:
            kept = (self._memory.greatest.keys() & self._series.keys()) | self.holes.keys()
            self._series = {name: self._series[name] for name in self._series if name in kept}

    def _push_all(self, events: Iterable[Event]) -> None:
        for event in events:
            self._waiting.pop(event.key, None)
            if event.key in self._shown:
                self._shown.discard(event.key)
                self._push(event)
            elif event.key not in self._memory:  # a baseline may have listed it
                self.push(event)

    def _push(self, event: Event) -> None:
        self._ready.append(event)
        self._ready_keys.add(event.key)
        self.pushed += 1

    # To be announced.

    def pop(self) -> Event | None:
        """The next event; whether it is announced is decided by `accept`, at once."""
        if not self._ready:
            return None
        event = self._ready.popleft()
        self._ready_keys.discard(event.key)
        self.popped += 1
        return event

    def accept(self, event: Event) -> bool:
        """Remember it as announced; False if it must not be: it has been, or a later fact of its URI."""
        if event.key in self._memory:
            return False
        if self._memory.is_older(event):
            self._statistics.late += 1
            return False
        self._memory.add(event)
        return True


def is_usable(event: Event) -> bool:
    """Whether the event's URI can name a resource: a feed would refuse any other."""
    try:
        check_uri(event.uri)
    except InvalidUri:
        return False
    return True


def in_order(events: Sequence[Event]) -> list[Event]:
    """The same events; those of a URI ordered by their versions, or their numbers, if all of them have one."""
    by_uri: dict[str, list[int]] = {}
    for place, event in enumerate(events):
        by_uri.setdefault(event.uri, []).append(place)
    ordered = list(events)
    for places in by_uri.values():
        mine = [events[place] for place in places]
        if len(mine) > 1:
            if all(event.version is not None for event in mine):
                mine.sort(key=lambda event: event.version or 0)
            elif len({event.series for event in mine}) == 1 and all(
                event.sequence is not None for event in mine
            ):
                mine.sort(key=lambda event: event.sequence or 0)
            for place, event in zip(places, mine, strict=True):
                ordered[place] = event
    return ordered
