"""Deliveries: what one subscription is still to be told, and the chain of what it has been told."""

from __future__ import annotations

import math
from collections import deque

from msgspec import Struct

from mcptrio.live.allowance import Allowance
from mcptrio.live.change import Entry
from mcptrio.live.policy import Policy
from mcptrio.live.waiting import InOrder, Newest, Waiting
from mcptrio.live.weight import Weighed

PENDING = "pending"
"""A gap because more waited than may."""

HISTORY = "history"
"""A gap because what was asked for is not kept any more."""

RESTARTED = "restarted"
"""A gap because the hub's numbers have begun anew."""


class Told(Struct, frozen=True):
    """A change to tell; `prev` is the offset of what was told before."""

    entry: Entry
    prev: int


class Gap(Struct, frozen=True):
    """To tell: what lies after `prev` and up to `offset` could not be kept."""

    offset: int
    prev: int
    reason: str


class DeliveriesStatistics(Struct, frozen=True):
    """How many entries wait, how many were merged into newer ones, and how many were given up, in how many gaps."""

    waiting: int
    merged: int
    given_up: int
    gaps: int


class Deliveries:
    """What waits for one subscription, as its policy will have it. Sans-IO; times are the `now` of callers, in seconds.

    Everything is put in by rising offset, and told by rising offset, each with the offset told before it. What was put in is
    told, or made old by a newer change of its URI where the policy merges, or is within a gap that is told: nothing else
    happens to it, and nothing happens twice. When more waits than the allowance has, all that waits for this
    subscription becomes one gap. Who comes back is put in front of what happens meanwhile by `hold`, `replay`, `release`.

    An entry is kept as it is given: where no data is told, give one without it.
    """

    __slots__ = (
        "_allowance",
        "_closed",
        "_gap",
        "_gaps",
        "_given_up",
        "_held",
        "_merged",
        "_newest",
        "_told",
        "_waiting",
    )

    def __init__(self, policy: Policy, offset: int, allowance: Allowance) -> None:
        self._allowance = allowance
        self._waiting: Waiting = Newest(policy) if policy.merges else InOrder()
        self._told = offset
        self._newest = offset
        """Up to here everything was told, waits, or is in the gap."""
        self._gap: tuple[int, str] | None = None
        """Up to which offset there is a gap that is yet to be told, and why."""
        self._held: deque[Weighed] | None = None
        """What happens while replaying; None at other times."""
        self._merged = self._given_up = self._gaps = 0
        self._closed = False

    def put(self, item: Weighed, now: float) -> bool:
        """Take a change that has just happened. True if `due` has become earlier by it.

        One that is not newer than all before it is known already: nothing happens.
        """
        if self._held is None:
            return self._add(item, now)
        newest = self._held[-1].entry.offset if self._held else self._newest
        if not self._closed and item.entry.offset > newest:
            self._held.append(item)
            self._allowance.take(item)
            if self._allowance.is_exceeded:
                return self.give_up(item.entry.offset, PENDING)
        return False

    def _add(self, item: Weighed, now: float) -> bool:
        offset = item.entry.offset
        if self._closed or offset <= self._newest:
            return False
        before = self.due()
        self._newest = offset
        self._allowance.take(item)
        self._wait(item, now)
        if self._allowance.is_exceeded:
            self.give_up(offset, PENDING)
        return self.due() < before

    def _wait(self, item: Weighed, now: float) -> None:
        old = self._waiting.add(item, now)
        if old is not None:
            self._merged += 1
            self._allowance.give_back(old)

    def hold(self) -> None:
        """From now on let what is `put` wait behind what is going to be replayed. Called before the first `put`; idempotent."""
        if self._held is None:
            self._held = deque()

    def replay(self, item: Weighed, now: float) -> bool:
        """Take a change of history, by rising offset, between `hold` and `release`; it can be told at once. As `put`."""
        return self._add(item, now)

    def release(self, now: float) -> bool:
        """All of history until `hold` has been replayed: what was put since then follows. As `put`. Idempotent."""
        before = self.due()
        held, self._held = self._held, None
        for item in held or ():
            if item.entry.offset > self._newest:
                self._newest = item.entry.offset
                self._wait(item, now)
            else:
                # It was in history already.
                self._allowance.give_back(item)
        return self.due() < before

    def give_up(self, offset: int, reason: str) -> bool:
        """Make everything that waits, and all up to an offset, one gap, which is told next. As `put`.

        A gap that has not been told is made longer, and keeps its reason.
        """
        if self._closed:
            return False
        before = self.due()
        if self._held:
            offset = max(offset, self._held[-1].entry.offset)
        self._newest = max(self._newest, offset)
        self._given_up += self._forget()
        if self._gap is None:
            self._gaps += 1
            self._gap = self._newest, reason
        else:
            self._gap = self._newest, self._gap[1]
        return self.due() < before

    def _forget(self) -> int:
        items = self._waiting.clear()
        if self._held is not None:
            items += self._held
            self._held.clear()
        for item in items:
            self._allowance.give_back(item)
        return len(items)

    def take(self, now: float) -> Told | Gap | None:
        """What is to be told next, which counts as told from now on; None while nothing is due."""
        prev = self._told
        if self._gap is not None:
            (self._told, reason), self._gap = self._gap, None
            return Gap(self._told, prev, reason)
        item = self._waiting.pop(now)
        if item is None:
            return None
        self._allowance.give_back(item)
        self._told = item.entry.offset
        return Told(item.entry, prev)

    def due(self) -> float:
        """When there is something to take: a time that may have passed, or infinity while nothing waits for its time."""
        return -math.inf if self._gap is not None else self._waiting.due()

    def close(self) -> None:
        """Forget everything; nothing is taken in or told from now on. Synchronous and idempotent."""
        self._closed = True
        self._gap = None
        self._forget()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._held or ())

    def statistics(self) -> DeliveriesStatistics:
        """A snapshot of the counters."""
        return DeliveriesStatistics(len(self), self._merged, self._given_up, self._gaps)
