"""What supervisors report, in the log."""

from __future__ import annotations

from mcptrio.log import get_logger
from mcptrio.supervision import Event, Report

_log = get_logger("mcptrio.server")


def log_report(report: Report) -> None:
    """Log one report: what went wrong by its weight, everything else for those who debug."""
    where = {"supervisor": report.supervisor, "child": report.child}
    if report.event is Event.ESCALATED:
        _log.critical("too many restarts", **where, exc_info=report.error)
    elif report.event is Event.OVERSTAYED:
        _log.warning("a task overstays its shutdown deadline", **where)
    elif report.event is Event.RESTARTING:
        delay = None if report.delay is None else round(report.delay, 3)
        _log.warning("restarting", **where, delay=delay, restarts=report.restarts)
    elif report.error is not None:
        _log.error("a task crashed", **where, exc_info=report.error)
    else:
        _log.debug(report.event.value, **where)
