"""What becomes of a child, and of its siblings: every restart type, every end, every strategy."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcptrio.supervision import ChildSpec, ChildState, Escalation, Event, Restart, Strategy, Supervisor
from tests.supervision.actors import Actor, Record, running, states

STARTED, EXITED, RESTARTING, STOPPED = Event.STARTED, Event.EXITED, Event.RESTARTING, Event.STOPPED
PERMANENT, TRANSIENT, TEMPORARY = Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY

ERROR = RuntimeError("boom")

AGAIN = [STARTED, EXITED, RESTARTING, STARTED]

MATRIX = {
    (PERMANENT, "ends"): (AGAIN, ChildState.RUNNING),
    (PERMANENT, "raises"): (AGAIN, ChildState.RUNNING),
    (PERMANENT, "is made to crash"): (AGAIN, ChildState.RUNNING),
    (PERMANENT, "is stopped"): ([STARTED, STOPPED], ChildState.STOPPED),
    (TRANSIENT, "ends"): ([STARTED, EXITED], ChildState.EXITED),
    (TRANSIENT, "raises"): (AGAIN, ChildState.RUNNING),
    (TRANSIENT, "is made to crash"): (AGAIN, ChildState.RUNNING),
    (TRANSIENT, "is stopped"): ([STARTED, STOPPED], ChildState.STOPPED),
    (TEMPORARY, "ends"): ([STARTED, EXITED], None),
    (TEMPORARY, "raises"): ([STARTED, EXITED], None),
    (TEMPORARY, "is made to crash"): ([STARTED, EXITED], None),
    (TEMPORARY, "is stopped"): ([STARTED, STOPPED], None),
}

RESTARTED_TOGETHER = {
    Strategy.ONE_FOR_ONE: ["child"],
    Strategy.SIMPLE_ONE_FOR_ONE: ["child"],
    Strategy.REST_FOR_ONE: ["child", "after", "last"],
    Strategy.ONE_FOR_ALL: ["first", "before", "child", "after", "last"],
}

NAMES = RESTARTED_TOGETHER[Strategy.ONE_FOR_ALL]


class Family:
    """A supervisor of one child of interest between two permanent siblings on each side."""

    def __init__(
        self, strategy: Strategy, restart: Restart, *, max_restarts: int = 3, within: float = 5.0
    ) -> None:
        self.record = Record()
        self.actors = {name: Actor() for name in NAMES}
        simple = strategy is Strategy.SIMPLE_ONE_FOR_ONE
        specs = [
            actor.spec(name, restart if name == "child" else PERMANENT) for name, actor in self.actors.items()
        ]
        self.supervisor = Supervisor(
            "root",
            () if simple else specs,
            strategy=strategy,
            max_restarts=max_restarts,
            within=within,
            on_report=self.record,
        )
        self.dynamic: list[ChildSpec] = specs if simple else []

    async def end(self, how: str) -> None:
        match how:
            case "ends":
                await self.actors["child"].finish()
            case "raises":
                await self.actors["child"].crash(ERROR)
            case "is made to crash":
                self.supervisor.exit_child("child", ERROR)
                await wait_all_tasks_blocked()
            case "is stopped":
                await self.supervisor.stop_child("child")


def naming(part: object) -> str:
    return str(getattr(part, "value", part))


@pytest.mark.parametrize("strategy", Strategy, ids=naming)
@pytest.mark.parametrize(("restart", "how"), MATRIX, ids=naming)
async def test_a_child_and_its_siblings_are_restarted_as_its_type_its_end_and_the_strategy_say(
    restart: Restart, how: str, strategy: Strategy, autojump_clock: MockClock
) -> None:
    family = Family(strategy, restart)
    record, supervisor = family.record, family.supervisor
    events, state = MATRIX[restart, how]
    together = RESTARTED_TOGETHER[strategy] if RESTARTING in events else []
    async with running(supervisor, *family.dynamic):
        await family.end(how)
        await trio.sleep(10)
        assert record.events("child") == events
        assert states(supervisor).get("child") is state
        # Nobody else is touched; who is restarted with it is stopped and comes back with it.
        for name, actor in family.actors.items():
            assert actor.starts == ([0.0, 1.0] if name in together else [0.0]), name
            if name != "child":
                again = name in together
                assert record.events(name) == ([STARTED, STOPPED, STARTED] if again else [STARTED]), name
                assert states(supervisor)[name] is ChildState.RUNNING
        assert [n for n in record.children(STOPPED) if n != "child"] == [
            name for name in reversed(together) if name != "child"
        ]
        assert record.children(STARTED) == NAMES + together
        # What is told of its end.
        ends = [report.error for report in record.reports if report.event in (EXITED, STOPPED)][:1]
        assert ends == [None if how in ("ends", "is stopped") else ERROR]
        statistics = supervisor.statistics()
        assert statistics.failed_total == (how in ("raises", "is made to crash"))
        assert statistics.restarted_total == len(together)
        told = len(record.reports)
    stopped = [report.child for report in record.reports[told:]]
    expected = [name for name in reversed(NAMES) if name != "child" or state is ChildState.RUNNING]
    assert (
        stopped == expected if strategy is not Strategy.SIMPLE_ONE_FOR_ONE else set(stopped) == set(expected)
    )


@pytest.mark.parametrize("strategy", Strategy, ids=naming)
@pytest.mark.parametrize(("restart", "how"), MATRIX, ids=naming)
async def test_one_restart_too_many_ends_the_supervisor_and_nothing_else_does(
    restart: Restart, how: str, strategy: Strategy, autojump_clock: MockClock
) -> None:
    family = Family(strategy, restart, max_restarts=0)
    escalates = RESTARTING in MATRIX[restart, how][0]
    escalations = list[Escalation]()
    try:
        async with running(family.supervisor, *family.dynamic):
            await family.end(how)
            await trio.sleep(10)
            assert not escalates
    except* Escalation as group:
        escalations.extend(one for one in group.exceptions if isinstance(one, Escalation))
    assert len(escalations) == escalates
    for actor in family.actors.values():
        assert (actor.alive, actor.starts) == (0, [0.0])
    for escalation in escalations:
        assert escalation.__cause__ is (None if how == "ends" else ERROR)
        assert [report.event for report in escalation.reports] == [EXITED, Event.ESCALATED]
        siblings = [name for name in reversed(NAMES) if name != "child"]
        stopped = family.record.children(STOPPED)
        simple = strategy is Strategy.SIMPLE_ONE_FOR_ONE
        assert stopped == siblings if not simple else set(stopped) == set(siblings)
        assert trio.current_time() == 0.0


@pytest.mark.parametrize("strategy", Strategy, ids=naming)
async def test_the_window_is_over_the_restarts_of_all_children_and_members_of_a_group_do_not_count(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    family = Family(strategy, PERMANENT, max_restarts=2, within=50.0)
    with pytest.RaisesGroup(Escalation) as caught:
        async with running(family.supervisor, *family.dynamic):
            for name in ("first", "child", "last"):
                await trio.sleep(10)
                await family.actors[name].crash(RuntimeError(name))
            await trio.sleep(10)
    (escalation,) = caught.value.exceptions
    assert isinstance(escalation, Escalation)
    exits = [(report.at, report.child) for report in escalation.reports if report.event is EXITED]
    assert exits == [(10.0, "first"), (20.0, "child"), (30.0, "last")]
