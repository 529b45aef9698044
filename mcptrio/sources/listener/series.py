"""One series of numbers: gives out its events in order, and knows what is missing."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mcptrio.sources.listener.event import Event, Key

ABANDONED = 1_000
"""How many missing numbers of a series are remembered after they were passed over, the greatest ones."""


class Series:
    """The events of one series, in order. What comes behind a hole waits until it is filled or passed over.

    A new series that the stream brought is `unsure`: what was before its first event is not known, so all of it waits
    until a poll has told.
    """

    def __init__(self, through: int, *, unsure_since_poll: int | None = None) -> None:
        self.through = through
        """All numbers up to this one were given out or passed over; without meaning while unsure."""
        self.unsure_since_poll = unsure_since_poll
        """How many polls had begun when it came up, while it is unsure; else None."""
        self.waiting: dict[int, tuple[list[Event], float]] = {}
        """What waits, and since when. Several events may share a number; none: the fact came another way."""
        self._abandoned: set[int] = set()

    @property
    def unsure(self) -> bool:
        """Whether it is not known yet where it begins."""
        return self.unsure_since_poll is not None

    @property
    def since(self) -> float:
        """Since when something waits; infinite while nothing does."""
        for _, at in self.waiting.values():  # in the order of their coming
            return at
        return math.inf

    def is_past(self, number: int) -> bool:
        """Whether the number was given out or passed over."""
        return not self.unsure and number <= self.through

    def was_missing(self, number: int) -> bool:
        """Whether the number was passed over without having been seen. True once: then it has been."""
        if number in self._abandoned:
            self._abandoned.discard(number)
            return True
        return False

    def take(self, number: int, event: Event | None, now: float) -> list[Event]:
        """A number has come, not past; gives out what can be given out now, in order."""
        events, _ = self.waiting.setdefault(number, ([], now))
        if event is not None:
            events.append(event)
        return list(self._contiguous())

    def withdraw(self, number: int, key: Key) -> Event:
        """That waiting event goes another way; the number stays seen."""
        events, _ = self.waiting[number]
        (event,) = (each for each in events if each.key == key)
        events.remove(event)
        return event

    def begin(self, least: int) -> list[Event]:
        """It is known now that nothing is to come before `least`, or before what waits; gives out what that frees."""
        if self.unsure:
            self.through = min((least, *self.waiting)) - 1
            self.unsure_since_poll = None
        return list(self._contiguous())

    def pass_over(self, to: int) -> list[Event]:
        """Wait no longer for any number up to `to`; gives out what that frees, in order."""
        freed: list[Event] = []
        for number in sorted(each for each in self.waiting if each <= to):
            self._abandon(number - 1)
            freed += self._contiguous()
        self._abandon(to)
        return freed + list(self._contiguous())

    def _abandon(self, to: int) -> None:
        if to > self.through:
            self._abandoned.update(range(max(self.through + 1, to - ABANDONED + 1), to + 1))
            if len(self._abandoned) > ABANDONED:
                self._abandoned = set(sorted(self._abandoned)[-ABANDONED:])
            self.through = to

    def _contiguous(self) -> Iterator[Event]:
        while not self.unsure and self.through + 1 in self.waiting:
            self.through += 1
            events, _ = self.waiting.pop(self.through)
            yield from events
