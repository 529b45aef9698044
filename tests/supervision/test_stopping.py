"""How children are stopped: in order, each within its deadline."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from mcptrio.supervision import ChildSpec, ChildState, Event, Restart, Strategy, Supervisor
from tests.supervision.actors import Actor, Record, running, states


async def test_children_stop_in_reverse_start_order_one_after_the_other(autojump_clock: MockClock) -> None:
    record, actors = Record(), [Actor(linger=float(n)) for n in (1, 2, 3)]
    specs = [actor.spec(name) for actor, name in zip(actors, "abc", strict=True)]
    async with running(Supervisor("root", specs, on_report=record)):
        pass
    assert record.children(Event.STOPPED) == ["c", "b", "a"]
    assert [actor.ends for actor in actors] == [[6.0], [5.0], [3.0]]


async def test_a_restarted_child_keeps_its_place_in_the_order(autojump_clock: MockClock) -> None:
    record, actors = Record(), [Actor() for _ in range(3)]
    specs = [actor.spec(name) for actor, name in zip(actors, "abc", strict=True)]
    async with running(Supervisor("root", specs, on_report=record)):
        await actors[0].crash(RuntimeError("boom"))
        await trio.sleep(2)
    assert record.children(Event.STOPPED) == ["c", "b", "a"]


async def test_the_children_of_simple_one_for_one_stop_all_at_once_each_within_its_own_deadline(
    autojump_clock: MockClock,
) -> None:
    record = Record()
    supervisor = Supervisor("peers", strategy=Strategy.SIMPLE_ONE_FOR_ONE, on_report=record)
    root = Supervisor("root", [Actor(linger=1.0).spec("base"), supervisor.child_spec()], on_report=record)
    async with running(root):
        for n in range(50):
            supervisor.start_child_nowait(Actor(linger=2.0).spec(f"peer-{n}", Restart.TEMPORARY))
        supervisor.start_child_nowait(Actor(linger=9.0).spec("slow", Restart.TEMPORARY, shutdown=3.0))
        supervisor.start_child_nowait(Actor(linger=9.0).spec("slower", Restart.TEMPORARY, shutdown=4.0))
        await wait_all_tasks_blocked()
    assert all(record.times(Event.STOPPED, f"peer-{n}") == [2.0] for n in range(50))
    assert record.times(Event.OVERSTAYED, "slow") == [3.0]
    assert record.times(Event.OVERSTAYED, "slower") == [4.0]
    assert record.times(Event.STOPPED, "slower") == [9.0]
    assert record.times(Event.STOPPED, "peers") == [9.0]
    assert record.times(Event.STOPPED, "base") == [10.0]


async def test_temporary_children_of_any_other_supervisor_stop_one_after_the_other(
    autojump_clock: MockClock,
) -> None:
    record = Record()
    supervisor = Supervisor("root", on_report=record)
    async with running(supervisor):
        for name in "abc":
            supervisor.start_child_nowait(Actor(linger=1.0).spec(name, Restart.TEMPORARY))
        await wait_all_tasks_blocked()
    assert record.children(Event.STOPPED) == ["c", "b", "a"]
    assert [record.times(Event.STOPPED, name) for name in "cba"] == [[1.0], [2.0], [3.0]]


async def test_an_overstaying_child_holds_up_nobody_but_the_end_of_run(autojump_clock: MockClock) -> None:
    record, stubborn, quick = Record(), Actor(linger=100.0), Actor()
    specs = [quick.spec("quick"), stubborn.spec("stubborn", shutdown=3.0)]
    supervisor = Supervisor("root", specs, on_report=record)
    async with running(supervisor):
        pass
    assert record.times(Event.OVERSTAYED, "stubborn") == [3.0]
    assert record.times(Event.STOPPED, "quick") == [3.0]
    assert record.times(Event.STOPPED, "stubborn") == [100.0]
    assert trio.current_time() == 100.0
    assert supervisor.children() == ()


async def test_stop_child_ends_a_child_and_keeps_its_spec(autojump_clock: MockClock) -> None:
    record, actor = Record(), Actor(linger=2.0)
    supervisor = Supervisor("root", [actor.spec("child")], on_report=record)
    async with running(supervisor):
        with assert_checkpoints():
            await supervisor.stop_child("child")
        assert trio.current_time() == 2.0
        assert states(supervisor) == {"child": ChildState.STOPPED}
        await trio.sleep(100)
        assert actor.starts == [0.0]
    assert record.events("child") == [Event.STARTED, Event.STOPPED]


async def test_stop_child_gives_up_waiting_at_the_deadline_and_the_child_is_not_restarted(
    autojump_clock: MockClock,
) -> None:
    record, actor = Record(), Actor(linger=20.0)
    supervisor = Supervisor("root", [actor.spec("child", shutdown=3.0)], on_report=record)
    async with running(supervisor):
        await supervisor.stop_child("child")
        assert trio.current_time() == 3.0
        assert states(supervisor) == {"child": ChildState.OVERSTAYED}
        with pytest.raises(ValueError, match="has a child 'child'"):
            supervisor.start_child_nowait(actor.spec("child"))
        with assert_checkpoints():
            await supervisor.stop_child("child")
        assert trio.current_time() == 3.0
        await trio.sleep(50)
        assert states(supervisor) == {"child": ChildState.STOPPED}
        assert actor.starts == [0.0]
    assert record.events("child") == [Event.STARTED, Event.OVERSTAYED, Event.STOPPED]


async def test_stop_child_of_a_restarting_child_is_immediate_and_final(autojump_clock: MockClock) -> None:
    record, actor = Record(), Actor()
    supervisor = Supervisor("root", [actor.spec("child")], on_report=record)
    async with running(supervisor):
        await actor.crash(RuntimeError("boom"))
        assert states(supervisor) == {"child": ChildState.RESTARTING}
        with assert_checkpoints():
            await supervisor.stop_child("child")
        assert states(supervisor) == {"child": ChildState.STOPPED}
        await trio.sleep(100)
        assert actor.starts == [0.0]
        await supervisor.restart_child("child")
        await wait_all_tasks_blocked()
        assert actor.alive == 1
    assert record.events("child")[2:4] == [Event.RESTARTING, Event.STOPPED]


async def test_stopping_what_is_not_there_does_nothing(autojump_clock: MockClock) -> None:
    supervisor = Supervisor("root")
    with assert_checkpoints():
        await supervisor.stop_child("nobody")
    async with running(supervisor):
        with assert_checkpoints():
            await supervisor.stop_child("nobody")


async def test_several_may_wait_for_one_child_to_stop(autojump_clock: MockClock) -> None:
    supervisor = Supervisor("root", [Actor(linger=2.0).spec("child")])
    times = []

    async def stop() -> None:
        await supervisor.stop_child("child")
        times.append(trio.current_time())

    async with running(supervisor), trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(stop)
            await trio.sleep(0.5)
    assert times == [2.0, 2.0, 2.0]


async def test_a_stop_whose_caller_was_cancelled_goes_on_and_keeps_its_deadline(
    autojump_clock: MockClock,
) -> None:
    record = Record()
    supervisor = Supervisor("root", [Actor(linger=9.0).spec("child", shutdown=3.0)], on_report=record)
    async with running(supervisor):
        with trio.move_on_after(1):
            await supervisor.stop_child("child")
        assert states(supervisor) == {"child": ChildState.STOPPING}
        await trio.sleep(20)
    assert record.times(Event.OVERSTAYED, "child") == [3.0]
    assert record.times(Event.STOPPED, "child") == [9.0]


async def test_a_child_may_stop_itself(autojump_clock: MockClock) -> None:
    record = Record()
    supervisor = Supervisor("root", on_report=record)

    async def leave() -> None:
        await supervisor.stop_child("child")
        raise AssertionError("unreachable: waiting for oneself is cancelled")

    async with running(supervisor):
        supervisor.start_child_nowait(ChildSpec("child", leave))
        await wait_all_tasks_blocked()
        assert states(supervisor) == {"child": ChildState.STOPPED}
    assert record.events("child") == [Event.STARTED, Event.STOPPED]
    assert record.reports[-1].error is None


async def test_a_child_stopped_before_its_first_step_takes_it_so_that_it_can_clean_up(
    autojump_clock: MockClock,
) -> None:
    actor = Actor()
    supervisor = Supervisor("root")
    async with running(supervisor):
        supervisor.start_child_nowait(actor.spec("child"))
        await supervisor.stop_child("child")
        assert (len(actor.starts), actor.alive) == (1, 0)


async def test_what_goes_wrong_while_stopping_is_told_and_goes_no_further(autojump_clock: MockClock) -> None:
    async def clumsy() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("cleanup failed")

    async def clumsy_inside() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(clumsy)
            nursery.start_soon(trio.sleep_forever)

    record = Record()
    specs = [ChildSpec("plain", clumsy), ChildSpec("grouped", clumsy_inside)]
    supervisor = Supervisor("root", specs, on_report=record)
    async with running(supervisor):
        await supervisor.stop_child("plain")
        await supervisor.stop_child("grouped")
    plain, grouped = [report for report in record.reports if report.event is Event.STOPPED]
    assert isinstance(plain.error, OSError)
    assert isinstance(grouped.error, ExceptionGroup)
    assert supervisor.statistics().failed_total == 2


async def test_a_child_that_swallows_its_cancellation_is_stopped_all_the_same(
    autojump_clock: MockClock,
) -> None:
    async def swallow() -> None:
        with trio.CancelScope() as inner:
            inner.cancel(reason="its own")
            await trio.sleep_forever()
        with suppress(trio.Cancelled):  # the fault under test
            await trio.sleep_forever()

    record = Record()
    async with running(Supervisor("root", [ChildSpec("child", swallow)], on_report=record)):
        pass
    assert record.events("child") == [Event.STARTED, Event.STOPPED]


async def test_stopping_during_a_backoff_does_not_wait_for_it_nor_start_the_child(
    autojump_clock: MockClock,
) -> None:
    record, down, lingering = Record(), Actor(), Actor(linger=4.0)
    supervisor = Supervisor("root", [down.spec("down"), lingering.spec("lingering")], on_report=record)
    async with running(supervisor):
        await down.crash(RuntimeError("boom"))
    # Its restart came due at 1.0, while `lingering` was still stopping.
    assert record.times(Event.STOPPED, "lingering") == [4.0]
    assert record.times(Event.STOPPED, "down") == [4.0]
    assert down.starts == [0.0]


async def test_children_that_end_by_themselves_during_the_stop_are_not_restarted(
    autojump_clock: MockClock,
) -> None:
    record, first, peer, last = Record(), Actor(), Actor(), Actor(linger=4.0)
    specs = [first.spec("first"), peer.spec("peer", Restart.TEMPORARY), last.spec("last")]
    supervisor = Supervisor("root", specs, on_report=record)
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel(reason="the test is over")
        with trio.move_on_after(2, shield=True):
            await trio.sleep_forever()
        with trio.move_on_after(1, shield=True):
            await first.crash(RuntimeError("too late"))
            await peer.finish()
            assert states(supervisor) == {"first": ChildState.EXITED, "last": ChildState.STOPPING}
    assert record.events("first") == [Event.STARTED, Event.EXITED]
    assert record.events("peer") == [Event.STARTED, Event.EXITED]
    assert first.starts == [0.0]
    assert supervisor.children() == ()


async def test_the_supervisors_stop_takes_over_a_stop_under_way_with_its_deadline(
    autojump_clock: MockClock,
) -> None:
    record, a, b = Record(), Actor(linger=60.0), Actor(linger=4.0)
    specs = [a.spec("a", shutdown=3.0), b.spec("b")]
    supervisor = Supervisor("root", specs, on_report=record)
    async with running(supervisor), trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.stop_child, "a")
        await trio.sleep(1)
        nursery.cancel_scope.cancel(reason="the waiting only")
    assert record.times(Event.STOPPED, "b") == [5.0]
    # Told at 0.0: overstayed on time, although it was b's turn just then.
    assert record.times(Event.OVERSTAYED, "a") == [3.0]
    assert record.times(Event.STOPPED, "a") == [60.0]


async def test_an_infinite_deadline_waits_as_long_as_it_takes(autojump_clock: MockClock) -> None:
    record = Record()
    specs = [Actor(linger=1000.0).spec("child", shutdown=math.inf), Actor().spec("other")]
    async with running(Supervisor("root", specs, on_report=record)):
        pass
    assert record.events("child") == [Event.STARTED, Event.STOPPED]
    assert record.times(Event.STOPPED, "child") == [1000.0]


async def test_a_nested_supervisor_stops_its_children_in_its_turn(autojump_clock: MockClock) -> None:
    record = Record()
    inner = Supervisor("inner", [Actor(linger=1.0).spec(n) for n in "xy"], on_report=record)
    specs = [Actor(linger=1.0).spec("a"), ChildSpec("inner", inner.run), Actor(linger=1.0).spec("b")]
    async with running(Supervisor("outer", specs, on_report=record)):
        pass
    assert record.children(Event.STOPPED) == ["b", "y", "x", "inner", "a"]
    assert trio.current_time() == 4.0
