"""Cancelled at any checkpoint, a supervisor leaves nothing behind, and who waits for one leaves it working."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio._core._run import _r as scheduling
from trio.testing import MockClock

from mcptrio.supervision import (
    Backoff,
    ChildSpec,
    ChildState,
    Escalation,
    Event,
    Report,
    Reports,
    Restart,
    Strategy,
    Supervisor,
)
from tests.supervision.actors import Actor, Record, Starter, states

GROUPED = [Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL]
QUICK = Backoff(initial=0.5, maximum=0.5, jitter=False)


def at_every_step(main: Callable[[int], Awaitable[bool]], at_least: int) -> None:
    """Run `main(n)` for the first step, the second, and so on, until it says that it had ended before that one."""
    for steps in itertools.count(1):
        scheduling.seed(
            steps
        )  # which of several tasks takes its step first: the same in every run of this test
        if not trio.run(main, steps, clock=MockClock(autojump_threshold=0)):
            break
    assert steps > at_least


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope when the run takes its n-th step."""

    def __init__(self, steps: int, scope: trio.CancelScope) -> None:
        self.left = steps
        self._scope = scope

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.left -= 1
        if self.left == 0:
            self._scope.cancel(reason="at this step")


# A whole supervisor.


async def busy_life(record: Record, actors: list[Actor], strategy: Strategy, *, escalate: bool) -> None:
    """A supervisor, and one inside it, through starts, crashes, restarts and stops."""
    clumsy, lingering, dynamic, deep = actors

    async def crash_soon() -> None:
        await trio.sleep(1)
        raise RuntimeError("boom")

    inner = Supervisor(
        "inner",
        [deep.spec("deep"), ChildSpec("ending", trio.lowlevel.checkpoint, Restart.TEMPORARY)],
        on_report=record,
    )
    outer = Supervisor(
        "outer",
        [
            clumsy.spec("clumsy", shutdown=1.0),
            ChildSpec("crashing", crash_soon, backoff=QUICK),
            inner.child_spec(),
            lingering.spec("lingering"),
        ],
        strategy=strategy,
        max_restarts=1 if escalate else 100,
        on_report=record,
    )
    tasks = trio.lowlevel.current_statistics().tasks_living
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(outer.run)
            await outer.start_child(dynamic.spec("dynamic", Restart.TEMPORARY))
            await trio.sleep(1.25)
            await outer.stop_child("lingering")
            if not escalate:
                await outer.restart_child("lingering")
                await outer.stop_child("crashing")
            await trio.sleep(10)
            nursery.cancel_scope.cancel(reason="the program is over")
    finally:
        assert outer.children() == inner.children() == ()
        assert [actor.alive for actor in actors] == [0, 0, 0, 0]
        assert trio.lowlevel.current_statistics().tasks_living == tasks
        assert (outer._nursery, outer._machine.awaited, len(outer._machine.timers)) == (None, {}, 0)
        assert len(outer._machine._untold) == 0


@pytest.mark.parametrize("escalate", [False, True])
@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ONE, *GROUPED])
def test_cancelled_at_every_checkpoint_of_a_busy_life_it_leaves_no_orphan(
    strategy: Strategy, escalate: bool
) -> None:
    async def main(steps: int) -> bool:
        record = Record()
        actors = [Actor(linger=3.0), Actor(linger=0.5), Actor(), Actor(linger=0.25)]
        instrument = CancelAtStep(steps, scope := trio.CancelScope())
        trio.lowlevel.add_instrument(instrument)
        with scope:
            try:
                await busy_life(record, actors, strategy, escalate=escalate)
            except* Escalation:
                assert escalate
            except* (
                RuntimeError,
                LookupError,
            ) as errors:  # it began to stop before it was asked to start one
                assert scope.cancel_called
                assert "is stopping" in str(errors.exceptions) or "has no child" in str(errors.exceptions)
        trio.lowlevel.remove_instrument(instrument)
        for child in {report.child for report in record.reports}:
            events = record.events(child)
            assert events[0] is Event.STARTED or events == [Event.STOPPED]
            assert events[-1] in {Event.STOPPED, Event.EXITED, Event.ESCALATED}, (child, events)
        return instrument.left <= 0

    at_every_step(main, 30)


def test_a_supervisor_started_in_a_cancelled_scope_runs_no_child() -> None:
    async def main() -> None:
        actor = Actor()
        supervisor = Supervisor("root", [actor.spec("child"), actor.spec("other", Restart.TEMPORARY)])
        with trio.CancelScope() as scope:
            scope.cancel(reason="before the start")
            await supervisor.run()
        assert scope.cancelled_caught
        assert actor.starts == []
        assert supervisor.children() == ()

    trio.run(main, clock=MockClock(autojump_threshold=0))


# One who waits, while the children that he waits for go down and come up.


class Trouble:
    """A supervisor whose second child crashes again and again, so that those after it go down and come up."""

    def __init__(self, strategy: Strategy) -> None:
        self.record, self.reports = Record(), Reports()
        self.reports.subscribe(self.record)
        self.actors = {
            "first": Actor(linger=0.125),
            "last": Starter(0.25, linger=0.25),
            "idle": Starter(0.375, linger=0.125),
            "new": Starter(0.375, linger=0.125),
        }
        self.crashing = True
        self.supervisor = Supervisor(
            "root",
            [
                self.actors["first"].spec("first"),
                ChildSpec("crashing", self._crash, backoff=QUICK),
                self.spec("last"),
                self.spec("idle"),
            ],
            strategy=strategy,
            max_restarts=1000,
            on_report=self.reports.publish,
        )

    def spec(self, name: str) -> ChildSpec:
        actor = self.actors[name]
        assert isinstance(actor, Starter)
        return actor.starting_spec(name)

    async def _crash(self) -> None:
        if self.crashing:
            await trio.sleep(0.75)
            raise RuntimeError("boom")
        await trio.sleep_forever()


Wait = Callable[[Trouble], Awaitable[None]]


async def start(trouble: Trouble) -> None:
    await trouble.supervisor.start_child(trouble.spec("new"))


async def stop(trouble: Trouble) -> None:
    await trouble.supervisor.stop_child("last")


async def restart(trouble: Trouble) -> None:
    await trouble.supervisor.restart_child("idle")


async def monitor(trouble: Trouble) -> None:
    with trouble.supervisor.monitor("last") as monitor:
        await monitor.wait()


@pytest.mark.parametrize("strategy", GROUPED)
@pytest.mark.parametrize("wait", [start, stop, restart, monitor])
@pytest.mark.parametrize("begin", [0.125, 1.0, 1.375])  # all is up; all goes down; and comes up
def test_who_waits_can_be_cancelled_at_every_checkpoint_and_the_supervisor_works_on(
    wait: Wait, strategy: Strategy, begin: float
) -> None:
    async def main(steps: int) -> bool:
        trouble = Trouble(strategy)
        supervisor = trouble.supervisor
        async with trio.open_nursery() as nursery:
            await nursery.start(supervisor.run)
            if wait is restart:
                await supervisor.stop_child("idle")
            await trio.sleep(begin)
            instrument = CancelAtStep(steps, scope := trio.CancelScope())
            trio.lowlevel.add_instrument(instrument)
            with scope:
                await wait(trouble)
            trio.lowlevel.remove_instrument(instrument)

            trouble.crashing = False
            await trio.sleep(10)
            up = dict.fromkeys(["first", "crashing", "last", "idle"], ChildState.RUNNING)
            if wait is start and not scope.cancelled_caught:
                up["new"] = ChildState.RUNNING
            if wait is stop:  # it was told to, whoever waits for that
                up["last"] = ChildState.STOPPED
            if wait is restart and scope.cancelled_caught:
                up["idle"] = ChildState.STOPPED
            assert states(supervisor) == up
            for name, actor in trouble.actors.items():
                assert actor.alive == (up.get(name) is ChildState.RUNNING)
            for child in supervisor._machine.children.values():
                assert not child.monitors
                assert child.on_start is child.waiters is None
            assert supervisor._nursery is not None
            assert len(supervisor._nursery.child_tasks) == list(up.values()).count(ChildState.RUNNING)

            # And it works.
            fresh = Starter(0.125)
            await supervisor.start_child(fresh.starting_spec("fresh"))
            await supervisor.stop_child("fresh")
            await supervisor.restart_child("fresh")
            await fresh.crash(RuntimeError("boom"))
            await trio.sleep(10)
            assert states(supervisor) == {**up, "fresh": ChildState.RUNNING}
            nursery.cancel_scope.cancel(reason="the test is over")
        assert supervisor.children() == ()
        return instrument.left <= 0

    at_every_step(main, 3)


@pytest.mark.parametrize("strategy", GROUPED)
def test_who_reads_reports_can_be_cancelled_at_every_checkpoint_and_misses_none(strategy: Strategy) -> None:
    async def main(steps: int) -> bool:
        trouble = Trouble(strategy)
        read: list[Report] = []
        with trouble.reports.stream(1000) as stream:
            async with trio.open_nursery() as nursery:
                await nursery.start(trouble.supervisor.run)
                instrument = CancelAtStep(steps, scope := trio.CancelScope())
                trio.lowlevel.add_instrument(instrument)
                with scope:
                    async for report in stream:
                        read.append(report)
                        if len(read) == 12:
                            break
                trio.lowlevel.remove_instrument(instrument)
                await trio.sleep(1)
                nursery.cancel_scope.cancel(reason="the test is over")
        async for report in stream:
            read.append(report)
        assert read == trouble.record.reports
        assert stream.missed == 0
        return instrument.left <= 0

    at_every_step(main, 20)
