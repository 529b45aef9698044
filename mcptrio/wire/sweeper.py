"""One task for the deadlines of all connections: a cancel scope per message would cost more than the message.

Owned by the task in `run`; connections come and go synchronously, from any task of the same Trio run.
"""

import logging
from dataclasses import dataclass
from typing import Protocol

import trio

__all__ = ["Sweeper", "SweeperStatistics", "Watched"]

_logger = logging.getLogger(__name__)
_BATCH = 256


class Watched(Protocol):
    """What a sweeper looks after: a `WebSocket`, a `ResponseStream`, a connection that is idle."""

    def check_deadlines(self, now: float, /) -> None:
        """Do what is due at `now` (Trio's clock)."""

    def abort(self) -> None:
        """End at once."""


@dataclass(frozen=True, slots=True)
class SweeperStatistics:
    """How many connections are watched, and how many rounds were made."""

    watched: int
    rounds: int


class Sweeper:
    """Checks every watched connection's deadlines once per `interval` (s), so that they are kept to within that."""

    def __init__(self, interval: float = 1.0) -> None:
        self._interval = interval
        self._watched: set[Watched] = set()
        self._rounds = 0

    def add(self, watched: Watched) -> None:
        """Watch it from the next round on. Idempotent."""
        self._watched.add(watched)

    def discard(self, watched: Watched) -> None:
        """Watch it no longer. Idempotent."""
        self._watched.discard(watched)

    async def run(self) -> None:
        """Make a round after each interval, until cancelled. Raises nothing: a check that fails ends its
        connection only. May be restarted: what is watched is kept outside the task.
        """
        while True:
            await trio.sleep(self._interval)
            now = trio.current_time()
            for number, watched in enumerate(tuple(self._watched), 1):
                try:
                    watched.check_deadlines(now)
                except Exception:
                    _logger.exception("a connection's deadlines could not be checked: it is aborted")
                    watched.abort()
                if number % _BATCH == 0:
                    await trio.lowlevel.checkpoint()
            self._rounds += 1

    def statistics(self) -> SweeperStatistics:
        """Return a look at it."""
        return SweeperStatistics(len(self._watched), self._rounds)
