"""Supervision: OTP's ideas in Trio, usable on its own.

A `Supervisor` runs children as tasks, restarts them as their specs say, with backoff, and gives up by
raising `Escalation` when there are too many restarts. Everything that is decided (whether to restart, when,
how many are too many, in which order to stop) is plain synchronous code without Trio; only supervisor.py
runs tasks.

All state belongs to the `Supervisor` object and is touched on the Trio thread only, between two
checkpoints: by its `run()` task, by the last step of a child's task, and by the callers of its methods.
"""

from mcptrio.supervision.backoff import Backoff
from mcptrio.supervision.child import ChildInfo, ChildSpec, ChildState, Restart
from mcptrio.supervision.intensity import Intensity
from mcptrio.supervision.report import Escalation, Event, Report, SupervisorStatistics
from mcptrio.supervision.supervisor import Supervisor

__all__ = [
    "Backoff",
    "ChildInfo",
    "ChildSpec",
    "ChildState",
    "Escalation",
    "Event",
    "Intensity",
    "Report",
    "Restart",
    "Supervisor",
    "SupervisorStatistics",
]
