"""Bodies that end together."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcptrio.supervision import (
    ChildState,
    Escalation,
    Event,
    LinkBroken,
    Restart,
    Strategy,
    Supervisor,
)
from tests.supervision.actors import AT_ONCE, Actor, Record, running, states

STARTED, EXITED, RESTARTING, STOPPED = Event.STARTED, Event.EXITED, Event.RESTARTING, Event.STOPPED
AGAIN = [STARTED, EXITED, RESTARTING, STARTED]
BOOM = RuntimeError("boom")


class Couple:
    """Three children of which two are to be linked."""

    def __init__(
        self, restart: Restart = Restart.PERMANENT, names: str = "abc", max_restarts: int = 100
    ) -> None:
        self.record = Record()
        self.actors = {name: Actor() for name in names}
        specs = [actor.spec(name, restart, backoff=AT_ONCE) for name, actor in self.actors.items()]
        self.supervisor = Supervisor("root", specs, max_restarts=max_restarts, on_report=self.record)

    def starts(self) -> dict[str, int]:
        return {name: len(actor.starts) for name, actor in self.actors.items()}


@pytest.mark.parametrize("direction", ["ab", "ba"])
@pytest.mark.parametrize("how", ["raises", "is made to crash", "is stopped"])
async def test_linked_bodies_end_together_whichever_ends(
    how: str, direction: str, autojump_clock: MockClock
) -> None:
    couple = Couple()
    supervisor, record = couple.supervisor, couple.record
    one, other = direction
    async with running(supervisor):
        supervisor.link("a", "b")
        match how:
            case "raises":
                await couple.actors[one].crash(BOOM)
            case "is made to crash":
                supervisor.exit_child(one, BOOM)
            case "is stopped":
                await supervisor.stop_child(one)
        await wait_all_tasks_blocked()
        assert record.events(other) == AGAIN
        assert record.events("c") == [STARTED]
        (broken,) = [
            report.error for report in record.reports if report.child == other and report.event is EXITED
        ]
        assert isinstance(broken, LinkBroken)
        assert str(broken) == f"{one!r}, which it is linked to, has ended"
        assert broken.__cause__ is (None if how == "is stopped" else BOOM)


async def test_a_normal_end_goes_no_further_and_ends_the_link(autojump_clock: MockClock) -> None:
    couple = Couple(Restart.TRANSIENT)
    async with running(couple.supervisor):
        couple.supervisor.link("a", "b")
        await couple.actors["a"].finish()
        assert states(couple.supervisor)["b"] is ChildState.RUNNING
        await couple.actors["b"].crash(BOOM)
        assert couple.starts() == {"a": 1, "b": 2, "c": 1}


async def test_a_link_is_of_the_bodies_and_gone_with_them(autojump_clock: MockClock) -> None:
    couple = Couple()
    async with running(couple.supervisor):
        couple.supervisor.link("a", "b")
        await couple.actors["a"].crash(BOOM)
        assert couple.starts() == {"a": 2, "b": 2, "c": 1}
        await couple.actors["a"].crash(BOOM)
        assert couple.starts() == {"a": 3, "b": 2, "c": 1}


async def test_linking_is_idempotent_and_so_is_unlinking(autojump_clock: MockClock) -> None:
    couple = Couple()
    supervisor = couple.supervisor
    async with running(supervisor):
        supervisor.link("a", "b")
        supervisor.link("b", "a")
        supervisor.unlink("b", "a")
        supervisor.unlink("a", "b")
        supervisor.unlink("a", "nobody")
        await couple.actors["a"].crash(BOOM)
        assert couple.starts() == {"a": 2, "b": 1, "c": 1}
        supervisor.link("a", "b")
        supervisor.link("a", "b")
        await couple.actors["b"].crash(BOOM)
        assert couple.starts() == {"a": 3, "b": 2, "c": 1}


async def test_a_chain_ends_together_and_each_learns_of_its_neighbour(autojump_clock: MockClock) -> None:
    couple = Couple(Restart.TEMPORARY, "abcde")
    supervisor, record = couple.supervisor, couple.record
    async with running(supervisor):
        for one, other in zip("abc", "bcd", strict=True):
            supervisor.link(one, other)
        await couple.actors["b"].crash(BOOM)
        await wait_all_tasks_blocked()
        assert states(supervisor) == {"e": ChildState.RUNNING}
    errors = {report.child: report.error for report in record.reports if report.event is EXITED}
    assert errors["b"] is BOOM
    assert [str(errors[name]) for name in "acd"] == [
        "'b', which it is linked to, has ended",
        "'b', which it is linked to, has ended",
        "'c', which it is linked to, has ended",
    ]
    assert errors["d"] is not None
    assert errors["d"].__cause__ is errors["c"]


@pytest.mark.parametrize("restart", Restart, ids=lambda restart: restart.value)
async def test_a_cycle_ends_together_once(restart: Restart, autojump_clock: MockClock) -> None:
    couple = Couple(restart, "abcd")
    async with running(couple.supervisor):
        for one, other in zip("abcd", "bcda", strict=True):
            couple.supervisor.link(one, other)
        await couple.actors["c"].crash(BOOM)
        await wait_all_tasks_blocked()
        again = restart is not Restart.TEMPORARY
        assert couple.starts() == dict.fromkeys("abcd", 2 if again else 1)
        assert len(couple.record.children(EXITED)) == 4
        assert all(child.restarts == 1 for child in couple.supervisor.children())


async def test_each_that_crashes_by_a_link_counts_for_the_intensity(autojump_clock: MockClock) -> None:
    couple = Couple(max_restarts=1)
    with pytest.RaisesGroup(Escalation) as caught:
        async with running(couple.supervisor):
            couple.supervisor.link("a", "b")
            await couple.actors["a"].crash(BOOM)
            await trio.sleep(1)
    (escalation,) = caught.value.exceptions
    assert isinstance(escalation.__cause__, LinkBroken)


async def test_the_end_of_the_supervisor_is_no_broken_link(autojump_clock: MockClock) -> None:
    couple = Couple()
    async with running(couple.supervisor):
        for one, other in ("ab", "bc", "ca"):
            couple.supervisor.link(one, other)
    assert couple.record.children(EXITED) == []
    assert couple.record.children(STOPPED) == ["c", "b", "a"]
    assert [report.error for report in couple.record.reports if report.event is STOPPED] == [None] * 3


async def test_a_link_does_not_make_one_that_is_being_stopped_crash(autojump_clock: MockClock) -> None:
    record, stopping, other = Record(), Actor(linger=3.0), Actor()
    supervisor = Supervisor("root", [stopping.spec("stopping"), other.spec("other")], on_report=record)
    async with running(supervisor):
        supervisor.link("stopping", "other")
        supervisor.stop_child_nowait("stopping")
        await other.crash(BOOM)
        await trio.sleep(5)
        assert states(supervisor) == {"stopping": ChildState.STOPPED, "other": ChildState.RUNNING}
        assert record.events("stopping") == [STARTED, STOPPED]


async def test_links_within_a_group_restart_are_settled_by_the_restart(autojump_clock: MockClock) -> None:
    record, a, b = Record(), Actor(), Actor()
    specs = [a.spec("a"), b.spec("b")]
    supervisor = Supervisor("root", specs, strategy=Strategy.ONE_FOR_ALL, max_restarts=1, on_report=record)
    async with running(supervisor):
        supervisor.link("a", "b")
        await a.crash(BOOM)
        await trio.sleep(5)
        assert (a.starts, b.starts) == ([0.0, 1.0], [0.0, 1.0])
        assert record.children(RESTARTING) == ["a"]


async def test_only_bodies_can_be_linked_and_not_to_themselves(autojump_clock: MockClock) -> None:
    couple = Couple()
    supervisor = couple.supervisor
    async with running(supervisor):
        with pytest.raises(RuntimeError, match="child 'a' cannot be linked to itself"):
            supervisor.link("a", "a")
        await supervisor.stop_child("b")
        for pair in ("ab", "ba"):
            with pytest.raises(RuntimeError, match="child 'b' is stopped: it has no body to link"):
                supervisor.link(*pair)
        with pytest.raises(LookupError, match="no child 'z'"):
            supervisor.link("a", "z")
