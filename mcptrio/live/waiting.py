"""Queues of entries that wait to be told, by policy. Offsets go in rising, and come out rising."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Protocol

from mcptrio.live.policy import CONFLATE, Policy
from mcptrio.live.weight import Weighed


class Waiting(Protocol):
    """What waits. Each item that goes in comes out exactly once: from `add`, `pop` or `clear`."""

    def add(self, item: Weighed, now: float) -> Weighed | None:
        """Take an item that is newer than all others; returns the one that it has made old."""

    def pop(self, now: float) -> Weighed | None:
        """The next item, or None while there is none that is due."""

    def clear(self) -> list[Weighed]:
        """Take out everything."""

    def hurry(self) -> None:
        """From now on nothing waits for its time."""

    def due(self) -> float:
        """When `pop` has something: a time that may have passed, or infinity while nothing waits."""

    def __len__(self) -> int: ...


class InOrder:
    """All items, in order."""

    __slots__ = ("_first", "_last")

    def __init__(self) -> None:
        # Two lists instead of a deque, which takes half a kilobyte for a single item.
        self._first: list[Weighed] = []
        """The older ones, the oldest last."""
        self._last: list[Weighed] = []
        """The newer ones, the newest last."""

    def add(self, item: Weighed, now: float) -> None:
        self._last.append(item)

    def pop(self, now: float) -> Weighed | None:
        if not self._first:
            self._first, self._last = self._last, self._first
            self._first.reverse()
        return self._first.pop() if self._first else None

    def clear(self) -> list[Weighed]:
        items = [*reversed(self._first), *self._last]
        self._first.clear()
        self._last.clear()
        return items

    def hurry(self) -> None:
        pass

    def due(self) -> float:
        return -math.inf if self._first or self._last else math.inf

    def __len__(self) -> int:
        return len(self._first) + len(self._last)


class Newest:
    """Of each URI the newest item, in the order of offsets, one round after the other.

    What has come while one round is told is in the next one. A newer item takes the older one out of the round, and
    waits in the next; but an item that has been put off like that is left in its round when one newer still
    comes. So no URI is put off for ever by changing all the time, offsets rise all the same, and of each URI two items wait
    at most.
    """

    __slots__ = ("_first_at", "_last_at", "_next", "_policy", "_put_off", "_round")

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        # Most often a single item waits: what only several need is made when they come.
        self._next: dict[str, Weighed] = {}
        self._round: OrderedDict[str, Weighed] | None = None
        self._put_off: set[str] | None = None
        """URIs whose older waiting item has taken the place of one in a round."""
        self._first_at = self._last_at = 0.0

    def add(self, item: Weighed, now: float) -> Weighed | None:
        uri = item.entry.change.uri
        if not self._next:
            self._first_at = now
        self._last_at = now
        old = self._next.pop(uri, None)
        if old is None and self._round and uri in self._round:
            if self._put_off is None:
                self._put_off = set()
            if uri not in self._put_off:
                old = self._round.pop(uri)
                self._put_off.add(uri)
        self._next[uri] = item
        return old

    def pop(self, now: float) -> Weighed | None:
        if self._round:
            uri, item = self._round.popitem(last=False)
        elif now < self.due():
            return None
        elif len(self._next) == 1:
            uri, item = self._next.popitem()
        else:
            self._round, self._next = OrderedDict(self._next), {}
            uri, item = self._round.popitem(last=False)
        if self._put_off:
            self._put_off.discard(uri)
        return item

    def clear(self) -> list[Weighed]:
        items = [*(self._round or {}).values(), *self._next.values()]
        self._next.clear()
        self._round = self._put_off = None
        return items

    def hurry(self) -> None:
        self._policy = CONFLATE

    def due(self) -> float:
        if self._round:
            return -math.inf
        if not self._next:
            return math.inf
        return min(self._last_at + self._policy.window, self._first_at + self._policy.max_wait)

    def __len__(self) -> int:
        return len(self._next) + (len(self._round) if self._round else 0)
