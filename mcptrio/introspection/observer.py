"""The observer: hears of everything that happens to the parts of a server, and keeps the alerts."""

from __future__ import annotations

import trio

from mcptrio.introspection.alerts import Alerts
from mcptrio.introspection.conditions import Conditions
from mcptrio.introspection.document import utc
from mcptrio.live import Change, Hub, Pump, SourceState
from mcptrio.live.deliveries import PENDING
from mcptrio.server import Server
from mcptrio.sources import SourceTree
from mcptrio.supervision import Report, Reports, Strategy, supervisors


class Observer:
    """Turns the facts of one server into alerts, in the step in which they happen; runs no task.

    What nobody tells, because it would cost too often (how many connections there are) or because it is only counted
    (rebuilds of the hub, gaps because too much waited), is looked at with every report, which each connection makes at its start and end, and in `look`.
    """

    def __init__(self, server: Server, hub: Hub, pump: Pump, sources: SourceTree, reports: Reports) -> None:
        self._alerts = Alerts(utc)
        self._conditions = Conditions(self._alerts, self._shared_part)
        self._sources = sources
        self._server = server
        self._run: trio.lowlevel.TrioToken | None = None
        self._rebuilt = server.rebuilt_total
        self._tally = hub.selections.tally
        self._gaps = 0
        reports.subscribe(self._reported)
        sources.on_state(self._source_state)
        pump.on_set_aside(self._set_aside)

    def look(self) -> Alerts:
        """The alerts as they are now; outside of a run of Trio, which has no now, as they were when somebody last looked."""
        if trio.lowlevel.in_trio_run():
            now = self._now()
            self._watch(now)
            self._alerts.settle(now)
        return self._alerts

    def _reported(self, report: Report) -> None:
        self._now()
        self._conditions.report(report)
        self._watch(report.at)

    def _source_state(self, name: str, state: SourceState, reason: str) -> None:
        if trio.lowlevel.in_trio_run():  # before it and behind it, no source does anything
            self._conditions.source_state(name, state, reason, self._now())

    def _set_aside(self, change: Change, error: Exception) -> None:
        self._conditions.set_aside(change, error, self._now())

    def _watch(self, now: float) -> None:
        rebuilt = self._server.rebuilt_total
        if rebuilt != self._rebuilt:
            self._rebuilt = rebuilt
            self._conditions.rebuilt(now)
        gaps = self._tally.gaps[PENDING]
        if gaps != self._gaps:
            self._conditions.gaps(gaps - self._gaps, now)
            self._gaps = gaps
        endpoints = self._server.endpoints
        for endpoint in endpoints:
            open = endpoint.listener.statistics().open
            self._conditions.connections(endpoint.name, open, endpoint.max_connections, now)
        if self._conditions.crowded:
            for name in self._conditions.crowded.keys() - {endpoint.name for endpoint in endpoints}:
                self._conditions.connections(name, 0, 1, now)

    def _now(self) -> float:
        now = trio.current_time()
        token = trio.lowlevel.current_trio_token()
        if token is not self._run:  # times of an earlier run of Trio mean nothing in this one
            self._run = token
            self._alerts.settle_all(now)
        return now

    def _shared_part(self, name: str) -> str | None:
        for supervisor in supervisors(self._server.root):
            if supervisor.name == name and supervisor.strategy is Strategy.SIMPLE_ONE_FOR_ONE:
                return f"sources/{name}" if name in self._sources.names() else name
        return None
