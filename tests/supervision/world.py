"""A world without tasks for a machine to live in: bodies are events on a clock that jumps from one to the next."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from functools import partial
from random import Random

import pytest

from mcptrio.supervision import ChildState, Down, Report, StartFailed, Strategy
from mcptrio.supervision.lives import Phase
from mcptrio.supervision.record import ChildRecord, Then
from tests.supervision.programs import Life, Program, Step
from tests.supervision.script import LATE, Boom, Script
from tests.supervision.shadow import Shadowed, seen

EDGE = 1e-9


class Body:
    """A body of a child in this world."""

    def __init__(self, world: World, child: ChildRecord, life: Life) -> None:
        self.told = self.ended = False
        self._world, self._child, self.life = world, child, life
        if life.ready is not None:
            for again in (0.0, LATE):
                world.at(world.now + life.ready + again, self._ready)
        world.at(world.now + life.lasts, self._end_by_itself)

    def cancel(self, *, reason: str | None = None) -> None:
        assert not self.told
        assert not self.ended
        self.told = True
        self._world.told_to_stop(self._child)
        self._world.at(self._world.now + self.life.lingers, lambda: self.end(self.life.last_words))

    def end(self, how: str) -> None:
        if not self.ended:
            self.ended = True
            self._world.has_ended(self._child, how)

    def _end_by_itself(self) -> None:
        if not self.told:
            self.end(self.life.ends)

    def _ready(self) -> None:
        if self._child.body is self:
            self._world.machine.ready(self._child, self._world.now)


class World:
    """Runs a program on a machine as a supervisor's shell would, what happens at the same time in any order."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.now = 0.0
        self.random = Random(program.seed)
        self.machine = Shadowed(
            program.strategy,
            program.auto_shutdown,
            program.max_restarts,
            program.within,
            self,
            self._heard,
        )
        self._events: list[tuple[float, float, int, Callable[[], None]]] = []
        self._serial = itertools.count()
        self._turn_at = math.inf
        self._alive: dict[str, Body] = {}
        self._started: list[ChildRecord] = []
        self._cancelled: list[ChildRecord] = []
        self._closing = self._running = False
        self._groups: list[list[ChildRecord]] = []
        self._group_until: float | None = None
        self._group: list[ChildRecord] = []  # that is being told to stop, just now
        self._reactions = list(program.reactions)
        self._starting: list[tuple[ChildRecord, bool]] = []
        self._stops: list[object] = []
        self._monitors: dict[int, ChildRecord] = {}
        self._closed: set[int] = set()
        self._downs: list[tuple[object, object, object]] = []

    # The shell's part.

    def start_body(self, child: ChildRecord) -> Body:
        name = child.spec.name
        assert name not in self._alive, "two bodies at a time"
        assert not self._closing
        self._started.append(child)
        script = child.spec.run
        assert isinstance(script, Script)
        self._alive[name] = body = Body(self, child, script.next_life())
        return body

    def wake_at(self, at: float) -> None:
        self._turn_at = min(self._turn_at, max(at, self.now))

    # The bodies' part.

    def at(self, at: float, what: Callable[[], None]) -> None:
        if at < math.inf:
            heapq.heappush(self._events, (at, self.random.random(), next(self._serial), what))

    def told_to_stop(self, child: ChildRecord) -> None:
        """Those after it that go down with it are down, or overdue: in a restart, and at the end of all."""
        self._cancelled.append(child)
        at_the_end = child in self._group
        if at_the_end and self.program.strategy is Strategy.SIMPLE_ONE_FOR_ONE:
            return
        if at_the_end or child.then is Then.RESTART:
            children = list(self.machine.children.values())
            for other in children[children.index(child) + 1 :]:
                if at_the_end or other.then is Then.RESTART:
                    assert other.body is None or other.state is ChildState.OVERSTAYED

    def has_ended(self, child: ChildRecord, how: str) -> None:
        del self._alive[child.spec.name]
        error = {"raises": Boom, "fatal": KeyboardInterrupt}.get(how)
        self.machine.ended(child, error and error(), self.now, fatal=how == "fatal")
        if how == "fatal":
            self._close()

    # Time.

    def run(self) -> None:
        self._begin()
        until = self.now
        for step in self.program.steps:
            if not self._running:  # as who runs it may do: it starts afresh
                self._judge()
                self._begin()
            until += step.wait
            self._pass(until - EDGE if self.random.random() < 0.5 else until)
            self.now = max(self.now, until)
            self.perform(step)
        self._pass(self.now + 12.0)
        if self._running:
            self._close()
        while self._running:
            assert self._events or self._turn_at < math.inf, "it never ends"
            self._next()
        self._judge()

    def _begin(self) -> None:
        self._running, self._closing = True, False
        self.machine.open([Script.spec(plan) for plan in self.program.initial], lambda: None, self.now)
        self._turn()

    def _pass(self, until: float) -> None:
        while min(self._events[0][0] if self._events else math.inf, self._turn_at) <= until:
            self._next()

    def _next(self) -> None:
        at = self._events[0][0] if self._events else math.inf
        turn = self._turn_at < at or (self._turn_at == at and self.random.random() < 0.5)
        self.now = max(self.now, self._turn_at if turn else at)
        if turn:
            self._turn()
        else:
            heapq.heappop(self._events)[3]()
        # Where it gives up, it sees to it that somebody looks.
        assert self._closing or self._turn_at <= self.now or self.machine.phase is not Phase.CLOSING
        if self._running and self._closing and not self._groups and not self._alive:
            self._turn()

    def _turn(self) -> None:
        """A round of the shell's one task."""
        if not self._running:
            self._turn_at = math.inf
            return
        if not self._closing:
            self.machine.wake(self.now)
            if self.machine.phase is Phase.OPEN:
                self._turn_at = self.machine.next_due()
                return
            self._close()
        if self._group_until is not None:
            self.machine.wake(self.now)
            if self.machine.awaited and self.now < self._group_until:
                self._turn_at = min(self.machine.next_due(), self._group_until)
                return
            self.machine.overdue(self.now)
            self._group_until = None
        while self._groups:
            self._group = self._groups.pop(0)
            patience = self.machine.stop_group(self._group, self.now)
            self._group = []
            if patience is not None:
                self._group_until = self.now + patience
                self._turn_at = self.now
                return
        self._turn_at = math.inf
        assert self.machine.next_due() == math.inf
        if not self._alive:
            self.machine.end()
            self._running = False

    def _close(self) -> None:
        """Cancelled, or about to end by itself."""
        if not self._closing:
            self._closing = True
            self._groups = self.machine.close()
        self._turn_at = self.now

    # What is asked.

    def _heard(self, report: Report) -> None:
        for reaction in tuple(self._reactions):
            if reaction[0] is report.event and reaction in self._reactions:
                self._reactions.remove(reaction)
                self.perform(reaction[1])

    def perform(self, step: Step) -> None:
        expected = self.machine.refusal(step)
        if expected is None:
            self._do(step)
        else:
            with pytest.raises(expected):
                self._do(step)

    def _do(self, step: Step) -> None:
        machine, now = self.machine, self.now
        child, other = machine.children.get(step.name), machine.children.get(step.other)
        match step.what:
            case "start" | "start_nowait":
                assert step.plan is not None
                child = machine.admit(Script.spec(step.plan), now)
                if step.what == "start":
                    self._ask(child, keep=False)
                machine.add(child, now)
            case "restart":
                child = machine.at_rest(step.name, "restart")
                machine.check_open(step.name)
                self._ask(child, keep=True)
                machine.start_again(child, now)
            case "abandon":
                for asked in [asked for asked in self._starting if asked[0].spec.name == step.name]:
                    self._starting.remove(asked)
                    asked[0].on_start = None
                    machine.stop(asked[0], now, Then.STOP if asked[1] else Then.FORGET)
            case "stop" | "stop_nowait" if child is not None:
                if machine.stop(child, now) and step.what == "stop":
                    key = next(self._serial)
                    child.waiters = [*(child.waiters or ()), lambda: self._stops.append(key)]
                    machine.line(child).waits.append(key)
            case "delete":
                machine.forget(machine.at_rest(step.name, "delete"), now)
            case "exit":
                machine.fail(machine.known(step.name), Boom(), now)
            case "link":
                one, other = machine.known(step.name), machine.known(step.other)
                if one is other or one.body is None or other.body is None:
                    raise RuntimeError("as `Supervisor.link`")
                one.link(other)
                machine.linked(one, other)
            case "unlink" if child is not None and other is not None:
                child.unlink(other)
                machine.unlinked(child, other)
            case "monitor" if child is not None and child.body is not None:
                key = next(self._serial)
                self._monitors[key] = child
                child.watch(key, partial(self._down, key))
                machine.watched(child, key)
            case "close" if child is not None:
                for key in [key for key, watched in self._monitors.items() if watched is child]:
                    self._closed.add(key)
                    child.unwatch(key)
                    machine.unwatched(child, key)
            case "crash" | "finish" | "fatal" if step.name in self._alive:
                how = {"crash": "raises", "finish": "returns", "fatal": "fatal"}[step.what]
                self._alive[step.name].end(how)
            case "cancel" if self._running:
                self._close()
            case "raise":
                raise Boom

    def _ask(self, child: ChildRecord, *, keep: bool) -> None:
        asked = (child, keep)
        self._starting.append(asked)

        def answer(failure: BaseException | None) -> None:
            self._starting.remove(asked)
            if isinstance(failure, StartFailed) and not keep:
                self.machine.stop(child, self.now, Then.FORGET)

        child.on_start = answer

    def _down(self, key: int, down: Down) -> None:
        self._downs.append((key, down.reason, seen(down.error)))

    # What must be true in the end, whatever the model says.

    def _judge(self) -> None:
        machine, model = self.machine, self.machine.model
        assert machine.failure is None
        assert not self._alive
        assert not machine.children
        assert not self._starting
        assert self._stops == model.stops
        assert [machine.line(child) for child in self._started] == model.bodies
        assert [machine.line(child) for child in self._cancelled] == model.cancelled
        assert self._downs == model.downs
        told = [key for key, _, _ in self._downs]
        assert len(set(told)) == len(told)
        assert self._monitors.keys() <= {*told, *self._closed}
