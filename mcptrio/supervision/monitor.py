"""Monitors: being told, once, that a child has ended."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import trio

from mcptrio.supervision.report import Down


class Monitor:
    """Tells once that the body a child had when it was monitored is no more; a later body is another one's matter.

    Use it as `with supervisor.monitor(name) as monitor: down = await monitor.wait()`. There is exactly one
    `Down`, however often it is asked for, unless the monitor was closed before. Closing is synchronous and
    idempotent, and the supervisor keeps nothing of a monitor that was closed or has told.
    """

    def __init__(self, forget: Callable[[Monitor], None]) -> None:
        self.down: Down | None = None
        """What it told; None as long as the body lives."""
        self._forget = forget
        self._told = trio.Event()

    def tell(self, down: Down) -> None:
        """(The supervisor's.) The body is no more."""
        self.down = down
        self._told.set()

    async def wait(self) -> Down:
        """Wait for the end of the body; at once if it is known. If cancelled, nothing is lost.

        Raises:
            RuntimeError: the monitor was closed before the body ended.
        """
        await self._told.wait()
        if self.down is None:
            raise RuntimeError("the monitor is closed")
        return self.down

    def close(self) -> None:
        """Stop monitoring. Synchronous and idempotent; tasks that wait get RuntimeError."""
        self._forget(self)
        self._told.set()

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
