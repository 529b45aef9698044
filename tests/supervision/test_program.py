"""Random programs of operations and crashes, against a simple model of what a supervisor is.

All times are multiples of 1/8 s, so that virtual time and the model agree exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import trio
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from mcptrio.supervision import Backoff, ChildSpec, ChildState, Escalation, Event, Restart, Supervisor
from tests.supervision.actors import Actor, Record

BACKOFF = Backoff(initial=0.5, maximum=4.0, factor=2.0, jitter=False, reset_after=8.0)
MAX_RESTARTS, WITHIN = 4, 5.0
SHUTDOWN = 1.0
NAMES = "abcd"


@dataclass
class Line:
    """A child in the model: its state, when it came into it, and when the next thing happens to it."""

    name: str
    restart: Restart
    linger: float
    state: ChildState
    since: float
    restarts: int = 0
    failures: int = 0
    due: float = float("inf")
    gone: float = float("inf")


@dataclass
class Model:
    """One list in start order, one window of restarts."""

    now: float = 0.0
    table: list[Line] = field(default_factory=list)
    window: list[float] = field(default_factory=list)
    escalated: bool = False

    def find(self, name: str) -> Line | None:
        return next((line for line in self.table if line.name == name), None)

    def start(self, name: str, restart: Restart, linger: float) -> bool:
        line = self.find(name)
        if line is not None and line.state is not ChildState.EXITED:
            return False
        if line is not None:
            self.table.remove(line)
        self.table.append(Line(name, restart, linger, ChildState.RUNNING, self.now))
        return True

    def end(self, name: str, failed: bool) -> bool:
        line = self.find(name)
        if line is None or line.state is not ChildState.RUNNING:
            return False
        if line.restart is Restart.TEMPORARY:
            self.table.remove(line)
        elif line.restart is Restart.TRANSIENT and not failed:
            line.state, line.since = ChildState.EXITED, self.now
        else:
            self.window = [then for then in self.window if then >= self.now - WITHIN] + [self.now]
            if len(self.window) > MAX_RESTARTS:
                self.escalated = True
                return True
            line.failures = 1 if self.now - line.since >= 8.0 else line.failures + 1
            line.restarts += 1
            line.state, line.since = ChildState.RESTARTING, self.now
            line.due = self.now + min(4.0, 0.5 * 2.0 ** (line.failures - 1))
        return True

    def stop(self, name: str) -> None:
        """What `stop_child` does, time passing included."""
        line = self.find(name)
        if line is None or line.state is ChildState.OVERSTAYED:
            return
        if line.state is not ChildState.RUNNING:
            self.table.remove(line)
            return
        line.state, line.since, line.due = ChildState.STOPPING, self.now, self.now + SHUTDOWN
        line.gone = self.now + line.linger
        self.advance(min(line.gone, line.due))

    def advance(self, until: float) -> None:
        while True:
            soonest = min((min(line.due, line.gone) for line in self.table), default=float("inf"))
            if soonest > until:
                break
            self.now = soonest
            for line in tuple(self.table):
                if line.gone <= soonest:
                    self.table.remove(line)
                elif line.due <= soonest:
                    starting = line.state is ChildState.RESTARTING
                    line.state = ChildState.RUNNING if starting else ChildState.OVERSTAYED
                    line.since, line.due = soonest, float("inf")
        self.now = until

    def seen(self) -> list[tuple[str, ChildState, Restart, float, int]]:
        return [(line.name, line.state, line.restart, line.since, line.restarts) for line in self.table]


Operation = tuple[str, str, Restart, float]

operations = st.tuples(
    st.sampled_from(["start", "start", "crash", "crash", "finish", "stop", "wait"]),
    st.sampled_from(NAMES),
    st.sampled_from(Restart),
    st.sampled_from([0.0, 0.25, 3.0]),
)
waits = st.tuples(
    st.just("wait"), st.just(""), st.just(Restart.PERMANENT), st.integers(1, 80).map(lambda n: n / 8)
)
P, T = Restart.PERMANENT, Restart.TRANSIENT


async def perform(program: list[Operation]) -> None:
    model, record, actors = Model(), Record(), dict[str, Actor]()
    supervisor = Supervisor("root", max_restarts=MAX_RESTARTS, within=WITHIN, on_report=record)
    escalations = []

    async def run() -> None:
        try:
            await supervisor.run()
        except Escalation as escalation:
            escalations.append(escalation)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await wait_all_tasks_blocked()
        for operation, name, restart, number in program:
            match operation:
                case "start":
                    actor = Actor(linger=number)
                    spec = ChildSpec(name, actor.run, restart, SHUTDOWN, BACKOFF)
                    if model.start(name, restart, number):
                        supervisor.start_child_nowait(spec)
                        actors[name] = actor
                    else:
                        with pytest.raises(ValueError, match=f"has a child '{name}'"):
                            supervisor.start_child_nowait(spec)
                    await wait_all_tasks_blocked()
                case "crash":
                    if model.end(name, failed=True):
                        await actors[name].crash(RuntimeError("boom"))
                case "finish":
                    if model.end(name, failed=False):
                        await actors[name].finish()
                case "stop":
                    model.stop(name)
                    await supervisor.stop_child(name)
                    await wait_all_tasks_blocked()
                case "wait":
                    model.advance(model.now + number)
                    await trio.sleep(number)
                    await wait_all_tasks_blocked()
            if model.escalated:
                break
            assert trio.current_time() == model.now
            seen = [
                (child.name, child.state, child.restart, child.since, child.restarts)
                for child in supervisor.children()
            ]
            assert seen == model.seen()
            bodies = {ChildState.RUNNING, ChildState.STOPPING, ChildState.OVERSTAYED}
            alive = sum(line.state in bodies for line in model.table)
            assert supervisor.statistics().running == sum(
                line.state is ChildState.RUNNING for line in model.table
            )
            assert len(nursery_tasks(supervisor)) == alive
        stopped_from = len(record.reports)
        expected = [line.name for line in reversed(model.table) if line.state is ChildState.RUNNING]
        if not model.escalated:
            nursery.cancel_scope.cancel(reason="the program is over")
    assert len(escalations) == model.escalated
    event("escalated" if model.escalated else "stopped")
    if model.escalated:
        assert len(escalations[0].reports) == MAX_RESTARTS + 2
    else:
        last = record.reports[stopped_from:]
        temporary = {line.name for line in model.table if line.restart is Restart.TEMPORARY}
        told = [
            report.child
            for report in last
            if report.event is Event.OVERSTAYED
            or (report.event is Event.STOPPED and report.child in expected)
        ]
        first = list(dict.fromkeys(name for name in told if name in expected and name not in temporary))
        assert first == [name for name in expected if name not in temporary]
    assert supervisor.children() == ()
    assert all(actor.alive == 0 for actor in actors.values())


def nursery_tasks(supervisor: Supervisor) -> frozenset[trio.lowlevel.Task]:
    assert supervisor._nursery is not None
    return supervisor._nursery.child_tasks


@given(st.lists(operations | waits, max_size=40))
@example([("start", "a", P, 0.0), *[("crash", "a", P, 0.0), ("wait", "", P, 1.0)] * 6])
@example([("start", "a", P, 3.0), ("start", "b", T, 3.0), ("stop", "a", P, 0.0), ("start", "a", P, 0.0)])
@settings(max_examples=300, deadline=None, print_blob=True)
def test_random_programs_agree_with_the_model(program: list[Operation]) -> None:
    trio.run(perform, program, clock=MockClock(autojump_threshold=0))
