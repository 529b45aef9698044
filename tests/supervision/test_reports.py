"""Reports tell what happened, in order; who listens cannot break the supervisor."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcptrio.supervision import ChildState, Event, Report, Restart, Supervisor
from tests.supervision.actors import Actor, Record, running, states


async def test_reports_carry_time_supervisor_child_error_delay_and_count(autojump_clock: MockClock) -> None:
    record, actor, error = Record(), Actor(), RuntimeError("boom")
    async with running(Supervisor("root", [actor.spec("child")], on_report=record)):
        await trio.sleep(2)
        await actor.crash(error)
        await trio.sleep(3)
    assert record.reports == [
        Report(0.0, "root", "child", Event.STARTED, None, None, 0),
        Report(2.0, "root", "child", Event.EXITED, error, None, 0),
        Report(2.0, "root", "child", Event.RESTARTING, error, 1.0, 1),
        Report(3.0, "root", "child", Event.STARTED, None, None, 1),
        Report(5.0, "root", "child", Event.STOPPED, None, None, 1),
    ]


async def test_a_listener_that_raises_is_logged_and_changes_nothing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(report: Report) -> None:
        raise LookupError(report.event.value)

    actor, peer = Actor(), Actor(linger=9.0)
    specs = [actor.spec("child"), peer.spec("peer", Restart.TEMPORARY, shutdown=1.0)]
    supervisor = Supervisor("root", specs, on_report=broken)
    with caplog.at_level(logging.ERROR):
        async with running(supervisor):
            await actor.crash(RuntimeError("boom"))
            await trio.sleep(2)
            assert actor.alive == 1
        assert (actor.alive, peer.alive) == (0, 0)
    # started twice, exited, restarting, started again, overstayed, stopped twice
    assert supervisor.statistics().report_errors_total == 8
    assert len(caplog.records) == 8
    assert caplog.records[0].getMessage() == "supervisor 'root': on_report failed on started"
    assert caplog.records[0].exc_info is not None


async def test_a_listener_sees_the_state_that_the_report_tells_of(autojump_clock: MockClock) -> None:
    seen = []
    actor, stubborn = Actor(), Actor(linger=9.0)
    supervisor = Supervisor(
        "root",
        [actor.spec("child"), stubborn.spec("stubborn", shutdown=0.5)],
        on_report=lambda report: seen.append((report.event, states(supervisor).get(report.child))),
    )
    async with running(supervisor):
        await actor.crash(RuntimeError("boom"))
        await supervisor.stop_child("stubborn")
        await trio.sleep(1)
    assert seen == [
        (Event.STARTED, ChildState.RUNNING),
        (Event.STARTED, ChildState.RUNNING),
        (Event.EXITED, ChildState.RESTARTING),
        (Event.RESTARTING, ChildState.RESTARTING),
        (Event.OVERSTAYED, ChildState.OVERSTAYED),
        (Event.STARTED, ChildState.RUNNING),
        (Event.STOPPED, None),
        (Event.STOPPED, None),
    ]


async def test_a_listener_may_start_a_child(autojump_clock: MockClock) -> None:
    stand_in, actor = Actor(), Actor()

    def replace(report: Report) -> None:
        if report.event is Event.EXITED:
            supervisor.start_child_nowait(stand_in.spec("stand-in", Restart.TEMPORARY))

    supervisor = Supervisor("root", [actor.spec("peer", Restart.TEMPORARY)], on_report=replace)
    async with running(supervisor):
        await actor.finish()
        await wait_all_tasks_blocked()
        assert states(supervisor) == {"stand-in": ChildState.RUNNING}
        assert stand_in.alive == 1
