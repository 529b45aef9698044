"""Starting children at run time, what surrounds their bodies, and what is left of them."""

from __future__ import annotations

import contextvars
import gc
import weakref
from collections.abc import Callable
from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcptrio.supervision import ChildSpec, ChildState, Event, Restart, Strategy, Supervisor
from tests.supervision.actors import Actor, Record, running, states

pytestmark = pytest.mark.unmeasured


async def nothing() -> None:
    pass


def test_restart_types_say_after_which_end_they_want_a_restart() -> None:
    error = ValueError("boom")
    assert [kind.wanted(None) for kind in Restart] == [True, False, False]
    assert [kind.wanted(error) for kind in Restart] == [True, True, False]


async def test_run_reports_started_when_all_initial_children_are_started(autojump_clock: MockClock) -> None:
    supervisor = Supervisor("root", [Actor().spec("a"), Actor().spec("b")])
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        assert states(supervisor) == {"a": ChildState.RUNNING, "b": ChildState.RUNNING}
        nursery.cancel_scope.cancel(reason="the test is over")


async def test_a_supervisor_runs_once_at_a_time_and_can_run_again(autojump_clock: MockClock) -> None:
    actor = Actor()
    supervisor = Supervisor("root", [actor.spec("a")])
    for times in (1, 2):
        async with running(supervisor):
            assert len(actor.starts) == times
            with pytest.raises(RuntimeError, match="running already"):
                await supervisor.run()
            assert actor.alive == 1
        assert actor.alive == 0


async def test_a_name_in_use_is_refused_whatever_its_child_does(autojump_clock: MockClock) -> None:
    actor = Actor(linger=2.0)
    supervisor = Supervisor("root", [actor.spec("a")])
    async with running(supervisor), trio.open_nursery() as nursery:
        for expected in (ChildState.RUNNING, ChildState.RESTARTING, ChildState.STOPPING):
            assert states(supervisor) == {"a": expected}
            with pytest.raises(ValueError, match="has a child 'a'"):
                supervisor.start_child_nowait(actor.spec("a"))
            if expected is ChildState.RUNNING:
                await actor.crash(RuntimeError("boom"))
            else:
                await trio.sleep(1.5)
                nursery.start_soon(supervisor.stop_child, "a")
                await wait_all_tasks_blocked()


async def test_whether_it_runs_and_whether_anything_changed_can_be_asked_cheaply(
    autojump_clock: MockClock,
) -> None:
    actor = Actor(linger=1.0)
    supervisor = Supervisor("root", [actor.spec("a")])
    assert not supervisor.is_running
    async with trio.open_nursery() as nursery:

        async def look() -> None:
            await trio.sleep(10.5)
            assert not supervisor.is_running  # it has begun to stop

        nursery.start_soon(look)
        async with running(supervisor):
            assert supervisor.is_running
            before = supervisor.changes
            await trio.sleep(10)
            supervisor.children()
            assert supervisor.changes == before
            await actor.crash(RuntimeError("boom"))
            after = supervisor.changes
            assert after > before
            await supervisor.stop_child("a")
            await supervisor.start_child(actor.spec("b"))
            assert supervisor.changes > after
            await wait_all_tasks_blocked()
    assert not supervisor.is_running


async def test_a_supervisor_that_does_not_run_starts_nothing(autojump_clock: MockClock) -> None:
    supervisor = Supervisor("root")
    with pytest.raises(RuntimeError, match="'root' is not running: it cannot start 'a'"):
        supervisor.start_child_nowait(ChildSpec("a", nothing))
    async with running(supervisor):
        pass
    with pytest.raises(RuntimeError, match="is not running"):
        supervisor.start_child_nowait(ChildSpec("a", nothing))


async def test_a_child_starts_siblings_that_outlive_it(autojump_clock: MockClock) -> None:
    sibling = Actor()
    supervisor = Supervisor("root")

    async def listener() -> None:
        supervisor.start_child_nowait(sibling.spec("peer", Restart.TEMPORARY))
        await trio.lowlevel.checkpoint()

    async with running(supervisor):
        supervisor.start_child_nowait(ChildSpec("listener", listener, Restart.TRANSIENT))
        await wait_all_tasks_blocked()
        assert states(supervisor) == {"listener": ChildState.EXITED, "peer": ChildState.RUNNING}
        assert sibling.alive == 1
    assert sibling.alive == 0


async def test_nothing_is_started_once_the_stop_has_begun(autojump_clock: MockClock) -> None:
    refusals = list[str]()
    supervisor = Supervisor("root")

    async def listener() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with pytest.raises(RuntimeError) as refused:
                supervisor.start_child_nowait(ChildSpec("late", nothing))
            refusals.append(str(refused.value))

    async with running(supervisor):
        supervisor.start_child_nowait(ChildSpec("listener", listener))
        await wait_all_tasks_blocked()
    assert refusals == ["supervisor 'root' is stopping: it cannot start 'late'"]


async def test_tasks_are_named_and_run_in_a_clean_context(autojump_clock: MockClock) -> None:
    field = contextvars.ContextVar("field", default="clean")
    seen = []

    async def look(fail: bool) -> None:
        seen.append((trio.lowlevel.current_task().name, field.get()))
        field.set("left by a child")
        if fail:
            raise RuntimeError("boom")
        await trio.sleep_forever()

    supervisor = Supervisor("root", [ChildSpec("initial", partial(look, False))], max_restarts=100)
    field.set("of the caller of run")
    async with running(supervisor):
        field.set("of a request")
        supervisor.start_child_nowait(ChildSpec("dynamic", partial(look, True)))
        await trio.sleep(3)
    assert field.get() == "of a request"
    assert {name for name, _ in seen} == {"root/initial", "root/dynamic"}
    assert {value for _, value in seen} == {"clean"}
    assert len(seen) > 2


@pytest.mark.parametrize(
    "strategy", [Strategy.ONE_FOR_ONE, Strategy.SIMPLE_ONE_FOR_ONE], ids=lambda strategy: strategy.value
)
async def test_ten_thousand_temporary_children_leave_nothing(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    record = Record()
    supervisor = Supervisor(
        "peers", strategy=strategy, on_report=lambda report: record(report) if report.error else None
    )

    async def peer(n: int) -> None:
        if n % 4 == 1:
            raise OSError("reset by peer")
        if n % 4 == 2:
            await trio.sleep(1)
        if n % 4 == 3:
            await trio.sleep_forever()

    async with running(supervisor):
        tasks = trio.lowlevel.current_statistics().tasks_living
        specs = weakref.WeakSet[Callable[[], object]]()
        for n in range(10_000):
            run = partial(peer, n)
            specs.add(run)
            supervisor.start_child_nowait(ChildSpec(f"peer-{n}", run, Restart.TEMPORARY))
        del run
        await wait_all_tasks_blocked()
        assert supervisor.statistics().running == 5000
        await trio.sleep(2)
        async with trio.open_nursery() as nursery:
            for child in supervisor.children():
                nursery.start_soon(supervisor.stop_child, child.name)
        assert supervisor.children() == ()
        assert trio.lowlevel.current_statistics().tasks_living == tasks
        assert len(supervisor._machine.timers) == 0
        record.reports.clear()
        gc.collect()
        assert len(specs) == 0
    statistics = supervisor.statistics()
    assert (statistics.started_total, statistics.failed_total) == (10_000, 2500)


@pytest.mark.parametrize("strategy", Strategy, ids=lambda strategy: strategy.value)
async def test_a_thousand_temporary_children_of_any_supervisor_are_gone_when_they_end(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    supervisor = Supervisor("root", strategy=strategy)
    actors = {f"{n}": Actor() for n in range(1000)}
    bodies = weakref.WeakSet(actors.values())
    async with running(supervisor):
        for name, actor in actors.items():
            supervisor.start_child_nowait(actor.spec(name, Restart.TEMPORARY))
        await wait_all_tasks_blocked()
        assert supervisor.statistics().running == 1000
        async with trio.open_nursery() as nursery:
            for name, actor in actors.items():
                match int(name) % 4:
                    case 0:
                        nursery.start_soon(actor.finish)
                    case 1:
                        nursery.start_soon(actor.crash, RuntimeError("boom"))
                    case 2:
                        nursery.start_soon(supervisor.stop_child, name)
                    case 3:
                        supervisor.exit_child(name, RuntimeError("boom"))
        await wait_all_tasks_blocked()
        assert supervisor.children() == ()
        assert len(supervisor._machine.timers) == 0
        for name in actors:
            supervisor.start_child_nowait(Actor().spec(name, Restart.TEMPORARY))
        await wait_all_tasks_blocked()
        actors.clear()
        del actor
        gc.collect()
        assert len(bodies) == 0


@pytest.mark.parametrize(
    "strategy", [Strategy.ONE_FOR_ONE, Strategy.SIMPLE_ONE_FOR_ONE], ids=lambda strategy: strategy.value
)
async def test_ten_thousand_temporary_children_stop_together(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    record = Record()
    supervisor = Supervisor("peers", strategy=strategy, on_report=record)
    async with running(supervisor):
        tasks = trio.lowlevel.current_statistics().tasks_living
        for n in range(10_000):
            supervisor.start_child_nowait(ChildSpec(f"peer-{n}", trio.sleep_forever, Restart.TEMPORARY))
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == tasks + 10_000
    assert trio.current_time() == 0.0
    assert len(record.children(Event.STOPPED)) == 10_000
    assert trio.lowlevel.current_statistics().tasks_living < tasks


async def test_statistics_count_children_by_state_and_what_happened(autojump_clock: MockClock) -> None:
    actors = [Actor() for _ in range(4)]
    stubborn = Actor(linger=20.0)
    specs = [
        actors[0].spec("running"),
        actors[1].spec("restarting"),
        actors[2].spec("exited", Restart.TRANSIENT),
        stubborn.spec("overstayed", shutdown=1.0),
        Actor(linger=20.0).spec("stopping", shutdown=19.0),
    ]
    supervisor = Supervisor("root", specs)
    async with running(supervisor), trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.stop_child, "stopping")
        await supervisor.stop_child("overstayed")
        await actors[1].crash(RuntimeError("boom"))
        await actors[2].finish()
        now = supervisor.statistics()
        assert (now.children, now.running, now.restarting, now.stopping) == (5, 1, 1, 1)
        assert (now.overstayed, now.exited) == (1, 1)
        assert (now.started_total, now.restarted_total, now.failed_total) == (5, 1, 1)
        assert (now.escalated_total, now.report_errors_total) == (0, 0)
        by_name = {child.name: child for child in supervisor.children()}
        assert by_name["exited"].restart is Restart.TRANSIENT
        assert by_name["overstayed"].since == 1.0
