"""Running a supervisor, and telling somebody when it takes children and when it has ended."""

from __future__ import annotations

from collections.abc import Callable

import trio

from mcptrio.supervision import Supervisor


async def run_followed(
    supervisor: Supervisor,
    opened: Callable[[], None],
    closed: Callable[[], None],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """`supervisor.run()`, calling `opened` before it says that it is ready and `closed` when it has ended.

    So what `opened` starts is there when somebody hears that the supervisor is ready.

    Raises:
        Exception: what `supervisor.run()` raises.
    """
    try:
        await supervisor.run(task_status=_Opening(opened, task_status))
    finally:
        closed()


class _Opening(trio.TaskStatus[None]):
    def __init__(self, opened: Callable[[], None], status: trio.TaskStatus[None]) -> None:
        self._opened = opened
        self._status = status

    def started(self, value: None = None) -> None:
        self._opened()
        self._status.started()
