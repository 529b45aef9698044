"""Alerts: what is wrong now, and what was. Sans-IO: times are passed in.

An alert has a life of its own: it is triggered by a fact, counts the repetitions of that fact, and is resolved when the
fact no longer holds, or by time when nothing has been heard of it for a while. What is due by time is settled when
somebody looks, with the time at which it was due, so there are no timers.
"""

from __future__ import annotations

import enum
import math
from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

HISTORY = 200
"""How many resolved alerts are remembered; the oldest goes first."""

MOST_OPEN = 1000
"""How many alerts can be open at once. Parts are the program's own and few: only a fault of ours gets here."""


class Severity(enum.IntEnum):
    """How bad it is; they compare."""

    INFO = 1
    """To be known; nothing suffers."""
    WARNING = 2
    """Something works less well than it should."""
    ERROR = 3
    """Something does not work."""
    CRITICAL = 4
    """Many do not get what they were promised."""

    @property
    def word(self) -> str:
        """The severity as it is shown, and the metric's label."""
        return self.name.lower()


class Alert(Struct, frozen=True):
    """One thing that is or was wrong with one part. Immutable.

    `message` is that of the newest repetition, `severity` the worst so far, `since` the time of the first one and
    `count` how many there were.
    """

    part: str
    reason: str
    severity: Severity
    message: str
    since: datetime
    count: int = 1
    resolved_at: datetime | None = None


class Alerts:
    """The open alerts, at most one for each part and reason, and the last ones that were resolved.

    Times are seconds of one clock that never goes back; `utc` tells the wall-clock time of such a time, which is what
    alerts show. `changes` rises with everything that can be seen, `settle` included.
    """

    def __init__(self, utc: Callable[[float], datetime]) -> None:
        self._utc = utc
        self.changes = 0
        self.dropped = 0
        """Alerts that were not opened because `MOST_OPEN` were."""
        self._open: dict[tuple[str, str], Alert] = {}
        self._due: dict[tuple[str, str], float] = {}  # of the open ones that resolve by time
        self._soonest = math.inf
        self._history: deque[Alert] = deque(maxlen=HISTORY)

    def trigger(
        self,
        part: str,
        reason: str,
        severity: Severity,
        message: str,
        now: float,
        *,
        until: float = math.inf,
    ) -> None:
        """Open an alert, or count a repetition, which may make it worse and never makes it better.

        `until` is when it resolves unless it is triggered again; a repetition sets it anew.
        """
        self.settle(now)
        key = (part, reason)
        alert = self._open.get(key)
        if alert is not None:
            worst = max(alert.severity, severity)
            alert = replace(alert, severity=worst, message=message, count=alert.count + 1)
        elif len(self._open) < MOST_OPEN:
            alert = Alert(part, reason, severity, message, self._utc(now))
        else:
            self.dropped += 1
            self.changes += 1
            return
        self._open[key] = alert
        self._set_due(key, until)
        self.changes += 1

    def resolve(self, part: str, reason: str, now: float) -> None:
        """It is no longer so. Idempotent."""
        self.settle(now)
        self._close((part, reason), now)

    def resolve_by(self, part: str, reason: str, at: float) -> None:
        """It resolves at this time, or sooner if it was to do so, unless it is triggered again. Nothing if not open."""
        key = (part, reason)
        if key in self._open:
            self._set_due(key, min(at, self._due.get(key, math.inf)))

    def keep(self, part: str, reason: str) -> None:
        """It does not resolve by time. Nothing if it is not open."""
        if (part, reason) in self._open:
            self._set_due((part, reason), math.inf)

    def settle(self, now: float) -> None:
        """Resolve what is due, in the order in which it was. Costs nothing when nothing is."""
        if now < self._soonest:
            return
        for key, due in sorted(self._due.items(), key=lambda item: item[1]):
            if due <= now:
                self._close(key, due)

    def settle_all(self, now: float) -> None:
        """Resolve, now, everything that would be resolved by time: for when the clock is another one from here on."""
        for key in tuple(self._due):
            self._close(key, now)

    def open(self) -> tuple[Alert, ...]:
        """The open alerts, worst first, those of one severity in the order in which they were opened."""
        return tuple(sorted(self._open.values(), key=lambda alert: -alert.severity))

    def history(self) -> tuple[Alert, ...]:
        """What was resolved, newest first, at most `HISTORY`."""
        return tuple(reversed(self._history))

    def counts(self) -> dict[Severity, int]:
        """How many alerts of each severity are open."""
        found = Counter(alert.severity for alert in self._open.values())
        return {severity: found[severity] for severity in Severity}

    def _close(self, key: tuple[str, str], at: float) -> None:
        alert = self._open.pop(key, None)
        if alert is None:
            return
        self._set_due(key, math.inf)
        self._history.append(replace(alert, resolved_at=self._utc(at)))
        self.changes += 1

    def _set_due(self, key: tuple[str, str], due: float) -> None:
        before = self._due.pop(key, math.inf)
        if due < math.inf:
            self._due[key] = due
        if due < self._soonest:
            self._soonest = due
        elif before == self._soonest:
            self._soonest = min(self._due.values(), default=math.inf)
