"""The supervisor: starts children, restarts them, stops them in order, and gives up by raising.

Theory of operation
-------------------
Decisions are made synchronously, in whichever task learns of the fact: the last step of a child's task
reports its end (`_ended`), `start_child` and `stop_child` run in their callers. What must happen later is a
timer: a message to self, kept in `Timers`. The task in `run()` only turns timers (`_turn`) and so is never
busy with one child while another needs it. A child has at most one timer, and its state says what the timer
means:

    RUNNING     no timer
    RESTARTING  start the next body
    STOPPING    the deadline: it has overstayed
    OVERSTAYED  no timer; only the end of the body changes anything
    EXITED      no timer, no body

Strategy: one_for_one. What is known of other children is asked in `_decide` only, where other strategies
would be.
"""

from __future__ import annotations

import contextvars
import enum
import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from random import Random

import trio

from mcptrio.supervision.child import ChildInfo, ChildSpec, ChildState
from mcptrio.supervision.intensity import Intensity
from mcptrio.supervision.order import stop_groups
from mcptrio.supervision.record import ChildRecord
from mcptrio.supervision.report import Escalation, Event, Report, SupervisorStatistics
from mcptrio.supervision.timers import Timers

_logger = logging.getLogger(__name__)


class _Phase(enum.Enum):
    IDLE = enum.auto()
    OPEN = enum.auto()
    CLOSING = enum.auto()


class Supervisor:
    """Runs children, one_for_one: each is restarted alone, as its spec says.

    At most `max_restarts` restarts within `within` seconds, counted over all children when a child ends;
    one more and the supervisor stops all children and raises `Escalation`. Supervisors nest:
    `ChildSpec(run=inner.run)`.

    `on_report` is called synchronously for every event, in order, when the state it tells of has been
    reached. It may call `start_child`. It must not block; what it raises is logged and goes no further.

    Raises:
        ValueError: two children of one name, or an intensity that makes no sense.
    """

    def __init__(
        self,
        name: str,
        children: Sequence[ChildSpec] = (),
        *,
        max_restarts: int = 3,
        within: float = 5.0,
        on_report: Callable[[Report], None] | None = None,
        random: Random | None = None,
    ) -> None:
        self.name = name
        self._initial = tuple(children)
        if len({spec.name for spec in self._initial}) < len(self._initial):
            raise ValueError(f"supervisor {name!r}: two children of one name")
        self._intensity = Intensity(max_restarts, within)
        self._on_report = on_report
        self._random = Random() if random is None else random
        self._phase = _Phase.IDLE
        self._nursery: trio.Nursery | None = None
        self._children: dict[str, ChildRecord] = {}  # in start order; a restart keeps the place
        self._timers: Timers[ChildRecord] = Timers()
        self._alarm = trio.CancelScope()  # the sleep of `_turn`; waking it twice or late does no harm
        self._awaited: set[ChildRecord] = set()  # the group that is being stopped
        self._exits: deque[Report] = deque()  # the exits that the intensity counts
        self._escalation: Escalation | None = None
        self._started = self._restarted = self._failed = self._escalated = self._report_errors = 0

    async def run(  # noqa: ASYNC114  its name is the one of every actor's body
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Start the initial children in order, and supervise until cancelled.

        `task_status.started()` is called once all initial children are started. (Their bodies take their
        first step after that, in any order.) Children run in a nursery of this call, in a clean context;
        how they end never cancels a sibling.

        If cancelled, or when escalating: children are told to stop in reverse start order, temporary
        neighbours all at once, and each has `shutdown` seconds before it is reported as overstayed and the
        next one's turn comes. Trio cannot kill: this call returns when the last body has really ended, and
        a body that never ends keeps it for ever. After that nothing is left, and `run` may be called again:
        it starts from the initial children, as a supervisor that its parent restarts must.

        Raises:
            Escalation: too many restarts; all children have ended.
            RuntimeError: it is running already.
            BaseExceptionGroup: a child raised what is no `Exception`, such as KeyboardInterrupt; the others
                were stopped in order first.
        """
        if self._phase is not _Phase.IDLE:
            raise RuntimeError(f"supervisor {self.name!r} is running already")
        await trio.lowlevel.checkpoint_if_cancelled()  # cancelled already: start nothing
        self._phase = _Phase.OPEN
        self._intensity = Intensity(self._intensity.max_restarts, self._intensity.within)
        try:
            async with trio.open_nursery() as self._nursery:
                try:
                    for spec in self._initial:
                        self.start_child(spec)
                    task_status.started()
                    await self._turn(lambda: self._escalation is not None)
                finally:
                    self._phase = _Phase.CLOSING
                    for group in stop_groups(self._children.values(), lambda child: child.temporary):
                        self._awaited = {child for child in group if self._tell_to_stop(child)}
                        if not self._awaited:
                            continue
                        patience = max(child.spec.shutdown for child in self._awaited)
                        with trio.move_on_after(patience, shield=True):
                            await self._turn(lambda: not self._awaited)
                        for child in tuple(self._awaited):
                            self._overstayed(child)
        except BaseExceptionGroup as group:
            # Cancelled while escalating: the caller must learn of the escalation all the same. Anything
            # else in the group is no Exception, and goes before.
            if self._escalation is None or group.split(trio.Cancelled)[1] is not None:
                raise
        finally:
            self._phase = _Phase.IDLE
            self._nursery = None
            self._exits.clear()
            escalation, self._escalation = self._escalation, None
        assert escalation is not None  # nothing else ends the loop above without an exception
        raise escalation

    def start_child(self, spec: ChildSpec) -> None:
        """Start a child, from any task, a child's own too. It runs in the supervisor's nursery.

        A child that has exited and is not restarted gives its name up to a new one.

        Raises:
            ValueError: a child of that name is there (running, restarting, stopping or overstayed).
            RuntimeError: the supervisor is not running, or has begun to stop.
        """
        if self._phase is not _Phase.OPEN:
            state = "not running" if self._phase is _Phase.IDLE else "stopping"
            raise RuntimeError(f"supervisor {self.name!r} is {state}: it cannot start {spec.name!r}")
        present = self._children.get(spec.name)
        if present is not None:
            if present.state is not ChildState.EXITED:
                raise ValueError(f"supervisor {self.name!r} has a child {spec.name!r}")
            self._remove(present)
        child = ChildRecord(spec, ChildState.RUNNING, trio.current_time())
        self._children[spec.name] = child
        self._start(child)

    async def stop_child(self, name: str) -> None:
        """Stop a child and take it out of the table; wait until it ended or its shutdown deadline passed.

        A child that overstays keeps its name until its body ends. One that waits for its restart is stopped
        at once. A name that is not there is stopped already.

        If cancelled, the child has been told to stop nevertheless; only the waiting ends. So a child may stop
        itself.
        """
        child = self._children.get(name)
        if child is None or not self._tell_to_stop(child):
            await trio.lowlevel.checkpoint()
            return
        if child.waiters is None:
            child.waiters = trio.Event()
        await child.waiters.wait()

    def children(self) -> tuple[ChildInfo, ...]:
        """The children in the table, in start order."""
        return tuple(child.info() for child in self._children.values())

    def statistics(self) -> SupervisorStatistics:
        """How many children there are in which state, and what happened so far. Looks at every child."""
        states = Counter(child.state for child in self._children.values())
        return SupervisorStatistics(
            children=len(self._children),
            running=states[ChildState.RUNNING],
            restarting=states[ChildState.RESTARTING],
            stopping=states[ChildState.STOPPING],
            overstayed=states[ChildState.OVERSTAYED],
            exited=states[ChildState.EXITED],
            started_total=self._started,
            restarted_total=self._restarted,
            failed_total=self._failed,
            escalated_total=self._escalated,
            report_errors_total=self._report_errors,
        )

    # What happens later: timers.

    async def _turn(self, finished: Callable[[], bool]) -> None:
        """Act on timers as they come due until `finished()`; whoever makes it true wakes the alarm."""
        while True:
            with trio.CancelScope(deadline=self._timers.next_due()) as self._alarm:
                await trio.sleep_forever()
            while (child := self._timers.pop_due(trio.current_time())) is not None:
                child.timer = None
                if child.state is ChildState.STOPPING:
                    self._overstayed(child)
                elif self._phase is _Phase.OPEN:
                    self._start(child)
            if finished():
                return

    def _set_timer(self, child: ChildRecord, at: float) -> None:
        child.timer = self._timers.set(at, child)
        if at < self._alarm.deadline:
            self._alarm.deadline = at

    def _cancel_timer(self, child: ChildRecord) -> None:
        if child.timer is not None:
            self._timers.cancel(child.timer)
            child.timer = None

    # A body's life.

    def _start(self, child: ChildRecord) -> None:
        assert self._nursery is not None
        self._enter(child, ChildState.RUNNING)
        # The project's one bare shield. A cancelled scope around the supervisor would reach all children at
        # once; behind a shield each is cancelled when its turn to stop comes, by `_tell_to_stop` and by
        # nothing else. The deadline is the supervisor's: `shutdown` after it told the child. A deadline of
        # the shield itself could only cancel the body a second time, or let the outer cancellation in:
        # neither ends it sooner.
        child.scope = trio.CancelScope(shield=True)
        # A task inherits the context of whoever starts it: without a clean one a child would carry the log
        # fields of a request for as long as it lives.
        name = f"{self.name}/{child.spec.name}"
        contextvars.Context().run(
            partial(self._nursery.start_soon, self._body, child, child.scope, name=name)
        )
        self._started += 1
        self._tell(self._report(child, Event.STARTED))

    # A body need not have a checkpoint, and one forced upon it would cost each of thousands of peers a step.
    async def _body(self, child: ChildRecord, scope: trio.CancelScope) -> None:  # noqa: ASYNC910
        """A child's task. Lets nothing out but what is no `Exception`; that ends the supervisor."""
        try:
            with scope:
                await trio.lowlevel.checkpoint_if_cancelled()  # stopped before its first step
                await child.spec.run()
        except Exception as error:  # ExceptionGroup too, but no group that holds anything worse
            self._ended(child, error)
        except BaseException as error:
            self._ended(child, error, fatal=True)
            raise
        else:
            self._ended(child, None)

    def _ended(self, child: ChildRecord, error: BaseException | None, *, fatal: bool = False) -> None:
        child.scope = None
        if error is not None:
            child.last_error = error
            self._failed += 1
        if child.state is not ChildState.RUNNING:
            self._remove(child)
            self._tell(self._report(child, Event.STOPPED, error))
        elif fatal or self._phase is not _Phase.OPEN or not child.spec.restart.wanted(error):
            if child.temporary:
                self._remove(child)
            else:
                self._enter(child, ChildState.EXITED)
            self._tell(self._report(child, Event.EXITED, error))
        else:
            self._decide(child, error)

    def _decide(self, child: ChildRecord, error: BaseException | None) -> None:
        """A child ended that its spec wants back: restart it later, or give up."""
        now = trio.current_time()
        lasted = now - child.since
        exited = self._report(child, Event.EXITED, error)
        allowed = self._intensity.record(now)
        self._exits.append(exited)
        while len(self._exits) > self._intensity.count:
            self._exits.popleft()
        if allowed:
            backoff = child.spec.backoff
            child.failures = backoff.failures(child.failures, lasted)
            child.restarts += 1
            self._restarted += 1
            delay = backoff.delay(child.failures, self._random)
            self._enter(child, ChildState.RESTARTING)
            self._set_timer(child, now + delay)
            outcome = self._report(child, Event.RESTARTING, error, delay)
        else:
            self._enter(child, ChildState.EXITED)
            outcome = self._report(child, Event.ESCALATED, error)
            self._escalate(child, error, (*self._exits, outcome))
        self._tell(exited)
        self._tell(outcome)

    def _escalate(self, child: ChildRecord, error: BaseException | None, reports: tuple[Report, ...]) -> None:
        why = "a normal end" if error is None else repr(error)
        self._escalation = Escalation(
            f"supervisor {self.name!r}: {self._intensity.count} restarts within {self._intensity.within:g} s,"
            f" the last of {child.spec.name!r} after {why}",
            reports,
        )
        self._escalation.__cause__ = error
        self._escalated += 1
        self._phase = _Phase.CLOSING
        self._alarm.cancel(reason="escalation")

    # The end of a child.

    def _tell_to_stop(self, child: ChildRecord) -> bool:
        """Tell a child to stop, once; whether there is a body within its deadline to wait for."""
        match child.state:
            case ChildState.RUNNING:
                assert child.scope is not None
                self._enter(child, ChildState.STOPPING)
                self._set_timer(child, child.since + child.spec.shutdown)
                child.scope.cancel(reason=f"supervisor {self.name!r} stops {child.spec.name!r}")
                return True
            case ChildState.STOPPING:
                return True
            case ChildState.RESTARTING:
                self._remove(child)
                self._tell(self._report(child, Event.STOPPED))
            case ChildState.EXITED:
                self._remove(child)
        return False  # an overstayed one was told, and its deadline has passed

    def _overstayed(self, child: ChildRecord) -> None:
        self._cancel_timer(child)
        self._enter(child, ChildState.OVERSTAYED)
        self._release(child)
        self._tell(self._report(child, Event.OVERSTAYED))

    def _remove(self, child: ChildRecord) -> None:
        """Out of the table; idempotent."""
        self._cancel_timer(child)
        self._enter(child, ChildState.EXITED)
        self._children.pop(child.spec.name, None)
        self._release(child)

    def _release(self, child: ChildRecord) -> None:
        """Nobody waits for this child any longer."""
        if child.waiters is not None:
            child.waiters.set()
        if child in self._awaited:
            self._awaited.discard(child)
            if not self._awaited:
                self._alarm.cancel(reason="all stopped")

    def _enter(self, child: ChildRecord, state: ChildState) -> None:
        child.state = state
        child.since = trio.current_time()

    # Reports.

    def _report(
        self, child: ChildRecord, event: Event, error: BaseException | None = None, delay: float | None = None
    ) -> Report:
        return Report(trio.current_time(), self.name, child.spec.name, event, error, delay, child.restarts)

    def _tell(self, report: Report) -> None:
        if self._on_report is None:
            return
        try:
            self._on_report(report)
        except Exception:
            self._report_errors += 1
            _logger.exception("supervisor %r: on_report failed on %s", self.name, report.event.value)
