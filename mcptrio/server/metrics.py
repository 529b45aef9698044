"""The server's figures for Prometheus, read from the objects that keep them when somebody asks.

Counting costs the hot path an integer each; labels have few values by construction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mcptrio.live import Feed, Hub, Pump, SourceState
from mcptrio.live.deliveries import HISTORY, PENDING, RESTARTED
from mcptrio.server.dispatch import Dispatch
from mcptrio.server.endpoint import Endpoint, Traffic
from mcptrio.server.flusher import Flusher
from mcptrio.server.read_cache import ReadCache
from mcptrio.server.slow_steps import SlowSteps
from mcptrio.supervision import Supervisor, supervisors


class ServerCollector(Collector):
    """Reads one server's parts at each scrape; the collections are the server's own, and live."""

    def __init__(
        self,
        *,
        hub: Hub,
        pump: Pump,
        flusher: Flusher,
        dispatch: Dispatch,
        reads: ReadCache,
        slow_steps: SlowSteps,
        traffic: Traffic,
        endpoints: Collection[Endpoint],
        feeds: Mapping[str, Feed],
        root: Supervisor,
    ) -> None:
        self._hub = hub
        self._pump = pump
        self._flusher = flusher
        self._dispatch = dispatch
        self._reads = reads
        self._slow_steps = slow_steps
        self._traffic = traffic
        self._endpoints = endpoints
        self._feeds = feeds
        self._root = root

    def collect(self) -> Iterable[Metric]:
        yield from self._connections()
        yield from self._live()
        yield from self._extension()
        yield from self._requests()
        yield from self._read_cache()
        yield from self._sources()

    def _connections(self) -> Iterator[Metric]:
        peers = [peer for endpoint in self._endpoints for peer in endpoint.peers.values()]
        # Who listens over HTTP is in both.
        everyone = {*peers, *(peer for endpoint in self._endpoints for peer in endpoint.http.exchanges)}
        yield GaugeMetricFamily(
            "mcptrio_connections",
            "Connections open now.",
            value=sum(endpoint.listener.statistics().open for endpoint in self._endpoints),
        )
        yield GaugeMetricFamily("mcptrio_peers", "MCP peers connected now.", value=len(peers))
        yield GaugeMetricFamily(
            "mcptrio_sessions",
            "Sessions of the 2025-11-25 revision.",
            value=sum(peer.session is not None for peer in peers),
        )
        yield GaugeMetricFamily(
            "mcptrio_listens",
            "Open subscriptions/listen requests.",
            value=sum(len(peer.listens) for peer in peers),
        )
        yield GaugeMetricFamily(
            "mcptrio_requests_running",
            "Requests running now.",
            value=sum(len(peer.requests) for peer in everyone),
        )
        yield GaugeMetricFamily(
            "mcptrio_pending_bytes",
            "Bytes pushed to peers that they have not accepted.",
            value=sum(peer.wire.pending_bytes for peer in everyone),
        )
        yield CounterMetricFamily(
            "mcptrio_connections_accepted", "Connections accepted.", value=self._traffic.accepted
        )
        refused = CounterMetricFamily(
            "mcptrio_connections_refused", "Connections refused.", labels=["reason"]
        )
        for reason, total in sorted(self._traffic.refusals.items()):
            refused.add_metric([reason], total)
        yield refused
        closed = CounterMetricFamily(
            "mcptrio_connections_closed",
            "Connections closed, by close code or, where it was no WebSocket, by HTTP status.",
            labels=["code"],
        )
        for code, total in sorted(self._traffic.closes.items()):
            closed.add_metric([code], total)
        yield closed

    def _live(self) -> Iterator[Metric]:
        hub = self._hub.statistics()
        yield CounterMetricFamily("mcptrio_changes", "Changes published.", value=hub.offset)
        yield CounterMetricFamily(
            "mcptrio_changes_repeated", "Changes dropped as repeated.", value=hub.duplicates
        )
        yield CounterMetricFamily(
            "mcptrio_matches", "Changes that somebody wants, once for each.", value=hub.matched
        )
        yield CounterMetricFamily(
            "mcptrio_conflated", "Changes merged into one that was pending.", value=hub.conflated
        )
        yield CounterMetricFamily(
            "mcptrio_deliveries", "Notifications sent to subscribers.", value=self._flusher.delivered
        )
        yield GaugeMetricFamily(
            "mcptrio_subscriptions", "Plain resource subscriptions.", value=hub.subscriptions
        )
        yield GaugeMetricFamily("mcptrio_subscribed_uris", "URIs with a plain subscription.", value=hub.uris)
        yield GaugeMetricFamily(
            "mcptrio_pump_queue",
            "Changes that wait for the hub.",
            value=self._pump.statistics().current_buffer_used,
        )
        yield GaugeMetricFamily(
            "mcptrio_flusher_queue",
            "Subscribers that wait for the flusher.",
            value=self._flusher.statistics().current_buffer_used,
        )

    def _extension(self) -> Iterator[Metric]:
        selections = self._hub.selections
        tally, history = selections.tally, selections.history
        yield GaugeMetricFamily(
            "mcptrio_live_subscriptions", "Subscriptions by io.mcptrio/live.", value=len(selections)
        )
        yield GaugeMetricFamily(
            "mcptrio_live_waiting", "Changes that wait to be told by them.", value=tally.waiting
        )
        yield CounterMetricFamily(
            "mcptrio_live_merged", "Changes that waited and were made old by a newer one.", value=tally.merged
        )
        yield CounterMetricFamily(
            "mcptrio_live_given_up", "Changes that waited and became part of a gap.", value=tally.given_up
        )
        gaps = CounterMetricFamily("mcptrio_live_gaps", "Gaps in what clients are told.", labels=["reason"])
        for reason in (PENDING, HISTORY, RESTARTED):
            gaps.add_metric([reason], tally.gaps[reason])
        yield gaps
        recoveries = CounterMetricFamily(
            "mcptrio_live_recoveries", "Subscriptions that came back with a cursor.", labels=["outcome"]
        )
        recoveries.add_metric(["recovered"], selections.recovered)
        recoveries.add_metric(["unrecovered"], selections.unrecovered)
        yield recoveries
        yield GaugeMetricFamily(
            "mcptrio_live_history_entries", "Changes kept for clients that come back.", value=len(history)
        )
        yield GaugeMetricFamily("mcptrio_live_history_bytes", "Memory of those changes.", value=history.bytes)

    def _requests(self) -> Iterator[Metric]:
        dispatch = self._dispatch
        yield CounterMetricFamily("mcptrio_requests", "Requests received.", value=dispatch.requests)
        yield CounterMetricFamily("mcptrio_errors", "Requests answered with an error.", value=dispatch.errors)
        yield CounterMetricFamily(
            "mcptrio_tool_errors", "Tool calls whose result is an error.", value=dispatch.tool_errors
        )
        yield CounterMetricFamily(
            "mcptrio_requests_refused", "Requests refused for being too many.", value=dispatch.refused
        )
        yield CounterMetricFamily(
            "mcptrio_slow_steps", "Steps that kept the thread for too long.", value=self._slow_steps.found
        )

    def _read_cache(self) -> Iterator[Metric]:
        reads = self._reads.statistics()
        yield CounterMetricFamily(
            "mcptrio_read_cache_hits", "Reads answered with what was kept.", value=reads.hits
        )
        yield CounterMetricFamily(
            "mcptrio_read_cache_misses", "Reads of cached resources that ran the handler.", value=reads.misses
        )
        yield CounterMetricFamily(
            "mcptrio_read_cache_coalesced",
            "Reads answered by the run of another read.",
            value=reads.coalesced,
        )
        yield CounterMetricFamily(
            "mcptrio_read_cache_dropped",
            "What was kept and dropped because its resource changed.",
            value=reads.dropped,
        )
        yield GaugeMetricFamily("mcptrio_read_cache_entries", "Reads that are kept.", value=reads.entries)
        yield GaugeMetricFamily("mcptrio_read_cache_bytes", "Memory of what is kept.", value=reads.bytes)

    def _sources(self) -> Iterator[Metric]:
        state = GaugeMetricFamily(
            "mcptrio_source_state", "1 for the state that a source is in.", labels=["source", "state"]
        )
        for feed in self._feeds.values():
            for word in SourceState:
                state.add_metric([feed.name, word.value], float(feed.state is word))
        yield state
        counts = GaugeMetricFamily(
            "mcptrio_source_count", "What sources count, each its own.", labels=["source", "name"]
        )
        for feed in self._feeds.values():
            for name, count in feed.counts.items():
                counts.add_metric([feed.name, name], count)
        yield counts
        restarts = CounterMetricFamily("mcptrio_restarts", "Restarts, by supervisor.", labels=["supervisor"])
        for supervisor in supervisors(self._root):
            restarts.add_metric([supervisor.name], supervisor.statistics().restarted_total)
        yield restarts
