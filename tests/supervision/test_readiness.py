"""Children that say when they are ready: in order, in time, or not at all."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from mcptrio.supervision import (
    ChildSpec,
    ChildState,
    Event,
    Report,
    Restart,
    StartFailed,
    StartTimeout,
    Strategy,
    Supervisor,
)
from tests.supervision.actors import AT_ONCE, FAILING, Actor, Record, Starter, running, states

STARTED, EXITED, STOPPED = Event.STARTED, Event.EXITED, Event.STOPPED
NOT_TODAY = RuntimeError("not today")

failures = pytest.mark.parametrize("how", [None, NOT_TODAY, math.inf], ids=["returns", "raises", "hangs"])


async def fails_to_run(supervisor: Supervisor) -> StartFailed:
    async with trio.open_nursery() as nursery:
        with pytest.raises(StartFailed) as failed:
            await nursery.start(supervisor.run)
    return failed.value


@pytest.mark.parametrize(
    "strategy", [Strategy.ONE_FOR_ONE, Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL], ids=lambda s: s.value
)
async def test_initial_children_start_in_order_each_once_the_one_before_is_ready(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    record = Record()
    specs = [
        Starter(1.0).starting_spec("slow"),
        Actor().spec("plain"),
        Starter(2.0).starting_spec("slower", start_timeout=math.inf),
        Actor().spec("last"),
    ]
    supervisor = Supervisor("root", specs, strategy=strategy, on_report=record)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run)
        await trio.sleep(0.5)
        assert states(supervisor) == {"slow": ChildState.STARTING}
        await trio.sleep(1.5)
        assert list(states(supervisor)) == ["slow", "plain", "slower"]
        await trio.sleep(2)
        nursery.cancel_scope.cancel(reason="the test is over")
    assert [(report.child, report.at) for report in record.reports if report.event is STARTED] == [
        ("slow", 1.0),
        ("plain", 1.0),
        ("slower", 3.0),
        ("last", 3.0),
    ]
    assert record.children(STOPPED) == ["last", "slower", "plain", "slow"]


async def test_run_is_started_when_the_last_initial_child_is_ready(autojump_clock: MockClock) -> None:
    supervisor = Supervisor("root", [Starter(1.0).starting_spec("a"), Starter(1.0).starting_spec("b")])
    async with running(supervisor):
        assert trio.current_time() == 2.0
        assert set(states(supervisor).values()) == {ChildState.RUNNING}


@failures
async def test_a_failed_initial_start_stops_who_is_there_and_ends_run_whatever_the_restart_type(
    how: Exception | float | None, autojump_clock: MockClock
) -> None:
    for restart in Restart:
        record, first, last = Record(), Actor(linger=1.0), Actor()
        child = Starter(how)
        specs = [first.spec("first"), child.starting_spec("child", restart), last.spec("last")]
        began = trio.current_time()
        failed = await fails_to_run(Supervisor("root", specs, on_report=record))
        assert (failed.supervisor, failed.child) == ("root", "child")
        if how is None:
            assert failed.__cause__ is None
            assert str(failed) == "supervisor 'root': 'child' did not start: it ended before it was ready"
        elif how == math.inf:
            assert isinstance(failed.__cause__, StartTimeout)
            assert "'child' was not ready within 3 s" in str(failed)
        else:
            assert failed.__cause__ is NOT_TODAY
        assert trio.current_time() - began == (3.0 if how == math.inf else FAILING) + 1.0
        assert record.events("child") == [EXITED]
        assert record.events("first") == [STARTED, STOPPED]
        assert last.starts == []
        assert len(child.starts) == 1


async def test_a_hanging_start_can_be_cancelled(autojump_clock: MockClock) -> None:
    first, child = Actor(), Starter(math.inf)
    supervisor = Supervisor(
        "root", [first.spec("first"), child.starting_spec("child", start_timeout=math.inf)]
    )
    with trio.move_on_after(10):
        await supervisor.run()
    assert trio.current_time() == 10.0
    assert (first.ends, child.ends) == ([10.0], [10.0])


async def test_an_initial_child_that_will_not_let_go_of_a_hanging_start_is_waited_for(
    autojump_clock: MockClock,
) -> None:
    record = Record()
    child = Starter(math.inf, linger=20.0)
    supervisor = Supervisor("root", [child.starting_spec("child", shutdown=5.0)], on_report=record)
    failed = await fails_to_run(supervisor)
    assert isinstance(failed.__cause__, StartTimeout)
    assert record.times(Event.OVERSTAYED, "child") == [8.0]
    assert child.ends == [23.0]
    assert trio.current_time() == 23.0


@failures
async def test_a_restart_that_fails_is_a_crash_and_is_tried_again_with_backoff(
    how: Exception | float | None, autojump_clock: MockClock
) -> None:
    record, child, other = Record(), Starter(0.0, how, how, 0.0), Actor()
    specs = [child.starting_spec("child"), other.spec("other")]
    supervisor = Supervisor("root", specs, on_report=record)
    async with running(supervisor):
        await child.crash(RuntimeError("boom"))
        takes = 3.0 if how == math.inf else FAILING
        await trio.sleep(20)
        assert child.starts == [0.0, 1.0, 3.0 + takes, 7.0 + 2 * takes]
        assert states(supervisor) == {"child": ChildState.RUNNING, "other": ChildState.RUNNING}
        assert other.starts == [0.0]
        assert record.times(STARTED, "child") == [0.0, child.starts[-1]]


async def test_failed_starts_go_on_along_the_curve_however_long_the_child_had_run_before(
    autojump_clock: MockClock,
) -> None:
    record, child = Record(), Starter(0.0, NOT_TODAY)
    async with running(Supervisor("root", [child.starting_spec("child")], on_report=record)):
        await trio.sleep(500)
        await child.crash(RuntimeError("after a long time"))
        await trio.sleep(20)
    delays = [report.delay for report in record.reports if report.event is Event.RESTARTING]
    assert delays == [1.0, 2.0, 4.0, 8.0, 8.0]


async def test_a_transient_child_whose_restart_ends_without_a_word_is_done(autojump_clock: MockClock) -> None:
    child = Starter(0.0, None)
    supervisor = Supervisor("root", [child.starting_spec("child", Restart.TRANSIENT)])
    async with running(supervisor):
        await child.crash(RuntimeError("boom"))
        await trio.sleep(20)
        assert states(supervisor) == {"child": ChildState.EXITED}


async def test_while_one_child_hangs_in_its_start_everything_else_goes_on(autojump_clock: MockClock) -> None:
    hanging, other = Starter(0.0, math.inf), Actor()
    specs = [hanging.starting_spec("hanging", start_timeout=math.inf), other.spec("other")]
    supervisor = Supervisor("root", specs)
    async with running(supervisor):
        await hanging.crash(RuntimeError("boom"))
        await trio.sleep(5)
        assert states(supervisor)["hanging"] is ChildState.STARTING
        await other.crash(RuntimeError("boom"))
        await trio.sleep(5)
        assert other.starts == [0.0, 6.0]
        await supervisor.start_child(Actor().spec("new"))
        await supervisor.stop_child("new")
        await supervisor.stop_child("hanging")
        assert states(supervisor)["hanging"] is ChildState.STOPPED


async def test_start_child_waits_until_the_child_is_ready(autojump_clock: MockClock) -> None:
    supervisor = Supervisor("root")
    async with running(supervisor):
        with assert_checkpoints():
            await supervisor.start_child(Actor().spec("plain"))
        assert trio.current_time() == 0.0
        await supervisor.start_child(Starter(2.0).starting_spec("child"))
        assert trio.current_time() == 2.0
        assert states(supervisor) == {"plain": ChildState.RUNNING, "child": ChildState.RUNNING}


@failures
async def test_start_child_raises_and_keeps_nothing_of_a_child_that_did_not_start(
    how: Exception | float | None, autojump_clock: MockClock
) -> None:
    for restart in Restart:
        record, child = Record(), Starter(how)
        supervisor = Supervisor("root", max_restarts=0, on_report=record)
        async with running(supervisor):
            with pytest.raises(StartFailed) as failed:
                await supervisor.start_child(child.starting_spec("child", restart))
            assert supervisor.children() == ()
            await trio.sleep(20)
            assert len(child.starts) == 1
            assert record.events("child") == [EXITED]
            kind = type(failed.value.__cause__)
            assert kind is {None: type(None), math.inf: StartTimeout}.get(how, RuntimeError)  # type: ignore[call-overload]
            await supervisor.start_child(Actor().spec("child"))


async def test_start_child_raises_at_the_deadline_of_a_child_that_will_not_let_go(
    autojump_clock: MockClock,
) -> None:
    child = Starter(math.inf, linger=20.0)
    supervisor = Supervisor("root")
    async with running(supervisor):
        with pytest.raises(StartFailed):
            await supervisor.start_child(child.starting_spec("child", start_timeout=3.0, shutdown=5.0))
        assert trio.current_time() == 8.0
        # The name is taken as long as the body lives.
        assert states(supervisor) == {"child": ChildState.OVERSTAYED}
        with pytest.raises(ValueError, match="has a child 'child'"):
            supervisor.start_child_nowait(Actor().spec("child"))
        await trio.sleep(20)
        assert supervisor.children() == ()


@pytest.mark.parametrize(
    "spec", [Actor().spec("child"), Starter(math.inf).starting_spec("child")], ids=["plain", "hangs"]
)
async def test_a_child_whose_start_child_was_cancelled_before_it_waited_does_not_stay(
    spec: ChildSpec, autojump_clock: MockClock
) -> None:
    supervisor = Supervisor("root")
    async with running(supervisor):
        with trio.CancelScope() as scope:
            scope.cancel(reason="before it waited")
            await supervisor.start_child(spec)
        await wait_all_tasks_blocked()
        assert supervisor.children() == ()


async def test_a_child_whose_start_child_was_cancelled_is_stopped_and_forgotten(
    autojump_clock: MockClock,
) -> None:
    child = Starter(math.inf, linger=2.0)
    supervisor = Supervisor("root")
    async with running(supervisor):
        with trio.move_on_after(1) as scope:
            await supervisor.start_child(child.starting_spec("child"))
        assert scope.cancelled_caught
        assert states(supervisor) == {"child": ChildState.STOPPING}
        await trio.sleep(5)
        assert supervisor.children() == ()
        assert child.ends == [3.0]


async def test_a_child_that_is_to_be_forgotten_is_so_even_if_it_is_told_to_stop_once_more(
    autojump_clock: MockClock,
) -> None:
    supervisor = Supervisor("root")
    async with running(supervisor):
        with trio.move_on_after(1):
            await supervisor.start_child(Starter(math.inf, linger=2.0).starting_spec("child"))
        await supervisor.stop_child("child")
        assert supervisor.children() == ()


async def test_a_child_that_becomes_ready_in_the_moment_its_start_child_is_cancelled_does_not_stay(
    autojump_clock: MockClock,
) -> None:
    scope = trio.CancelScope()

    def cancel(report: Report) -> None:
        if report.event is STARTED:
            scope.cancel(reason="in the moment it is ready")

    child = Starter(1.0)
    supervisor = Supervisor("root", on_report=cancel)
    async with running(supervisor):
        with scope:
            await supervisor.start_child(child.starting_spec("child"))
        await wait_all_tasks_blocked()
        # The report came first, so the caller was cancelled before it learnt of the readiness.
        assert scope.cancelled_caught
        assert supervisor.children() == ()
        assert child.alive == 0


async def test_somebody_who_waits_for_a_start_learns_that_the_child_was_stopped_meanwhile(
    autojump_clock: MockClock,
) -> None:
    supervisor = Supervisor("root")
    async with running(supervisor), trio.open_nursery() as nursery:

        async def stop() -> None:
            await trio.sleep(1)
            await supervisor.stop_child("child")

        nursery.start_soon(stop)
        with pytest.raises(StartFailed, match="ended before it was ready"):
            await supervisor.start_child(Starter(math.inf).starting_spec("child"))
        assert trio.current_time() == 1.0
        assert supervisor.children() == ()


async def test_somebody_who_waits_for_a_start_learns_that_the_supervisor_ended(
    autojump_clock: MockClock,
) -> None:
    failing = Actor()
    supervisor = Supervisor("root", [failing.spec("failing", Restart.TRANSIENT)])
    async with trio.open_nursery() as outside:
        async with trio.open_nursery() as inside:
            await inside.start(supervisor.run)

            async def start() -> None:
                with pytest.raises(StartFailed):
                    await supervisor.start_child(Starter(math.inf).starting_spec("child"))

            outside.start_soon(start)
            await wait_all_tasks_blocked()
            inside.cancel_scope.cancel(reason="the supervisor's end")


@failures
async def test_a_child_started_without_waiting_is_restarted_as_its_type_says_when_its_start_fails(
    how: Exception | float | None, autojump_clock: MockClock
) -> None:
    children = {restart: Starter(how, 0.0) for restart in Restart}
    supervisor = Supervisor("root")
    async with running(supervisor):
        for restart, child in children.items():
            supervisor.start_child_nowait(child.starting_spec(restart.value, restart, backoff=AT_ONCE))
        await trio.sleep(20)
        again = {Restart.PERMANENT: ChildState.RUNNING, Restart.TRANSIENT: ChildState.RUNNING}
        if how is None:
            again[Restart.TRANSIENT] = ChildState.EXITED
        assert states(supervisor) == {restart.value: state for restart, state in again.items()}


async def test_being_ready_twice_or_too_late_changes_nothing(autojump_clock: MockClock) -> None:
    async def eager(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            task_status.started()

    record = Record()
    supervisor = Supervisor("root", [ChildSpec("eager", eager, start_timeout=1.0)], on_report=record)
    async with running(supervisor):
        await supervisor.stop_child("eager")
        assert record.events("eager") == [STARTED, STOPPED]


async def test_the_word_of_an_earlier_body_makes_no_later_one_ready(autojump_clock: MockClock) -> None:
    statuses = list[trio.TaskStatus[None]]()

    async def hang(  # noqa: ASYNC128  the test says it for it
        *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        statuses.append(task_status)
        if len(statuses) == 1:
            raise RuntimeError("boom")
        await trio.sleep_forever()

    supervisor = Supervisor("root")
    async with running(supervisor):
        supervisor.start_child_nowait(ChildSpec("child", hang, backoff=AT_ONCE, start_timeout=9.0))
        await trio.sleep(1)
        statuses[0].started()
        assert states(supervisor) == {"child": ChildState.STARTING}
        statuses[1].started()
        assert states(supervisor) == {"child": ChildState.RUNNING}


async def test_the_start_deadline_is_over_once_the_child_is_ready(autojump_clock: MockClock) -> None:
    supervisor = Supervisor("root", [Starter(2.75).starting_spec("child", start_timeout=3.0)])
    async with running(supervisor):
        await trio.sleep(100)
        (child,) = supervisor.children()
        assert (child.state, child.since, child.restarts) == (ChildState.RUNNING, 2.75, 0)
