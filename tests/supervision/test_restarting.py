"""What a supervisor does when a child ends."""

from __future__ import annotations

from random import Random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcptrio.supervision import Backoff, ChildSpec, ChildState, Event, Restart, Supervisor
from tests.supervision.actors import STEADY, Actor, Record, running, states

STARTED, EXITED, RESTARTING, STOPPED = Event.STARTED, Event.EXITED, Event.RESTARTING, Event.STOPPED


async def test_a_transient_child_that_ended_normally_stays_visible_and_gives_its_name_up(
    autojump_clock: MockClock,
) -> None:
    record, actor = Record(), Actor()
    supervisor = Supervisor("root", [actor.spec("once", Restart.TRANSIENT)], on_report=record)
    async with running(supervisor):
        await actor.finish()
        assert states(supervisor) == {"once": ChildState.EXITED}
        supervisor.start_child_nowait(Actor().spec("later"))
        supervisor.start_child_nowait(actor.spec("once", Restart.TRANSIENT))
        assert states(supervisor) == {"later": ChildState.RUNNING, "once": ChildState.RUNNING}
        await wait_all_tasks_blocked()
        await actor.finish()
        await supervisor.stop_child("once")
        assert states(supervisor) == {"later": ChildState.RUNNING, "once": ChildState.STOPPED}
    assert record.events("once") == [STARTED, EXITED, STARTED, EXITED]


async def test_restarts_follow_the_curve_and_each_tells_its_delay(autojump_clock: MockClock) -> None:
    starts = []

    async def crash() -> None:
        starts.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        raise RuntimeError("at once")

    record = Record()
    supervisor = Supervisor(
        "root", [ChildSpec("child", crash, backoff=STEADY)], max_restarts=100, on_report=record
    )
    async with running(supervisor):
        await trio.sleep(30)
        assert starts == [0.0, 1.0, 3.0, 7.0, 15.0, 23.0]
        assert record.times(STARTED, "child") == starts
        delays = [report.delay for report in record.reports if report.event is RESTARTING]
        assert delays == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
        counts = [report.restarts for report in record.reports if report.event is STARTED]
        assert counts == [0, 1, 2, 3, 4, 5]
        (info,) = supervisor.children()
        assert (info.state, info.restarts, info.since) == (ChildState.RESTARTING, 6, 23.0)
        assert str(info.last_error) == "at once"


@pytest.mark.parametrize("seed", range(5))
async def test_with_jitter_restart_times_are_those_of_the_seeded_random(
    seed: int, autojump_clock: MockClock
) -> None:
    starts = []

    async def crash() -> None:
        starts.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        raise RuntimeError("at once")

    backoff = Backoff(initial=0.1, maximum=30.0, factor=2.0, reset_after=60.0)
    supervisor = Supervisor(
        "root", [ChildSpec("child", crash, backoff=backoff)], max_restarts=100, random=Random(seed)
    )
    async with running(supervisor):
        await trio.sleep(300)
    random, expected = Random(seed), [0.0]
    for failures in range(1, len(starts)):
        expected.append(expected[-1] + backoff.delay(failures, random))
    assert len(starts) > 15
    assert starts == pytest.approx(expected, abs=1e-9)


async def test_a_stable_period_starts_the_curve_anew(autojump_clock: MockClock) -> None:
    record, actor = Record(), Actor()
    supervisor = Supervisor("root", [actor.spec("child")], on_report=record, max_restarts=100)
    async with running(supervisor):
        await actor.crash(RuntimeError("1st"))
        await trio.sleep(50)
        await actor.crash(RuntimeError("2nd, after 49 s"))
        await trio.sleep(102)
        await actor.crash(RuntimeError("3rd, after 100 s"))
        await trio.sleep(50)
    assert [report.delay for report in record.reports if report.event is RESTARTING] == [1.0, 2.0, 1.0]


async def test_while_one_child_backs_off_the_others_run_end_and_are_restarted(
    autojump_clock: MockClock,
) -> None:
    slow = Backoff(initial=1000.0, maximum=1000.0, jitter=False)
    one, other, third = Actor(), Actor(), Actor()
    specs = [one.spec("one", backoff=slow), other.spec("other"), third.spec("third")]
    supervisor = Supervisor("root", specs)
    async with running(supervisor):
        await one.crash(RuntimeError("down for long"))
        await other.crash(RuntimeError("down for a second"))
        await trio.sleep(2)
        assert other.starts == [0.0, 1.0]
        await supervisor.stop_child("third")
        assert trio.current_time() == 2.0
        assert states(supervisor) == {
            "one": ChildState.RESTARTING,
            "other": ChildState.RUNNING,
            "third": ChildState.STOPPED,
        }
        await trio.sleep(999)
        assert one.starts == [0.0, 1000.0]
        assert other.starts == [0.0, 1.0]


async def test_a_shorter_timer_set_later_comes_first(autojump_clock: MockClock) -> None:
    slow, fast = Actor(), Actor()
    specs = [slow.spec("slow", backoff=Backoff(50.0, 50.0, jitter=False)), fast.spec("fast")]
    async with running(Supervisor("root", specs)):
        await slow.crash(RuntimeError("first"))
        await fast.crash(RuntimeError("second"))
        await trio.sleep(60)
    assert (slow.starts, fast.starts) == ([0.0, 50.0], [0.0, 1.0])


async def test_no_delay_at_all_restarts_at_once(autojump_clock: MockClock) -> None:
    actor = Actor()
    spec = actor.spec("child", backoff=Backoff(initial=0.0, jitter=False))
    async with running(Supervisor("root", [spec])):
        await actor.crash(RuntimeError("boom"))
        assert actor.starts == [0.0, 0.0]


async def test_an_exception_group_is_an_exception_like_any_other(autojump_clock: MockClock) -> None:
    async def fan_out() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 10)
            raise OSError("one of many")

    record = Record()
    spec = ChildSpec("child", fan_out, Restart.TRANSIENT, backoff=STEADY)
    async with running(Supervisor("root", [spec], on_report=record)):
        assert record.events("child") == [STARTED, EXITED, RESTARTING]
        assert isinstance(record.reports[1].error, ExceptionGroup)


async def test_a_run_that_fails_before_it_is_even_a_coroutine_is_a_failed_child(
    autojump_clock: MockClock,
) -> None:
    def refuse() -> trio.abc.AsyncResource:
        raise LookupError("no such thing")

    record = Record()
    spec = ChildSpec("child", refuse, Restart.TEMPORARY)  # type: ignore[arg-type]
    async with running(Supervisor("root", [spec], on_report=record)):
        assert record.events("child") == [STARTED, EXITED]


@pytest.mark.parametrize("fatal", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("grouped", [False, True])
async def test_what_is_no_exception_is_never_swallowed_and_the_others_stop_in_order(
    fatal: type[BaseException], grouped: bool, autojump_clock: MockClock
) -> None:
    record, actors = Record(), [Actor(linger=1.0) for _ in range(3)]
    specs = [actor.spec(name) for actor, name in zip(actors, "abc", strict=True)]
    supervisor = Supervisor("root", specs, on_report=record)
    error: BaseException = fatal("now")
    if grouped:
        error = BaseExceptionGroup("both", [error, ValueError("and that")])
    with pytest.RaisesGroup(
        pytest.RaisesExc(fatal), *([pytest.RaisesExc(ValueError)] if grouped else []), flatten_subgroups=True
    ):
        async with trio.open_nursery() as nursery:
            await nursery.start(supervisor.run)
            await wait_all_tasks_blocked()
            await actors[1].crash(error)
            await trio.sleep(10)
    assert record.events("b") == [STARTED, EXITED]
    assert record.children(STOPPED) == ["c", "a"]
    assert [actor.ends for actor in actors] == [[2.0], [0.0], [1.0]]
    assert supervisor.children() == ()
