"""What a child is: its spec, which it is started from, and what can be seen of it."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcptrio.supervision.backoff import Backoff

if TYPE_CHECKING:
    from mcptrio.supervision.supervisor import Supervisor


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

    STARTING = "starting"
    """Its body runs and has not said yet that it is ready."""
    RUNNING = "running"
    """Its body runs."""
    RESTARTING = "restarting"
    """Its body ended; it will be started again when its time or its turn has come."""
    STOPPING = "stopping"
    """It was told to stop and is within its deadline."""
    OVERSTAYED = "overstayed"
    """It was told to stop, and its body still runs after the deadline."""
    EXITED = "exited"
    """Its body ended by itself and is not started again."""
    STOPPED = "stopped"
    """It was stopped by `stop_child`, or its start failed; `restart_child` starts it again."""


# One default for all specs: a temporary child must be small.
_BACKOFF = Backoff()


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to start a child and what to do when it ends. All times in seconds.

    `run` is called anew for every start: without arguments, and the child counts as started at once; or, where
    `start_timeout` is a number, as `run(task_status=...)`, and it has so long to call `task_status.started()`
    (infinity: no deadline). Its order among its siblings, at start and in a restart of several, waits for that.
    A body that is told to stop before its first step takes that step, as any task of Trio's does, up to its first
    checkpoint: what it was given to close, it can close.

    `shutdown` is how long a child may take to end once it was told to stop; infinity waits as long as it takes,
    zero not at all. A supervisor is made a child by its `child_spec()`.

    A `significant` child is one whose own end may end its supervisor: see `AutoShutdown`.

    Raises:
        TypeError: no text, no function or no `Restart` where one belongs.
        ValueError: an empty name, a negative time, or a permanent child that is significant: it has no end.
    """

    name: str
    run: Callable[..., Awaitable[None]]
    restart: Restart = Restart.PERMANENT
    shutdown: float = 5.0
    backoff: Backoff = _BACKOFF
    significant: bool = False
    start_timeout: float | None = None
    supervisor: Supervisor | None = None
    """The supervisor that runs in this child, so that the tree can be seen."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not callable(self.run) or not isinstance(self.restart, Restart):
            raise TypeError(
                "a child spec is ChildSpec(name, run, restart=Restart.PERMANENT, ...): a text, an async function, "
                f"a Restart; not {self.name!r}, {self.run!r}, {self.restart!r}"
            )
        if not self.name:
            raise ValueError("a child needs a name")
        if not self.shutdown >= 0:
            raise ValueError(f"child {self.name!r}: shutdown must be at least 0 seconds")
        if self.start_timeout is not None and not self.start_timeout > 0:
            raise ValueError(f"child {self.name!r}: start_timeout must be more than 0 seconds, or None")
        if self.significant and self.restart is Restart.PERMANENT:
            raise ValueError(
                f"child {self.name!r}: a permanent child is always restarted and cannot be significant; "
                "make it transient or temporary"
            )


@dataclass(frozen=True, slots=True)
class ChildInfo:
    """A child as it is now. `since`: the Trio time it came into its state; `restarts`: since it was added."""

    name: str
    state: ChildState
    restart: Restart
    since: float
    restarts: int
    last_error: BaseException | None
    supervisor: Supervisor | None = None
