"""What a supervisor tells about its children: events, ends, counts, and the exceptions it raises. Sans-IO."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Event(enum.Enum):
    """What happened to a child."""

    STARTED = "started"
    """Its body was started, for the first time or again, and is ready where it has to say so."""
    EXITED = "exited"
    """Its body ended by itself: normally, or with `error`."""
    RESTARTING = "restarting"
    """Its body will be started again `delay` seconds later."""
    ESCALATED = "escalated"
    """Its restart would have been one too many: the supervisor stops everything and raises."""
    STOPPED = "stopped"
    """It was told to stop and ended, or waited for its restart; `error` is what went wrong in stopping."""
    OVERSTAYED = "overstayed"
    """It was told to stop and still runs after its deadline; `stopped` follows if it ever ends."""


@dataclass(frozen=True, slots=True)
class Report:
    """One event. `at` is Trio time, `delay` is in seconds, `restarts` counts this child's restarts so far."""

    at: float
    supervisor: str
    child: str
    event: Event
    error: BaseException | None
    delay: float | None
    restarts: int


class ExitReason(enum.Enum):
    """Why a child's body is no more; OTP's words where it has them."""

    NORMAL = "normal"
    """It returned."""
    ERROR = "error"
    """It raised, or was ended by `exit_child`, a link or its start deadline."""
    SHUTDOWN = "shutdown"
    """Its supervisor told it to stop."""
    NOPROC = "noproc"
    """There was no body to monitor."""


@dataclass(frozen=True, slots=True)
class Down:
    """A child's body is no more."""

    name: str
    reason: ExitReason
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class SupervisorStatistics:
    """Children in the table now, all and by state, and counts since the supervisor was made."""

    children: int
    starting: int
    running: int
    restarting: int
    stopping: int
    overstayed: int
    exited: int
    stopped: int
    started_total: int
    restarted_total: int
    failed_total: int
    escalated_total: int
    report_errors_total: int


class Escalation(Exception):
    """More restarts than the intensity allows. The cause is the last child's error, if it had one.

    `reports` are those of the exits that were too many, oldest first, and the `escalated` one last. A child
    supervisor that escalated has its own `Escalation` as `error` in its parent's reports.
    """

    def __init__(self, message: str, reports: tuple[Report, ...]) -> None:
        super().__init__(message, reports)
        self.message = message
        self.reports = reports

    def __str__(self) -> str:
        return self.message


class StartFailed(Exception):
    """A child was not ready when somebody waited for it. The cause is its error, if it had one."""

    def __init__(self, supervisor: str, child: str, why: BaseException | None) -> None:
        super().__init__(supervisor, child, why)
        self.supervisor = supervisor
        self.child = child
        self.__cause__ = why

    def __str__(self) -> str:
        why = "it ended before it was ready" if self.__cause__ is None else repr(self.__cause__)
        return f"supervisor {self.supervisor!r}: {self.child!r} did not start: {why}"


class StartTimeout(Exception):
    """A child did not call `task_status.started()` within its `start_timeout`."""


class LinkBroken(Exception):
    """A child was ended because one that it is linked to ended, other than normally; that one's error is the cause."""
