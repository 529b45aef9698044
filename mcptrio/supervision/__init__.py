"""Supervision: OTP's ideas in Trio, usable on its own.

A `Supervisor` runs children as tasks, restarts them as their specs and its strategy say, with backoff, and gives up
by raising `Escalation` when there are too many restarts. Everything that is decided (whom to restart, when, how
many are too many, in which order to stop) is plain synchronous code without Trio, in machine.py and what it uses;
only supervisor.py runs tasks.

All state belongs to the `Supervisor` object and is touched on the Trio thread only, between two checkpoints: by its
`run()` task, by the last step of a child's task, and by the callers of its methods. docs/supervision.md has the
semantics beside OTP's.
"""

from mcptrio.supervision.backoff import Backoff
from mcptrio.supervision.child import ChildInfo, ChildSpec, ChildState, Restart
from mcptrio.supervision.intensity import Intensity
from mcptrio.supervision.monitor import Monitor
from mcptrio.supervision.report import (
    Down,
    Escalation,
    Event,
    ExitReason,
    LinkBroken,
    Report,
    StartFailed,
    StartTimeout,
    SupervisorStatistics,
)
from mcptrio.supervision.reports import Reports, ReportStream
from mcptrio.supervision.strategy import AutoShutdown, Strategy
from mcptrio.supervision.supervisor import Supervisor
from mcptrio.supervision.tree import supervisors

__all__ = [
    "AutoShutdown",
    "Backoff",
    "ChildInfo",
    "ChildSpec",
    "ChildState",
    "Down",
    "Escalation",
    "Event",
    "ExitReason",
    "Intensity",
    "LinkBroken",
    "Monitor",
    "Report",
    "ReportStream",
    "Reports",
    "Restart",
    "StartFailed",
    "StartTimeout",
    "Strategy",
    "Supervisor",
    "SupervisorStatistics",
    "supervisors",
]
