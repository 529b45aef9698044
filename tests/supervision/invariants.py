"""What must hold for every supervisor, whatever a test is about. conftest.py watches every test of this folder."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

import pytest
import trio

from mcptrio.supervision import ChildState, Down, Escalation, Event, Monitor, Report, StartFailed, Supervisor
from mcptrio.supervision.lives import Lives, Phase
from mcptrio.supervision.machine import Machine
from mcptrio.supervision.record import ChildRecord, Then
from mcptrio.supervision.strategy import Strategy

STARTING, RUNNING, RESTARTING = ChildState.STARTING, ChildState.RUNNING, ChildState.RESTARTING
STOPPING, OVERSTAYED = ChildState.STOPPING, ChildState.OVERSTAYED
EXITED, STOPPED = ChildState.EXITED, ChildState.STOPPED

TRANSITIONS = {
    STARTING: {RUNNING, STOPPING, RESTARTING, EXITED, STOPPED},
    RUNNING: {STOPPING, RESTARTING, EXITED},
    RESTARTING: {STARTING, RUNNING, EXITED, STOPPED},
    STOPPING: {OVERSTAYED, RESTARTING, EXITED, STOPPED},
    OVERSTAYED: {RESTARTING, EXITED, STOPPED},
    EXITED: {STARTING, RUNNING, RESTARTING, EXITED, STOPPED},
    STOPPED: {STARTING, RUNNING, EXITED, STOPPED},
}
WITH_BODY = {STARTING, RUNNING, STOPPING}


class Invariants:
    """Looks on while supervisors work, and remembers every breach.

    - Nothing is left: when `run` returns there is no body, no child, no timer, and nobody is waited for.
    - A child never has two bodies at once.
    - Children are told to stop in reverse start order, each when the one after it is down or overdue (those of
      simple_one_for_one excepted), and start in start order, each when the one before it is ready.
    - A monitor is told exactly once or is closed, and is not told after that.
    - What should escalate does: one restart more than the intensity allows, counted here over the reports, ends
      `run` with its `Escalation`, a failed initial start with its `StartFailed`, and what is no `Exception` comes
      out of `run` whatever else happens.
    - Reports are in order of time; a child that was started ends before it is started again.
    """

    def __init__(self) -> None:
        self.breaches: list[str] = []
        self._runs: list[Supervisor] = []
        self._restarts: WeakKeyDictionary[Supervisor, deque[float]] = WeakKeyDictionary()
        self._bodies: Counter[tuple[Supervisor, str]] = Counter()
        self._outcomes: WeakKeyDictionary[Machine, Escalation | StartFailed] = WeakKeyDictionary()
        self._fatal: WeakKeyDictionary[Machine, list[BaseException]] = WeakKeyDictionary()
        self._monitors: WeakKeyDictionary[Monitor, str] = WeakKeyDictionary()
        self._open_monitors = 0
        self._closing: set[Lives] = set()  # telling the next group to stop, just now

    def settle(self) -> None:
        """Raises AssertionError if anything was wrong."""
        assert self._runs == [], "a supervisor's run has not ended"
        assert self._open_monitors == 0, "a monitor was neither told nor closed"
        assert not self.breaches, self.breaches

    def _demand(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.breaches.append(otherwise)

    # Each watched step: what is checked before or after it.

    def entering(self, machine: Lives, child: ChildRecord, state: ChildState) -> None:
        name = f"{machine.name}/{child.spec.name}"
        self._demand(state in TRANSITIONS[child.state], f"{name}: {child.state.value} -> {state.value}")
        if not isinstance(machine, Machine) or machine.children.get(child.spec.name) is not child:
            return
        if state is STOPPING:
            # In its turn, of the whole supervisor or of a restart; anyone may tell a child to stop out of turn.
            closing = machine in self._closing
            in_turn = closing and machine._strategy is not Strategy.SIMPLE_ONE_FOR_ONE
            if in_turn or child.then is Then.RESTART:
                for other in reversed(machine.children.values()):
                    if other is child:
                        break
                    waited_for = other.state in WITH_BODY and (closing or other.then is Then.RESTART)
                    self._demand(not waited_for, f"{name} is told to stop before {other.spec.name}")
        if child.state is RESTARTING and state in (STARTING, RUNNING) and machine._strategy.grouped:
            for other in machine.children.values():
                self._demand(other.then is not Then.RESTART, f"{name} is started beside {other.spec.name}")
            for other in machine.children.values():
                if other is child:
                    break
                early = other.state in (STARTING, RESTARTING) or other.then is Then.FAIL
                self._demand(not early, f"{name} is started before {other.spec.name} is ready")

    def ended(self, supervisor: Supervisor, raised: BaseException | None) -> None:
        machine, name = supervisor._machine, supervisor.name
        left = (supervisor.children(), set(machine.awaited), len(machine.timers), machine.phase)
        self._demand(left == ((), set(), 0, Phase.IDLE), f"{name} leaves {left}")
        self._demand(supervisor._nursery is None, f"{name} keeps its nursery")
        bodies = [child for (owner, child), alive in self._bodies.items() if owner is supervisor and alive]
        self._demand(bodies == [], f"{name} leaves the bodies of {bodies}")
        fatal = self._fatal.pop(machine, [])
        outcome = self._outcomes.pop(machine, None)
        out = leaves(raised)
        for error in fatal:
            self._demand(out >= leaves(error), f"{name} swallows {error!r}")
        if outcome is not None and not fatal:
            worse = any(isinstance(error, trio.Cancelled) for error in out)
            self._demand(raised is outcome or worse, f"{name} swallows {outcome!r}")

    # Reports, from outside: what everybody can see.

    def reader(self, supervisor: Supervisor) -> Callable[[Report], None]:
        intensity = supervisor._machine._intensity
        max_restarts, within = intensity.max_restarts, intensity.within
        times = self._restarts[supervisor] = deque[float]()
        started: set[str] = set()
        last = float("-inf")

        def read(report: Report) -> None:
            nonlocal last
            what = f"{report.supervisor}/{report.child} {report.event.value} at {report.at}"
            self._demand(report.at >= last, f"{what}: reported late")
            last = report.at
            match report.event:
                case Event.STARTED:
                    self._demand(report.child not in started, f"{what}: it had not ended")
                    started.add(report.child)
                case Event.EXITED | Event.STOPPED:
                    started.discard(report.child)
                case Event.RESTARTING | Event.ESCALATED:
                    while times and report.at - times[0] > within:
                        times.popleft()
                    times.append(report.at)
                    many = len(times) > max_restarts
                    self._demand(many == (report.event is Event.ESCALATED), f"{what}: restarts {list(times)}")

        return read

    # Putting the watch in place.

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plain_enter, plain_end, plain_ended = Lives._enter, Machine.end, Machine.ended
        plain_stop_group = Machine.stop_group
        plain_init, plain_run, plain_body = Supervisor.__init__, Supervisor.run, Supervisor._body
        plain_monitor, plain_tell, plain_close = Monitor.__init__, Monitor.tell, Monitor.close

        def enter(lives: Lives, child: ChildRecord, state: ChildState, now: float) -> None:
            self.entering(lives, child, state)
            plain_enter(lives, child, state, now)

        def stop_group(machine: Machine, group: list[ChildRecord], now: float) -> float | None:
            self._closing.add(machine)
            try:
                return plain_stop_group(machine, group, now)
            finally:
                self._closing.discard(machine)

        def end(machine: Machine) -> Escalation | StartFailed | None:
            outcome = plain_end(machine)
            if outcome is not None:
                self._outcomes[machine] = outcome
            return outcome

        def ended(
            machine: Machine,
            child: ChildRecord,
            error: BaseException | None,
            now: float,
            *,
            fatal: bool = False,
        ) -> None:
            if fatal and error is not None:
                self._fatal.setdefault(machine, []).append(error)
            plain_ended(machine, child, error, now, fatal=fatal)

        def init(supervisor: Supervisor, *args: object, **options: object) -> None:
            on_report = options.pop("on_report", None)
            read: Callable[[Report], None] | None = None

            def told(report: Report) -> None:
                if read is not None:
                    read(report)
                if callable(on_report):
                    on_report(report)

            plain_init(supervisor, *args, on_report=told, **options)  # type: ignore[arg-type]
            read = self.reader(supervisor)

        async def run(  # noqa: ASYNC128  it is handed on
            supervisor: Supervisor, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
        ) -> None:
            if supervisor._machine.phase is not Phase.IDLE:
                await plain_run(supervisor, task_status=task_status)
                raise AssertionError("it runs twice at once")
            self._runs.append(supervisor)
            self._restarts[supervisor].clear()  # every run counts anew
            raised: BaseException | None = None
            try:
                await plain_run(supervisor, task_status=task_status)
            except BaseException as error:
                raised = error
                raise
            finally:
                self._runs.remove(supervisor)
                self.ended(supervisor, raised)
                del raised

        async def body(supervisor: Supervisor, child: ChildRecord, scope: trio.CancelScope) -> None:
            key = supervisor, child.spec.name
            self._bodies[key] += 1
            self._demand(self._bodies[key] == 1, f"{supervisor.name}/{key[1]} has two bodies")
            try:
                await plain_body(supervisor, child, scope)
            finally:
                self._bodies[key] -= 1
                if not self._bodies[key]:
                    del self._bodies[key]

        def monitor(monitor: Monitor, forget: Callable[[Monitor], None]) -> None:
            plain_monitor(monitor, forget)
            self._monitors[monitor] = "open"
            self._open_monitors += 1

        def tell(monitor: Monitor, down: Down) -> None:
            self._done(monitor, "told", {"open"})
            plain_tell(monitor, down)

        def close(monitor: Monitor) -> None:
            self._done(monitor, "closed", {"open", "told", "closed"})
            plain_close(monitor)

        monkeypatch.setattr(Lives, "_enter", enter)
        monkeypatch.setattr(Machine, "stop_group", stop_group)
        monkeypatch.setattr(Machine, "end", end)
        monkeypatch.setattr(Machine, "ended", ended)
        monkeypatch.setattr(Supervisor, "__init__", init)
        monkeypatch.setattr(Supervisor, "run", run)
        monkeypatch.setattr(Supervisor, "_body", body)
        monkeypatch.setattr(Monitor, "__init__", monitor)
        monkeypatch.setattr(Monitor, "tell", tell)
        monkeypatch.setattr(Monitor, "close", close)

    def _done(self, monitor: Monitor, how: str, allowed: set[str]) -> None:
        before = self._monitors[monitor]
        self._demand(before in allowed, f"a monitor was {how} after it was {before}")
        if before == "open":
            self._open_monitors -= 1
        self._monitors[monitor] = how


def leaves(error: BaseException | None) -> set[BaseException]:
    """The exceptions in a group of groups; one that is no group is itself."""
    if error is None:
        return set()
    if isinstance(error, BaseExceptionGroup):
        return set[BaseException]().union(*(leaves(one) for one in error.exceptions))
    return {error}
