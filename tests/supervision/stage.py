"""Where a program is played by a real supervisor, with tasks, on virtual time."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mcptrio.supervision import ChildState, Escalation, ExitReason, Monitor, Report, StartFailed, Supervisor
from mcptrio.supervision.record import Then
from tests.supervision.model import seen
from tests.supervision.programs import Program, Step
from tests.supervision.script import Boom, Script
from tests.supervision.shadow import Shadowed


class Stage:
    """Runs a program; its machine is compared with the model at every step."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.supervisor = Supervisor(
            "root",
            [Script.spec(plan) for plan in program.initial],
            strategy=program.strategy,
            auto_shutdown=program.auto_shutdown,
        )
        self.machine = self.supervisor._machine = Shadowed(
            program.strategy,
            program.auto_shutdown,
            program.max_restarts,
            program.within,
            self.supervisor,
            self._heard,
        )
        self._reactions = list(program.reactions)
        self._raised = 0
        self._serial = itertools.count()
        self._monitors: dict[int, Monitor] = {}
        self._watched: dict[int, str] = {}
        self._closed: set[int] = set()
        self._starts: list[tuple[str, object]] = []
        self._asked: list[tuple[str, trio.CancelScope]] = []

    async def play(self) -> None:
        tasks = trio.lowlevel.current_statistics().tasks_living
        async with trio.open_nursery() as self._nursery:
            await self._begin()
            until = trio.current_time()
            for step in self.program.steps:
                if not self._running:  # as who runs it may do: it starts afresh
                    await self._begin()
                until += step.wait
                await self._until(until)
                self._perform(step)
                await self._until(until)
            await self._until(until + 12.0)
            self._scope.cancel(reason="the program is over")
        self._judge()
        assert trio.lowlevel.current_statistics().tasks_living == tasks

    async def _begin(self) -> None:
        self._running, self._scope = True, trio.CancelScope()
        self._nursery.start_soon(self._run, self._scope)
        await wait_all_tasks_blocked()

    async def _until(self, time: float) -> None:
        if time > trio.current_time():
            await trio.sleep_until(time)
        await wait_all_tasks_blocked()
        # Nothing is late.
        assert self.machine.model.next_due() > trio.current_time()
        assert self.machine.closed == (self.machine.model.phase != "open")

    async def _run(self, scope: trio.CancelScope) -> None:
        raised: BaseException | None = None
        try:
            with scope:
                await self.supervisor.run()
        except (Escalation, StartFailed) as error:
            raised = error
            assert error is self.machine.outcomes[-1]
        except BaseExceptionGroup as group:
            raised = group
            assert group.split(KeyboardInterrupt)[1] is None
        if raised is None:
            assert self.machine.outcomes[-1] is None
        self._running = False
        fatal = any(isinstance(report.error, KeyboardInterrupt) for report in self.machine.reports)
        assert fatal or not isinstance(raised, BaseExceptionGroup)

    # What is asked.

    def _heard(self, report: Report) -> None:
        for reaction in tuple(self._reactions):
            if reaction[0] is report.event and reaction in self._reactions:
                self._reactions.remove(reaction)
                if reaction[1].what == "raise":
                    self._raised += 1
                self._perform(reaction[1])

    def _perform(self, step: Step) -> None:
        if step.what in ("start", "restart", "stop"):
            self._nursery.start_soon(self._ask, step)
            return
        expected = self.machine.refusal(step)
        if step.what == "raise":
            raise Boom
        if expected is None:
            self._do(step)
        else:
            with pytest.raises(expected):
                self._do(step)

    async def _ask(self, step: Step) -> None:
        if step.what == "stop":
            child = self.machine.children.get(step.name)
            await self.supervisor.stop_child(step.name)
            assert child is None or child.state is not ChildState.STOPPING
            return
        expected = self.machine.refusal(step)
        spec = None if step.plan is None else Script.spec(step.plan)
        failure: StartFailed | None = None
        with trio.CancelScope() as scope:
            entry = (step.name, scope)
            self._asked.append(entry)
            try:
                if spec is None:
                    await self.supervisor.restart_child(step.name)
                else:
                    await self.supervisor.start_child(spec)
            except StartFailed as error:
                failure = error
            except (LookupError, RuntimeError, ValueError) as error:
                assert type(error) is expected
                return
            finally:
                self._asked.remove(entry)
            self._starts.append((step.name, seen(failure)))
        assert expected is None
        if failure is not None or scope.cancelled_caught:  # it is not kept, if it was new
            left = [child for child in self.machine.children.values() if child.spec is spec]
            assert all(child.then is Then.FORGET for child in left)

    def _do(self, step: Step) -> None:
        supervisor, machine, name = self.supervisor, self.machine, step.name
        child, other = machine.children.get(name), machine.children.get(step.other)
        match step.what:
            case "start_nowait":
                assert step.plan is not None
                supervisor.start_child_nowait(Script.spec(step.plan))
            case "stop_nowait":
                supervisor.stop_child_nowait(name)
            case "delete":
                supervisor.delete_child(name)
            case "exit":
                supervisor.exit_child(name, Boom())
            case "link":
                supervisor.link(name, step.other)
                assert child is not None
                assert other is not None
                machine.linked(child, other)
            case "unlink":
                supervisor.unlink(name, step.other)
                if child is not None and other is not None:
                    machine.unlinked(child, other)
            case "monitor":
                key = next(self._serial)
                monitor = supervisor.monitor(name)
                if child is not None and child.body is not None:
                    self._monitors[key], self._watched[key] = monitor, name
                    machine.watched(child, key)
                    self._nursery.start_soon(self._wait, key)
                else:
                    assert monitor.down is not None
                    assert monitor.down.reason is ExitReason.NOPROC
            case "close" if child is not None:
                for key in [key for key, watched in self._watched.items() if watched == name]:
                    self._closed.add(key)
                    self._monitors[key].close()
                    machine.unwatched(child, key)
            case "crash" | "finish" | "fatal" if child is not None and child.body is not None:
                assert isinstance(child.spec.run, Script)
                child.spec.run.order({"crash": "raises", "finish": "returns", "fatal": "fatal"}[step.what])
            case "cancel":
                self._scope.cancel(reason="the program says so")
            case "abandon":
                for entry in self._asked:
                    if entry[0] == name:
                        entry[1].cancel(reason="the program says so")

    async def _wait(self, key: int) -> None:
        try:
            down = await self._monitors[key].wait()
        except RuntimeError:
            assert key in self._closed
        else:
            assert down is self._monitors[key].down

    # What must be true in the end, whatever the model says.

    def _judge(self) -> None:
        machine, model = self.machine, self.machine.model
        assert machine.failure is None
        assert self.supervisor.children() == ()
        assert self.supervisor._nursery is None
        assert self.supervisor.statistics().report_errors_total == self._raised
        # Whoever waited for a start was told what the machine said, unless he was cancelled.
        assert not Counter(self._starts) - Counter(machine.starts)
        told = [
            (key, monitor.down.reason, seen(monitor.down.error))
            for key, monitor in self._monitors.items()
            if monitor.down is not None
        ]
        assert Counter(told) == Counter(model.downs)
        assert {key for key, _, _ in told} | self._closed >= self._monitors.keys()
