"""What a supervisor decides. Sans-IO: times are passed in, bodies are started and woken up for by others.

Every input (a method that takes `now`) decides completely, in one step, and only then tells about it: reports and
answers are queued while the decision is made and handed out at its end, so whoever is told finds the state
reached and may call any method himself.

What must happen later is a timer: a message to self. A child has at most one, and its state says what it means:

    STARTING    the deadline of its start
    RUNNING     no timer
    RESTARTING  start the next body; without a timer: as soon as its turn has come
    STOPPING    the deadline: it has overstayed
    OVERSTAYED  no timer; only the end of the body changes anything
    EXITED, STOPPED   no timer, no body

What follows the end of a body that is being ended is its `then`. A restart that takes others with it marks them
(`Then.RESTART`); `_settle` at the end of every input tells the next of them to stop, or starts the next one. So
nothing here ever waits: while some children go down and come up, all other inputs are taken.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from random import Random

from mcptrio.supervision.child import ChildSpec, ChildState
from mcptrio.supervision.intensity import Intensity
from mcptrio.supervision.lives import Lives, Phase, Shell
from mcptrio.supervision.record import ChildRecord, Then
from mcptrio.supervision.report import Escalation, Event, Report, StartFailed, StartTimeout
from mcptrio.supervision.strategy import (
    AutoShutdown,
    Strategy,
    all_up,
    next_to_start,
    next_to_stop,
    restarted_with,
)


class Machine(Lives):
    """One supervisor's decisions, over the table of its children.

    `outcome` is what the supervisor ends with once it has closed: an `Escalation`, a `StartFailed`, or None.
    """

    def __init__(
        self,
        name: str,
        strategy: Strategy,
        auto_shutdown: AutoShutdown,
        intensity: Intensity,
        random: Random,
        shell: Shell,
        on_report: Callable[[Report], None] | None,
    ) -> None:
        super().__init__(name, shell, on_report)
        self.outcome: Escalation | StartFailed | None = None
        self.escalated = 0
        self._strategy = strategy
        self._auto_shutdown = auto_shutdown
        self._intensity = intensity
        self._random = random
        self._initial: deque[ChildSpec] = deque()
        self._opening: ChildRecord | None = None  # the initial child whose readiness is awaited
        self._on_open: Callable[[], None] | None = None
        self._exits: deque[Report] = deque()  # the exits that the intensity counts

    # Inputs.

    def open(self, specs: Sequence[ChildSpec], on_open: Callable[[], None], now: float) -> None:
        """Begin: start these children in order, each once the one before it is ready; then call `on_open`."""
        self.phase = Phase.OPEN
        self._intensity.forget()
        self._exits.clear()
        self._initial = deque(specs)
        self._opening = None
        self._on_open = on_open
        self._settle(now)

    def add(self, child: ChildRecord, now: float) -> None:
        """Put a record at the end of the table and start the child."""
        self.children[child.spec.name] = child
        self._start(child, now)
        self._settle(now)

    def start_again(self, child: ChildRecord, now: float) -> None:
        """Start a child that has exited or was stopped."""
        child.failures = 0
        child.restarts += 1
        self._start(child, now)
        self._settle(now)

    def ready(self, child: ChildRecord, now: float) -> None:
        """A body has said that it is ready; without consequence unless that was awaited."""
        if child.state is ChildState.STARTING:
            self._ready(child, now)
            self._settle(now)

    def ended(
        self, child: ChildRecord, error: BaseException | None, now: float, *, fatal: bool = False
    ) -> None:
        """A body has ended, by itself or because it was cancelled. `fatal`: nothing is restarted after this."""
        child.body = None
        then, given = child.then, child.given
        told = child.state in (ChildState.STOPPING, ChildState.OVERSTAYED)
        self._cancel_timer(child)
        child.then = child.given = None
        was_open = self.phase is Phase.OPEN
        if fatal and was_open:
            self._give_up()
        if told and then is Then.FAIL and not fatal:
            told, error = False, given if error is None else _both(given, error)
        self._fire(child, error, told, now)
        if error is not None:
            child.last_error = error
            self._failed += 1
        if told:
            self._report(child, Event.STOPPED, now, error)
            self._down(child, then, now)
        elif then is Then.RESTART:  # it did not wait for its turn to be stopped
            self._report(child, Event.EXITED, now, error)
            self._down(child, then, now)
        elif was_open and (child.on_start is not None or child is self._opening):
            self._start_failed(child, error, now)
        elif self.phase is not Phase.OPEN or not child.spec.restart.wanted(error):
            self._exited(child, error, now)
        else:
            self._decide(child, error, now)
        self._settle(now)

    def stop(self, child: ChildRecord, now: float, then: Then = Then.STOP) -> bool:
        """Have a child end and not come back; whether there is a body within its deadline to wait for."""
        waits = self._stop(child, now, Then.FORGET if child.temporary else then)
        self._settle(now)
        return waits

    def fail(self, child: ChildRecord, error: BaseException, now: float) -> None:
        """Have a child end and count as crashed with `error`; no effect unless it runs and is to go on running."""
        self._fail(child, error, now)
        self._settle(now)

    def forget(self, child: ChildRecord, now: float) -> None:
        """Take a child without a body out of the table. Idempotent."""
        self._remove(child, now)
        self._settle(now)

    def wake(self, now: float) -> None:
        """Act on the timers that are due."""
        while (child := self.timers.pop_due(now)) is not None:
            child.timer = None
            match child.state:
                case ChildState.STOPPING:
                    self._overstayed(child, now)
                case ChildState.STARTING:
                    within = child.spec.start_timeout
                    self._fail(
                        child, StartTimeout(f"{child.spec.name!r} was not ready within {within:g} s"), now
                    )
                case ChildState.RESTARTING if self.phase is Phase.OPEN and not self._strategy.grouped:
                    self._start(child, now)
        self._settle(now)

    def next_due(self) -> float:
        """When `wake` is to be called next."""
        return self.timers.next_due()

    def close(self) -> list[list[ChildRecord]]:
        """Start no child any more. Returns whom to stop, one group after the other, each group all at once."""
        self.phase = Phase.CLOSING
        self._initial.clear()
        children = list(reversed(self.children.values()))
        together = self._strategy is Strategy.SIMPLE_ONE_FOR_ONE
        return [children] if together else [[child] for child in children]

    def stop_group(self, group: list[ChildRecord], now: float) -> float | None:
        """Tell a group to stop; the longest deadline in it, None when there is nobody to wait for."""
        self.awaited = {child: None for child in group if self._stop(child, now, Then.FORGET)}
        self._settle(now)
        return max((child.spec.shutdown for child in self.awaited), default=None)

    def overdue(self, now: float) -> None:
        """The deadline of the group that is being stopped has passed."""
        for child in tuple(self.awaited):
            self._overstayed(child, now)
        self._settle(now)

    def end(self) -> Escalation | StartFailed | None:
        """All bodies have ended. Returns what the supervisor ends with."""
        self.phase = Phase.IDLE
        self._exits.clear()
        outcome, self.outcome = self.outcome, None
        self._flush()  # where `on_report` raised what is no `Exception`, something is left
        return outcome

    # What is allowed.

    def check_open(self, name: str) -> None:
        """Raises RuntimeError unless a child may be started."""
        if self.phase is not Phase.OPEN:
            state = "not running" if self.phase is Phase.IDLE else "stopping"
            raise RuntimeError(f"supervisor {self.name!r} is {state}: it cannot start {name!r}")

    def admit(self, spec: ChildSpec, now: float) -> ChildRecord:
        """The record of a new child, to be added. One that has exited gives its name up.

        Raises ValueError for a name in use, RuntimeError as `check_open`.
        """
        self.check_open(spec.name)
        present = self.children.get(spec.name)
        coming = any(spec.name == initial.name for initial in self._initial)
        if coming or (present is not None and present.state is not ChildState.EXITED):
            raise ValueError(f"supervisor {self.name!r} has a child {spec.name!r}")
        if present is not None:
            self.forget(present, now)
        return ChildRecord(spec, ChildState.STOPPED, now)

    def known(self, name: str) -> ChildRecord:
        """The child of that name; LookupError where there is none."""
        child = self.children.get(name)
        if child is None:
            raise LookupError(f"supervisor {self.name!r} has no child {name!r}")
        return child

    def at_rest(self, name: str, what: str) -> ChildRecord:
        """The child of that name, to do something with it; RuntimeError unless it was stopped or has exited."""
        child = self.known(name)
        if child.state not in (ChildState.EXITED, ChildState.STOPPED):
            raise RuntimeError(f"cannot {what} child {name!r}: it is {child.state.value}; stop it first")
        return child

    # What comes next.

    def _settle(self, now: float) -> None:
        """Stop and start whose turn it is, then tell what was decided."""
        if self.phase is Phase.OPEN:
            if self._strategy.grouped:
                children = self.children.values()
                while (child := next_to_stop(children)) is not None:
                    self._stop(child, now, Then.RESTART)
                while (child := next_to_start(self._strategy, children)) is not None:
                    self._start(child, now)
            if self._on_open is not None:
                self._open_next(now)
        self._flush()

    def _open_next(self, now: float) -> None:
        while self.phase is Phase.OPEN:
            if self._opening is not None and self._opening.state not in (
                ChildState.RUNNING,
                ChildState.EXITED,
                ChildState.STOPPED,
            ):
                return
            self._opening = None
            if self._strategy.grouped and not all_up(self.children.values()):
                return
            if not self._initial:
                assert self._on_open is not None
                self._untold.append(self._on_open)
                self._on_open = None
                return
            spec = self._initial.popleft()
            self._opening = self.children[spec.name] = ChildRecord(spec, ChildState.STOPPED, now)
            self._start(self._opening, now)

    # Ends.

    def _start_failed(self, child: ChildRecord, error: BaseException | None, now: float) -> None:
        """Somebody waited for this child: he decides, not the restart type."""
        self._report(child, Event.EXITED, now, error)
        failure = StartFailed(self.name, child.spec.name, error)
        self._answer_start(child, failure)
        if child is self._opening:
            self.outcome = failure
            self._give_up()
        if child.state is ChildState.OVERSTAYED:  # its body still runs: the name is not free yet
            child.then = Then.FORGET if child.temporary else Then.STOP
        elif child.temporary:
            self._remove(child, now)
        else:
            self._enter(child, ChildState.STOPPED, now)
            self._release(child)

    def _exited(self, child: ChildRecord, error: BaseException | None, now: float) -> None:
        """It ended by itself and does not come back."""
        self._report(child, Event.EXITED, now, error)
        if child.temporary:
            self._remove(child, now)
        else:
            self._enter(child, ChildState.EXITED, now)
            self._release(child)
        if child.spec.significant and self.phase is Phase.OPEN and self._is_auto_shutdown():
            self._give_up()

    def _is_auto_shutdown(self) -> bool:
        if self._auto_shutdown is AutoShutdown.ALL_SIGNIFICANT:
            gone = (ChildState.EXITED, ChildState.STOPPED)  # a stopped one does not end it, nor keep it
            return all(child.state in gone for child in self.children.values() if child.spec.significant)
        return self._auto_shutdown is AutoShutdown.ANY_SIGNIFICANT

    def _decide(self, child: ChildRecord, error: BaseException | None, now: float) -> None:
        """A child ended that its spec wants back: restart it later, with whom the strategy says, or give up."""
        lasted = 0.0 if child.ready_at is None else now - child.ready_at
        exited = self._report(child, Event.EXITED, now, error)
        allowed = self._intensity.record(now)
        self._exits.append(exited)
        while len(self._exits) > self._intensity.count:
            self._exits.popleft()
        self._release(child)
        if not allowed:
            self._enter(child, ChildState.EXITED, now)
            outcome = self._report(child, Event.ESCALATED, now, error)
            self._escalate(child, error, (*self._exits, outcome))
            return
        backoff = child.spec.backoff
        child.failures = backoff.failures(child.failures, lasted)
        delay = backoff.delay(child.failures, self._random)
        self._restart_later(child, now)
        self._set_timer(child, now + delay)
        self._report(child, Event.RESTARTING, now, error, delay)
        for other in restarted_with(self._strategy, self.children.values(), child):
            match other.state:
                case ChildState.EXITED:  # it had done its work; its siblings' new start needs it done again
                    self._restart_later(other, now)
                case ChildState.STARTING | ChildState.RUNNING:
                    other.then = Then.RESTART
                case ChildState.STOPPING | ChildState.OVERSTAYED if other.then is Then.FAIL:
                    other.then = Then.RESTART

    def _escalate(self, child: ChildRecord, error: BaseException | None, reports: tuple[Report, ...]) -> None:
        why = "a normal end" if error is None else repr(error)
        self.outcome = Escalation(
            f"supervisor {self.name!r}: {self._intensity.count} restarts within {self._intensity.within:g} s,"
            f" the last of {child.spec.name!r} after {why}",
            reports,
        )
        self.outcome.__cause__ = error
        self.escalated += 1
        self._give_up()

    def _give_up(self) -> None:
        self.phase = Phase.CLOSING
        self._shell.wake_at(-math.inf)

    def _overstayed(self, child: ChildRecord, now: float) -> None:
        self._cancel_timer(child)
        self._enter(child, ChildState.OVERSTAYED, now)
        self._release(child)
        self._report(child, Event.OVERSTAYED, now)
        waited_for = child.on_start is not None or child is self._opening
        if child.then is Then.FAIL and waited_for and self.phase is Phase.OPEN:
            self._start_failed(child, child.given, now)


def _both(given: BaseException | None, error: BaseException) -> BaseException | None:
    """What a child counts as having crashed with that was to crash and raised something else in its cleanup."""
    if given is not None and given.__context__ is None and given is not error:
        given.__context__ = error
    return given
