"""Children that are made to crash: OTP's exit(Pid, Reason)."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcptrio.supervision import ChildSpec, ChildState, Event, ExitReason, StartFailed, Strategy, Supervisor
from tests.supervision.actors import AT_ONCE, Actor, Record, Starter, running, states

STARTED, EXITED, RESTARTING, STOPPED = Event.STARTED, Event.EXITED, Event.RESTARTING, Event.STOPPED
AGAIN = [STARTED, EXITED, RESTARTING, STARTED]
BOOM = RuntimeError("boom")


async def test_a_child_that_is_made_to_crash_has_its_shutdown_deadline_and_then_its_restart(
    autojump_clock: MockClock,
) -> None:
    record, child = Record(), Actor(linger=10.0)
    supervisor = Supervisor("root", [child.spec("child", shutdown=3.0)], on_report=record)
    async with running(supervisor):
        with supervisor.monitor("child") as monitor:
            supervisor.exit_child("child", BOOM)
            supervisor.exit_child("child", RuntimeError("too late"))
            assert states(supervisor) == {"child": ChildState.STOPPING}
            await trio.sleep(5)
            assert states(supervisor) == {"child": ChildState.OVERSTAYED}
            assert monitor.down is None
            await trio.sleep(20)
            assert monitor.down is not None
            assert (monitor.down.reason, monitor.down.error) == (ExitReason.ERROR, BOOM)
        assert child.starts == [0.0, 11.0]
        child.linger = 0.0
    assert record.events("child") == [STARTED, Event.OVERSTAYED, EXITED, RESTARTING, STARTED, STOPPED]
    assert [report.error for report in record.reports if report.event is EXITED] == [BOOM]


@pytest.mark.parametrize("cleanup", ["is silent", "raises", "swallows the cancellation"])
async def test_a_child_counts_as_crashed_with_the_given_error_whatever_its_cleanup_does(
    cleanup: str, autojump_clock: MockClock
) -> None:
    async def body() -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:  # noqa: ASYNC103  the faults under test
            if cleanup == "raises":
                raise OSError("cleanup failed") from None  # noqa: ASYNC104
            if cleanup == "is silent":
                raise

    error = RuntimeError("given")
    supervisor = Supervisor("root", [ChildSpec("child", body, backoff=AT_ONCE)])
    async with running(supervisor):
        supervisor.exit_child("child", error)
        await wait_all_tasks_blocked()
        (child,) = supervisor.children()
        assert (child.restarts, child.last_error) == (1, error)
        assert isinstance(error.__context__, OSError) == (cleanup == "raises")


async def test_exit_child_does_nothing_to_one_without_a_body_or_that_is_being_stopped(
    autojump_clock: MockClock,
) -> None:
    record, actors = Record(), {name: Actor() for name in ("down", "stopping", "stopped")}
    actors["stopping"].linger = 3.0
    specs = [actor.spec(name) for name, actor in actors.items()]
    supervisor = Supervisor("root", specs, on_report=record)
    async with running(supervisor):
        await supervisor.stop_child("stopped")
        supervisor.stop_child_nowait("stopping")
        await actors["down"].crash(BOOM)
        told = len(record.reports)
        for name in actors:
            supervisor.exit_child(name, RuntimeError("given"))
        assert len(record.reports) == told
        await trio.sleep(5)
        assert states(supervisor) == {
            "down": ChildState.RUNNING,
            "stopping": ChildState.STOPPED,
            "stopped": ChildState.STOPPED,
        }


async def test_stopping_wins_over_a_crash_that_was_asked_for_before(autojump_clock: MockClock) -> None:
    record, child = Record(), Actor(linger=2.0)
    supervisor = Supervisor("root", [child.spec("child")], on_report=record)
    async with running(supervisor):
        supervisor.exit_child("child", BOOM)
        await supervisor.stop_child("child")
        assert states(supervisor) == {"child": ChildState.STOPPED}
        assert record.events("child") == [STARTED, STOPPED]


async def test_a_member_that_waits_for_its_turn_in_a_restart_crashes_for_nobody(
    autojump_clock: MockClock,
) -> None:
    record, actors = Record(), [Actor(), Actor(), Actor(linger=3.0)]
    specs = [actor.spec(name) for actor, name in zip(actors, "abc", strict=True)]
    supervisor = Supervisor("root", specs, strategy=Strategy.ONE_FOR_ALL, max_restarts=1, on_report=record)
    async with running(supervisor):
        await actors[0].crash(BOOM)
        supervisor.exit_child("b", RuntimeError("meanwhile"))
        await trio.sleep(10)
        assert record.children(RESTARTING) == ["a"]
        assert [actor.starts for actor in actors] == [[0.0, 3.0]] * 3
        actors[2].linger = 0.0


async def test_what_is_no_exception_goes_before_the_crash_that_was_asked_for(
    autojump_clock: MockClock,
) -> None:
    record, other = Record(), Actor()

    async def interrupted() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise KeyboardInterrupt

    supervisor = Supervisor(
        "root", [other.spec("other"), ChildSpec("child", interrupted, backoff=AT_ONCE)], on_report=record
    )
    with pytest.RaisesGroup(KeyboardInterrupt, flatten_subgroups=True):
        async with running(supervisor):
            supervisor.exit_child("child", BOOM)
            await trio.sleep(10)
    (told,) = [report for report in record.reports if report.child == "child" and report.error]
    assert isinstance(told.error, KeyboardInterrupt)
    assert record.children(STARTED) == ["other", "child"]


async def test_a_child_that_is_made_to_crash_in_its_start_fails_it(autojump_clock: MockClock) -> None:
    supervisor = Supervisor("root")
    async with running(supervisor), trio.open_nursery() as nursery:

        async def crash() -> None:
            await trio.sleep(1)
            supervisor.exit_child("child", BOOM)

        nursery.start_soon(crash)
        with pytest.raises(StartFailed, match="'child' did not start") as failed:
            await supervisor.start_child(Starter(2.0).starting_spec("child"))
        assert failed.value.__cause__ is BOOM
        assert trio.current_time() == 1.0


async def test_a_supervisor_that_is_made_to_crash_stops_its_children_in_order_first(
    autojump_clock: MockClock,
) -> None:
    record = Record()
    actors = [Actor(linger=1.0) for _ in range(2)]
    inner = Supervisor(
        "inner", [actor.spec(name) for actor, name in zip(actors, "xy", strict=True)], on_report=record
    )
    outer = Supervisor("outer", [inner.child_spec(backoff=AT_ONCE)], on_report=record)
    async with running(outer):
        outer.exit_child("inner", BOOM)
        await trio.sleep(5)
        assert record.children(STOPPED) == ["y", "x"]
        assert [actor.starts for actor in actors] == [[0.0, 2.0]] * 2
        assert record.events("inner") == AGAIN
