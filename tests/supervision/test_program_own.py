"""Bodies that turn to their own supervisor, from their work and from their cleanup."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcptrio.supervision import (
    ChildSpec,
    ChildState,
    Event,
    ExitReason,
    Monitor,
    Restart,
    Strategy,
    Supervisor,
)
from tests.supervision.actors import AT_ONCE, Actor, Record, Starter, running, states

Turn = Callable[[Supervisor], Awaitable[None]]
strategies = pytest.mark.parametrize("strategy", Strategy)


def asking(supervisor: Supervisor, turn: Turn, *, in_cleanup: bool = False) -> ChildSpec:
    """A child that turns to its supervisor once, and then waits for its end."""
    left = [turn]

    async def body(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            if left and not in_cleanup:
                await left.pop()(supervisor)
            await trio.sleep_forever()
        finally:
            if left:
                with trio.move_on_after(20, shield=True):
                    await left.pop()(supervisor)

    return ChildSpec("self", body, Restart.TRANSIENT, shutdown=2.0, backoff=AT_ONCE, start_timeout=1.0)


async def stop_self(supervisor: Supervisor) -> None:
    await supervisor.stop_child("self")
    raise AssertionError("who waits for his own end is cancelled")


async def stop_self_at_once(supervisor: Supervisor) -> None:
    supervisor.stop_child_nowait("self")
    supervisor.stop_child_nowait("self")
    await trio.lowlevel.checkpoint()


async def crash_self(supervisor: Supervisor) -> None:
    supervisor.exit_child("self", OSError("by itself"))
    supervisor.exit_child("self", OSError("once more"))
    await trio.lowlevel.checkpoint()


async def watch_self(supervisor: Supervisor) -> None:
    monitor = supervisor.monitor("self")
    monitors.append(monitor)
    supervisor.stop_child_nowait("self")
    await monitor.wait()


async def restart_self(supervisor: Supervisor) -> None:
    await supervisor.restart_child("self")


async def delete_self(supervisor: Supervisor) -> None:
    await trio.lowlevel.checkpoint()
    supervisor.delete_child("self")


async def link_self(supervisor: Supervisor) -> None:
    await trio.lowlevel.checkpoint()
    supervisor.link("self", "self")


async def run_it(supervisor: Supervisor) -> None:
    await supervisor.run()


async def replace_self(supervisor: Supervisor) -> None:
    await supervisor.start_child(ChildSpec("self", trio.sleep_forever))


monitors: list[Monitor] = []


@strategies
@pytest.mark.parametrize(
    ("turn", "state", "error"),
    [
        (stop_self, ChildState.STOPPED, None),
        (stop_self_at_once, ChildState.STOPPED, None),
        (watch_self, ChildState.STOPPED, None),
        (crash_self, ChildState.RUNNING, OSError),
        (restart_self, ChildState.RUNNING, RuntimeError),
        (delete_self, ChildState.RUNNING, RuntimeError),
        (link_self, ChildState.RUNNING, RuntimeError),
        (run_it, ChildState.RUNNING, RuntimeError),
        (replace_self, ChildState.RUNNING, ValueError),
    ],
)
async def test_what_a_body_asks_for_itself_is_done_or_refused_as_for_any_other(
    strategy: Strategy,
    turn: Turn,
    state: ChildState,
    error: type[Exception] | None,
    autojump_clock: MockClock,
) -> None:
    other, supervisor = Actor(), Supervisor("root", strategy=strategy)
    async with running(supervisor, other.spec("other"), asking(supervisor, turn)):
        await trio.sleep(1)
        assert states(supervisor) == {"other": ChildState.RUNNING, "self": state}
        failed = supervisor.children()[1].last_error
        assert failed is None if error is None else type(failed) is error
        if turn is watch_self:
            down = monitors.pop().down
            assert down is not None
            assert down.reason is ExitReason.SHUTDOWN
    assert other.alive == 0


@strategies
async def test_a_body_that_waits_in_its_cleanup_for_its_own_end_waits_for_its_deadline(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    async def wait(supervisor: Supervisor) -> None:
        await supervisor.stop_child("self")

    record = Record()
    supervisor = Supervisor("root", strategy=strategy, on_report=record)
    async with running(supervisor, asking(supervisor, wait, in_cleanup=True)):
        pass
    assert record.times(Event.OVERSTAYED, "self") == record.times(Event.STOPPED, "self") == [2.0]


@strategies
async def test_a_body_may_ask_for_others_in_its_cleanup_even_when_all_end(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    other, refused = Actor(linger=0.5), []

    async def ask(supervisor: Supervisor) -> None:
        await supervisor.stop_child("other")
        for start in (supervisor.start_child(other.spec("new")), supervisor.restart_child("other")):
            try:
                await start
            except (RuntimeError, LookupError) as error:
                refused.append(type(error))

    supervisor = Supervisor("root", strategy=strategy)
    async with running(supervisor, other.spec("other"), asking(supervisor, ask, in_cleanup=True)):
        pass
    assert trio.current_time() == 0.5
    assert refused in ([RuntimeError, RuntimeError], [RuntimeError, LookupError])
    assert supervisor.children() == ()


@strategies
async def test_two_that_wait_for_each_others_end_both_end(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    async def stop_one(supervisor: Supervisor) -> None:
        await supervisor.stop_child("one")

    supervisor = Supervisor("root", strategy=strategy)

    async def one() -> None:
        await trio.sleep(0.5)
        await supervisor.stop_child("self")

    async with running(supervisor, asking(supervisor, stop_one, in_cleanup=True), ChildSpec("one", one)):
        await trio.sleep(0.75)
        assert states(supervisor) == {"self": ChildState.STOPPED, "one": ChildState.STOPPED}


@strategies
async def test_a_child_may_wait_in_its_start_for_another_one_that_it_starts(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    supervisor, needed = Supervisor("root", strategy=strategy), Starter(0.5)

    async def needing(*, task_status: trio.TaskStatus[None]) -> None:
        await supervisor.start_child(needed.starting_spec("needed"))
        task_status.started()
        await trio.sleep_forever()

    async with running(supervisor):
        await supervisor.start_child(ChildSpec("needing", needing, start_timeout=1.0))
        assert trio.current_time() == 0.5
        assert states(supervisor) == {"needing": ChildState.RUNNING, "needed": ChildState.RUNNING}


async def test_one_error_may_end_several_children_several_times(autojump_clock: MockClock) -> None:
    async def from_it() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("the cleanup failed too") from error

    error, record = OSError("the disk is gone"), Record()
    supervisor = Supervisor("root", max_restarts=100, on_report=record)
    specs = [ChildSpec(name, from_it, backoff=AT_ONCE) for name in "ab"]
    async with running(supervisor, *specs):
        for _ in range(3):
            for name in "abab":
                supervisor.exit_child(name, error)
            await wait_all_tasks_blocked()
            await trio.sleep(1)
    assert [report.error for report in record.reports if report.event is Event.EXITED] == [error] * 6
    assert "the disk is gone" in "".join(traceback.format_exception(error))
