"""A supervisor cancelled at any checkpoint leaves nothing behind."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from mcptrio.supervision import Backoff, ChildSpec, Escalation, Event, Restart, Supervisor
from tests.supervision.actors import Actor, Record


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope when the run takes its n-th step."""

    def __init__(self, steps: int, scope: trio.CancelScope) -> None:
        self.left = steps
        self._scope = scope

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.left -= 1
        if self.left == 0:
            self._scope.cancel(reason="at this step")


async def busy_life(record: Record, actors: list[Actor], *, escalate: bool) -> None:
    """A supervisor, and one inside it, through starts, crashes, restarts and stops."""
    clumsy, lingering, dynamic, deep = actors
    quick = Backoff(initial=0.5, maximum=0.5, jitter=False)

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
            ChildSpec("inner", inner.run),
            ChildSpec("crashing", crash_soon, backoff=quick),
            lingering.spec("lingering"),
        ],
        max_restarts=1 if escalate else 100,
        on_report=record,
    )
    tasks = trio.lowlevel.current_statistics().tasks_living
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(outer.run)
            outer.start_child_nowait(dynamic.spec("dynamic", Restart.TEMPORARY))
            await trio.sleep(1.25)
            await outer.stop_child("lingering")
            await outer.stop_child("crashing" if not escalate else "dynamic")
            if escalate:
                await trio.sleep(10)
            nursery.cancel_scope.cancel(reason="the program is over")
    finally:
        assert outer.children() == inner.children() == ()
        assert [actor.alive for actor in actors] == [0, 0, 0, 0]
        assert trio.lowlevel.current_statistics().tasks_living == tasks
        assert (outer._nursery, outer._machine.awaited, len(outer._machine.timers)) == (None, set(), 0)
        assert (len(outer._exits), outer._escalation) == (0, None)


@pytest.mark.parametrize("escalate", [False, True])
def test_cancelled_at_every_checkpoint_of_a_busy_life_it_leaves_no_orphan(escalate: bool) -> None:
    async def main(steps: int) -> bool:
        record = Record()
        actors = [Actor(linger=3.0), Actor(linger=0.5), Actor(), Actor(linger=0.25)]
        instrument = CancelAtStep(steps, scope := trio.CancelScope())
        trio.lowlevel.add_instrument(instrument)
        with scope:
            try:
                await busy_life(record, actors, escalate=escalate)
            except* Escalation:
                pass
        trio.lowlevel.remove_instrument(instrument)
        for child in {report.child for report in record.reports}:
            events = record.events(child)
            assert events[0] is Event.STARTED
            assert events[-1] in {Event.STOPPED, Event.EXITED, Event.ESCALATED}, (child, events)
        return instrument.left <= 0

    steps = 1
    while trio.run(main, steps, clock=MockClock(autojump_threshold=0)):
        steps += 1
    assert steps > 30


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
