"""The open alerts for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mcptrio.introspection.alerts import Severity


class AlertsCollector(Collector):
    """`mcptrio_alerts`, counted at each scrape."""

    def __init__(self, counts: Callable[[], Mapping[Severity, int]]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        open = GaugeMetricFamily("mcptrio_alerts", "Alerts that are open now.", labels=["severity"])
        for severity, count in self._counts().items():
            open.add_metric([severity.word], count)
        yield open
