"""What a child is: its spec, which it is started from, and what can be seen of it."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mcptrio.supervision.backoff import Backoff


class Restart(enum.Enum):
    """When a child that ended by itself is started again; OTP's restart types."""

    PERMANENT = "permanent"
    """Always."""
    TRANSIENT = "transient"
    """After an exception only."""
    TEMPORARY = "temporary"
    """Never; it leaves the table when it ends."""

    def wanted(self, error: BaseException | None) -> bool:
        """Whether a child that ended with `error` (None: normally) is to be started again."""
        return self is Restart.PERMANENT or (self is Restart.TRANSIENT and error is not None)


class ChildState(enum.Enum):
    """Where a child in the table stands."""

    RUNNING = "running"
    """Its body runs."""
    RESTARTING = "restarting"
    """Its body ended; a timer will start the next one."""
    STOPPING = "stopping"
    """It was told to stop and is within its deadline."""
    OVERSTAYED = "overstayed"
    """It was told to stop, and its body still runs after the deadline."""
    EXITED = "exited"
    """Its body ended and is not started again."""


# One default for all specs: a temporary child must be small.
_BACKOFF = Backoff()


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to start a child and what to do when it ends.

    `run` is called anew, without arguments, for every start; another supervisor's `run` is as good as any.
    `shutdown` is how many seconds a child may take to end once it was told to stop; infinity waits as long
    as it takes, zero not at all. A supervisor as a child needs at least what its own children need one after the other.

    Raises:
        ValueError: an empty name or a negative `shutdown`.
    """

    name: str
    run: Callable[[], Awaitable[None]]
    restart: Restart = Restart.PERMANENT
    shutdown: float = 5.0
    backoff: Backoff = _BACKOFF

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a child needs a name")
        if not self.shutdown >= 0:
            raise ValueError(f"child {self.name!r}: shutdown must be at least 0 seconds")


@dataclass(frozen=True, slots=True)
class ChildInfo:
    """A child as it is now. `since`: the Trio time it came into its state; `restarts`: since it was added."""

    name: str
    state: ChildState
    restart: Restart
    since: float
    restarts: int
    last_error: BaseException | None
