"""A supervisor, and somebody who is told when it takes children and when it has ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import trio

from mcptrio.supervision import Backoff, ChildSpec, Supervisor


class Followed:
    """Runs a supervisor; calls `opened` before it says that it is ready and `closed` when it has ended.

    So what `opened` starts is there when somebody hears that the supervisor is ready. Both are synchronous and must
    not raise.
    """

    def __init__(
        self, supervisor: Supervisor, opened: Callable[[], None], closed: Callable[[], None]
    ) -> None:
        self._supervisor = supervisor
        self._opened = opened
        self._closed = closed

    def child_spec(self, backoff: Backoff) -> ChildSpec:
        """The supervisor as a child of another, run like this."""
        return replace(self._supervisor.child_spec(backoff=backoff), run=self.run)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """As `Supervisor.run`."""
        try:
            await self._supervisor.run(task_status=_Opening(self._opened, task_status))
        finally:
            self._closed()


class _Opening(trio.TaskStatus[None]):
    def __init__(self, opened: Callable[[], None], status: trio.TaskStatus[None]) -> None:
        self._opened = opened
        self._status = status

    def started(self, value: None = None) -> None:
        self._opened()
        self._status.started()
