"""Kills: parts of a running server that are ended as if they had crashed, at any moment."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from random import Random

import trio

from mcptrio import App
from mcptrio.supervision import ChildInfo, ChildState, Event, Report, Supervisor, supervisors
from tests.concurrency.watched import Ledger

_EXPECTED = (
    "a task crashed",
    "too many restarts",
    "the hub was rebuilt",
    "a connection could not be started",  # the supervisor of connections was killed
)

WITH_BODY = (ChildState.STARTING, ChildState.RUNNING)


class Killed(Exception):
    """What a part that is killed is said to have crashed with."""


def is_of_a_kill(record: logging.LogRecord) -> bool:
    """Whether this may be logged as an error because a part was killed."""
    error = None if record.exc_info is None else record.exc_info[1]
    return record.getMessage().startswith(_EXPECTED) and (
        error is None
        or "Killed" in repr(error)
        or "is not running" in str(error)
        or "is stopping" in str(error)
    )


class Killer:
    """Ends random parts of a server, all of it but the root, which is never brought to give up.

    The hub's supervisor may give up: by chance, or in a `storm`.
    """

    def __init__(
        self, app: App, ledger: Ledger, chance: Random, *, pause: float = 1.0, spare: str = ""
    ) -> None:
        """`pause` is the longest time (s) that is waited before a kill; `spare` is a supervisor that is left alone."""
        self.chance = chance
        self.kills: Counter[str] = Counter()
        self.last: deque[str] = deque(maxlen=30)
        self.at = 0.0
        """When the last one was killed."""
        self.ended: set[str] = set()
        """The connections' tasks that were ended by a kill: their own, or one of a supervisor above."""
        self.escalations = 0
        self._ledger = ledger
        self._pause = pause
        self._spare = spare
        self._root = app.server.root
        self._hub = app.server._live
        self._ends: dict[str, deque[float]] = {"root": deque(), "hub": deque()}
        self._failure: Exception | None = None
        app.server.reports.subscribe(self._reported)

    def _reported(self, report: Report) -> None:
        if report.supervisor == "peers" and (
            report.event is Event.STOPPED or isinstance(report.error, Killed)
        ):
            self.ended.add(report.child)
        if report.event is Event.EXITED and report.supervisor in self._ends:
            self._ends[report.supervisor].append(report.at)
        if report.event is Event.ESCALATED:  # the root's would end the app
            self.escalations += 1

    def _ended_lately(self, supervisor: Supervisor) -> int:
        """How many of a supervisor's restarts count, with those that are about to."""
        since = trio.current_time() - supervisor._machine._intensity.within
        ends = self._ends[supervisor.name]
        while ends and ends[0] < since:
            ends.popleft()
        return len(ends) + sum(child.state is ChildState.STOPPING for child in supervisor.children())

    def _may_die(self, supervisor: Supervisor) -> bool:
        """Whether the root survives another end in this supervisor."""
        exhausted = self._ended_lately(self._hub) >= self._hub._machine._intensity.max_restarts
        if supervisor is self._root or (supervisor is self._hub and exhausted):
            # One is kept back for a hub that is giving up at this moment.
            return self._ended_lately(self._root) < self._root._machine._intensity.max_restarts - 1
        return True

    def kill(self, supervisor: Supervisor, child: ChildInfo) -> None:
        """End one part that has a body."""
        part = supervisor.name if supervisor.name in ("peers", "part") else f"{supervisor.name}/{child.name}"
        self.kills[part] += 1
        self.last.append(f"{trio.current_time():.3f} {supervisor.name}/{child.name}")
        self.at = trio.current_time()
        supervisor.exit_child(child.name, Killed(part))

    def _may_be_killed(self, supervisor: Supervisor, child: ChildInfo, source: str | None) -> bool:
        names = (supervisor.name, child.name)
        return (
            child.state in WITH_BODY
            and self._spare not in names
            and source in (None, *names)
            and self._may_die(supervisor)
        )

    def kill_one(self, source: str | None = None) -> None:
        """End any part; or any of a source's, if there is one."""
        parts = [
            (
                supervisor,
                [child for child in supervisor.children() if self._may_be_killed(supervisor, child, source)],
            )
            for supervisor in supervisors(self._root)
        ]
        parts = [part for part in parts if part[1]]
        if parts:
            # By supervisor first: there are more connections than anything else.
            supervisor, children = self.chance.choice(parts)
            self.kill(supervisor, self.chance.choice(children))

    async def kill_soon(self) -> None:
        """End any part: some time later, after a few steps of all tasks, or between any two of them.

        Or any part, or the source itself, while a source reports.
        """
        moment = self.chance.randrange(5)
        if moment == 0:
            await trio.sleep(self.chance.uniform(0, self._pause))
            self.kill_one()
        elif moment == 1:
            for _ in range(self.chance.randrange(30)):
                await trio.lowlevel.checkpoint()
            self.kill_one()
        elif moment == 2:
            await self._kill_at_step(self.chance.randrange(1, 200))
        else:
            source = await self._reported_by(
                self.chance.choice(("always", "demand", "part", "releases", "email"))
            )
            await self._kill_at_step(self.chance.randrange(1, 20), source if moment == 3 else None)

    async def _reported_by(self, source: str) -> str:
        """Wait for the next change that the hub accepts of a source, or for some time."""
        accepted = trio.Event()
        self._ledger.on_accepted = lambda change: accepted.set() if change.source == source else None
        with trio.move_on_after(5 * self._pause):
            await accepted.wait()
        self._ledger.on_accepted = lambda change: None
        return source

    async def _kill_at_step(self, steps: int, source: str | None = None) -> None:
        instrument = _AtStep(steps, partial(self._kill_or_keep_why_not, source))
        trio.lowlevel.add_instrument(instrument)
        try:
            with trio.move_on_after(0.01):
                await instrument.reached.wait()
        finally:
            trio.lowlevel.remove_instrument(instrument)
        if self._failure is not None:
            raise self._failure
        if not instrument.reached.is_set():
            self.kill_one()

    def _kill_or_keep_why_not(self, source: str | None) -> None:
        # An instrument that raises is switched off in silence.
        try:
            self.kill_one(source)
        except Exception as error:
            self._failure = error

    async def storm(self) -> None:
        """Have the hub's supervisor give up."""
        await trio.sleep(61)  # what has run for so long is restarted soon
        before = self.escalations
        with trio.fail_after(5):
            while self.escalations == before:
                for child in self._hub.children():
                    if child.state in WITH_BODY and self._hub.is_running:
                        self.kill(self._hub, child)
                await trio.sleep(0.01)


class _AtStep(trio.abc.Instrument):
    """Calls a function after so many steps of any tasks."""

    def __init__(self, steps: int, act: Callable[[], None]) -> None:
        self.reached = trio.Event()
        self._left = steps
        self._act = act

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left == 0:
            self.reached.set()
            self._act()
