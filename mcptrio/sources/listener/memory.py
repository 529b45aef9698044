"""The last facts that have been announced: for knowing them again, and for the order of each URI."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct

from mcptrio.sources.listener.event import Event, Key

CHUNK = 64
"""Facts are forgotten by so many at a time."""


class Announced(NamedTuple):
    """What is remembered of a fact."""

    key: Key
    series: str
    sequence: int | None

    @classmethod
    def of(cls, event: Event) -> Announced:
        """What is to be remembered of that one."""
        return cls(event.key, event.series, event.sequence)

    def is_comparable(self, event: Event) -> bool:
        """Whether versions or numbers tell which of the two is later."""
        if self.key[2] is not None and event.version is not None:
            return True
        numbers = self.sequence is not None and event.sequence is not None
        return numbers and self.series == event.series


class Recent(Struct, frozen=True):
    """The last facts announced, oldest first. Immutable, and shares what it can with the one before it."""

    full: tuple[tuple[Announced, ...], ...] = ()
    tail: tuple[Announced, ...] = ()

    def __iter__(self) -> Iterator[Announced]:
        for chunk in self.full:
            yield from chunk
        yield from self.tail

    def with_one(self, announced: Announced, most: int) -> tuple[Recent, tuple[Announced, ...]]:
        """The same with one more, and what it forgot for that. Holds at least `most`, and less than a chunk more."""
        tail = (*self.tail, announced)
        if len(tail) < CHUNK:
            return Recent(self.full, tail), ()
        full = (*self.full, tail)
        if (len(full) - 1) * CHUNK < most:
            return Recent(full), ()
        return Recent(full[1:]), full[0]


class Checkpoint(Struct, frozen=True):
    """How far a listener has come: the cursor up to which all is announced (None before the baseline), and what was.

    `beyond`: how many of the last facts a poll from that cursor may show again.
    """

    cursor: object | None = None
    recent: Recent = Recent()
    beyond: int = 0


class Memory:
    """The index over `Recent`. It knows the same after it was made anew from it."""

    def __init__(self, recent: Recent, most: int) -> None:
        self.recent = recent
        self._most = most
        self._known: set[Key] = set()
        # The greatest order announced of a URI, and which fact was its last.
        self._last: dict[str, tuple[Key, int | None, str, int | None]] = {}
        self.greatest: dict[str, int] = {}
        """The greatest number announced of each series of which a fact is remembered."""
        self._members: dict[str, int] = {}
        self.added = 0
        """How many facts were added to what it was made from."""
        for announced in recent:
            self._index(announced)

    def __contains__(self, key: Key) -> bool:
        return key in self._known

    def __len__(self) -> int:
        return len(self._known)

    def add(self, event: Event) -> None:
        """Remember a fact as announced, or never to be."""
        self.added += 1
        announced = Announced.of(event)
        self.recent, forgotten = self.recent.with_one(announced, self._most)
        self._index(announced)
        for each in forgotten:
            self._forget(each)

    def is_older(self, event: Event) -> bool:
        """Whether a later fact of its URI has been announced, as far as versions and numbers tell."""
        return self._order(event) < 0

    def _order(self, event: Event) -> int:
        last = self._last.get(event.uri)
        if last is None:
            return 0
        _, version, series, sequence = last
        if version is not None and event.version is not None:
            return event.version - version
        if sequence is not None and event.sequence is not None and event.series == series:
            return event.sequence - sequence
        return 0

    def _index(self, announced: Announced) -> None:
        uri, _, version = announced.key
        self._known.add(announced.key)
        # A baseline may list the states of a URI in any order: the greatest of each counts.
        _, last_version, series, sequence = self._last.get(uri, (None, None, "", None))
        if last_version is not None:
            version = last_version if version is None else max(version, last_version)
        if announced.sequence is not None:
            if sequence is None or series != announced.series:
                sequence = announced.sequence
            sequence = max(sequence, announced.sequence)
            series = announced.series
            self.greatest[series] = max(self.greatest.get(series, announced.sequence), announced.sequence)
            self._members[series] = self._members.get(series, 0) + 1
        self._last[uri] = (announced.key, version, series, sequence)

    def _forget(self, announced: Announced) -> None:
        self._known.discard(announced.key)
        uri = announced.key[0]
        if (last := self._last.get(uri)) is not None and last[0] == announced.key:
            del self._last[uri]
        if announced.sequence is not None:
            self._members[announced.series] -= 1
            if not self._members[announced.series]:
                del self._members[announced.series], self.greatest[announced.series]
