"""Supervisors under supervisors: the tree, and how far a failure goes up."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcptrio.supervision import (
    ChildState,
    Escalation,
    Event,
    Reports,
    Restart,
    StartFailed,
    Strategy,
    Supervisor,
    supervisors,
)
from tests.supervision.actors import AT_ONCE, Actor, Record, Starter, running, states

BOOM = RuntimeError("boom")


async def test_the_tree_can_be_walked_from_its_root(autojump_clock: MockClock) -> None:
    leaf = Supervisor("leaf", [Actor().spec("worker")])
    middle = Supervisor("middle", [leaf.child_spec(), Actor().spec("plain")], strategy=Strategy.REST_FOR_ONE)
    root = Supervisor("root", [middle.child_spec(name="known as")])

    def walk(supervisor: Supervisor) -> dict[str, object]:
        return {
            child.name: child.state.value if child.supervisor is None else walk(child.supervisor)
            for child in supervisor.children()
        }

    async with running(root):
        assert walk(root) == {"known as": {"leaf": {"worker": "running"}, "plain": "running"}}
        (child,) = root.children()
        assert child.supervisor is middle
        assert (middle.name, middle.strategy) == ("middle", Strategy.REST_FOR_ONE)
        assert child.restart is Restart.PERMANENT
        assert supervisors(root) == (root, middle, leaf)
    assert supervisors(root) == (root,)


async def test_below_a_simple_one_for_one_supervisor_the_tree_is_not_walked(
    autojump_clock: MockClock,
) -> None:
    peer = Supervisor("peer")
    peers = Supervisor("peers", strategy=Strategy.SIMPLE_ONE_FOR_ONE)
    root = Supervisor("root", [peers.child_spec()])
    async with running(root):
        await peers.start_child(peer.child_spec(restart=Restart.TEMPORARY))
        assert supervisors(root) == (root, peers)


def test_a_supervisor_as_a_child_waits_for_its_children_and_is_ready_with_them() -> None:
    supervisor = Supervisor("inner")
    spec = supervisor.child_spec()
    assert (spec.name, spec.shutdown, spec.start_timeout) == ("inner", math.inf, math.inf)
    assert spec.supervisor is supervisor
    named = supervisor.child_spec(
        name="other", restart=Restart.TRANSIENT, shutdown=3.0, backoff=AT_ONCE, significant=True
    )
    assert (named.name, named.shutdown, named.backoff, named.significant) == ("other", 3.0, AT_ONCE, True)


async def test_a_supervisor_is_ready_when_its_children_are_and_those_after_it_wait(
    autojump_clock: MockClock,
) -> None:
    record = Record()
    inner = Supervisor("inner", [Starter(1.0).starting_spec(name) for name in "xy"], on_report=record)
    outer = Supervisor("outer", [inner.child_spec(), Actor().spec("last")], on_report=record)
    async with running(outer):
        assert trio.current_time() == 2.0
        assert record.children(Event.STARTED) == ["x", "y", "inner", "last"]


async def test_a_failed_start_deep_down_fails_the_whole_tree_and_names_the_way(
    autojump_clock: MockClock,
) -> None:
    first = Actor()
    leaf = Supervisor("leaf", [Starter(BOOM).starting_spec("worker")])
    middle = Supervisor("middle", [leaf.child_spec()])
    root = Supervisor("root", [first.spec("first"), middle.child_spec()])
    async with trio.open_nursery() as nursery:
        with pytest.raises(StartFailed) as failed:
            await nursery.start(root.run)
    way = list[str]()
    error: BaseException | None = failed.value
    while isinstance(error, StartFailed):
        way.append(f"{error.supervisor}/{error.child}")
        error = error.__cause__
    assert way == ["root/middle", "middle/leaf", "leaf/worker"]
    assert error is BOOM
    assert first.alive == 0


async def test_only_who_died_is_restarted_then_the_tree_without_what_was_started_at_run_time(
    autojump_clock: MockClock,
) -> None:
    static, dying, fatal, dynamic = Actor(), Actor(), Actor(), Actor()
    first = Supervisor("first", [static.spec("static")])
    second = Supervisor("second", max_restarts=1)
    third = Supervisor("third")
    root = Supervisor(
        "root",
        [
            first.child_spec(),
            second.child_spec(backoff=AT_ONCE),
            third.child_spec(restart=Restart.TRANSIENT),
        ],
        strategy=Strategy.ONE_FOR_ALL,
    )
    async with running(root):
        await root.stop_child("third")
        assert states(root)["third"] is ChildState.STOPPED
        for name, actor in (("dying", dying), ("fatal", fatal), ("dynamic", dynamic)):
            await second.start_child(actor.spec(name, backoff=AT_ONCE))
        await wait_all_tasks_blocked()
        await dying.crash(BOOM)
        assert (len(dying.starts), len(fatal.starts), len(static.starts)) == (2, 1, 1)
        await fatal.crash(BOOM)  # one too many
        await trio.sleep(5)
        assert len(static.starts) == 2
        assert list(states(first)) == ["static"]
        assert second.children() == ()
        assert (dying.alive, fatal.alive, dynamic.alive) == (0, 0, 0)
        # Stopped by an operator: it is not brought back by a restart of its siblings.
        assert states(root)["third"] is ChildState.STOPPED


async def test_a_failure_that_will_not_end_goes_up_level_by_level_and_out(autojump_clock: MockClock) -> None:
    reports, record = Reports(), Record()
    reports.subscribe(record)

    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise BOOM

    worker = Actor()
    worker.run = fail  # type: ignore[method-assign]
    leaf = Supervisor(
        "leaf", [worker.spec("worker", backoff=AT_ONCE)], max_restarts=2, on_report=reports.publish
    )
    middle = Supervisor(
        "middle", [leaf.child_spec(backoff=AT_ONCE)], max_restarts=1, on_report=reports.publish
    )
    root = Supervisor("root", [middle.child_spec(backoff=AT_ONCE)], max_restarts=1, on_report=reports.publish)
    with pytest.raises(Escalation) as caught:
        await root.run()
    chain = list[str]()
    error: BaseException | None = caught.value
    while isinstance(error, Escalation):
        chain.append(error.reports[-1].supervisor)
        error = error.__cause__
    assert chain == ["root", "middle", "leaf"]
    assert error is BOOM
    # Each level tried what it may: 3 of the worker for a leaf, 2 leaves for a middle, 2 middles.
    exits = [report.child for report in record.reports if report.event is Event.EXITED]
    assert (exits.count("worker"), exits.count("leaf"), exits.count("middle")) == (12, 4, 2)


@pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY], ids=lambda restart: restart.value)
async def test_a_supervisor_that_is_not_to_come_back_takes_its_children_and_nobody_else(
    restart: Restart, autojump_clock: MockClock
) -> None:
    worker, beside = Actor(), Actor()
    inner = Supervisor("inner", [worker.spec("worker")], max_restarts=0)
    outer = Supervisor("outer", [beside.spec("beside"), inner.child_spec(restart=restart, backoff=AT_ONCE)])
    async with running(outer):
        await worker.crash(BOOM)
        await wait_all_tasks_blocked()
        # A transient one comes back: an escalation is an error.
        again = restart is Restart.TRANSIENT
        assert (len(worker.starts), len(beside.starts)) == (1 + again, 1)
        assert ("inner" in states(outer)) == again


async def test_a_tree_stops_depth_first_in_reverse_order(autojump_clock: MockClock) -> None:
    reports, record = Reports(), Record()
    reports.subscribe(record)
    supervisors = []
    for name in ("left", "right"):
        specs = [Actor(linger=1.0).spec(f"{name} {n}") for n in (1, 2)]
        supervisors.append(Supervisor(name, specs, on_report=reports.publish))
    root = Supervisor("root", [inner.child_spec() for inner in supervisors], on_report=reports.publish)
    async with running(root):
        pass
    assert record.children(Event.STOPPED) == ["right 2", "right 1", "right", "left 2", "left 1", "left"]
    assert trio.current_time() == 4.0


async def test_a_supervisor_with_a_deadline_overstays_with_its_children(autojump_clock: MockClock) -> None:
    record, worker = Record(), Actor(linger=20.0)
    inner = Supervisor("inner", [worker.spec("worker", shutdown=30.0)], on_report=record)
    first = Actor()
    root = Supervisor("root", [first.spec("first"), inner.child_spec(shutdown=3.0)], on_report=record)
    async with running(root):
        pass
    assert record.times(Event.OVERSTAYED, "inner") == [3.0]
    assert record.times(Event.STOPPED, "first") == [3.0]
    assert record.times(Event.STOPPED, "inner") == [20.0]
