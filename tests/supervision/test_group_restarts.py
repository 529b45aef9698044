"""Restarts of several children: rest_for_one and one_for_all."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcptrio.supervision import (
    Backoff,
    ChildSpec,
    ChildState,
    Escalation,
    Event,
    Restart,
    Strategy,
    Supervisor,
)
from tests.supervision.actors import AT_ONCE, FAILING, Actor, Record, Starter, running, states

STARTED, STOPPED, OVERSTAYED = Event.STARTED, Event.STOPPED, Event.OVERSTAYED
BOOM = RuntimeError("boom")

GROUPED = [Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL]
both_strategies = pytest.mark.parametrize("strategy", GROUPED, ids=lambda strategy: strategy.value)


def after(seconds: float) -> Backoff:
    return Backoff(seconds, seconds, jitter=False)


@pytest.mark.parametrize(("backoff", "due"), [(5.0, 5.0), (0.5, 2.0), (0.0, 2.0)])
async def test_they_stop_in_reverse_order_while_the_backoff_runs_and_start_in_order(
    backoff: float, due: float, autojump_clock: MockClock
) -> None:
    record, actors = Record(), {name: Actor(linger=1.0) for name in ("c7", "c3", "c10", "c2", "c5")}
    specs = [actor.spec(name, backoff=after(backoff)) for name, actor in actors.items()]
    supervisor = Supervisor("root", specs, strategy=Strategy.REST_FOR_ONE, on_report=record)
    async with running(supervisor):
        await actors["c10"].crash(BOOM)
        await trio.sleep(20)
        assert record.children(STOPPED) == ["c5", "c2"]
        assert [record.times(STOPPED, name) for name in ("c5", "c2")] == [[1.0], [2.0]]
        assert record.children(STARTED)[5:] == ["c10", "c2", "c5"]
        assert [actor.starts for actor in actors.values()] == [
            [0.0],
            [0.0],
            [0.0, due],
            [0.0, due],
            [0.0, due],
        ]
    assert record.children(STOPPED)[2:] == ["c5", "c2", "c10", "c3", "c7"]


@both_strategies
async def test_each_is_started_once_the_one_before_it_is_ready(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    record, actors = Record(), [Starter(1.0) for _ in range(3)]
    specs = [actor.starting_spec(name, backoff=AT_ONCE) for actor, name in zip(actors, "abc", strict=True)]
    supervisor = Supervisor("root", specs, strategy=strategy, on_report=record)
    async with running(supervisor):
        assert [record.times(STARTED, name) for name in "abc"] == [[1.0], [2.0], [3.0]]
        await actors[0].crash(BOOM)
        await trio.sleep(1.5)
        assert list(states(supervisor).values()) == [
            ChildState.RUNNING,
            ChildState.STARTING,
            ChildState.RESTARTING,
        ]
        await trio.sleep(10)
        assert [record.times(STARTED, name)[1:] for name in "abc"] == [[4.0], [5.0], [6.0]]


@pytest.mark.parametrize(
    "how", [None, RuntimeError("not today"), math.inf], ids=["returns", "raises", "hangs"]
)
async def test_rest_for_one_keeps_who_came_up_before_a_child_that_fails_in_the_restart(
    how: Exception | float | None, autojump_clock: MockClock
) -> None:
    record, first, second, third = Record(), Actor(), Starter(0.0, how, 0.0), Actor()
    specs = [
        first.spec("first"),
        second.starting_spec("second", start_timeout=3.0, backoff=after(1.0)),
        third.spec("third"),
    ]
    async with running(Supervisor("root", specs, strategy=Strategy.REST_FOR_ONE, on_report=record)):
        await first.crash(BOOM)
        await trio.sleep(20)
        failed = 4.0 if how == math.inf else 1.0 + FAILING
        assert first.starts == [0.0, 1.0]
        assert second.starts == [0.0, 1.0, failed + 1.0]
        assert third.starts == [0.0, failed + 1.0]
        assert record.times(Event.EXITED, "second") == [failed]


@pytest.mark.parametrize(
    "how", [None, RuntimeError("not today"), math.inf], ids=["returns", "raises", "hangs"]
)
async def test_one_for_all_stops_who_came_up_before_a_child_that_fails_in_the_restart(
    how: Exception | float | None, autojump_clock: MockClock
) -> None:
    record, first, second, third = Record(), Actor(), Starter(0.0, how, 0.0), Actor()
    specs = [
        first.spec("first"),
        second.starting_spec("second", start_timeout=3.0, backoff=after(1.0)),
        third.spec("third"),
    ]
    async with running(Supervisor("root", specs, strategy=Strategy.ONE_FOR_ALL, on_report=record)):
        await first.crash(BOOM)
        await trio.sleep(20)
        failed = 4.0 if how == math.inf else 1.0 + FAILING
        assert first.starts == [0.0, 1.0, failed + 1.0]
        assert first.ends == [0.0, failed]
        assert second.starts == [0.0, 1.0, failed + 1.0]
        assert third.starts == [0.0, failed + 1.0]
        # Once for the first restart, then for the second one.
        assert record.children(STOPPED) == ["third", "second", "first"]


@both_strategies
async def test_a_child_whose_restart_fails_for_ever_escalates(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    first, second = Actor(), Starter(0.0, RuntimeError("never again"))
    specs = [first.spec("first", backoff=AT_ONCE), second.starting_spec("second", backoff=AT_ONCE)]
    with pytest.RaisesGroup(Escalation) as caught:
        async with running(Supervisor("root", specs, strategy=strategy, max_restarts=4)):
            await first.crash(BOOM)
            await trio.sleep(10)
    (escalation,) = caught.value.exceptions
    assert isinstance(escalation, Escalation)
    assert [report.child for report in escalation.reports] == ["first", *["second"] * 5]
    assert str(escalation.__cause__) == "never again"


@both_strategies
async def test_temporary_bystanders_leave_and_the_supervisor_goes_on(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    record, child, bystander = Record(), Actor(), Actor()
    specs = [child.spec("child"), bystander.spec("bystander", Restart.TEMPORARY)]
    supervisor = Supervisor("root", specs, strategy=strategy, max_restarts=1, on_report=record)
    async with running(supervisor):
        await child.finish()
        await trio.sleep(5)
        assert states(supervisor) == {"child": ChildState.RUNNING}
        assert record.events("bystander") == [STARTED, STOPPED]
        assert bystander.starts == [0.0]


@both_strategies
async def test_siblings_that_had_done_their_work_do_it_again_and_stopped_ones_stay_stopped(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    child, done, stopped = Actor(), Actor(), Actor()
    specs = [child.spec("child"), done.spec("done", Restart.TRANSIENT), stopped.spec("stopped")]
    supervisor = Supervisor("root", specs, strategy=strategy)
    async with running(supervisor):
        await done.finish()
        await supervisor.stop_child("stopped")
        await child.crash(BOOM)
        await trio.sleep(5)
        assert states(supervisor) == {
            "child": ChildState.RUNNING,
            "done": ChildState.RUNNING,
            "stopped": ChildState.STOPPED,
        }
        assert (done.starts, stopped.starts) == ([0.0, 1.0], [0.0])


@both_strategies
async def test_members_that_end_before_their_turn_to_stop_are_restarted_once_and_not_counted(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    record, actors = Record(), [Actor(), Actor(), Actor(), Actor(linger=2.0)]
    specs = [actor.spec(name) for actor, name in zip(actors, "abcd", strict=True)]
    supervisor = Supervisor("root", specs, strategy=strategy, max_restarts=1, on_report=record)
    async with running(supervisor):
        await actors[0].crash(BOOM)
        await actors[1].crash(RuntimeError("in the restart"))
        await actors[2].finish()
        await trio.sleep(5)
        assert record.events("b") == [STARTED, Event.EXITED, STARTED]
        assert record.events("c") == [STARTED, Event.EXITED, STARTED]
        assert [actor.starts for actor in actors] == [[0.0, 2.0]] * 4
        assert [child.restarts for child in supervisor.children()] == [1, 1, 1, 1]


@both_strategies
async def test_one_that_overstays_holds_the_others_up_until_its_old_body_has_ended(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    record, child, stubborn, last = Record(), Actor(), Actor(linger=50.0), Actor()
    specs = [child.spec("child"), stubborn.spec("stubborn", shutdown=3.0), last.spec("last")]
    supervisor = Supervisor("root", specs, strategy=strategy, on_report=record)
    async with running(supervisor):
        await child.crash(BOOM)
        await trio.sleep(40)
        assert record.times(OVERSTAYED, "stubborn") == [3.0]
        assert states(supervisor) == {
            "child": ChildState.RESTARTING,
            "stubborn": ChildState.OVERSTAYED,
            "last": ChildState.RESTARTING,
        }
        await trio.sleep(20)
        assert [actor.starts for actor in (child, stubborn, last)] == [[0.0, 50.0]] * 3
        stubborn.linger = 0.0


@both_strategies
async def test_a_hanging_stop_keeps_nobody_from_being_stopped_and_not_the_supervisor_from_ending(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    record, first, child, stubborn = Record(), Actor(), Actor(), Actor(linger=50.0)
    specs = [
        first.spec("first"),
        child.spec("child", backoff=AT_ONCE),
        stubborn.spec("stubborn", shutdown=3.0),
    ]
    async with running(Supervisor("root", specs, strategy=strategy, on_report=record)):
        await child.crash(BOOM)
        await trio.sleep(10)
        # After 3.0 the next one's turn to stop came.
        assert record.times(STOPPED, "first") == ([3.0] if strategy is Strategy.ONE_FOR_ALL else [])
    assert trio.current_time() == 50.0
    assert child.starts == [0.0]


@both_strategies
async def test_when_the_culprit_is_stopped_during_its_backoff_the_others_come_back_at_once(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    record, child, other = Record(), Actor(), Actor()
    specs = [child.spec("child", backoff=after(30.0)), other.spec("other")]
    supervisor = Supervisor("root", specs, strategy=strategy, on_report=record)
    async with running(supervisor):
        await child.crash(BOOM)
        await trio.sleep(10)
        assert other.starts == [0.0]
        await supervisor.stop_child("child")
        supervisor.delete_child("child")
        await trio.sleep(100)
        assert states(supervisor) == {"other": ChildState.RUNNING}
        assert (child.starts, other.starts) == ([0.0], [0.0, 10.0])


@both_strategies
async def test_a_member_stopped_during_a_restart_stays_out_of_it(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    child, down, going, last = Actor(), Actor(), Actor(linger=2.0), Actor(linger=2.0)
    specs = [
        child.spec("child", backoff=after(10.0)),
        going.spec("going"),
        down.spec("down"),
        last.spec("last"),
    ]
    supervisor = Supervisor("root", specs, strategy=strategy)
    async with running(supervisor):
        await child.crash(BOOM)
        await trio.sleep(3)
        assert states(supervisor)["down"] is ChildState.RESTARTING
        assert states(supervisor)["going"] is ChildState.STOPPING
        await supervisor.stop_child("down")
        await supervisor.stop_child("going")
        assert trio.current_time() == 4.0
        await trio.sleep(20)
        assert (child.starts, last.starts) == ([0.0, 10.0], [0.0, 10.0])
        assert (down.starts, going.starts) == ([0.0], [0.0])
        assert states(supervisor)["down"] is states(supervisor)["going"] is ChildState.STOPPED


@both_strategies
@pytest.mark.parametrize("restart", [Restart.PERMANENT, Restart.TEMPORARY], ids=lambda restart: restart.value)
async def test_a_crash_while_the_initial_children_start_is_mended_before_the_next_of_them_starts(
    restart: Restart, strategy: Strategy, autojump_clock: MockClock
) -> None:
    first, slow, last = Actor(), Starter(4.0), Actor()
    specs = [first.spec("first"), slow.starting_spec("slow", restart, start_timeout=9.0), last.spec("last")]
    supervisor = Supervisor("root", specs, strategy=strategy)
    async with trio.open_nursery() as nursery:

        async def crash() -> None:
            await trio.sleep(1)
            await first.crash(BOOM)

        nursery.start_soon(crash)
        async with running(supervisor):
            assert first.starts == [0.0, 2.0]
            if restart is Restart.PERMANENT:
                assert (slow.starts, last.starts) == ([0.0, 2.0], [6.0])
            else:  # it went down with its sibling, and does not come back
                assert (slow.starts, last.starts) == ([0.0], [2.0])


async def test_a_child_started_during_a_restart_is_no_part_of_it(autojump_clock: MockClock) -> None:
    child, late = Actor(), Actor()
    supervisor = Supervisor("root", [child.spec("child")], strategy=Strategy.ONE_FOR_ALL)
    async with running(supervisor):
        await child.crash(BOOM)
        await supervisor.start_child(late.spec("late"))
        await trio.sleep(5)
        assert (child.starts, late.starts) == ([0.0, 1.0], [0.0])
        await child.crash(BOOM)
        await trio.sleep(5)
        assert late.starts == [0.0, 7.0]


async def test_a_second_crash_further_up_takes_the_first_one_with_it(autojump_clock: MockClock) -> None:
    a, b, c = Actor(), Actor(), Actor()
    specs = [
        a.spec("a", backoff=after(2.0)),
        b.spec("b", backoff=after(10.0)),
        c.spec("c", backoff=after(1.0)),
    ]
    async with running(Supervisor("root", specs, strategy=Strategy.REST_FOR_ONE)):
        await b.crash(BOOM)
        await trio.sleep(1)
        await a.crash(BOOM)
        await trio.sleep(30)
        # Each waits for its own backoff, and for those before it.
        assert (a.starts, b.starts, c.starts) == ([0.0, 3.0], [0.0, 10.0], [0.0, 10.0])


@both_strategies
@pytest.mark.parametrize("moment", [0.5, 1.5, 2.5, 3.5, 4.5])
async def test_a_supervisor_that_is_stopped_in_the_middle_of_a_restart_starts_nobody(
    moment: float, strategy: Strategy, autojump_clock: MockClock
) -> None:
    record, actors = Record(), [Starter(0.0, 1.0, linger=1.0) for _ in range(3)]
    specs = [actor.starting_spec(name, backoff=AT_ONCE) for actor, name in zip(actors, "abc", strict=True)]
    # Two stop until 2.0; then all three start, one second each.
    async with running(Supervisor("root", specs, strategy=strategy, on_report=record)):
        await actors[0].crash(BOOM)
        await trio.sleep(moment)
        before = [len(actor.starts) for actor in actors]
    assert [len(actor.starts) for actor in actors] == before
    assert [actor.alive for actor in actors] == [0, 0, 0]


@both_strategies
async def test_what_is_no_exception_ends_a_restart_too_and_nobody_is_started_after_it(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    child, last = Actor(), Actor()

    async def interrupted() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise KeyboardInterrupt

    specs = [
        child.spec("child", backoff=AT_ONCE),
        ChildSpec("interrupted", interrupted),
        last.spec("last"),
    ]
    record = Record()
    with pytest.RaisesGroup(KeyboardInterrupt, flatten_subgroups=True):
        async with running(Supervisor("root", specs, strategy=strategy, on_report=record)):
            await child.crash(BOOM)
            await wait_all_tasks_blocked()
            await trio.sleep(10)
    assert record.children(STARTED) == ["child", "interrupted", "last"]
    assert (child.starts, last.starts) == ([0.0], [0.0])
