"""What is no `Exception` ends the supervisor from wherever it is raised: in order, once, and with nothing restarted."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcptrio.supervision import (
    ChildSpec,
    ChildState,
    Event,
    Report,
    Restart,
    StartFailed,
    Strategy,
    Supervisor,
)
from tests.supervision.actors import AT_ONCE, STEADY, Actor, Record, running, states
from tests.supervision.invariants import leaves

SIMPLE = Strategy.SIMPLE_ONE_FOR_ONE


class Bomb:
    """A body that raises what is no `Exception`, in its first life, at one point of it."""

    def __init__(self, point: str, error: BaseException) -> None:
        self.starts: list[float] = []
        self._point, self._error = point, error

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self.starts.append(trio.current_time())
        if len(self.starts) > 1:
            task_status.started()
            await trio.sleep_forever()
        if self._point == "in its first step":
            raise self._error
        await trio.sleep(1)
        if self._point.startswith("while it starts"):
            raise self._error
        task_status.started()
        try:
            await trio.sleep(1)
            if self._point == "while it runs":
                raise self._error
            await trio.sleep_forever()
        finally:
            if self._point == "when it has overstayed":
                with trio.move_on_after(9, shield=True):
                    await trio.sleep_forever()
            if not self._point.startswith("while"):
                raise self._error


POINTS = (
    "in its first step",
    "while it starts",
    "while it starts with the supervisor",
    "while it starts, which somebody waits for",
    "while it runs",
    "when it is stopped",
    "when it is made to crash",
    "when it goes down with others",
    "when another one escalates",
    "when it has overstayed",
    "when all end",
)


def possible(strategy: Strategy, point: str) -> bool:
    match point:
        case "when it goes down with others":
            return strategy in (Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL)
        case "while it starts with the supervisor":
            return strategy is not SIMPLE
    return True


@pytest.mark.parametrize(
    ("strategy", "point"),
    [(strategy, point) for strategy in Strategy for point in POINTS if possible(strategy, point)],
)
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
async def test_it_ends_the_supervisor_from_any_point_of_a_life_and_nothing_is_restarted(
    kind: type[BaseException], strategy: Strategy, point: str, autojump_clock: MockClock
) -> None:
    error, record = kind("out"), Record()
    bomb, first, last = Bomb(point, error), Actor(linger=0.25), Actor(linger=0.25)
    specs = [
        first.spec("first"),
        ChildSpec("bomb", bomb.run, backoff=AT_ONCE, shutdown=5.0, start_timeout=3.0),
        last.spec("last"),
    ]
    initial = specs if point == "while it starts with the supervisor" else []
    supervisor = Supervisor(
        "root",
        initial,
        strategy=strategy,
        max_restarts=0 if point == "when another one escalates" else 3,
        on_report=record,
    )
    raised: list[BaseException] = []
    scope = trio.CancelScope()

    async def run() -> None:
        try:
            with scope:
                await supervisor.run()
        except BaseException as error:  # noqa: ASYNC103  the supervisor's own scope has taken its cancellation
            raised.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await wait_all_tasks_blocked()
        if point == "while it starts, which somebody waits for":
            for spec in (specs[0], specs[2]):
                supervisor.start_child_nowait(spec)
            with pytest.raises(StartFailed) as caught:
                await supervisor.start_child(specs[1])
            assert caught.value.__cause__ is error
        elif not initial:
            for spec in specs:
                supervisor.start_child_nowait(spec)
        await trio.sleep(1.5)
        match point:
            case "when it is stopped" | "when it has overstayed":
                supervisor.stop_child_nowait("bomb")
            case "when it is made to crash":
                supervisor.exit_child("bomb", RuntimeError("boom"))
            case "when it goes down with others" | "when another one escalates":
                await first.crash(RuntimeError("boom"))
            case "when all end":
                scope.cancel(reason="all end")
    assert [leaves(one) for one in raised] == [{error}]
    assert supervisor.children() == ()
    assert bomb.starts == [bomb.starts[0]]
    assert (first.alive, last.alive) == (0, 0)
    assert [actor.starts for actor in (first, last)] == [[0.0], [] if initial else [0.0]]
    if strategy is not SIMPLE and point not in (
        "when it goes down with others",
        "when another one escalates",
    ):
        assert record.children(Event.STOPPED)[-2:] in (["last", "first"], ["bomb", "first"], ["first"])

    async with running(supervisor):
        await trio.sleep(3)
        assert states(supervisor) == dict.fromkeys([spec.name for spec in initial], ChildState.RUNNING)


@pytest.mark.parametrize("strategy", Strategy)
async def test_several_at_once_all_come_out(strategy: Strategy, autojump_clock: MockClock) -> None:
    errors = [KeyboardInterrupt("a"), SystemExit("b"), KeyboardInterrupt("c")]
    actors = [Actor() for _ in errors]
    supervisor = Supervisor("root", strategy=strategy)
    with pytest.RaisesGroup(KeyboardInterrupt, SystemExit, KeyboardInterrupt, flatten_subgroups=True):
        async with running(supervisor, *(a.spec(n) for a, n in zip(actors, "abc", strict=True))):
            for actor, error in zip(actors, errors, strict=True):
                actor.order(error)
            await trio.sleep_forever()
    assert [len(actor.starts) for actor in actors] == [1, 1, 1]


@pytest.mark.parametrize("nth", range(1, 22))
@pytest.mark.parametrize("strategy", Strategy)
async def test_raised_by_who_hears_a_report_it_comes_out_and_nobody_waits_for_ever(
    strategy: Strategy, nth: int, autojump_clock: MockClock
) -> None:
    heard: list[Report] = []

    def hear(report: Report) -> None:
        heard.append(report)
        if len(heard) == nth:
            raise KeyboardInterrupt

    first, second = Actor(linger=0.125), Actor(linger=0.25)
    supervisor = Supervisor("root", strategy=strategy, on_report=hear)
    answers: list[str] = []

    async def ask() -> None:
        supervisor.start_child_nowait(first.spec("first", Restart.TRANSIENT))
        await supervisor.start_child(second.spec("second"))
        await wait_all_tasks_blocked()
        with supervisor.monitor("second") as monitor:
            await second.crash(RuntimeError("boom"))
            await monitor.wait()
        await trio.sleep(3)
        await supervisor.stop_child("first")
        await supervisor.restart_child("first")
        supervisor.exit_child("first", RuntimeError("boom"))
        await trio.sleep(3)
        supervisor.start_child_nowait(ChildSpec("third", trio.lowlevel.checkpoint, backoff=STEADY))
        await trio.sleep(3)

    async def asking() -> None:
        try:
            await ask()
        except (RuntimeError, LookupError):
            answers.append("refused")
        else:
            answers.append("done")

    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(supervisor.run)
            await asking()
            nursery.cancel_scope.cancel(reason="the program is over")
    except* KeyboardInterrupt:
        answers.append("out")
    assert answers[-1] == "out" or len(heard) < nth
    assert supervisor.children() == ()
    assert (first.alive, second.alive) == (0, 0)
    assert len(supervisor._machine._untold) == 0
