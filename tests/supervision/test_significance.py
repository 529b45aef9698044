"""Supervisors that end, normally, with their significant children."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcptrio.supervision import AutoShutdown, ChildSpec, ChildState, Event, Restart, Strategy, Supervisor
from tests.supervision.actors import AT_ONCE, Actor, Record, Starter, states

NEVER, ANY, ALL = AutoShutdown
PERMANENT, TRANSIENT, TEMPORARY = Restart
BOOM = RuntimeError("boom")


@asynccontextmanager
async def hosting(supervisor: Supervisor) -> AsyncIterator[trio.Event]:
    """The supervisor runs inside; the event is set when it has ended by itself, normally."""
    ended = trio.Event()

    async def run(*, task_status: trio.TaskStatus[None]) -> None:  # noqa: ASYNC128  it is handed on
        await supervisor.run(task_status=task_status)
        ended.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        await wait_all_tasks_blocked()
        yield ended
        nursery.cancel_scope.cancel(reason="the test is over")


async def end(supervisor: Supervisor, actor: Actor, name: str, how: str) -> None:
    match how:
        case "ends":
            await actor.finish()
        case "raises":
            await actor.crash(BOOM)
        case "is made to crash":
            supervisor.exit_child(name, BOOM)
        case "is stopped":
            await supervisor.stop_child(name)
    await wait_all_tasks_blocked()


HOWS = ["ends", "raises", "is made to crash", "is stopped"]

# Its own end counts; being stopped does not, and one that will be restarted has not ended.
COUNTS = {
    (TRANSIENT, "ends"): True,
    (TRANSIENT, "raises"): False,
    (TRANSIENT, "is made to crash"): False,
    (TRANSIENT, "is stopped"): False,
    (TEMPORARY, "ends"): True,
    (TEMPORARY, "raises"): True,
    (TEMPORARY, "is made to crash"): True,
    (TEMPORARY, "is stopped"): False,
}


def naming(part: object) -> str:
    return str(getattr(part, "value", part))


@pytest.mark.parametrize("auto_shutdown", [ANY, ALL], ids=naming)
@pytest.mark.parametrize(("restart", "how"), COUNTS, ids=naming)
async def test_a_significant_child_ends_its_supervisor_by_its_own_final_end_only(
    restart: Restart, how: str, auto_shutdown: AutoShutdown, autojump_clock: MockClock
) -> None:
    record, first, second, other = Record(), Actor(), Actor(), Actor(linger=1.0)
    specs = [
        first.spec("first", restart, significant=True),
        other.spec("other"),
        second.spec("second", restart, significant=True),
    ]
    supervisor = Supervisor("root", specs, auto_shutdown=auto_shutdown, on_report=record)
    counts = COUNTS[restart, how]
    async with hosting(supervisor) as ended:
        await end(supervisor, first, "first", how)
        await trio.sleep(5)
        assert ended.is_set() == (counts and auto_shutdown is ANY)
        if not ended.is_set():
            assert (other.alive, second.alive) == (1, 1)
            await end(supervisor, second, "second", how)
            await trio.sleep(5)
            assert ended.is_set() == counts
        if ended.is_set():
            assert [actor.alive for actor in (first, second, other)] == [0, 0, 0]
            stopped = record.children(Event.STOPPED)
            assert stopped == (["second", "other"] if auto_shutdown is ANY else ["other"])


@pytest.mark.parametrize("auto_shutdown", AutoShutdown, ids=naming)
@pytest.mark.parametrize("restart", Restart, ids=naming)
@pytest.mark.parametrize("how", HOWS)
async def test_a_child_that_is_not_significant_never_ends_its_supervisor(
    how: str, restart: Restart, auto_shutdown: AutoShutdown, autojump_clock: MockClock
) -> None:
    child = Actor()
    supervisor = Supervisor("root", [child.spec("child", restart)], auto_shutdown=auto_shutdown)
    async with hosting(supervisor) as ended:
        await end(supervisor, child, "child", how)
        await trio.sleep(5)
        assert not ended.is_set()


@pytest.mark.parametrize("auto_shutdown", [ANY, ALL], ids=naming)
@pytest.mark.parametrize(
    "strategy", [Strategy.ONE_FOR_ONE, Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL], ids=naming
)
@pytest.mark.parametrize("restart", [TRANSIENT, TEMPORARY], ids=naming)
async def test_significant_children_that_go_down_with_a_sibling_end_nothing(
    restart: Restart, strategy: Strategy, auto_shutdown: AutoShutdown, autojump_clock: MockClock
) -> None:
    before, child, after = Actor(), Actor(), Actor()
    specs = [
        before.spec("before", restart, significant=True),
        child.spec("child", backoff=AT_ONCE),
        after.spec("after", restart, significant=True),
    ]
    supervisor = Supervisor("root", specs, strategy=strategy, auto_shutdown=auto_shutdown)
    async with hosting(supervisor) as ended:
        await child.crash(BOOM)
        await trio.sleep(5)
        assert not ended.is_set()
        assert child.starts == [0.0, 0.0]
        again = 1 + (restart is TRANSIENT)
        assert len(before.starts) == (again if strategy is Strategy.ONE_FOR_ALL else 1)
        assert len(after.starts) == (again if strategy.grouped else 1)


@pytest.mark.parametrize("last", HOWS)
@pytest.mark.parametrize("restart", [TRANSIENT, TEMPORARY], ids=naming)
async def test_one_that_was_stopped_keeps_nobody_waiting_for_all_significant(
    restart: Restart, last: str, autojump_clock: MockClock
) -> None:
    stopped, child = Actor(), Actor()
    specs = [
        stopped.spec("stopped", restart, significant=True),
        child.spec("child", restart, significant=True),
    ]
    supervisor = Supervisor("root", specs, auto_shutdown=ALL)
    async with hosting(supervisor) as ended:
        await supervisor.stop_child("stopped")
        assert not ended.is_set()
        await end(supervisor, child, "child", last)
        await trio.sleep(5)
        assert ended.is_set() == COUNTS[restart, last]


async def test_one_that_is_down_for_a_restart_still_counts_as_there(autojump_clock: MockClock) -> None:
    down, child = Actor(), Actor()
    specs = [
        down.spec("down", TRANSIENT, significant=True),
        child.spec("child", TRANSIENT, significant=True),
    ]
    supervisor = Supervisor("root", specs, auto_shutdown=ALL)
    async with hosting(supervisor) as ended:
        await down.crash(BOOM)
        await child.finish()
        assert states(supervisor) == {"down": ChildState.RESTARTING, "child": ChildState.EXITED}
        await trio.sleep(5)
        assert not ended.is_set()
        await down.finish()
        assert ended.is_set()


async def test_significant_children_may_be_started_at_run_time(autojump_clock: MockClock) -> None:
    for strategy in Strategy:
        supervisor = Supervisor("root", strategy=strategy, auto_shutdown=ANY)
        child, other = Actor(), Actor()
        async with hosting(supervisor) as ended:
            supervisor.start_child_nowait(other.spec("other"))
            await supervisor.start_child(child.spec("child", TEMPORARY, significant=True))
            await wait_all_tasks_blocked()
            await child.finish()
            assert ended.is_set()
            assert other.alive == 0


async def test_a_start_that_failed_under_the_eyes_of_who_waits_ends_nothing(
    autojump_clock: MockClock,
) -> None:
    supervisor = Supervisor("root", auto_shutdown=ANY)
    async with hosting(supervisor) as ended:
        for restart in (TRANSIENT, TEMPORARY):
            child = Starter(BOOM)
            spec = ChildSpec("child", child.run, restart, significant=True, start_timeout=1.0)
            with pytest.raises(Exception, match="did not start"):
                await supervisor.start_child(spec)
        await trio.sleep(5)
        assert not ended.is_set()


async def test_nothing_is_started_once_a_significant_child_has_ended(autojump_clock: MockClock) -> None:
    child, down, slow = Actor(), Actor(), Actor(linger=3.0)
    specs = [
        down.spec("down"),
        child.spec("child", TEMPORARY, significant=True),
        slow.spec("slow"),
    ]
    supervisor = Supervisor("root", specs, auto_shutdown=ANY)
    async with hosting(supervisor) as ended:
        await down.crash(BOOM)
        await child.finish()
        with pytest.raises(RuntimeError, match="is stopping"):
            supervisor.start_child_nowait(Actor().spec("late"))
        await ended.wait()
        assert trio.current_time() == 3.0
        assert down.starts == [0.0]


@pytest.mark.parametrize("significant", [True, False])
async def test_a_supervisor_that_ended_so_is_itself_a_child_that_ended(
    significant: bool, autojump_clock: MockClock
) -> None:
    worker, beside = Actor(), Actor()
    inner = Supervisor("inner", [worker.spec("worker", TRANSIENT, significant=True)], auto_shutdown=ANY)
    outer = Supervisor(
        "outer",
        [beside.spec("beside"), inner.child_spec(restart=TRANSIENT, significant=significant)],
        auto_shutdown=ANY,
    )
    async with hosting(outer) as ended:
        await worker.finish()
        await wait_all_tasks_blocked()
        assert ended.is_set() == significant
        if not significant:
            assert states(outer) == {"beside": ChildState.RUNNING, "inner": ChildState.EXITED}
            assert inner.children() == ()


async def test_a_permanent_supervisor_that_ended_so_is_started_again(autojump_clock: MockClock) -> None:
    worker = Actor()
    inner = Supervisor("inner", [worker.spec("worker", TRANSIENT, significant=True)], auto_shutdown=ANY)
    outer = Supervisor("outer", [inner.child_spec(backoff=AT_ONCE)])
    async with hosting(outer):
        await worker.finish()
        await wait_all_tasks_blocked()
        assert (worker.alive, len(worker.starts)) == (1, 2)
