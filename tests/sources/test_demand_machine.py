"""Demand against a model that knows only who wants what, since when nobody does, and which tasks there are."""

from __future__ import annotations

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mcptrio.sources.demand import Demand

pytestmark = pytest.mark.unmeasured

LINGER = 10.0
PARTS = ("a", "b", "c")

parts = st.sampled_from(PARTS)


class Programs(RuleBasedStateMachine):
    """Random wants, times and ends of tasks. Every start and every stop is checked as it is ordered."""

    most = math.inf

    def __init__(self) -> None:
        super().__init__()
        self.demand = Demand(LINGER, self.most)
        self.now = 0.0
        self.open = False
        self.wants = dict.fromkeys(PARTS, 0)
        self.unwanted_since = dict.fromkeys(PARTS, 0.0)
        self.order = dict.fromkeys(PARTS, 0)
        """The parts by when they were last unwanted: times alone may be equal."""
        self.tasks: dict[str, bool] = {}
        """The parts with a task, and whether it was told to stop."""
        self.done: set[str] = set()
        """What ended by itself under those who want it now."""
        self.queue: list[str] = []
        """What is wanted and has no task, in the order in which that came about."""

    def started(self, part: str) -> None:
        assert self.open and self.wants[part] and part not in self.tasks and part not in self.done
        assert len(self.tasks) < self.most
        assert self.queue.pop(0) == part
        self.tasks[part] = False

    def admit(self) -> None:
        for part in self.demand.admitted():
            self.started(part)

    def needed(self) -> int:
        """How many tasks must be told to stop yet for those that wait."""
        leaving = sum(told and not self.wants[part] for part, told in self.tasks.items())
        return len(self.queue) - leaving if self.open else 0

    def lingering(self) -> dict[str, float]:
        """Until when each task runs on that nobody wants."""
        lingering = [part for part, told in self.tasks.items() if not told and not self.wants[part]]
        lingering.sort(key=self.order.__getitem__)
        return {part: self.unwanted_since[part] + LINGER for part in lingering}

    @rule(part=parts, count=st.integers(1, 3))
    def want(self, part: str, count: int) -> None:
        for _ in range(count):
            if not self.wants[part] and part not in self.tasks:
                self.queue.append(part)
            self.wants[part] += 1
            if self.demand.want(part):
                self.started(part)

    @rule(part=parts)
    def unwant(self, part: str) -> None:
        if not self.wants[part]:
            return
        self.wants[part] -= 1
        if not self.wants[part]:
            self.unwanted_since[part] = self.now
            self.order[part] = max(self.order.values()) + 1
            if part in self.queue:
                self.queue.remove(part)
            self.done.discard(part)
        self.demand.unwant(part, self.now)

    @rule(seconds=st.sampled_from([0.0, 0.5, 3.0, LINGER - 1, LINGER, 100.0]))
    def time_passes(self, seconds: float) -> None:
        """The tree looks whenever something is due, so never later than that."""
        until = self.now + seconds
        while (due := self.demand.next_due()) <= until:
            self.now = max(self.now, due)
            needed = self.needed()
            overdue = [
                part
                for number, (part, at) in enumerate(self.lingering().items())
                if at <= self.now or number < needed
            ]
            assert self.demand.due(self.now) == overdue != []
            for part in overdue:
                self.tasks[part] = True
        self.now = until

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def a_task_ends(self, data: st.DataObject) -> None:
        """As told or, when it was not, by itself."""
        part = data.draw(st.sampled_from(sorted(self.tasks)))
        if self.tasks.pop(part):
            if self.wants[part]:
                self.queue.insert(0, part)  # in its own place: nobody was let in for it
            if self.demand.stopped(part):
                self.started(part)
        else:
            if self.wants[part]:
                self.done.add(part)
            self.demand.returned(part)
        self.admit()

    @precondition(lambda self: False in self.tasks.values())
    @rule(data=st.data())
    def somebody_else_stops_a_task(self, data: st.DataObject) -> None:
        part = data.draw(st.sampled_from(sorted(part for part, told in self.tasks.items() if not told)))
        del self.tasks[part]
        if self.wants[part]:
            self.done.add(part)
        assert not self.demand.stopped(part)
        self.admit()

    @precondition(lambda self: self.open and self.done and len(self.tasks) < self.most)
    @rule(data=st.data())
    def somebody_else_starts_what_is_done(self, data: st.DataObject) -> None:
        part = data.draw(st.sampled_from(sorted(self.done)))
        self.done.discard(part)
        self.tasks[part] = False
        self.demand.restarted(part)

    @precondition(lambda self: not self.open)
    @rule()
    def the_tree_begins(self) -> None:
        self.open = True
        starting = self.demand.opened()
        for part in starting:
            self.started(part)

    @precondition(lambda self: self.open)
    @rule()
    def the_tree_ends(self) -> None:
        self.open = False
        self.tasks.clear()
        self.done.clear()
        self.demand.closed()
        self.queue = list(self.demand.waiting())
        assert set(self.queue) == {part for part in PARTS if self.wants[part]}

    @invariant()
    def what_is_wanted_runs(self) -> None:
        for part in PARTS:
            if self.open and self.wants[part]:
                assert part in self.tasks or part in self.done or part in self.queue
        if self.open:
            assert not self.queue or len(self.tasks) >= self.most
        assert list(self.demand.waiting()) == self.queue

    @invariant()
    def the_next_time_is_the_first_linger_to_end_or_at_once_where_room_is_needed(self) -> None:
        lingering = self.lingering()
        due = -math.inf if lingering and self.needed() > 0 else min(lingering.values(), default=math.inf)
        assert self.demand.next_due() == due

    @invariant()
    def what_waits_is_about_to_start_if_enough_of_what_has_a_task_is_unwanted(self) -> None:
        unwanted = sum(not self.wants[part] for part in self.tasks)
        for part in self.queue:
            assert self.demand.is_about_to_start(part) == (self.open and len(self.queue) <= unwanted)

    @invariant()
    def nothing_is_kept_but_what_is_wanted_or_runs(self) -> None:
        kept = {part for part in PARTS if self.wants[part] or part in self.tasks}
        assert set(self.demand) == kept
        assert len(self.demand) == len(kept)
        assert all(self.demand.wants(part) == self.wants[part] for part in PARTS)


class FewPrograms(Programs):
    """The same with room for fewer tasks than there are parts."""

    most = 1


class SomePrograms(Programs):
    most = 2


TestPrograms = Programs.TestCase
TestPrograms.settings = settings(max_examples=150, stateful_step_count=60)
TestFewPrograms = FewPrograms.TestCase
TestFewPrograms.settings = TestPrograms.settings
TestSomePrograms = SomePrograms.TestCase
TestSomePrograms.settings = TestPrograms.settings
