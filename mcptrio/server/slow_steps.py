"""Finds tasks that keep Trio's thread for too long: nobody else is served meanwhile."""

from __future__ import annotations

import time

import trio

from mcptrio.log import get_logger

_log = get_logger("mcptrio.server")


class SlowSteps(trio.abc.Instrument):
    """Logs every step of a task that takes longer than `limit` seconds, with the task's name.

    An instrument must not fail, or Trio switches it off: both hooks are total.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._began: float | None = None
        self.found = 0

    def forget(self) -> None:
        """Forget the step that was running when this was removed from an earlier run."""
        self._began = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._began = time.perf_counter()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._began is None:  # the step in which this instrument was added
            return
        took = time.perf_counter() - self._began
        if took > self._limit:
            self.found += 1
            _log.warning(
                "a step kept the thread: await something, or make it a plain def",
                task=task.name,
                milliseconds=round(took * 1000),
            )
