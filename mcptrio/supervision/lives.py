"""What can happen to one child: its body starts, is ready, is told to stop, is down; and who is told. Sans-IO."""

from __future__ import annotations

import enum
import logging
import math
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

from mcptrio.supervision.child import ChildState
from mcptrio.supervision.record import Body, ChildRecord, Then
from mcptrio.supervision.report import (
    Down,
    Event,
    ExitReason,
    LinkBroken,
    Report,
    StartFailed,
    SupervisorStatistics,
)
from mcptrio.timers import Timers

_logger = logging.getLogger(__name__)


class Phase(enum.Enum):
    """What a supervisor as a whole is doing."""

    IDLE = enum.auto()
    OPEN = enum.auto()
    CLOSING = enum.auto()


class Shell(Protocol):
    """What runs the bodies. Both methods are called within an input and must not call back."""

    def start_body(self, child: ChildRecord) -> Body:
        """Start a body; its end is told by `ended`, and that it is ready by `ready`."""

    def wake_at(self, at: float) -> None:
        """See to it that `wake` is called at this time at the latest, or that the end of a phase is noticed."""


class Lives:
    """The table of children, their timers, and what is to be told: the machine's hands.

    Nothing is told before `_flush`, so a decision of many steps is complete when somebody hears of it.
    """

    def __init__(self, name: str, shell: Shell, on_report: Callable[[Report], None] | None) -> None:
        self.name = name
        self.phase = Phase.IDLE
        self.changes = 0
        self.children: dict[str, ChildRecord] = {}  # in start order; a restart keeps the place
        self.awaited: dict[ChildRecord, None] = {}  # the group that is being stopped at the end, in order
        self.timers: Timers[ChildRecord] = Timers()
        self._shell = shell
        self._on_report = on_report
        self._untold: deque[Callable[[], None]] = deque()
        self._telling = False
        self._started = self._restarted = self._failed = self._report_errors = 0

    # A body's life.

    def _start(self, child: ChildRecord, now: float) -> None:
        deadline = child.spec.start_timeout
        child.ready_at = None
        self._enter(child, ChildState.RUNNING if deadline is None else ChildState.STARTING, now)
        if deadline is not None:
            self._set_timer(child, now + deadline)
        child.body = self._shell.start_body(child)
        self._started += 1
        if deadline is None:
            self._ready(child, now)

    def _ready(self, child: ChildRecord, now: float) -> None:
        self._cancel_timer(child)
        if child.state is not ChildState.RUNNING:
            self._enter(child, ChildState.RUNNING, now)
        child.ready_at = now
        self._report(child, Event.STARTED, now)
        self._answer_start(child, None)

    def _answer_start(self, child: ChildRecord, failure: StartFailed | None) -> None:
        if child.on_start is not None:
            self._untold.append(partial(child.on_start, failure))
            child.on_start = None

    def _restart_later(self, child: ChildRecord, now: float) -> None:
        child.restarts += 1
        self._restarted += 1
        self._enter(child, ChildState.RESTARTING, now)

    def _stop(self, child: ChildRecord, now: float, then: Then) -> bool:
        """Tell a child to stop, once; whether there is a body within its deadline to wait for."""
        match child.state:
            case ChildState.STARTING | ChildState.RUNNING:
                child.then = then
                self._cancel_timer(child)
                self._enter(child, ChildState.STOPPING, now)
                self._set_timer(child, now + child.spec.shutdown)
                assert child.body is not None
                child.body.cancel(reason=f"supervisor {self.name!r} stops {child.spec.name!r}")
                return True
            case ChildState.STOPPING | ChildState.OVERSTAYED:
                assert child.then is not None
                child.then = max(child.then, then, key=lambda each: each.value)
                # One that overstays was told, and its deadline has passed.
                return child.state is ChildState.STOPPING
            case ChildState.RESTARTING:
                self._report(child, Event.STOPPED, now)
        self._down(child, then, now)
        return False

    def _down(self, child: ChildRecord, then: Then | None, now: float) -> None:
        """What was to follow the end of a child follows."""
        self._cancel_timer(child)
        match then:
            case Then.RESTART if not child.temporary and self.phase is Phase.OPEN:
                self._restart_later(child, now)
                self._release(child)
            case Then.STOP if not child.temporary:
                self._enter(child, ChildState.STOPPED, now)
                self._release(child)
                self._answer_start(child, StartFailed(self.name, child.spec.name, None))
            case _:
                self._remove(child, now)

    def _fail(self, child: ChildRecord, error: BaseException, now: float) -> None:
        if child.state in (ChildState.STARTING, ChildState.RUNNING) and child.then is None:
            child.given = error
            self._stop(child, now, Then.FAIL)

    def _remove(self, child: ChildRecord, now: float) -> None:
        """Out of the table; idempotent."""
        self._cancel_timer(child)
        self._enter(child, ChildState.EXITED, now)
        if self.children.get(child.spec.name) is child:
            del self.children[child.spec.name]
        self._release(child)
        self._answer_start(child, StartFailed(self.name, child.spec.name, None))

    def _release(self, child: ChildRecord) -> None:
        """Nobody waits for the end of this child any longer."""
        if child.waiters is not None:
            self._untold.extend(child.waiters)
            child.waiters = None
        if child in self.awaited:
            del self.awaited[child]
            if not self.awaited:
                self._shell.wake_at(-math.inf)

    def _fire(self, child: ChildRecord, error: BaseException | None, told: bool, now: float) -> None:
        """Tell monitors and links of the end of a body."""
        if child.monitors is None and child.links is None:
            return
        reason = ExitReason.SHUTDOWN if told else ExitReason.NORMAL if error is None else ExitReason.ERROR
        monitors, child.monitors = child.monitors or {}, None
        down = Down(child.spec.name, reason, error)
        self._untold.extend(partial(tell, down) for tell in monitors.values())
        links, child.links = child.links or {}, None
        for other in links:
            other.unlink(child)
            if reason is not ExitReason.NORMAL and self.phase is Phase.OPEN:
                broken = LinkBroken(f"{child.spec.name!r}, which it is linked to, has ended")
                broken.__cause__ = error
                self._fail(other, broken, now)

    def _enter(self, child: ChildRecord, state: ChildState, now: float) -> None:
        if state is not child.state:
            child.state = state
            child.since = now
        self.changes += 1

    def _set_timer(self, child: ChildRecord, at: float) -> None:
        if at < math.inf:
            child.timer = self.timers.set(at, child)
            self._shell.wake_at(at)

    def _cancel_timer(self, child: ChildRecord) -> None:
        if child.timer is not None:
            self.timers.cancel(child.timer)
            child.timer = None

    def _report(
        self,
        child: ChildRecord,
        event: Event,
        now: float,
        error: BaseException | None = None,
        delay: float | None = None,
    ) -> Report:
        report = Report(now, self.name, child.spec.name, event, error, delay, child.restarts)
        if self._on_report is not None:
            self._untold.append(partial(self._tell, self._on_report, report))
        return report

    def _tell(self, on_report: Callable[[Report], None], report: Report) -> None:
        try:
            on_report(report)
        except Exception:
            self._report_errors += 1
            _logger.exception("supervisor %r: on_report failed on %s", self.name, report.event.value)

    def _flush(self) -> None:
        """Tell, in order; what is decided meanwhile is told after it."""
        if self._telling:
            return
        self._telling = True
        try:
            while self._untold:
                self._untold.popleft()()
        finally:
            self._telling = False

    def statistics(self, escalated: int) -> SupervisorStatistics:
        """A snapshot. Looks at every child."""
        states = Counter(child.state for child in self.children.values())
        return SupervisorStatistics(
            children=len(self.children),
            **{state.value: states[state] for state in ChildState},
            started_total=self._started,
            restarted_total=self._restarted,
            failed_total=self._failed,
            escalated_total=escalated,
            report_errors_total=self._report_errors,
        )
