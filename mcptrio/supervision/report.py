"""What a supervisor tells about its children: events, counts, and the exception it gives up with."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Event(enum.Enum):
    """What happened to a child."""

    STARTED = "started"
    """Its body was started, for the first time or again."""
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


@dataclass(frozen=True, slots=True)
class SupervisorStatistics:
    """Children in the table now, all and by state, and counts since the supervisor was made."""

    children: int
    running: int
    restarting: int
    stopping: int
    overstayed: int
    exited: int
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
