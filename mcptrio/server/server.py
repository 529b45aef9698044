"""The server: its parts, and the tree of tasks in which they run.

root (one_for_one)
  hub (one_for_one)
    pump           sources' channel -> hub
    flusher        outboxes -> peers
    list changes   catalog and hub -> outboxes, at most one a second
    batches        outboxes get what has waited long enough
  sweeper          deadlines of all WebSockets
  sources          each source, restarted with backoff
  peers (simple_one_for_one)
    ...            one temporary child for each connection
  listeners (simple_one_for_one)
    listener N     the accept loop of one `serve`; its end is the drain of its connections

What is in the hub's outboxes and tables outlives the tasks under `hub`: each of them comes back over it and nobody
notices. Should they keep crashing, so that `hub` gives up and the root starts it again, the tables are made anew and
every client is closed with 1012: it connects and subscribes again, and knows of the gap.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace

import trio
from prometheus_client import CollectorRegistry, generate_latest

from mcptrio.access import Access
from mcptrio.catalog import Catalog
from mcptrio.live import Hub, Pump
from mcptrio.log import get_logger
from mcptrio.protocol import LegacyCodec, ModernCodec
from mcptrio.protocol.types import Implementation
from mcptrio.server.batches import Batches
from mcptrio.server.dispatch import Dispatch
from mcptrio.server.endpoint import Endpoint, Traffic
from mcptrio.server.extension import declaration
from mcptrio.server.flusher import Flusher
from mcptrio.server.handshake import Handshake
from mcptrio.server.list_changes import ListChanges
from mcptrio.server.metrics import ServerCollector
from mcptrio.server.offers import Offers
from mcptrio.server.peer import SERVICE_RESTART
from mcptrio.server.read_cache import ReadCache
from mcptrio.server.report_log import log_report
from mcptrio.server.settings import ServerSettings
from mcptrio.server.slow_steps import SlowSteps
from mcptrio.server.stdio import Stdio
from mcptrio.server.subscriptions import Subscriptions
from mcptrio.server.wanted import Sources
from mcptrio.supervision import Backoff, ChildSpec, Reports, Restart, Strategy, Supervisor
from mcptrio.wire import Sweeper, Transport, TransportStream, memory_transport_pair

_log = get_logger("mcptrio.server")

_BACKOFF = Backoff(initial=0.2, maximum=30.0)

_ROOT_WITHIN = 10.0
"""The root's window in seconds: long enough to see a hub that gives up, is started again and gives up again."""


class Server:
    """MCP spoken to peers, over one hub and one catalog. Owns its parts; they run inside `run`."""

    def __init__(
        self,
        info: Implementation,
        instructions: str | None,
        hub: Hub,
        pump: Pump,
        catalog: Catalog,
        settings: ServerSettings,
        sources: Sources,
        reports: Reports,
        access: Access | None = None,
    ) -> None:
        self.settings = settings
        self.pump = pump
        self.reports = reports
        self.since: float | None = None
        """The Trio time at which it began to run; None while it does not."""
        self.rebuilt_total = 0
        """How often the hub had to be rebuilt."""
        self._hub = hub
        self._catalog = catalog
        self._access = Access() if access is None else access
        self._sources = sources
        self.flusher = Flusher(hub)
        self.reads = ReadCache(hub, settings.cache_bytes)
        self.list_changes = ListChanges(hub, settings.list_changed_interval)
        self.traffic = Traffic()
        self.endpoints: list[Endpoint] = []
        legacy = LegacyCodec()
        modern = ModernCodec(info)
        self._subscriptions = Subscriptions(
            hub, catalog, self.flusher, self.list_changes, modern, settings, sources
        )
        self.dispatch = Dispatch(
            legacy,
            modern,
            Handshake(
                info,
                instructions,
                legacy,
                self.flusher.ready,
                self.list_changes,
                catalog,
                declaration(settings),
            ),
            Offers(catalog, settings.page_size, sources, self.reads),
            self._subscriptions,
            settings,
            self._access,
        )
        self._batches = Batches(hub.selections)
        self._sweeper = Sweeper()
        self._slow_steps = SlowSteps(settings.slow_step)
        self._connections = 0
        self._listeners = 0
        self._peers = Supervisor("peers", strategy=Strategy.SIMPLE_ONE_FOR_ONE, on_report=reports.publish)
        self._listening = Supervisor(
            "listeners", strategy=Strategy.SIMPLE_ONE_FOR_ONE, on_report=reports.publish
        )
        self._live = Supervisor(
            "hub",
            [
                ChildSpec("pump", self.pump.run, backoff=_BACKOFF),
                ChildSpec("flusher", self.flusher.run, backoff=_BACKOFF),
                ChildSpec("list changes", self.list_changes.run, backoff=_BACKOFF),
                ChildSpec("batches", self._batches.run, backoff=_BACKOFF),
            ],
            on_report=reports.publish,
        )
        self._hub_ran = False
        self.root = Supervisor(
            "root",
            [
                replace(self._live.child_spec(backoff=_BACKOFF), run=self._run_hub),
                ChildSpec("sweeper", self._sweeper.run, backoff=_BACKOFF),
                sources.child_spec(),
                self._peers.child_spec(backoff=_BACKOFF),
                self._listening.child_spec(backoff=_BACKOFF),
            ],
            within=_ROOT_WITHIN,
            on_report=reports.publish,
        )
        """The tree of all that runs."""
        reports.subscribe(log_report)
        # Whoever can reach a connection in memory runs in this program.
        self._memory = self._open_endpoint("memory", Access(), (), ())
        self.metrics = CollectorRegistry(auto_describe=False)
        self.metrics.register(
            ServerCollector(
                hub=hub,
                pump=self.pump,
                flusher=self.flusher,
                dispatch=self.dispatch,
                reads=self.reads,
                slow_steps=self._slow_steps,
                traffic=self.traffic,
                endpoints=self.endpoints,
                feeds=sources.feeds,
                root=self.root,
            )
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run all parts until cancelled; then they are stopped in reverse order. Started once peers can be served.

        Raises:
            Escalation: a part could not be kept running.
        """
        self._hub_ran = False
        self.since = trio.current_time()
        self._slow_steps.forget()
        # What an earlier run has kept goes by another clock.
        self.reads.clear()
        self._hub.begin_run()
        trio.lowlevel.add_instrument(self._slow_steps)
        try:
            await self.root.run(task_status=task_status)
        finally:
            self.since = None
            trio.lowlevel.remove_instrument(self._slow_steps)

    async def _run_hub(self, *, task_status: trio.TaskStatus[None]) -> None:
        if self._hub_ran:
            self._rebuild_hub()
        self._hub_ran = True
        await self._live.run(task_status=task_status)

    def _rebuild_hub(self) -> None:
        """Make the hub's tables anew; what clients were owed may be lost, so they must notice."""
        self._hub.rebuild()
        self.flusher.frames.clear()
        self.reads.clear()
        self.rebuilt_total += 1
        peers = [peer for endpoint in self.endpoints for peer in endpoint.peers.values()]
        _log.critical("the hub was rebuilt", clients_closed=len(peers))
        for peer in peers:
            peer.wire.close(SERVICE_RESTART, "the server has restarted its hub: connect and subscribe again")

    async def serve(
        self,
        sockets: Sequence[trio.socket.SocketType],
        *,
        allowed_hosts: Collection[str],
        allowed_origins: Collection[str],
        max_connections: int | None = None,
        tls: ssl.SSLContext | None = None,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept connections on listening sockets until cancelled; then end all of them politely. With `tls` they speak TLS.

        `max_connections` takes the place of the settings' own. The end takes at most `drain_timeout`: open
        listens get their final result, running requests a moment, and each connection its close 1001; what is
        left then is cut.

        Raises:
            RuntimeError: the accept loop failed; its error is the cause.
        """
        self._listeners += 1
        name = f"listener {self._listeners}"
        endpoint = self._open_endpoint(name, self._access, allowed_hosts, allowed_origins, max_connections)
        ended = trio.Event()
        failure: Exception | None = None
        stopped = True

        async def listen() -> None:
            nonlocal failure, stopped
            try:
                await endpoint.listener.serve(sockets, tls=tls)
                stopped = False  # somebody else closed the sockets
            except Exception as error:
                failure = error
                raise
            finally:
                with trio.move_on_after(self.settings.drain_timeout + 0.5, shield=True):
                    await endpoint.drain()
                ended.set()

        # The last child is stopped first: the connections are drained while the parts that serve them still run.
        patience = self.settings.drain_timeout + 1.0
        try:
            self._listening.start_child_nowait(ChildSpec(name, listen, Restart.TEMPORARY, shutdown=patience))
            task_status.started()
            await ended.wait()
            if failure is not None:
                raise RuntimeError("the listener failed") from failure
            if stopped and self.root.is_running:
                raise RuntimeError("the listener was stopped")
            if stopped:
                # The root is ending, of which the caller is about to be told by a cancellation.
                await trio.sleep_forever()
        finally:
            with trio.move_on_after(patience, shield=True):
                await self._listening.stop_child(name)
            # Where no child could be started, nobody else closes them.
            for sock in sockets:
                sock.close()
            self.endpoints.remove(endpoint)

    async def serve_stdio(
        self, transport: Transport, *, on_disconnected: Callable[[], None] = lambda: None
    ) -> None:
        """Serve one client, whose messages are lines, until it has gone or this is cancelled; then end it politely.

        It is one of the peers, and has what every peer has. Its end takes at most `drain_timeout`; `on_disconnected` is
        called when nothing more can be sent. The transport is aborted in any case.

        Raises:
            RuntimeError: the connection failed; its error is the cause. Or there is such a client already.
        """
        stdio = Stdio(
            self.dispatch,
            self._subscriptions,
            self.settings,
            self._sweeper,
            self.traffic,
            self._memory.peers,
            on_disconnected,
        )
        if not await stdio.serve(transport, self._listening, self._start_connection):
            if self.root.is_running:
                raise RuntimeError("the listener was stopped")
            # The root is ending, of which the caller is about to be told by a cancellation.
            await trio.sleep_forever()

    def connect(self) -> trio.abc.Stream:
        """A connection in memory: the client's end, on which it opens a WebSocket as on a socket's."""
        ours, theirs = memory_transport_pair()
        self._memory.connect(ours)
        return TransportStream(theirs)

    def _open_endpoint(
        self,
        name: str,
        access: Access,
        allowed_hosts: Collection[str],
        allowed_origins: Collection[str],
        max_connections: int | None = None,
    ) -> Endpoint:
        settings = self.settings
        if max_connections is not None:
            settings = replace(settings, limits=replace(settings.limits, max_connections=max_connections))
        endpoint = Endpoint(
            name,
            self.dispatch,
            self._subscriptions,
            self._catalog,
            access,
            settings,
            self._sweeper,
            self.traffic,
            start_connection=self._start_connection,
            metrics=lambda: generate_latest(self.metrics),
            allowed_hosts=allowed_hosts,
            allowed_origins=allowed_origins,
        )
        self.endpoints.append(endpoint)
        return endpoint

    def _start_connection(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        self._connections += 1
        self._peers.start_child_nowait(
            ChildSpec(f"{name} #{self._connections}", run, Restart.TEMPORARY, shutdown=1.0)
        )
