"""The supervisor: runs the bodies of children as its machine decides.

The decisions are machine.py's, made synchronously in whichever task learns of a fact: the last step of a child's
task reports its end (`_body`), the public methods run in their callers. The task in `run()` only turns timers
(`_turn`), so it is never busy with one child while another needs it.
"""

from __future__ import annotations

import contextvars
import math
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from random import Random

import trio

from mcptrio.supervision.backoff import Backoff
from mcptrio.supervision.child import ChildInfo, ChildSpec, Restart
from mcptrio.supervision.intensity import Intensity
from mcptrio.supervision.lives import Phase
from mcptrio.supervision.machine import Machine
from mcptrio.supervision.monitor import Monitor
from mcptrio.supervision.ready import Ready
from mcptrio.supervision.record import ChildRecord, Then
from mcptrio.supervision.report import (
    Down,
    ExitReason,
    Report,
    StartFailed,
    SupervisorStatistics,
)
from mcptrio.supervision.strategy import AutoShutdown, Strategy, check_type


class Supervisor:
    """Runs children and restarts them, as their specs and the strategy say; OTP's supervisor for Trio.

    At most `max_restarts` restarts within `within` seconds, counted over all children when a child ends (those
    that are restarted with it do not count); one more and the supervisor stops all children and raises
    `Escalation`. Supervisors nest: `ChildSpec` by `inner.child_spec()`. All methods are Trio's thread's.

    `on_report` is called synchronously for every event, in order, when the decision that it tells of is complete.
    It may call any synchronous method. It must not block; what it raises is logged and goes no further. `Reports`
    makes one callback into many.

    Raises:
        TypeError: a strategy that is none, such as its word.
        ValueError: two children of one name; an intensity that makes no sense; a significant child where
            `auto_shutdown` is NEVER, which would make no difference; initial children of a `simple_one_for_one`
            supervisor, whose children all come at runtime.
    """

    def __init__(
        self,
        name: str,
        children: Sequence[ChildSpec] = (),
        *,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
        max_restarts: int = 3,
        within: float = 5.0,
        on_report: Callable[[Report], None] | None = None,
        random: Random | None = None,
    ) -> None:
        check_type("strategy", strategy, Strategy)
        check_type("auto_shutdown", auto_shutdown, AutoShutdown)
        if on_report is not None and not callable(on_report):
            raise TypeError("on_report is a function: of a Reports object give its `publish`")
        self.name = name
        self.strategy = strategy
        self.auto_shutdown = auto_shutdown
        self._initial = tuple(children)
        if len({spec.name for spec in self._initial}) < len(self._initial):
            raise ValueError(f"supervisor {name!r}: two children of one name")
        if self._initial and strategy is Strategy.SIMPLE_ONE_FOR_ONE:
            raise ValueError(
                f"supervisor {name!r}: simple_one_for_one has no initial children; start them with start_child"
            )
        for spec in self._initial:
            self._check(spec)
        intensity = Intensity(max_restarts, within)
        random = Random() if random is None else random
        self._machine = Machine(name, strategy, auto_shutdown, intensity, random, self, on_report)
        self._nursery: trio.Nursery | None = None
        self._alarm = trio.CancelScope()  # the sleep of `_turn`; waking it twice or late does no harm

    def child_spec(
        self,
        *,
        name: str | None = None,
        restart: Restart = Restart.PERMANENT,
        shutdown: float = math.inf,
        backoff: Backoff | None = None,
        significant: bool = False,
    ) -> ChildSpec:
        """This supervisor as a child of another: ready when its own initial children are.

        `shutdown` is infinite, as in OTP: its children have their own deadlines, one after the other.
        """
        return ChildSpec(
            self.name if name is None else name,
            self.run,
            restart,
            shutdown,
            Backoff() if backoff is None else backoff,
            significant,
            math.inf,
            self,
        )

    async def run(  # noqa: ASYNC114  its name is the one of every actor's body
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Start the initial children in order, each once the one before it is ready, and supervise until cancelled.

        `task_status.started()` is called once all of them are ready. (A child without `start_timeout` is ready
        at once, and takes its first step later.) Children run in a nursery of this call, in a clean context;
        how they end never cancels a sibling.

        Returns when an auto-shutdown is due. In that case, if cancelled, and when escalating: children are told
        to stop in reverse start order (of `simple_one_for_one` all at once), and each has `shutdown` seconds
        before it is reported as overstayed and the next one's turn comes. Trio cannot kill: this call returns
        when the last body has really ended, and a body that never ends keeps it for ever. After that nothing is
        left, and `run` may be called again: it starts from the initial children, as a supervisor that its parent
        restarts must.

        Raises:
            Escalation: too many restarts; all children have ended.
            StartFailed: an initial child ended, or did not say in time that it is ready, on its first start.
            RuntimeError: it is running already.
            BaseExceptionGroup: a child raised what is no `Exception`, such as KeyboardInterrupt; the others
                were stopped in order first.
        """
        machine = self._machine
        if machine.phase is not Phase.IDLE:
            raise RuntimeError(f"supervisor {self.name!r} is running already")
        await trio.lowlevel.checkpoint_if_cancelled()  # cancelled already: no child takes its first step
        try:
            async with trio.open_nursery() as self._nursery:
                try:
                    machine.open(self._initial, task_status.started, trio.current_time())
                    await self._turn(lambda: machine.phase is Phase.CLOSING)
                finally:
                    # What `on_report` raises while one stops, such as KeyboardInterrupt, keeps no other from it.
                    async with AsyncExitStack() as stopping:  # noqa: ASYNC102  each is shielded, with its deadline
                        for group in reversed(machine.close()):
                            stopping.push_async_callback(self._stop_group, group)
        except BaseExceptionGroup as group:
            # Cancelled while giving up: the caller must learn of that all the same. Anything else in the group
            # is no Exception, and goes before.
            if machine.outcome is None or group.split(trio.Cancelled)[1] is not None:
                raise
        finally:
            self._nursery = None
            outcome = machine.end()
        if outcome is not None:
            raise outcome

    # Children at runtime.

    def start_child_nowait(self, spec: ChildSpec) -> None:
        """Start a child, from any task, a child's own too. Should its start fail, its restart type decides.

        A child that has exited and is not restarted gives its name up to a new one.

        Raises:
            ValueError: a child of that name is there, or the child makes no sense in this supervisor.
            RuntimeError: the supervisor is not running, or has begun to stop.
        """
        now = trio.current_time()
        self._check(spec)
        self._machine.add(self._machine.admit(spec, now), now)

    async def start_child(self, spec: ChildSpec) -> None:
        """Start a child and wait until it is ready. If cancelled, it is told to stop and forgotten.

        Raises:
            StartFailed: it ended before it was ready, or was not ready in time; it is not kept.
            ValueError, RuntimeError: as `start_child_nowait`.
        """
        self._check(spec)
        child = self._machine.admit(spec, trio.current_time())
        await self._started(child, partial(self._machine.add, child), keep=False)

    async def restart_child(self, name: str) -> None:
        """Start a child again that was stopped or has exited, and wait until it is ready.

        If cancelled, or if the start fails, it is stopped and kept.

        Raises:
            StartFailed: it ended before it was ready, or was not ready in time.
            LookupError: there is no such child.
            RuntimeError: it is not at rest (stop it first), or the supervisor is not running.
        """
        child = self._machine.at_rest(name, "restart")
        self._machine.check_open(name)
        await self._started(child, partial(self._machine.start_again, child), keep=True)

    async def _started(self, child: ChildRecord, start: Callable[[float], None], *, keep: bool) -> None:
        failure: StartFailed | None = None
        answered = trio.Event()
        machine = self._machine

        def answer(failed: BaseException | None) -> None:
            nonlocal failure
            if isinstance(failed, StartFailed):
                failure = failed
                if not keep:
                    machine.stop(child, trio.current_time(), Then.FORGET)
            answered.set()

        child.on_start = answer
        start(trio.current_time())
        try:
            await answered.wait()
        except trio.Cancelled:
            # Perhaps it is ready already; but who is cancelled does not learn of it.
            child.on_start = None
            machine.stop(child, trio.current_time(), Then.STOP if keep else Then.FORGET)
            raise
        if failure is not None:
            raise failure

    def stop_child_nowait(self, name: str) -> None:
        """Tell a child to stop. It stays in the table, stopped, unless it is temporary. Idempotent.

        One that waits for its restart is stopped at once. A name that is not there is stopped already.
        """
        child = self._machine.children.get(name)
        if child is not None:
            self._machine.stop(child, trio.current_time())

    async def stop_child(self, name: str) -> None:
        """Tell a child to stop, and wait until it ended or its shutdown deadline passed.

        A child that overstays keeps its name until its body ends. If cancelled, the child has been told to stop
        nevertheless; only the waiting ends. So a child may stop itself.
        """
        child = self._machine.children.get(name)
        if child is None or not self._machine.stop(child, trio.current_time()):
            await trio.lowlevel.checkpoint()
            return
        ended = trio.Event()
        if child.waiters is None:
            child.waiters = []
        child.waiters.append(ended.set)
        await ended.wait()

    def delete_child(self, name: str) -> None:
        """Forget a child that was stopped or has exited.

        Raises:
            LookupError: there is no such child.
            RuntimeError: it is not at rest: stop it first.
        """
        self._machine.forget(self._machine.at_rest(name, "delete"), trio.current_time())

    def exit_child(self, name: str, error: Exception) -> None:
        """Have a child end and count as crashed with `error`: OTP's `exit(Pid, Reason)`.

        Its body is cancelled, with its deadline, and its restart type decides. No effect on one without a body.

        Raises:
            LookupError: there is no such child.
        """
        self._machine.fail(self._machine.known(name), error, trio.current_time())

    # Monitors and links.

    def monitor(self, name: str) -> Monitor:
        """Be told once when the body that a child has now is no more; see `Monitor`.

        A child without a body, or none of that name, is told of at once, as `ExitReason.NOPROC`.
        """
        child = self._machine.children.get(name)

        def forget(monitor: Monitor) -> None:
            if child is not None:
                child.unwatch(monitor)

        monitor = Monitor(forget)
        if child is None or child.body is None:
            monitor.tell(Down(name, ExitReason.NOPROC))
        else:
            child.watch(monitor, monitor.tell)
        return monitor

    def link(self, one: str, other: str) -> None:
        """Have the bodies that two children have now end together. Symmetrical and idempotent.

        When one of them ends other than normally, the other one counts as crashed with `LinkBroken`. The link is
        gone then: children that belong together over restarts are a case for `one_for_all`.

        Raises:
            LookupError: there is no such child.
            RuntimeError: one of them has no body, or they are the same.
        """
        first, second = self._machine.known(one), self._machine.known(other)
        if first is second:
            raise RuntimeError(f"child {one!r} cannot be linked to itself")
        for child in (first, second):
            if child.body is None:
                raise RuntimeError(
                    f"child {child.spec.name!r} is {child.state.value}: it has no body to link"
                )
        first.link(second)

    def unlink(self, one: str, other: str) -> None:
        """Undo a link. Idempotent; unknown names are not linked."""
        first, second = self._machine.children.get(one), self._machine.children.get(other)
        if first is not None and second is not None:
            first.unlink(second)

    # To be looked at.

    @property
    def is_running(self) -> bool:
        """Whether it runs and has not begun to stop, so that children can be started."""
        return self._machine.phase is Phase.OPEN

    @property
    def changes(self) -> int:
        """Rises with every change of a child's state: two equal figures mean that `children()` has not changed."""
        return self._machine.changes

    def children(self) -> tuple[ChildInfo, ...]:
        """The children in the table, in start order."""
        return tuple(child.info() for child in self._machine.children.values())

    def statistics(self) -> SupervisorStatistics:
        """How many children there are in which state, and what happened so far. Looks at every child."""
        return self._machine.statistics(self._machine.escalated)

    # What the machine has done.

    def start_body(self, child: ChildRecord) -> trio.CancelScope:
        """(The machine's.) Start the task of a child's body."""
        assert self._nursery is not None
        # The project's one bare shield. A cancelled scope around the supervisor would reach all children at
        # once; behind a shield each is cancelled when its turn to stop comes, by the machine and by nothing
        # else. The deadline is the supervisor's: `shutdown` after it told the child. A deadline of the shield
        # itself could only cancel the body a second time, or let the outer cancellation in: neither ends it
        # sooner.
        scope = trio.CancelScope(shield=True)
        # A task inherits the context of whoever starts it: without a clean one a child would carry the log
        # fields of a request for as long as it lives.
        name = f"{self.name}/{child.spec.name}"
        contextvars.Context().run(partial(self._nursery.start_soon, self._body, child, scope, name=name))
        return scope

    def wake_at(self, at: float) -> None:
        """(The machine's.) Have `_turn` look at this time at the latest."""
        if at < self._alarm.deadline:
            self._alarm.deadline = at

    # A body need not have a checkpoint, and one forced upon it would cost each of thousands of peers a step.
    async def _body(self, child: ChildRecord, scope: trio.CancelScope) -> None:  # noqa: ASYNC910
        """A child's task. Lets nothing out but what is no `Exception`; that ends the supervisor."""
        ended = self._machine.ended
        try:
            with scope:
                if child.spec.start_timeout is None:
                    await child.spec.run()
                else:
                    await child.spec.run(task_status=Ready(self._machine, child, scope))
        except Exception as error:  # ExceptionGroup too, but no group that holds anything worse
            ended(child, error, trio.current_time())
        except BaseException as error:
            ended(child, error, trio.current_time(), fatal=True)
            raise
        else:
            ended(child, None, trio.current_time())

    async def _stop_group(self, group: list[ChildRecord]) -> None:
        patience = self._machine.stop_group(group, trio.current_time())
        if patience is not None:
            with trio.move_on_after(patience, shield=True):
                await self._turn(lambda: not self._machine.awaited)
            self._machine.overdue(trio.current_time())

    async def _turn(self, finished: Callable[[], bool]) -> None:
        """Act on timers as they come due until `finished()`; whoever makes it true wakes the alarm."""
        machine = self._machine
        while True:
            machine.wake(trio.current_time())
            if finished():
                return
            with trio.CancelScope(deadline=machine.next_due()) as self._alarm:
                await trio.sleep_forever()

    # What is allowed.

    def _check(self, spec: ChildSpec) -> None:
        if spec.significant and self.auto_shutdown is AutoShutdown.NEVER:
            raise ValueError(
                f"supervisor {self.name!r}: the child {spec.name!r} is significant, but auto_shutdown is never"
            )
