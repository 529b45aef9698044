"""Conditions: which fact triggers which alert, and what resolves it. Sans-IO: times are passed in, or in the report.

| fact | part | severity | resolved |
|---|---|---|---|
| a source is degraded | `sources/{name}` | warning | when it works, is idle, or has failed |
| a source has failed | `sources/{name}` | error | when it works, if less well, or is idle |
| a child crashed and is restarted | `{supervisor}/{child}` | error | when it has run for 10 s since, or was stopped |
| a child crashed and is not restarted | `{supervisor}/{child}` | error | 60 s later, if it crashed no more |
| a child of a `simple_one_for_one` crashed | `{supervisor}`; of a source `sources/{name}` | error | 60 s after the last one |
| a child overstays its shutdown deadline | as for a crash | warning | when it has ended |
| a supervisor has given up | `{supervisor}` | critical | when it has run again for 10 s |
| the pump set a change aside | `pump` | error | 60 s after the last one |
| the hub was rebuilt | `hub` | critical | 60 s later |
| more waits for a client than may | `hub` | warning | 60 s after the last gap |
| connections at 70 % of the limit | the endpoint | info | when there are fewer |
| connections at the limit | the endpoint | warning | when there are fewer |
"""

from __future__ import annotations

from collections.abc import Callable

from mcptrio.introspection.alerts import Alerts, Severity
from mcptrio.introspection.redaction import LONGEST_NAME, child_name, error_line, shown
from mcptrio.live import Change, SourceState
from mcptrio.supervision import Escalation, Event, Report

STABLE = 10.0
"""Seconds that a child runs after a crash until the crash is over."""
QUIET = 60.0
"""Seconds without a repetition after which what just happens, and does not last, is over."""
MANY = 0.7
"""The part of the connections' limit from which it is told that they are many."""

DEGRADED = "degraded"
FAILED = "failed"
CRASHED = "crashed"
OVERSTAYED = "overstayed"
ESCALATED = "escalated"
SET_ASIDE = "change set aside"
REBUILT = "rebuilt"
GAPS = "gaps"
BUSY = "many connections"
FULL = "no more connections"

_WELL = (SourceState.LIVE, SourceState.POLLING, SourceState.IDLE)


class Conditions:
    """Takes facts, synchronously, and keeps the alerts as the table above says.

    `shared_part` gives, of a supervisor's name, the part for which all its children have one alert, because its
    strategy is `simple_one_for_one` and they come in thousands; None where each child has its own.
    """

    def __init__(self, alerts: Alerts, shared_part: Callable[[str], str | None]) -> None:
        self._alerts = alerts
        self._shared_part = shared_part
        # Part by supervisor and child. Bounded by the tasks that overstay: each is in it until it ends.
        self._overstaying: dict[tuple[str, str], str] = {}
        self.crowded: dict[str, str] = {}
        """The endpoints with many connections or with all they may have; which of both."""

    def source_state(self, name: str, state: SourceState, reason: str, now: float) -> None:
        """A source has said how it is doing."""
        part = f"sources/{name}"
        if state in _WELL or state is SourceState.FAILED:
            self._alerts.resolve(part, DEGRADED, now)
        if state in _WELL or state is SourceState.DEGRADED:
            self._alerts.resolve(part, FAILED, now)
        if state is SourceState.DEGRADED:
            self._alerts.trigger(part, DEGRADED, Severity.WARNING, shown(reason), now)
        elif state is SourceState.FAILED:
            self._alerts.trigger(part, FAILED, Severity.ERROR, shown(reason), now)

    def report(self, report: Report) -> None:
        """A supervisor has told of a child."""
        alerts, now = self._alerts, report.at
        match report.event:
            case Event.STARTED:
                alerts.resolve_by(_part(report), CRASHED, now + STABLE)
                # A supervisor runs again when it is started as a child, or starts one: root is nobody's child.
                alerts.resolve_by(report.child, ESCALATED, now + STABLE)
                alerts.resolve_by(report.supervisor, ESCALATED, now + STABLE)
            case Event.EXITED:
                self._ended(report)
                # That a supervisor has given up was told as what it is.
                if report.error is not None and not isinstance(report.error, Escalation):
                    self._crashed(report, report.error)
            case Event.RESTARTING:
                alerts.keep(_part(report), CRASHED)
            case Event.ESCALATED:
                alerts.trigger(report.supervisor, ESCALATED, Severity.CRITICAL, _why(report), now)
            case Event.STOPPED:
                self._ended(report)
                alerts.resolve(_part(report), CRASHED, now)
            case Event.OVERSTAYED:
                part = self._shared_part(report.supervisor) or _part(report)
                self._overstaying[report.supervisor, report.child] = part
                message = f"{child_name(report.child)} was told to stop and still runs after its deadline"
                alerts.trigger(part, OVERSTAYED, Severity.WARNING, message, now)

    def _crashed(self, report: Report, error: BaseException) -> None:
        part, message = _part(report), error_line(error)
        if (shared := self._shared_part(report.supervisor)) is not None:
            part, message = shared, f"{child_name(report.child)}: {message}"
        # Where it is restarted, `RESTARTING` follows in the same step and takes the time away.
        self._alerts.trigger(part, CRASHED, Severity.ERROR, message, report.at, until=report.at + QUIET)

    def _ended(self, report: Report) -> None:
        if not self._overstaying:
            return
        part = self._overstaying.pop((report.supervisor, report.child), None)
        if part is not None and part not in self._overstaying.values():
            self._alerts.resolve(part, OVERSTAYED, report.at)

    def set_aside(self, change: Change, error: Exception, now: float) -> None:
        """The pump could not publish a change."""
        source = shown(change.source, LONGEST_NAME) or "the program"
        message = f"{shown(change.uri, 300)} of {source}: {error_line(error)}"
        self._alerts.trigger("pump", SET_ASIDE, Severity.ERROR, message, now, until=now + QUIET)

    def rebuilt(self, now: float) -> None:
        """The hub has been rebuilt."""
        message = "the hub's tables were made anew; all clients were closed, and subscribe again"
        self._alerts.trigger("hub", REBUILT, Severity.CRITICAL, message, now, until=now + QUIET)

    def gaps(self, number: int, now: float) -> None:
        """There are so many gaps more, because more waited for clients than may."""
        message = f"{number} gaps: more waited for clients than may, and what did is given up"
        self._alerts.trigger("hub", GAPS, Severity.WARNING, message, now, until=now + QUIET)

    def connections(self, endpoint: str, open: int, limit: int, now: float) -> None:
        """An endpoint has so many connections open, of at most so many; of one that has ended, none."""
        reason = FULL if open >= limit else BUSY if open >= MANY * limit else None
        before = self.crowded.get(endpoint)
        if reason == before:
            return
        if before is not None:
            del self.crowded[endpoint]
            self._alerts.resolve(endpoint, before, now)
        if reason is not None:
            self.crowded[endpoint] = reason
            severity = Severity.WARNING if reason == FULL else Severity.INFO
            self._alerts.trigger(endpoint, reason, severity, f"{open} of {limit} connections are open", now)


def _part(report: Report) -> str:
    return f"{report.supervisor}/{report.child}"


def _why(report: Report) -> str:
    told = f"too many restarts, the last of {child_name(report.child)}"
    return told if report.error is None else f"{told} after {error_line(report.error)}"
