"""What children do of their own while their supervisor ends."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcptrio.supervision import ChildSpec, Event, Restart, Strategy, Supervisor
from tests.supervision.actors import Actor, Record, running

STARTED, EXITED, STOPPED, OVERSTAYED = Event.STARTED, Event.EXITED, Event.STOPPED, Event.OVERSTAYED

every_strategy = pytest.mark.parametrize("strategy", Strategy, ids=lambda strategy: strategy.value)


def made(strategy: Strategy, specs: list[ChildSpec], record: Record) -> tuple[Supervisor, list[ChildSpec]]:
    """The supervisor, and the children that are to be started at run time."""
    simple = strategy is Strategy.SIMPLE_ONE_FOR_ONE
    supervisor = Supervisor("root", () if simple else specs, strategy=strategy, on_report=record)
    return supervisor, specs if simple else []


@every_strategy
async def test_children_that_end_by_themselves_before_their_turn_are_not_restarted_and_stop_nothing(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    record, first, last = Record(), Actor(), Actor(linger=3.0)
    ending = dict[str, Actor]()
    specs = [first.spec("first")]
    for restart in Restart:
        for how in ("ends", "raises"):
            name = f"{restart.value} {how}"
            ending[name] = Actor(linger=1.0)
            specs.append(ending[name].spec(name, restart))
    specs.append(last.spec("last"))
    supervisor, dynamic = made(strategy, specs, record)
    async with trio.open_nursery() as outside:
        async with running(supervisor, *dynamic):
            await wait_all_tasks_blocked()

            async def end_all() -> None:
                await trio.sleep(0.5)
                for name, actor in ending.items():
                    if name.endswith("raises"):
                        await actor.crash(RuntimeError(name))
                    else:
                        await actor.finish()

            outside.start_soon(end_all)
    for name, actor in ending.items():
        assert actor.starts == [0.0]
        # Told all at once, those of simple_one_for_one linger already.
        simple = strategy is Strategy.SIMPLE_ONE_FOR_ONE
        assert record.events(name) == [STARTED, STOPPED if simple else EXITED]
    assert record.children(STOPPED)[-1] == ("last" if strategy is Strategy.SIMPLE_ONE_FOR_ONE else "first")
    assert trio.current_time() == 3.0


@every_strategy
@pytest.mark.parametrize("restart", Restart, ids=lambda restart: restart.value)
async def test_children_that_fail_in_their_cleanup_are_told_of_and_end_the_supervisor_normally(
    restart: Restart, strategy: Strategy, autojump_clock: MockClock
) -> None:
    async def clumsy() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("cleanup failed")

    async def swallowing() -> None:
        with suppress(trio.Cancelled):  # the fault under test
            await trio.sleep_forever()

    record = Record()
    bodies = {"clumsy": clumsy, "swallowing": swallowing, "well": trio.sleep_forever}
    specs = [ChildSpec(name, body, restart) for name, body in bodies.items()]
    supervisor, dynamic = made(strategy, specs, record)
    async with running(supervisor, *dynamic):
        await wait_all_tasks_blocked()
    ends = {report.child: report.error for report in record.reports if report.event is STOPPED}
    assert {name: type(error) for name, error in ends.items()} == {
        "clumsy": OSError,
        "swallowing": type(None),
        "well": type(None),
    }
    assert record.children(EXITED) == []


@every_strategy
@pytest.mark.parametrize("shutdown", [0.0, 1.0, math.inf])
async def test_each_has_its_own_deadline_and_the_last_body_ends_the_supervisor(
    shutdown: float, strategy: Strategy, autojump_clock: MockClock
) -> None:
    record, stubborn, quick = Record(), Actor(linger=9.0), Actor(linger=0.5)
    specs = [
        quick.spec("quick", shutdown=1.0),
        stubborn.spec("stubborn", shutdown=shutdown),
        Actor(linger=0.5).spec("polite", shutdown=math.inf),
    ]
    supervisor, dynamic = made(strategy, specs, record)
    async with running(supervisor, *dynamic):
        await wait_all_tasks_blocked()
    simple = strategy is Strategy.SIMPLE_ONE_FOR_ONE
    told = 0.0 if simple else 0.5
    overdue = [] if shutdown == math.inf else [told + shutdown]
    assert record.times(OVERSTAYED, "stubborn") == overdue
    assert record.times(STOPPED, "stubborn") == [told + 9.0]
    then = overdue[0] if overdue else told + 9.0
    assert record.times(STOPPED, "quick") == [0.5 if simple else then + 0.5]
    assert record.times(STOPPED, "polite") == [0.5]
    assert trio.current_time() == (9.0 if simple else max(told + 9.0, then + 0.5))


async def test_a_deadline_of_nothing_waits_for_nobody(autojump_clock: MockClock) -> None:
    record = Record()
    supervisor = Supervisor("root", on_report=record)
    async with running(supervisor):
        for n in range(10):
            supervisor.start_child_nowait(Actor(linger=5.0).spec(f"{n}", Restart.TEMPORARY, shutdown=0.0))
        await wait_all_tasks_blocked()
    assert record.children(OVERSTAYED) == [f"{n}" for n in reversed(range(10))]
    assert set(record.children(STOPPED)) == {f"{n}" for n in range(10)}
    assert trio.current_time() == 5.0


@every_strategy
async def test_who_was_stopped_already_or_waits_for_a_restart_holds_nothing_up(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    record = Record()
    stopped, exited, restarting = Actor(), Actor(), Actor()
    specs = [stopped.spec("stopped"), exited.spec("exited", Restart.TRANSIENT), restarting.spec("restarting")]
    supervisor, dynamic = made(strategy, specs, record)
    async with running(supervisor, *dynamic):
        await wait_all_tasks_blocked()
        await exited.finish()
        await supervisor.stop_child("stopped")
        await restarting.crash(RuntimeError("boom"))
    assert trio.current_time() == 0.0
    assert supervisor.children() == ()
    assert record.events("stopped") == [STARTED, STOPPED]
    assert record.events("restarting")[-1] is STOPPED


@every_strategy
async def test_what_is_asked_of_children_while_their_supervisor_ends_changes_nothing(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    record = Record()
    specs = [Actor(linger=2.0).spec(name) for name in ("first", "last")]
    supervisor, dynamic = made(strategy, specs, record)
    async with trio.open_nursery() as outside:
        async with running(supervisor, *dynamic):
            await wait_all_tasks_blocked()

            async def interfere() -> None:
                await trio.sleep(1)
                supervisor.stop_child_nowait("last")
                supervisor.exit_child("last", RuntimeError("too late"))
                await supervisor.stop_child("last")

            outside.start_soon(interfere)
    assert supervisor.children() == ()
    assert record.children(EXITED) == []


@every_strategy
async def test_a_child_may_end_the_supervisor_it_runs_in(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    record = Record()
    scope = trio.CancelScope()

    async def end() -> None:
        scope.cancel(reason="by a child")
        await trio.sleep_forever()

    supervisor, dynamic = made(strategy, [Actor().spec("first"), ChildSpec("ending", end)], record)
    async with trio.open_nursery() as nursery:

        async def run(*, task_status: trio.TaskStatus[None]) -> None:  # noqa: ASYNC128  it is handed on
            with scope:
                await supervisor.run(task_status=task_status)

        await nursery.start(run)
        for spec in dynamic:
            supervisor.start_child_nowait(spec)
    assert set(record.children(STOPPED)) == {"first", "ending"}
