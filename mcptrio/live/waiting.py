"""Queues of entries that wait to be told, by policy. Offsets go in rising, and come out rising."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from typing import Protocol

from mcptrio.live.policy import Policy
from mcptrio.live.weight import Weighed


class Waiting(Protocol):
    """What waits. Each item that goes in comes out exactly once: from `add`, `pop` or `clear`."""

    def add(self, item: Weighed, now: float) -> Weighed | None:
        """Take an item that is newer than all others; returns the one that it has made old."""

    def pop(self, now: float) -> Weighed | None:
        """The next item, or None while there is none that is due."""

    def clear(self) -> list[Weighed]:
        """Take out everything."""

    def due(self) -> float:
        """When `pop` has something: a time that may have passed, or infinity while nothing waits."""

    def __len__(self) -> int: ...


class InOrder:
    """All items, in order."""

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: deque[Weighed] = deque()

    def add(self, item: Weighed, now: float) -> None:
        self._items.append(item)

    def pop(self, now: float) -> Weighed | None:
        return self._items.popleft() if self._items else None

    def clear(self) -> list[Weighed]:
        items = list(self._items)
        self._items.clear()
        return items

    def due(self) -> float:
        return -math.inf if self._items else math.inf

    def __len__(self) -> int:
        return len(self._items)


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
        self._round: OrderedDict[str, Weighed] = OrderedDict()
        self._next: OrderedDict[str, Weighed] = OrderedDict()
        self._put_off: set[str] = set()
        """URIs whose older waiting item has taken the place of one in a round."""
        self._first_at = self._last_at = 0.0

    def add(self, item: Weighed, now: float) -> Weighed | None:
        uri = item.entry.change.uri
        if not self._next:
            self._first_at = now
        self._last_at = now
        old = self._next.pop(uri, None)
        if old is None and uri in self._round and uri not in self._put_off:
            old = self._round.pop(uri)
            self._put_off.add(uri)
        self._next[uri] = item
        return old

    def pop(self, now: float) -> Weighed | None:
        if not self._round:
            if now < self.due():
                return None
            self._round, self._next = self._next, self._round
        uri, item = self._round.popitem(last=False)
        self._put_off.discard(uri)
        return item

    def clear(self) -> list[Weighed]:
        items = [*self._round.values(), *self._next.values()]
        self._round.clear()
        self._next.clear()
        self._put_off.clear()
        return items

    def due(self) -> float:
        if self._round:
            return -math.inf
        if not self._next:
            return math.inf
        return min(self._last_at + self._policy.window, self._first_at + self._policy.max_wait)

    def __len__(self) -> int:
        return len(self._round) + len(self._next)
