"""A model of a supervisor to hold the real one against: one list of lines, and what is said of them in plain words.

It knows no tasks, no timers and no callbacks. It is told the same facts in the same order and says at once what
the table must look like and what must have been told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from mcptrio.supervision import (
    AutoShutdown,
    ChildSpec,
    ChildState,
    Event,
    ExitReason,
    LinkBroken,
    Restart,
    StartFailed,
    StartTimeout,
    Strategy,
)

# What becomes of a child when the body that goes down is down; the later ones win.
FATES = ("", "again", "crash", "stop", "gone")

UP = (ChildState.STARTING, ChildState.RUNNING)
GOING = (ChildState.STOPPING, ChildState.OVERSTAYED)

Told = tuple[float, str, Event, object, float | None, int]


def seen(error: BaseException | None) -> object:
    """An error as the model speaks of it: those that the supervisor makes by kind and cause, others as they are."""
    match error:
        case LinkBroken() | StartFailed():
            return (type(error), seen(error.__cause__))
        case StartTimeout():
            return (StartTimeout, None)
    return error


AT_REST = (ChildState.RUNNING, ChildState.EXITED, ChildState.STOPPED)  # an initial child not awaited


@dataclass(eq=False)
class Line:
    """One child."""

    spec: ChildSpec
    state: ChildState = ChildState.STOPPED
    since: float = 0.0
    restarts: int = 0
    row: int = 0  # failures in a row
    error: object = None
    body: bool = False
    ready: float | None = None
    due: float = math.inf  # when the next thing happens to it by itself
    set: int = 0  # the how-manieth `due` of all that is
    fate: str = ""
    blame: object = None
    asked: bool = False  # somebody waits for its start
    waits: list[object] = field(default_factory=list)  # for its end
    monitors: list[object] = field(default_factory=list)
    links: list[Line] = field(default_factory=list)

    @property
    def temporary(self) -> bool:
        return self.spec.restart is Restart.TEMPORARY

    def seen(self) -> tuple[object, ...]:
        return (self.spec.name, self.state, self.since, self.restarts, self.error, self.body)


class Model:
    """What a supervisor is. Every public method but the questions is a fact that it is told of."""

    def __init__(
        self, strategy: Strategy, auto_shutdown: AutoShutdown, max_restarts: int, within: float
    ) -> None:
        self.strategy = strategy
        self.auto_shutdown = auto_shutdown
        self.max_restarts, self.within = max_restarts, within
        self.now = 0.0
        self.phase = "idle"
        self.table: list[Line] = []
        self.coming: list[ChildSpec] = []
        self.first: Line | None = None  # the initial child whose readiness is awaited
        self.opened = True
        self.exits: list[Told] = []
        self.outcome: object = None
        self.group: list[Line] = []
        self.dues = 0
        # What has been told, by kind.
        self.reports: list[Told] = []
        self.bodies: list[Line] = []
        self.cancelled: list[Line] = []
        self.starts: list[tuple[str, object]] = []
        self.stops: list[object] = []
        self.downs: list[tuple[object, ExitReason, object]] = []

    # Facts.

    def open(self, specs: Sequence[ChildSpec]) -> None:
        self.phase, self.coming, self.first, self.opened = "open", list(specs), None, False
        self.exits.clear()
        self.follow()

    def add(self, line: Line) -> None:
        self.table.append(line)
        self.start(line)
        self.follow()

    def again(self, line: Line) -> None:
        line.row = 0
        line.restarts += 1
        self.start(line)
        self.follow()

    def is_ready(self, line: Line) -> None:
        if line.state is ChildState.STARTING:
            self.up(line)
            self.follow()

    def ended(self, line: Line, error: object, fatal: bool) -> None:
        fate, blame, going, was_open = line.fate, line.blame, line.state in GOING, self.phase == "open"
        if fatal and was_open:
            self.phase = "closing"
        line.body, line.fate, line.blame, line.due = False, "", None, math.inf
        self.stops += line.waits
        line.waits.clear()
        if going and fate == "crash" and not fatal:
            going, error = False, blame
        line.error = line.error if error is None else error
        wanted = line.spec.restart is Restart.PERMANENT or (
            line.spec.restart is Restart.TRANSIENT and error is not None
        )
        self.part(line, going, error)
        if going or fate == "again":
            self.report(line, Event.STOPPED if going else Event.EXITED, error)
            self.after(line, fate)
        elif was_open and (line.asked or line is self.first):
            self.start_failed(line, error)
        elif wanted and self.phase == "open":
            self.crashed(line, error)
        else:
            self.report(line, Event.EXITED, error)
            self.rest(line, ChildState.EXITED)
            if line.spec.significant and self.phase == "open":
                left = [
                    other
                    for other in self.table
                    if other.spec.significant and (other.body or other.state is ChildState.RESTARTING)
                ]
                if self.auto_shutdown is AutoShutdown.ANY_SIGNIFICANT or not left:
                    self.phase = "closing"
        self.follow()

    def stop(self, line: Line, fate: str) -> None:
        if line.temporary and fate == "stop":
            fate = "gone"
        if line.state in UP:
            self.tell(line, fate)
        elif line.state in GOING:
            line.fate = max(line.fate, fate, key=FATES.index)
        else:
            if line.state is ChildState.RESTARTING:
                self.report(line, Event.STOPPED)
            self.after(line, fate)
        self.follow()

    def fail(self, line: Line, error: object) -> None:
        if line.state in UP and not line.fate:
            line.blame = error
            self.tell(line, "crash")
        self.follow()

    def forget(self, line: Line) -> None:
        self.rest(line, None)
        self.follow()

    def wake(self) -> None:
        while due := [line for line in self.table if line.due <= self.now]:
            line = min(due, key=lambda line: (line.due, line.set))
            # Whatever happens by itself happens at the very time.
            assert line.due == self.now, f"{line.spec.name} was due at {line.due}, it is {self.now}"
            line.due = math.inf
            if line.state is ChildState.STOPPING:
                self.overstay(line)
            elif line.state is ChildState.STARTING and not line.fate:
                line.blame = (StartTimeout, None)
                self.tell(line, "crash")
            elif line.state is ChildState.RESTARTING and self.phase == "open" and not self.grouped:
                self.start(line)
        self.follow()

    def close(self) -> list[list[Line]]:
        self.phase = "closing"
        last_first = self.table[::-1]
        if self.strategy is Strategy.SIMPLE_ONE_FOR_ONE:
            return [last_first]
        return [[line] for line in last_first]

    def stop_group(self, lines: Sequence[Line]) -> float | None:
        for line in lines:
            self.stop(line, "gone")
        self.group = list(lines)
        return max((line.spec.shutdown for line in self.awaited()), default=None)

    def overdue(self) -> None:
        for line in self.awaited():
            self.overstay(line)

    def end(self) -> object:
        self.phase = "idle"
        self.exits.clear()
        outcome, self.outcome = self.outcome, None
        return outcome

    # Questions.

    @property
    def grouped(self) -> bool:
        return self.strategy in (Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE)

    def find(self, name: str) -> Line | None:
        return next((line for line in self.table if line.spec.name == name), None)

    def awaited(self) -> list[Line]:
        """Those of the group that is being stopped that are within their deadlines."""
        return [line for line in self.group if line.state is ChildState.STOPPING]

    def next_due(self) -> float:
        return min((line.due for line in self.table), default=math.inf)

    # What follows.

    def follow(self) -> None:
        while self.phase == "open":
            if self.first is not None and self.first.state in AT_REST:
                self.first = None
            old = [line for line in self.table if line.fate == "again"]
            within = [line for line in old if line.state is not ChildState.OVERSTAYED]
            if within:
                if within[-1].state is ChildState.STOPPING:
                    return
                self.tell(within[-1], "again")
            elif (line := None if old else self.whose_turn()) is not None:
                self.start(line)
            elif not self.next_initial():
                return

    def whose_turn(self) -> Line | None:
        if not self.grouped:
            return None
        down = [line for line in self.table if line.state is ChildState.RESTARTING]
        if self.strategy is Strategy.ONE_FOR_ALL and any(line.due < math.inf for line in down):
            return None
        # In order, each once those before it are up; one that is about to count as crashed is not.
        not_up = [
            line
            for line in self.table
            if line in down or line.state is ChildState.STARTING or line.fate == "crash"
        ]
        due = not_up and not_up[0] in down and not_up[0].due == math.inf
        return not_up[0] if due else None

    def next_initial(self) -> bool:
        if self.opened or self.first is not None:
            return False
        not_up = (ChildState.STARTING, ChildState.RESTARTING)
        if self.grouped and any(
            line.state in not_up or line.fate in ("again", "crash") for line in self.table
        ):
            return False
        if not self.coming:
            self.opened = True
            return False
        self.first = Line(self.coming.pop(0))
        self.table.append(self.first)
        self.start(self.first)
        return True

    # What happens to one line.

    def start(self, line: Line) -> None:
        line.body, line.ready = True, None
        self.bodies.append(line)
        if line.spec.start_timeout is None:
            self.up(line)
        else:
            self.enter(line, ChildState.STARTING, line.spec.start_timeout)

    def up(self, line: Line) -> None:
        self.enter(line, ChildState.RUNNING)
        line.ready = self.now
        if line is self.first:
            self.first = None
        self.report(line, Event.STARTED)
        self.answer(line, None)

    def tell(self, line: Line, fate: str) -> None:
        line.fate = fate
        self.enter(line, ChildState.STOPPING, line.spec.shutdown)
        self.cancelled.append(line)

    def overstay(self, line: Line) -> None:
        self.enter(line, ChildState.OVERSTAYED)
        self.stops += line.waits
        line.waits.clear()
        self.report(line, Event.OVERSTAYED)
        if line.fate == "crash" and self.phase == "open" and (line.asked or line is self.first):
            self.start_failed(line, line.blame)

    def after(self, line: Line, fate: str) -> None:
        if fate == "again" and not line.temporary and self.phase == "open":
            self.later(line, math.inf)
        elif fate == "stop" and not line.temporary:
            if line.state is not ChildState.STOPPED:
                self.enter(line, ChildState.STOPPED)
            self.answer(line, (StartFailed, None))
        else:
            self.rest(line, None)

    def later(self, line: Line, delay: float) -> None:
        line.restarts += 1
        self.enter(line, ChildState.RESTARTING, delay)

    def rest(self, line: Line, state: ChildState | None) -> None:
        """It does not come back by itself."""
        if state is None or line.temporary:
            self.enter(line, ChildState.EXITED)
            if line in self.table:
                self.table.remove(line)
            self.answer(line, (StartFailed, None))
        else:
            self.enter(line, state)

    def start_failed(self, line: Line, error: object) -> None:
        self.report(line, Event.EXITED, error)
        if line is self.first:
            self.outcome = (StartFailed, error)
            self.phase = "closing"
        self.answer(line, (StartFailed, error))
        if line.body:
            line.fate = "gone" if line.temporary else "stop"
        else:
            self.rest(line, ChildState.STOPPED)

    def crashed(self, line: Line, error: object) -> None:
        self.exits.append(self.report(line, Event.EXITED, error))
        self.exits = [exit for exit in self.exits if exit[0] >= self.now - self.within]
        if len(self.exits) > self.max_restarts:
            self.rest(line, ChildState.EXITED)
            self.outcome = (*self.exits, self.report(line, Event.ESCALATED, error))
            self.phase = "closing"
            return
        backoff = line.spec.backoff
        long = line.ready is not None and self.now - line.ready >= backoff.reset_after
        line.row = 1 if long else line.row + 1
        delay = min(backoff.maximum, backoff.initial * backoff.factor ** (line.row - 1))
        self.later(line, delay)
        self.report(line, Event.RESTARTING, error, delay)
        if self.grouped:
            first = 0 if self.strategy is Strategy.ONE_FOR_ALL else self.table.index(line)
            for other in self.table[first:]:
                if other.state is ChildState.EXITED:
                    self.later(other, math.inf)
                elif other.state in UP or other.fate == "crash":
                    other.fate = "again"

    def part(self, line: Line, going: bool, error: object) -> None:
        """Monitors and links of a body that is no more."""
        normal = not going and error is None
        reason = ExitReason.SHUTDOWN if going else ExitReason.NORMAL if normal else ExitReason.ERROR
        self.downs += [(monitor, reason, error) for monitor in line.monitors]
        line.monitors.clear()
        for other in line.links:
            other.links.remove(line)
            if not normal and self.phase == "open" and other.state in UP and not other.fate:
                other.blame = (LinkBroken, error)
                self.tell(other, "crash")
        line.links.clear()

    def enter(self, line: Line, state: ChildState, due_in: float = math.inf) -> None:
        line.state, line.since, line.due = state, self.now, self.now + due_in
        self.dues += 1
        line.set = self.dues

    def answer(self, line: Line, failure: object) -> None:
        if line.asked:
            self.starts.append((line.spec.name, failure))
        line.asked = False

    def report(self, line: Line, event: Event, error: object = None, delay: float | None = None) -> Told:
        told = (self.now, line.spec.name, event, error, delay, line.restarts)
        self.reports.append(told)
        return told
