"""Demand against a model that knows only who wants what, since when nobody does, and which tasks there are."""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mcptrio.sources.demand import Demand

LINGER = 10.0
PARTS = ("a", "b", "c")

parts = st.sampled_from(PARTS)


class Programs(RuleBasedStateMachine):
    """Random wants, times and ends of tasks. Every start and every stop is checked as it is ordered."""

    def __init__(self) -> None:
        super().__init__()
        self.demand = Demand(LINGER)
        self.now = 0.0
        self.open = False
        self.wants = dict.fromkeys(PARTS, 0)
        self.unwanted_since = dict.fromkeys(PARTS, 0.0)
        self.tasks: dict[str, bool] = {}
        """The parts with a task, and whether it was told to stop."""
        self.done: set[str] = set()
        """What ended by itself under those who want it now."""

    def started(self, part: str) -> None:
        assert self.open and self.wants[part] and part not in self.tasks and part not in self.done
        self.tasks[part] = False

    def lingering(self) -> dict[str, float]:
        """Until when each task runs on that nobody wants."""
        return {
            part: self.unwanted_since[part] + LINGER
            for part, told in self.tasks.items()
            if not told and not self.wants[part]
        }

    @rule(part=parts, count=st.integers(1, 3))
    def want(self, part: str, count: int) -> None:
        for _ in range(count):
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
            self.done.discard(part)
        self.demand.unwant(part, self.now)

    @rule(seconds=st.sampled_from([0.0, 0.5, 3.0, LINGER - 1, LINGER, 100.0]))
    def time_passes(self, seconds: float) -> None:
        """The tree looks whenever something is due, so never later than that."""
        until = self.now + seconds
        while (due := self.demand.next_due()) <= until:
            self.now = max(self.now, due)
            overdue = {part for part, at in self.lingering().items() if at <= self.now}
            assert set(self.demand.due(self.now)) == overdue != set()
            for part in overdue:
                self.tasks[part] = True
        self.now = until

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def a_task_ends(self, data: st.DataObject) -> None:
        """As told or, when it was not, by itself."""
        part = data.draw(st.sampled_from(sorted(self.tasks)))
        if self.tasks.pop(part):
            if self.demand.stopped(part):
                self.started(part)
            return
        if self.wants[part]:
            self.done.add(part)
        self.demand.returned(part)

    @precondition(lambda self: False in self.tasks.values())
    @rule(data=st.data())
    def somebody_else_stops_a_task(self, data: st.DataObject) -> None:
        part = data.draw(st.sampled_from(sorted(part for part, told in self.tasks.items() if not told)))
        del self.tasks[part]
        if self.wants[part]:
            self.done.add(part)
        assert not self.demand.stopped(part)

    @precondition(lambda self: self.open and self.done)
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

    @invariant()
    def what_is_wanted_runs(self) -> None:
        for part in PARTS:
            if self.open and self.wants[part]:
                assert part in self.tasks or part in self.done

    @invariant()
    def the_next_time_is_the_first_linger_to_end(self) -> None:
        assert self.demand.next_due() == min(self.lingering().values(), default=math.inf)

    @invariant()
    def nothing_is_kept_but_what_is_wanted_or_runs(self) -> None:
        kept = {part for part in PARTS if self.wants[part] or part in self.tasks}
        assert set(self.demand) == kept
        assert len(self.demand) == len(kept)
        assert all(self.demand.wants(part) == self.wants[part] for part in PARTS)


TestPrograms = Programs.TestCase
TestPrograms.settings = settings(max_examples=300, stateful_step_count=60)
