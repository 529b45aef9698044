"""Being told, once, that a child's body is no more."""

from __future__ import annotations

import gc
import weakref

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from mcptrio.supervision import (
    Down,
    Event,
    ExitReason,
    Monitor,
    Report,
    Restart,
    Strategy,
    Supervisor,
)
from tests.supervision.actors import AT_ONCE, Actor, Starter, running

BOOM = RuntimeError("boom")

ENDS = {
    "ends": Down("child", ExitReason.NORMAL, None),
    "raises": Down("child", ExitReason.ERROR, BOOM),
    "is made to crash": Down("child", ExitReason.ERROR, BOOM),
    "is stopped": Down("child", ExitReason.SHUTDOWN, None),
    "goes down with a sibling": Down("child", ExitReason.SHUTDOWN, None),
    "goes down with the supervisor": Down("child", ExitReason.SHUTDOWN, None),
}


@pytest.mark.parametrize("restart", Restart, ids=lambda restart: restart.value)
@pytest.mark.parametrize("how", ENDS)
async def test_everyone_who_monitors_is_told_once_why(
    how: str, restart: Restart, autojump_clock: MockClock
) -> None:
    child, sibling = Actor(), Actor()
    specs = [sibling.spec("sibling"), child.spec("child", restart, backoff=AT_ONCE)]
    supervisor = Supervisor("root", specs, strategy=Strategy.REST_FOR_ONE)
    told = list[Down]()

    async def watch(monitor: Monitor) -> None:
        with monitor:
            told.append(await monitor.wait())

    async with trio.open_nursery() as watchers:
        async with running(supervisor):
            for _ in range(3):
                watchers.start_soon(watch, supervisor.monitor("child"))
            await wait_all_tasks_blocked()
            assert told == []
            match how:
                case "ends":
                    await child.finish()
                case "raises":
                    await child.crash(BOOM)
                case "is made to crash":
                    supervisor.exit_child("child", BOOM)
                case "is stopped":
                    await supervisor.stop_child("child")
                case "goes down with a sibling":
                    await sibling.crash(BOOM)
            if how != "goes down with the supervisor":
                await wait_all_tasks_blocked()
                assert told == [ENDS[how]] * 3
    assert told == [ENDS[how]] * 3


async def test_a_child_without_a_body_is_told_of_at_once(autojump_clock: MockClock) -> None:
    restarting, exited, stopped = Actor(), Actor(), Actor()
    specs = [
        restarting.spec("restarting"),
        exited.spec("exited", Restart.TRANSIENT),
        stopped.spec("stopped"),
    ]
    supervisor = Supervisor("root", specs)
    names = ("restarting", "exited", "stopped", "nobody")
    async with running(supervisor):
        await restarting.crash(BOOM)
        await exited.finish()
        await supervisor.stop_child("stopped")
        for name in names:
            with supervisor.monitor(name) as monitor:
                assert monitor.down == Down(name, ExitReason.NOPROC, None)
                with assert_checkpoints():
                    assert await monitor.wait() == monitor.down
    with supervisor.monitor("stopped") as monitor:
        assert (await monitor.wait()).reason is ExitReason.NOPROC


async def test_a_monitor_is_of_one_body_not_of_the_name(autojump_clock: MockClock) -> None:
    child = Actor()
    supervisor = Supervisor("root", [child.spec("child", backoff=AT_ONCE)])
    async with running(supervisor):
        with supervisor.monitor("child") as first:
            await child.crash(BOOM)
            with supervisor.monitor("child") as second:
                assert first.down == Down("child", ExitReason.ERROR, BOOM)
                assert second.down is None
                await child.finish()
                assert first.down == Down("child", ExitReason.ERROR, BOOM)
                assert second.down == Down("child", ExitReason.NORMAL, None)


async def test_a_child_that_starts_that_stops_or_that_overstays_has_a_body(autojump_clock: MockClock) -> None:
    child = Starter(1.0, linger=10.0)
    supervisor = Supervisor("root")
    async with running(supervisor):
        supervisor.start_child_nowait(child.starting_spec("child", shutdown=5.0))
        with supervisor.monitor("child") as starting:
            await trio.sleep(2)
            supervisor.stop_child_nowait("child")
            with supervisor.monitor("child") as stopping:
                await trio.sleep(6)
                with supervisor.monitor("child") as overstayed:
                    assert starting.down is stopping.down is overstayed.down is None
                    await trio.sleep(10)
                    downs = {starting.down, stopping.down, overstayed.down}
                    assert downs == {Down("child", ExitReason.SHUTDOWN, None)}


async def test_an_error_while_stopping_is_told_with_the_shutdown(autojump_clock: MockClock) -> None:
    error = OSError("cleanup failed")

    async def clumsy() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise error

    child = Actor()
    child.run = clumsy  # type: ignore[method-assign]
    supervisor = Supervisor("root", [child.spec("child")])
    async with running(supervisor):
        with supervisor.monitor("child") as monitor:
            await supervisor.stop_child("child")
            assert monitor.down == Down("child", ExitReason.SHUTDOWN, error)


async def test_who_waits_on_a_monitor_that_is_closed_is_told_so(autojump_clock: MockClock) -> None:
    supervisor = Supervisor("root", [Actor().spec("child")])
    async with running(supervisor), trio.open_nursery() as nursery:
        monitor = supervisor.monitor("child")

        async def wait() -> None:
            with pytest.raises(RuntimeError, match="the monitor is closed"):
                await monitor.wait()

        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        monitor.close()
        monitor.close()
        await supervisor.stop_child("child")
        assert monitor.down is None
        await wait()


async def test_what_was_told_is_not_lost_by_closing_or_by_a_cancelled_wait(autojump_clock: MockClock) -> None:
    child = Actor()
    supervisor = Supervisor("root", [child.spec("child", Restart.TEMPORARY)])
    async with running(supervisor):
        with supervisor.monitor("child") as monitor:
            with trio.move_on_after(1):
                await monitor.wait()
            await child.finish()
        assert (await monitor.wait()).reason is ExitReason.NORMAL


async def test_monitors_are_told_before_reports_and_see_the_decision_complete(
    autojump_clock: MockClock,
) -> None:
    child = Actor()
    seen = list[bool]()

    def look(report: Report) -> None:
        if report.event is Event.EXITED:
            seen.append(monitor.down is not None)

    supervisor = Supervisor("root", [child.spec("child")], on_report=look)
    async with running(supervisor):
        with supervisor.monitor("child") as monitor:
            await child.crash(BOOM)
    assert seen == [True]


async def test_ten_thousand_monitors_leave_nothing_behind(autojump_clock: MockClock) -> None:
    supervisor = Supervisor("root", [Actor().spec("child")])
    monitors = weakref.WeakSet[Monitor]()
    async with running(supervisor):
        (child,) = supervisor._machine.children.values()
        for n in range(10_000):
            with supervisor.monitor("child") as monitor:
                monitors.add(monitor)
                assert len(child.monitors or ()) == 1
                if n % 1000 == 0:
                    await trio.lowlevel.checkpoint()
        del monitor
        gc.collect()
        assert len(monitors) == 0
        assert not child.monitors


async def test_a_monitor_that_outlives_the_supervisor_holds_nothing_up(autojump_clock: MockClock) -> None:
    supervisor = Supervisor("root", [Actor().spec("child")])
    async with running(supervisor):
        monitor = supervisor.monitor("child")
    assert (await monitor.wait()).reason is ExitReason.SHUTDOWN
    monitor.close()
