"""Kills: parts of a running server that are ended as if they had crashed, at any moment."""

from __future__ import annotations

from collections import Counter, deque
from random import Random

import trio

from mcptrio import App
from mcptrio.supervision import ChildInfo, ChildState, Event, Report, Supervisor, supervisors

WITH_BODY = (ChildState.STARTING, ChildState.RUNNING)


class Killed(Exception):
    """What a part that is killed is said to have crashed with."""


class Killer:
    """Ends random parts of a server, all of it but the root, which is never brought to give up.

    The hub's supervisor may give up: by chance, or in a `storm`.
    """

    def __init__(self, app: App, chance: Random) -> None:
        self.chance = chance
        self.kills: Counter[str] = Counter()
        self.last: deque[str] = deque(maxlen=30)
        self.at = 0.0
        """When the last one was killed."""
        self.ended: set[str] = set()
        """The connections' tasks that were ended by a kill: their own, or one of a supervisor above."""
        self.escalations = 0
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
        if report.event is Event.ESCALATED:
            assert report.supervisor == "hub", f"{report.supervisor} has given up"
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

    def kill_one(self) -> None:
        """End any part."""
        parts = [
            (supervisor, [child for child in supervisor.children() if child.state in WITH_BODY])
            for supervisor in supervisors(self._root)
            if self._may_die(supervisor)
        ]
        parts = [part for part in parts if part[1]]
        if parts:
            # By supervisor first: there are more connections than anything else.
            supervisor, children = self.chance.choice(parts)
            self.kill(supervisor, self.chance.choice(children))

    async def kill_soon(self) -> None:
        """End any part: now, some time later, or between any two steps that any tasks make next."""
        moment = self.chance.randrange(4)
        if moment == 0:
            await trio.sleep(self.chance.uniform(0, 1))
        elif moment == 1:
            for _ in range(self.chance.randrange(30)):
                await trio.lowlevel.checkpoint()
        elif moment == 2:
            await self._kill_at_step(self.chance.randrange(1, 200))
            return
        self.kill_one()

    async def _kill_at_step(self, steps: int) -> None:
        instrument = _AtStep(steps, self._kill_or_keep_why_not)
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

    def _kill_or_keep_why_not(self) -> None:
        # An instrument that raises is switched off in silence.
        try:
            self.kill_one()
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

    def __init__(self, steps: int, act: object) -> None:
        self.reached = trio.Event()
        self._left = steps
        self._act = act

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left == 0:
            self.reached.set()
            self._act()  # type: ignore[operator]
