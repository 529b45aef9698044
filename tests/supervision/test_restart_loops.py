"""A child whose restarts never succeed can be seen, stopped, deleted and started again all the same."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock

from mcptrio.supervision import ChildState, Event, Report, Strategy, Supervisor
from tests.supervision.actors import STEADY, Actor, Record, Starter, running, states

every_strategy = pytest.mark.parametrize("strategy", Strategy, ids=lambda strategy: strategy.value)
BOOM = RuntimeError("boom")


class Loop:
    """First and last are well; between them a child that starts once, and whose every restart then fails."""

    def __init__(self, strategy: Strategy, how: Exception | float | None) -> None:
        self.record = Record()
        self.first, self.child, self.last = Actor(), Starter(0.0, how), Actor()
        specs = [
            self.first.spec("first"),
            self.child.starting_spec("child", start_timeout=3.0, backoff=STEADY),
            self.last.spec("last"),
        ]
        simple = strategy is Strategy.SIMPLE_ONE_FOR_ONE
        self.dynamic = specs if simple else []
        self.down = trio.Event()
        self.supervisor = Supervisor(
            "root", () if simple else specs, strategy=strategy, max_restarts=1000, on_report=self._told
        )

    def _told(self, report: Report) -> None:
        self.record(report)
        if (report.child, report.event) == ("child", Event.RESTARTING):
            self.down.set()
            self.down = trio.Event()


@every_strategy
@pytest.mark.parametrize("how", [BOOM, None, math.inf], ids=["raises", "returns", "hangs"])
async def test_a_child_in_a_restart_loop_is_visible_and_can_be_stopped_deleted_and_started_again(
    how: Exception | float | None, strategy: Strategy, autojump_clock: MockClock
) -> None:
    loop = Loop(strategy, how)
    supervisor = loop.supervisor
    async with running(supervisor, *loop.dynamic):
        await trio.sleep(1)
        await loop.child.crash(BOOM)
        await trio.sleep(100)
        assert len(loop.child.starts) > 8
        await loop.down.wait()
        assert states(supervisor)["child"] is ChildState.RESTARTING
        with pytest.raises(ValueError, match="has a child 'child'"):
            supervisor.start_child_nowait(loop.child.starting_spec("child"))
        with pytest.raises(RuntimeError, match="cannot restart child 'child': it is restarting"):
            await supervisor.restart_child("child")
        with pytest.raises(RuntimeError, match="cannot delete child 'child': it is restarting"):
            supervisor.delete_child("child")
        statistics = supervisor.statistics()
        assert (statistics.children, statistics.restarting >= 1) == (3, True)

        starts = len(loop.child.starts)
        await supervisor.stop_child("child")
        await trio.sleep(100)
        assert len(loop.child.starts) == starts
        assert states(supervisor) == {
            "first": ChildState.RUNNING,
            "child": ChildState.STOPPED,
            "last": ChildState.RUNNING,
        }

        loop.child.succeed()
        await supervisor.restart_child("child")
        assert states(supervisor)["child"] is ChildState.RUNNING
        await supervisor.stop_child("child")
        supervisor.delete_child("child")
        assert list(states(supervisor)) == ["first", "last"]


@every_strategy
@pytest.mark.parametrize("how", [BOOM, None, math.inf], ids=["raises", "returns", "hangs"])
@pytest.mark.parametrize("moment", [0.5, 1.25, 2.0, 10.0, 33.5])
async def test_a_supervisor_with_a_child_in_a_restart_loop_can_be_stopped_at_once(
    moment: float, how: Exception | float | None, strategy: Strategy, autojump_clock: MockClock
) -> None:
    loop = Loop(strategy, how)
    async with running(loop.supervisor, *loop.dynamic):
        await trio.sleep(1)
        await loop.child.crash(BOOM)
        await trio.sleep(moment)
    assert trio.current_time() == 1.0 + moment
    ends = [loop.record.events(name)[-1] for name in ("first", "child", "last")]
    assert ends == [Event.STOPPED] * 3


@every_strategy
async def test_a_child_in_a_hanging_start_can_be_stopped_and_deleted(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    loop = Loop(strategy, math.inf)
    async with running(loop.supervisor, *loop.dynamic):
        await trio.sleep(1)
        await loop.child.crash(BOOM)
        await trio.sleep(2)
        assert states(loop.supervisor)["child"] is ChildState.STARTING
        await loop.supervisor.stop_child("child")
        assert states(loop.supervisor)["child"] is ChildState.STOPPED
        loop.supervisor.delete_child("child")
        await trio.sleep(10)
        assert states(loop.supervisor) == {"first": ChildState.RUNNING, "last": ChildState.RUNNING}
