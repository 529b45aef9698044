"""Deliveries: what one subscription is still to be told, and the chain of what it has been told."""

from __future__ import annotations

import math

from msgspec import Struct

from mcptrio.live.allowance import Allowance
from mcptrio.live.change import Entry
from mcptrio.live.policy import CONFLATE, Policy
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
    """To tell: what lies after `prev` and up to `offset` could not be kept.

    Where both are the same: what was told up to there may not have arrived.
    """

    offset: int
    prev: int
    reason: str


class Deliveries:
    """What waits for one subscription, as its policy will have it. Sans-IO; times are the `now` of callers, in seconds.

    Everything is put in by rising offset, and told by rising offset, each with the offset told before it. What was put in is
    told, or made old by a newer change of its URI where the policy merges, or is within a gap that is told: nothing else
    happens to it, and nothing happens twice. When more waits than the allowance has, all that waits for this
    subscription becomes one gap.

    An entry is kept as it is given: where no data is told, give one without it.
    """

    __slots__ = ("_allowance", "_closed", "_gap", "_has_told", "_policy", "_told", "_waiting", "newest")

    def __init__(self, policy: Policy, offset: int, allowance: Allowance) -> None:
        """All up to `offset` is told, or is nothing to the subscription."""
        self._allowance = allowance
        self._policy = policy
        self._waiting: Waiting | None = None
        """None while nothing waits: there may be a hundred thousand subscriptions, most of them at rest."""
        self._told = offset
        self._has_told = False
        self.newest = offset
        """Up to here everything was told, waits, or is in the gap."""
        self._gap: tuple[int, str] | None = None
        """Up to which offset there is a gap that is yet to be told, and why."""
        self._closed = False

    def put(self, item: Weighed, now: float) -> bool:
        """Take a change. True if `due` has become earlier by it.

        One that is not newer than all before it is known already: nothing happens.
        """
        offset = item.entry.offset
        if self._closed or offset <= self.newest:
            return False
        self.newest = offset
        waiting = self._waiting
        is_first = False
        if waiting is None:
            waiting = self._waiting = Newest(self._policy) if self._policy.merges else InOrder()
            is_first = self._gap is None
        self._allowance.take(item)
        old = waiting.add(item, now)
        if old is not None:
            self._allowance.merged(old)
        if self._allowance.is_exceeded:
            return self.give_up(offset, PENDING) or is_first
        return is_first

    def give_up(self, offset: int, reason: str) -> bool:
        """Make everything that waits, and all up to an offset, one gap, which is told next. As `put`.

        A gap that has not been told is made longer, and keeps its reason.
        """
        if self._closed:
            return False
        before = self.due()
        self.newest = max(self.newest, offset)
        if self._waiting is not None:
            self._allowance.given_up(self._waiting.clear())
            self._waiting = None
        if self._gap is None:
            self._allowance.tally.gaps[reason] += 1
            self._gap = self.newest, reason
        else:
            self._gap = self.newest, self._gap[1]
        return self.due() < before

    def doubt(self, reason: str) -> bool:
        """What was told may not have arrived: a gap says so, and then comes what waits. As `put`.

        Nothing happens while nothing has been told, or if a gap is told next anyway.
        """
        if self._closed or self._gap is not None or not self._has_told:
            return False
        before = self.due()
        self._allowance.tally.gaps[reason] += 1
        self._gap = self._told, reason
        return self.due() < before

    def restart(self, offset: int) -> bool:
        """The numbers have begun anew, and are at an offset: everything that waits becomes one gap up to there. As `put`."""
        self.newest = offset
        self._gap = None
        return self.give_up(offset, RESTARTED)

    def take(self, now: float) -> Told | Gap | None:
        """What is to be told next, which counts as told from now on; None while nothing is due."""
        prev = self._told
        if self._gap is not None:
            (self._told, reason), self._gap = self._gap, None
            self._has_told = True
            return Gap(self._told, prev, reason)
        waiting = self._waiting
        item = None if waiting is None else waiting.pop(now)
        if item is None:
            return None
        if not waiting:
            self._waiting = None
        self._allowance.give_back(item)
        self._told = item.entry.offset
        self._has_told = True
        return Told(item.entry, prev)

    def hurry(self) -> None:
        """From now on everything is due at once, whatever the policy says: the end is near."""
        if self._policy.merges:
            self._policy = CONFLATE
        if self._waiting is not None:
            self._waiting.hurry()

    def due(self) -> float:
        """When there is something to take: a time that may have passed, or infinity while nothing waits for its time."""
        if self._gap is not None:
            return -math.inf
        return math.inf if self._waiting is None else self._waiting.due()

    def close(self) -> None:
        """Forget everything; nothing is taken in or told from now on. Synchronous and idempotent."""
        self._closed = True
        self._gap = None
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._allowance.give_back_all(waiting.clear())

    def __len__(self) -> int:
        return 0 if self._waiting is None else len(self._waiting)
