"""`mcptrio://alerts`: what is wrong now, and what was."""

from __future__ import annotations

from datetime import datetime

from mcptrio.introspection.alerts import Alert, Alerts
from mcptrio.introspection.document import Document
from mcptrio.introspection.redaction import shown


class AlertEntry(Document, frozen=True, kw_only=True):
    """One alert; `mcptrio.introspection.conditions` has the table of reasons. `count` counts repetitions too."""

    part: str
    reason: str
    severity: str
    message: str
    since: datetime
    count: int
    resolved_at: datetime | None


class AlertsDocument(Document, frozen=True, kw_only=True):
    """The open alerts, worst first; the resolved ones, newest first; and how many were too many to be opened."""

    open: list[AlertEntry]
    history: list[AlertEntry]
    dropped: int


def alerts_document(alerts: Alerts) -> AlertsDocument:
    """From alerts that have been settled."""
    return AlertsDocument(
        open=list(map(_entry, alerts.open())),
        history=list(map(_entry, alerts.history())),
        dropped=alerts.dropped,
    )


def _entry(alert: Alert) -> AlertEntry:
    return AlertEntry(
        part=shown(alert.part),
        reason=alert.reason,
        severity=alert.severity.word,
        message=alert.message,
        since=alert.since,
        count=alert.count,
        resolved_at=alert.resolved_at,
    )
