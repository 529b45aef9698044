"""Starting, stopping, restarting and deleting children by name, and the words of what is refused."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from mcptrio.supervision import (
    AutoShutdown,
    ChildSpec,
    ChildState,
    Event,
    Restart,
    StartFailed,
    Strategy,
    Supervisor,
)
from tests.supervision.actors import Actor, Record, Starter, running, states

STARTED, STOPPED = Event.STARTED, Event.STOPPED

every_strategy = pytest.mark.parametrize("strategy", Strategy, ids=lambda strategy: strategy.value)


@every_strategy
async def test_the_life_of_a_child_that_is_administered(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    record, actor = Record(), Actor()
    supervisor = Supervisor("root", strategy=strategy, on_report=record)
    async with running(supervisor):
        await supervisor.start_child(actor.spec("child"))
        await wait_all_tasks_blocked()
        with pytest.raises(ValueError, match="supervisor 'root' has a child 'child'"):
            await supervisor.start_child(actor.spec("child"))
        with pytest.raises(RuntimeError, match="cannot restart child 'child': it is running; stop it first"):
            await supervisor.restart_child("child")
        with pytest.raises(RuntimeError, match="cannot delete child 'child': it is running; stop it first"):
            supervisor.delete_child("child")

        await supervisor.stop_child("child")
        assert states(supervisor) == {"child": ChildState.STOPPED}
        # Once more is no error; and a name is in use until it is deleted.
        await supervisor.stop_child("child")
        with pytest.raises(ValueError, match="supervisor 'root' has a child 'child'"):
            supervisor.start_child_nowait(actor.spec("child"))

        with assert_checkpoints():
            await supervisor.restart_child("child")
        await wait_all_tasks_blocked()
        assert states(supervisor) == {"child": ChildState.RUNNING}
        assert (actor.alive, len(actor.starts)) == (1, 2)

        await supervisor.stop_child("child")
        supervisor.delete_child("child")
        assert supervisor.children() == ()
        with pytest.raises(LookupError, match="supervisor 'root' has no child 'child'"):
            await supervisor.restart_child("child")
        with pytest.raises(LookupError, match="supervisor 'root' has no child 'child'"):
            supervisor.delete_child("child")

        await supervisor.start_child(actor.spec("child"))
        await wait_all_tasks_blocked()
        await actor.crash(RuntimeError("boom"))
        await trio.sleep(2)
        assert states(supervisor) == {"child": ChildState.RUNNING}
    assert record.events("child")[:4] == [STARTED, STOPPED, STARTED, STOPPED]


async def test_names_that_are_not_there(autojump_clock: MockClock) -> None:
    supervisor = Supervisor("root")
    unknown = pytest.raises(LookupError, match="supervisor 'root' has no child 'nobody'")
    async with running(supervisor):
        await supervisor.stop_child("nobody")
        supervisor.stop_child_nowait("nobody")
        supervisor.unlink("nobody", "nobody")
        with unknown:
            await supervisor.restart_child("nobody")
        with unknown:
            supervisor.delete_child("nobody")
        with unknown:
            supervisor.exit_child("nobody", RuntimeError("boom"))
        with unknown:
            supervisor.link("nobody", "nobody")


@pytest.mark.parametrize("how", ["is restarting", "is stopping", "overstays", "is starting"])
async def test_what_is_not_at_rest_is_neither_restarted_nor_deleted(
    how: str, autojump_clock: MockClock
) -> None:
    actor, starter = Actor(linger=30.0), Starter(math.inf)
    supervisor = Supervisor("root", [actor.spec("child", shutdown=3.0)])
    name, state = "child", "restarting"
    async with running(supervisor):
        match how:
            case "is restarting":
                await actor.crash(RuntimeError("boom"))
            case "is stopping":
                supervisor.stop_child_nowait("child")
                state = "stopping"
            case "overstays":
                await supervisor.stop_child("child")
                state = "overstayed"
            case "is starting":
                supervisor.start_child_nowait(starter.starting_spec("starter"))
                name, state = "starter", "starting"
        with pytest.raises(
            RuntimeError, match=f"cannot restart child '{name}': it is {state}; stop it first"
        ):
            await supervisor.restart_child(name)
        with pytest.raises(RuntimeError, match=f"cannot delete child '{name}': it is {state}; stop it first"):
            supervisor.delete_child(name)
        with pytest.raises(ValueError, match=f"has a child '{name}'"):
            supervisor.start_child_nowait(actor.spec(name))
        assert states(supervisor)[name].value == state


async def test_a_supervisor_that_does_not_run_or_is_stopping_starts_nothing_again(
    autojump_clock: MockClock,
) -> None:
    supervisor = Supervisor("root", [Actor().spec("child"), Actor(linger=5.0).spec("slow")])
    with pytest.raises(RuntimeError, match="supervisor 'root' is not running: it cannot start 'new'"):
        await supervisor.start_child(Actor().spec("new"))
    with pytest.raises(LookupError):
        await supervisor.restart_child("child")
    async with trio.open_nursery() as nursery:
        async with running(supervisor):
            await supervisor.stop_child("child")

            async def late() -> None:
                await trio.sleep(1)
                with pytest.raises(
                    RuntimeError, match="supervisor 'root' is stopping: it cannot start 'child'"
                ):
                    await supervisor.restart_child("child")
                with pytest.raises(
                    RuntimeError, match="supervisor 'root' is stopping: it cannot start 'new'"
                ):
                    await supervisor.start_child(Actor().spec("new"))

            nursery.start_soon(late)


async def test_a_child_that_exited_may_be_started_again_replaced_stopped_or_deleted(
    autojump_clock: MockClock,
) -> None:
    actor = Actor()
    supervisor = Supervisor("root", [actor.spec("child", Restart.TRANSIENT)])
    async with running(supervisor):
        await actor.finish()
        assert states(supervisor) == {"child": ChildState.EXITED}
        await supervisor.restart_child("child")
        await wait_all_tasks_blocked()
        assert states(supervisor) == {"child": ChildState.RUNNING}
        await actor.finish()
        await supervisor.start_child(actor.spec("child", Restart.TRANSIENT))
        await wait_all_tasks_blocked()
        await actor.finish()
        await supervisor.stop_child("child")
        assert states(supervisor) == {"child": ChildState.STOPPED}
        supervisor.delete_child("child")
        assert supervisor.children() == ()
        assert len(actor.starts) == 3


async def test_a_child_that_is_started_again_begins_its_backoff_anew_and_counts_on(
    autojump_clock: MockClock,
) -> None:
    record, actor = Record(), Actor()
    supervisor = Supervisor("root", [actor.spec("child")], on_report=record, max_restarts=100)
    async with running(supervisor):
        for _ in range(3):
            await actor.crash(RuntimeError("boom"))
            await trio.sleep(5)
        await supervisor.stop_child("child")
        await supervisor.restart_child("child")
        await wait_all_tasks_blocked()
        await actor.crash(RuntimeError("boom"))
        delays = [report.delay for report in record.reports if report.event is Event.RESTARTING]
        assert delays == [1.0, 2.0, 4.0, 1.0]
        (child,) = supervisor.children()
        assert child.restarts == 5


async def test_what_an_administrator_does_is_not_counted(autojump_clock: MockClock) -> None:
    supervisor = Supervisor("root", [Actor().spec("child")], max_restarts=0)
    async with running(supervisor):
        for _ in range(20):
            await supervisor.stop_child("child")
            await supervisor.restart_child("child")
        assert states(supervisor) == {"child": ChildState.RUNNING}


async def test_a_failed_start_again_is_told_and_the_child_is_kept_as_stopped(
    autojump_clock: MockClock,
) -> None:
    child = Starter(0.0, RuntimeError("not today"), math.inf, 0.0)
    supervisor = Supervisor("root", [child.starting_spec("child")], max_restarts=0)
    async with running(supervisor):
        await supervisor.stop_child("child")
        for cause in ("not today", "was not ready within 3 s"):
            with pytest.raises(StartFailed, match=cause):
                await supervisor.restart_child("child")
            assert states(supervisor) == {"child": ChildState.STOPPED}
        await supervisor.restart_child("child")
        assert states(supervisor) == {"child": ChildState.RUNNING}


async def test_a_start_again_that_will_not_let_go_fails_at_its_deadline_and_the_child_stays_stopped(
    autojump_clock: MockClock,
) -> None:
    child = Starter(0.0, math.inf, linger=0.0)
    supervisor = Supervisor("root", [child.starting_spec("child", start_timeout=3.0, shutdown=5.0)])
    async with running(supervisor):
        await supervisor.stop_child("child")
        child.linger = 20.0
        with pytest.raises(StartFailed):
            await supervisor.restart_child("child")
        assert trio.current_time() == 8.0
        assert states(supervisor) == {"child": ChildState.OVERSTAYED}
        await trio.sleep(50)
        assert states(supervisor) == {"child": ChildState.STOPPED}
        assert len(child.starts) == 2


async def test_a_start_again_that_was_cancelled_leaves_the_child_stopped(autojump_clock: MockClock) -> None:
    child = Starter(0.0, math.inf, 0.0)
    supervisor = Supervisor("root", [child.starting_spec("child", start_timeout=math.inf)])
    async with running(supervisor):
        await supervisor.stop_child("child")
        with trio.move_on_after(5):
            await supervisor.restart_child("child")
        await wait_all_tasks_blocked()
        assert states(supervisor) == {"child": ChildState.STOPPED}
        await supervisor.restart_child("child")
        assert states(supervisor) == {"child": ChildState.RUNNING}


async def test_stopping_a_child_that_is_stopped_changes_nothing(autojump_clock: MockClock) -> None:
    record = Record()
    supervisor = Supervisor("root", [Actor().spec("child")], on_report=record)
    async with running(supervisor):
        await trio.sleep(1)
        await supervisor.stop_child("child")
        before, told = supervisor.children(), len(record.reports)
        await trio.sleep(1)
        with assert_checkpoints():
            await supervisor.stop_child("child")
        supervisor.stop_child_nowait("child")
        assert supervisor.children() == before
        assert len(record.reports) == told


async def test_a_child_that_keeps_its_place_keeps_it_when_it_is_started_again_and_not_when_replaced(
    autojump_clock: MockClock,
) -> None:
    record = Record()
    supervisor = Supervisor("root", [Actor().spec(name) for name in "abc"], on_report=record)
    async with running(supervisor):
        await supervisor.stop_child("a")
        await supervisor.restart_child("a")
        assert list(states(supervisor)) == ["a", "b", "c"]
        await supervisor.stop_child("b")
        supervisor.delete_child("b")
        await supervisor.start_child(Actor().spec("b"))
        assert list(states(supervisor)) == ["a", "c", "b"]
        record.reports.clear()
    assert record.children(STOPPED) == ["b", "c", "a"]


async def nothing() -> None:
    pass


def test_specs_that_make_no_sense_are_refused_when_they_are_made() -> None:
    with pytest.raises(ValueError, match="a child needs a name"):
        ChildSpec("", nothing)
    for shutdown in (-10.0, math.nan):
        with pytest.raises(ValueError, match="child 'child': shutdown must be at least 0 seconds"):
            ChildSpec("child", nothing, shutdown=shutdown)
    for timeout in (0.0, -1.0, math.nan):
        with pytest.raises(
            ValueError, match="child 'child': start_timeout must be more than 0 seconds, or None"
        ):
            ChildSpec("child", nothing, start_timeout=timeout)
    with pytest.raises(ValueError, match="make it transient or temporary"):
        ChildSpec("child", nothing, significant=True)
    for restart in Restart:
        for shutdown in (0.0, 1.0, math.inf):
            for start_timeout in (None, 1.0, math.inf):
                ChildSpec("child", nothing, restart, shutdown, start_timeout=start_timeout)


async def test_supervisors_that_make_no_sense_are_refused_when_they_are_made(
    autojump_clock: MockClock,
) -> None:
    with pytest.raises(ValueError, match="supervisor 'root': two children of one name"):
        Supervisor("root", [ChildSpec("a", nothing), ChildSpec("a", nothing)])
    with pytest.raises(ValueError, match="max_restarts must be at least 0"):
        Supervisor("root", max_restarts=-1)
    for within in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="within must be more than 0 seconds"):
            Supervisor("root", within=within)
    with pytest.raises(
        ValueError, match="simple_one_for_one has no initial children; start them with start_child"
    ):
        Supervisor("root", [ChildSpec("a", nothing)], strategy=Strategy.SIMPLE_ONE_FOR_ONE)
    significant = ChildSpec("a", nothing, Restart.TEMPORARY, significant=True)
    with pytest.raises(ValueError, match="the child 'a' is significant, but auto_shutdown is never"):
        Supervisor("root", [significant])
    supervisor = Supervisor("root")
    async with running(supervisor):
        with pytest.raises(ValueError, match="the child 'a' is significant, but auto_shutdown is never"):
            supervisor.start_child_nowait(significant)
        with pytest.raises(ValueError, match="the child 'a' is significant, but auto_shutdown is never"):
            await supervisor.start_child(significant)
        assert supervisor.children() == ()
    Supervisor("root", [significant], auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)


def test_what_is_no_strategy_restart_type_or_function_is_refused_in_words() -> None:
    with pytest.raises(TypeError, match="strategy is one of Strategy, not 'one_for_all'"):
        Supervisor("root", strategy="one_for_all")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="auto_shutdown is one of AutoShutdown, not True"):
        Supervisor("root", auto_shutdown=True)  # type: ignore[arg-type]
    for wrong in ({"run": None}, {"restart": "permanent"}, {"name": 1}):
        with pytest.raises(TypeError, match="a child spec is ChildSpec"):
            ChildSpec(**{"name": "child", "run": trio.sleep_forever, **wrong})  # type: ignore[arg-type]
