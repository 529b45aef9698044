"""A body that does what its child's plan says, life after life, and what it is ordered to."""

from __future__ import annotations

import math

import trio

from mcptrio.supervision import ChildSpec
from tests.supervision.programs import Life, Plan

LATE = 0.125  # seconds after its time a body says once more that it is ready, which changes nothing


class Boom(Exception):
    """What a body raises."""


class Script:
    """What a `ChildSpec` runs; with tasks when it is called."""

    def __init__(self, lives: tuple[Life, ...]) -> None:
        self.alive = False
        self._lives = lives
        self._begun = 0
        self._order = ""
        self._ordered = trio.Event()

    @classmethod
    def spec(cls, plan: Plan) -> ChildSpec:
        return ChildSpec(
            plan.name,
            cls(plan.lives),
            plan.restart,
            plan.shutdown,
            plan.backoff,
            plan.significant,
            plan.start_timeout,
        )

    def next_life(self) -> Life:
        life = self._lives[min(self._begun, len(self._lives) - 1)]
        self._begun += 1
        return life

    def order(self, how: str) -> None:
        """Have the body end at once, as `Life.ends` says."""
        self._order = how
        self._ordered.set()

    async def __call__(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        assert not self.alive, "two bodies at a time"
        self.alive = True
        life = self.next_life()
        try:
            await self._live(life, task_status)
        except trio.Cancelled:  # noqa: ASYNC103  a body that swallows it is one of the faults
            task_status.started()  # too late
            if life.lingers:
                with trio.move_on_after(life.lingers, shield=True):
                    await self._ordered.wait()
            how = self._order or life.last_words
            if how == "obeys":
                raise
            _end(how)
        finally:
            self.alive = False
            self._order, self._ordered = "", trio.Event()

    async def _live(self, life: Life, task_status: trio.TaskStatus[None]) -> None:
        begun = trio.current_time()
        ready = math.inf if life.ready is None else life.ready
        for moment in sorted({ready, ready + LATE, life.lasts}):
            with trio.move_on_at(begun + moment):
                await self._ordered.wait()
                _end(self._order)
                return
            if moment in (ready, ready + LATE):
                task_status.started()
            if moment == life.lasts:
                _end(life.ends)
                return


def _end(how: str) -> None:
    match how:
        case "raises":
            raise Boom
        case "fatal":
            raise KeyboardInterrupt
