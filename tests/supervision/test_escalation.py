"""Too many restarts: the supervisor gives up by raising."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcptrio.supervision import Backoff, ChildSpec, Escalation, Event, Report, Restart, Supervisor
from tests.supervision.actors import Actor, Record, running

AT_ONCE = Backoff(initial=0.0, jitter=False)


async def fail() -> None:
    await trio.lowlevel.checkpoint()
    raise OSError("no such host")


async def end() -> None:
    await trio.lowlevel.checkpoint()


async def test_one_restart_too_many_stops_the_others_in_order_and_raises_with_the_reports(
    autojump_clock: MockClock,
) -> None:
    record, first, second = Record(), Actor(linger=1.0), Actor(linger=1.0)
    specs = [first.spec("first"), second.spec("second"), ChildSpec("failing", fail, backoff=AT_ONCE)]
    supervisor = Supervisor("root", specs, max_restarts=2, within=5.0, on_report=record)
    with pytest.raises(Escalation) as caught:
        await supervisor.run()
    reports = caught.value.reports
    assert [report.event for report in reports] == [Event.EXITED] * 3 + [Event.ESCALATED]
    assert {report.child for report in reports} == {"failing"}
    assert isinstance(reports[-1].error, OSError)
    assert isinstance(caught.value.__cause__, OSError)
    assert str(caught.value) == (
        "supervisor 'root': 3 restarts within 5 s, the last of 'failing' after OSError('no such host')"
    )
    assert record.children(Event.STOPPED) == ["second", "first"]
    assert trio.current_time() == 2.0
    assert (first.alive, second.alive, supervisor.children()) == (0, 0, ())
    assert supervisor.statistics().escalated_total == 1


async def test_a_permanent_child_that_keeps_ending_normally_escalates_without_a_cause(
    autojump_clock: MockClock,
) -> None:
    supervisor = Supervisor("root", [ChildSpec("ending", end)], max_restarts=0)
    with pytest.raises(Escalation, match="'ending' after a normal end") as caught:
        await supervisor.run()
    assert caught.value.__cause__ is None


async def test_restarts_are_counted_over_all_children(autojump_clock: MockClock) -> None:
    a, b = Actor(), Actor()
    supervisor = Supervisor("root", [a.spec("a"), b.spec("b")], max_restarts=1)
    with pytest.RaisesGroup(Escalation) as caught:
        async with running(supervisor):
            await a.crash(RuntimeError("a"))
            await b.crash(RuntimeError("b"))
    escalation = only_one(caught.value)
    assert [report.child for report in escalation.reports] == ["a", "b", "b"]


@pytest.mark.parametrize(("gap", "escalates"), [(4.875, True), (5.0, True), (5.125, False)])
async def test_the_window_is_closed_at_its_far_edge(
    gap: float, escalates: bool, autojump_clock: MockClock
) -> None:
    a, b = Actor(), Actor()
    supervisor = Supervisor("root", [a.spec("a"), b.spec("b")], max_restarts=1, within=5.0)
    async with trio.open_nursery() as nursery:
        outcome = []

        async def run() -> None:
            try:
                await supervisor.run()
            except Escalation as escalation:
                outcome.append(escalation)

        nursery.start_soon(run)
        await wait_all_tasks_blocked()
        await a.crash(RuntimeError("a"))
        await trio.sleep(gap)
        await b.crash(RuntimeError("b"))
        assert len(outcome) == escalates
        nursery.cancel_scope.cancel(reason="the test is over")


async def test_exits_that_ask_for_no_restart_are_not_counted(autojump_clock: MockClock) -> None:
    supervisor = Supervisor("root", max_restarts=0)
    async with running(supervisor):
        for n in range(20):
            supervisor.start_child_nowait(ChildSpec(f"failing-{n}", fail, Restart.TEMPORARY))
            supervisor.start_child_nowait(ChildSpec(f"ending-{n}", end, Restart.TRANSIENT))
        await wait_all_tasks_blocked()
        assert supervisor.statistics().exited == 20
        assert supervisor.statistics().escalated_total == 0


async def test_only_the_exits_within_the_window_are_carried(autojump_clock: MockClock) -> None:
    actor = Actor()
    supervisor = Supervisor("root", [actor.spec("child")], max_restarts=1, within=5.0)
    with pytest.RaisesGroup(Escalation) as caught:
        async with running(supervisor):
            await actor.crash(RuntimeError("long ago"))
            await trio.sleep(50)
            await actor.crash(RuntimeError("recently"))
            await trio.sleep(4)
            await actor.crash(RuntimeError("now"))
    reports = only_one(caught.value).reports
    assert [str(report.error) for report in reports] == ["recently", "now", "now"]


async def test_an_escalation_reaches_the_parent_as_a_childs_error_and_the_inner_one_starts_afresh(
    autojump_clock: MockClock,
) -> None:
    record, actor, outside = Record(), Actor(), Actor()
    inner = Supervisor("inner", [actor.spec("child")], max_restarts=0, on_report=record)
    outer = Supervisor(
        "outer",
        [outside.spec("outside"), ChildSpec("inner", inner.run, backoff=AT_ONCE)],
        max_restarts=1,
        on_report=record,
    )
    with pytest.RaisesGroup(Escalation) as caught:
        async with running(outer):
            await actor.crash(RuntimeError("1st"))
            inner.start_child_nowait(Actor().spec("dynamic"))
            assert (actor.alive, outside.alive) == (1, 1)
            await actor.crash(RuntimeError("2nd"))
    escalation = only_one(caught.value)
    assert [report.supervisor for report in escalation.reports] == ["outer"] * 3
    nested = escalation.reports[-1].error
    assert isinstance(nested, Escalation)
    assert [report.supervisor for report in nested.reports] == ["inner"] * 2
    assert str(nested.reports[-1].error) == "2nd"
    assert record.children(Event.ESCALATED) == ["child", "child", "inner"]
    # What was started at run time did not survive the inner supervisor, and the window was a new one.
    assert record.events("dynamic") == [Event.STARTED, Event.STOPPED]
    assert (actor.alive, outside.alive) == (0, 0)


async def test_nothing_is_started_or_restarted_once_escalating(autojump_clock: MockClock) -> None:
    record, slow, failing = Record(), Actor(linger=3.0), Actor()
    down = Actor()
    supervisor = Supervisor(
        "root",
        [down.spec("down"), slow.spec("slow"), failing.spec("failing")],
        max_restarts=1,
        on_report=record,
    )
    with pytest.RaisesGroup(Escalation):
        async with running(supervisor):
            await down.crash(RuntimeError("restart due at 1.0"))
            failing_once = RuntimeError("too many")
            with pytest.raises(RuntimeError, match="is stopping: it cannot start 'late'"):
                await failing.crash(failing_once)
                supervisor.start_child_nowait(Actor().spec("late"))
            await trio.sleep(30)
    assert down.starts == [0.0]
    assert record.times(Event.STOPPED, "down") == [3.0]


async def test_nothing_is_started_between_the_decision_to_escalate_and_the_stop(
    autojump_clock: MockClock,
) -> None:
    refusals = list[str]()

    def start_another(report: Report) -> None:
        if report.event is Event.ESCALATED:
            with pytest.raises(RuntimeError, match="is stopping") as refused:
                supervisor.start_child_nowait(Actor().spec("late"))
            refusals.append(str(refused.value))

    a, b = Actor(), Actor()
    supervisor = Supervisor("root", [a.spec("a"), b.spec("b")], max_restarts=0, on_report=start_another)
    with pytest.RaisesGroup(Escalation) as caught:
        async with running(supervisor), trio.open_nursery() as nursery:
            nursery.start_soon(a.crash, RuntimeError("both"))
            nursery.start_soon(b.crash, RuntimeError("at once"))
    assert len(refusals) == 1
    assert len(only_one(caught.value).reports) == 2


async def test_a_supervisor_that_runs_again_counts_restarts_anew(autojump_clock: MockClock) -> None:
    actor = Actor()
    supervisor = Supervisor("root", [actor.spec("child", backoff=AT_ONCE)], max_restarts=1)
    async with running(supervisor):
        await actor.crash(RuntimeError("1st life"))
    async with running(supervisor):
        await actor.crash(RuntimeError("2nd life"))
        assert actor.alive == 1
    with pytest.RaisesGroup(Escalation) as caught:
        async with running(supervisor):
            await actor.crash(RuntimeError("3rd life"))
            await actor.crash(RuntimeError("once more"))
    errors = [str(report.error) for report in only_one(caught.value).reports]
    assert errors == ["3rd life", "once more", "once more"]


async def test_an_escalation_waits_for_who_overstays_and_then_raises(autojump_clock: MockClock) -> None:
    stubborn, failing = Actor(linger=50.0), Actor()
    supervisor = Supervisor(
        "root", [stubborn.spec("stubborn", shutdown=2.0), failing.spec("failing")], max_restarts=0
    )
    with pytest.RaisesGroup(Escalation):
        async with running(supervisor):
            await failing.crash(RuntimeError("boom"))
            await trio.sleep_forever()
    assert trio.current_time() == 50.0
    assert stubborn.alive == 0


async def test_an_escalation_is_not_lost_when_the_supervisor_is_cancelled_at_the_same_moment(
    autojump_clock: MockClock,
) -> None:
    actor, scope = Actor(), trio.CancelScope()

    def cancel_too(report: Report) -> None:
        if report.event is Event.ESCALATED:
            scope.cancel(reason="at the same moment")

    supervisor = Supervisor("root", [actor.spec("child")], max_restarts=0, on_report=cancel_too)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_crash_soon, actor)
        with pytest.raises(Escalation), scope:
            await supervisor.run()
    assert scope.cancel_called
    assert supervisor.children() == ()


async def test_a_keyboard_interrupt_during_an_escalation_goes_before_it(autojump_clock: MockClock) -> None:
    async def interrupted() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise KeyboardInterrupt

    failing = Actor()
    specs = [ChildSpec("interrupted", interrupted), failing.spec("failing")]
    with pytest.RaisesGroup(KeyboardInterrupt, flatten_subgroups=True):
        async with running(Supervisor("root", specs, max_restarts=0)):
            await failing.crash(RuntimeError("boom"))
            await trio.sleep_forever()


def only_one(group: BaseException) -> Escalation:
    """The escalation that came through one nursery."""
    assert isinstance(group, ExceptionGroup)
    (escalation,) = group.exceptions
    assert isinstance(escalation, Escalation)
    return escalation


async def _crash_soon(actor: Actor) -> None:
    await wait_all_tasks_blocked()
    await actor.crash(RuntimeError("boom"))
