"""The server: its parts, and the tree of tasks in which they run.

root (one_for_one)
  pump           sources' channel -> hub
  flusher        outboxes -> peers
  list changes   catalog and hub -> outboxes, at most one a second
  sweeper        deadlines of all WebSockets
  sources        one_for_one: each source, restarted with backoff
  peers          one temporary child for each connection
  listener N     the accept loop of one `serve`; its end is the drain of its connections
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from functools import partial

import structlog
import trio
from prometheus_client import CollectorRegistry, generate_latest

from mcptrio.catalog import Catalog
from mcptrio.live import Feed, Hub, Pump, SourceState
from mcptrio.log import get_logger
from mcptrio.protocol import LegacyCodec, ModernCodec
from mcptrio.protocol.types import Implementation
from mcptrio.server.dispatch import Dispatch
from mcptrio.server.endpoint import Endpoint, Traffic
from mcptrio.server.flusher import Flusher
from mcptrio.server.handshake import Handshake
from mcptrio.server.list_changes import ListChanges
from mcptrio.server.metrics import ServerCollector
from mcptrio.server.offers import Offers
from mcptrio.server.settings import ServerSettings
from mcptrio.server.slow_steps import SlowSteps
from mcptrio.server.subscriptions import Subscriptions
from mcptrio.supervision import Backoff, ChildSpec, Event, Report, Restart, Supervisor
from mcptrio.wire import Sweeper, TransportStream, memory_transport_pair

_log = get_logger("mcptrio.server")

_RESTARTS = (1000, 1.0)
"""Intensity of the sources' supervisor: sources come back for ever, paced by their backoff, and take nobody with
them; only a supervisor that restarts without pause gives up."""

_BACKOFF = Backoff(initial=0.2, maximum=30.0)


class _Once(trio.TaskStatus[None]):
    """Passes on that a supervisor runs, the first time: it may be restarted."""

    def __init__(self, status: trio.TaskStatus[None]) -> None:
        self._status: trio.TaskStatus[None] | None = status

    def started(self, value: None = None) -> None:
        status, self._status = self._status, None
        if status is not None:
            status.started()


class Server:
    """MCP spoken to peers, over one hub and one catalog. Owns its parts; they run inside `run`."""

    def __init__(
        self,
        info: Implementation,
        instructions: str | None,
        hub: Hub,
        catalog: Catalog,
        settings: ServerSettings,
    ) -> None:
        self.settings = settings
        self.pump = Pump(hub)
        self.feeds: dict[str, Feed] = {}
        self.flusher = Flusher()
        self.list_changes = ListChanges(hub, settings.list_changed_interval)
        self.traffic = Traffic()
        self.endpoints: list[Endpoint] = []
        legacy = LegacyCodec()
        modern = ModernCodec(info)
        self._subscriptions = Subscriptions(hub, catalog, self.flusher, self.list_changes, modern, settings)
        self.dispatch = Dispatch(
            legacy,
            modern,
            Handshake(info, instructions, legacy, self.flusher.ready, self.list_changes),
            Offers(catalog, settings.page_size),
            self._subscriptions,
            settings,
        )
        self._sweeper = Sweeper()
        self._slow_steps = SlowSteps(settings.slow_step)
        self._connections = 0
        self._listeners = 0
        self._root = Supervisor("root")
        self._peers = Supervisor("peers", on_report=self._reported)
        self._supervisors: list[Supervisor] = [self._peers]
        self._memory = self._open_endpoint((), ())
        self.metrics = CollectorRegistry(auto_describe=False)
        self.metrics.register(
            ServerCollector(
                hub=hub,
                pump=self.pump,
                flusher=self.flusher,
                dispatch=self.dispatch,
                slow_steps=self._slow_steps,
                traffic=self.traffic,
                endpoints=self.endpoints,
                feeds=self.feeds,
                supervisors=self._supervisors,
            )
        )

    def feed(self, source: str) -> Feed:
        """The feed of a source: made once, and kept while its task comes and goes."""
        if source not in self.feeds:
            self.feeds[source] = self.pump.feed(source, self._source_state)
        return self.feeds[source]

    async def run(
        self,
        sources: Sequence[tuple[str, Callable[[Feed], Awaitable[None]]]] = (),
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run all parts until cancelled; then they are stopped in reverse order. Started once peers can be served.

        Raises:
            Escalation: a part could not be kept running.
        """
        restarts, within = _RESTARTS
        tree = Supervisor(
            "sources",
            [self._source_child(name, body) for name, body in sources],
            max_restarts=restarts,
            within=within,
            on_report=self._reported,
        )
        self._root = Supervisor(
            "root",
            [
                ChildSpec("pump", self.pump.run, backoff=_BACKOFF),
                ChildSpec("flusher", self.flusher.run, backoff=_BACKOFF),
                ChildSpec("list changes", self.list_changes.run, backoff=_BACKOFF),
                ChildSpec("sweeper", self._sweeper.run, backoff=_BACKOFF),
                ChildSpec("sources", tree.run, shutdown=10.0, backoff=_BACKOFF),
                ChildSpec(
                    "peers", partial(self._peers.run, task_status=_Once(task_status)), backoff=_BACKOFF
                ),
            ],
            on_report=self._reported,
        )
        self._supervisors[:] = [self._root, tree, self._peers]
        self._slow_steps.forget()
        trio.lowlevel.add_instrument(self._slow_steps)
        try:
            await self._root.run()
        finally:
            trio.lowlevel.remove_instrument(self._slow_steps)

    def _source_child(self, name: str, body: Callable[[Feed], Awaitable[None]]) -> ChildSpec:
        feed = self.feed(name)

        async def run() -> None:
            structlog.contextvars.bind_contextvars(source=name)
            feed.starting()
            try:
                await body(feed)
                feed.ended()
            except Exception as error:
                feed.failed(f"{type(error).__name__}: {error}")
                raise
            except SystemExit as error:  # of a library that the source uses: not everybody's end
                feed.failed(f"SystemExit: {error}")
                raise RuntimeError(f"the source {name} raised SystemExit: {error}") from error
            except BaseExceptionGroup as group:  # of a nursery of the source's
                exits, rest = group.split(SystemExit)
                if exits is None:
                    raise
                feed.failed("SystemExit")
                if rest is not None and not isinstance(rest, Exception):
                    raise rest from exits  # a cancellation passes through
                raise RuntimeError(f"the source {name} raised SystemExit") from group

        return ChildSpec(name, run, Restart.TRANSIENT, backoff=_BACKOFF)

    async def serve(
        self,
        sockets: Sequence[trio.socket.SocketType],
        *,
        allowed_hosts: Collection[str],
        allowed_origins: Collection[str],
        max_connections: int | None = None,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept connections on listening sockets until cancelled; then end all of them politely.

        `max_connections` takes the place of the settings' own. The end takes at most `drain_timeout`: open
        listens get their final result, running requests a moment, and each connection its close 1001; what is
        left then is cut.

        Raises:
            RuntimeError: the accept loop failed; its error is the cause.
        """
        endpoint = self._open_endpoint(allowed_hosts, allowed_origins, max_connections)
        ended = trio.Event()
        failure: Exception | None = None
        stopped = True

        async def listen() -> None:
            nonlocal failure, stopped
            try:
                await endpoint.listener.serve(sockets)
                stopped = False  # somebody else closed the sockets
            except Exception as error:
                failure = error
                raise
            finally:
                with trio.move_on_after(self.settings.drain_timeout + 0.5, shield=True):
                    await endpoint.drain()
                ended.set()

        # The last child is stopped first: the connections are drained while the parts that serve them still run.
        self._listeners += 1
        name = f"listener {self._listeners}"
        patience = self.settings.drain_timeout + 1.0
        try:
            self._root.start_child(ChildSpec(name, listen, Restart.TEMPORARY, shutdown=patience))
            task_status.started()
            await ended.wait()
            if failure is not None:
                raise RuntimeError("the listener failed") from failure
            if stopped:
                # The root is ending, of which the caller is about to be told by a cancellation.
                await trio.sleep_forever()
        finally:
            with trio.move_on_after(patience, shield=True):
                await self._root.stop_child(name)
            # A child that is stopped before its first step never ran: what it would have closed is closed here.
            for sock in sockets:
                sock.close()
            self.endpoints.remove(endpoint)

    def connect(self) -> trio.abc.Stream:
        """A connection in memory: the client's end, on which it opens a WebSocket as on a socket's."""
        ours, theirs = memory_transport_pair()
        self._memory.connect(ours)
        return TransportStream(theirs)

    def _open_endpoint(
        self,
        allowed_hosts: Collection[str],
        allowed_origins: Collection[str],
        max_connections: int | None = None,
    ) -> Endpoint:
        settings = self.settings
        if max_connections is not None:
            settings = replace(settings, limits=replace(settings.limits, max_connections=max_connections))
        endpoint = Endpoint(
            self.dispatch,
            self._subscriptions,
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
        self._peers.start_child(
            ChildSpec(f"{name} #{self._connections}", run, Restart.TEMPORARY, shutdown=1.0)
        )

    def _source_state(self, source: str, state: SourceState, reason: str) -> None:
        log = _log.warning if state in (SourceState.DEGRADED, SourceState.FAILED) else _log.info
        log("source state", source=source, state=state.value, **({"reason": reason} if reason else {}))

    def _reported(self, report: Report) -> None:
        where = {"supervisor": report.supervisor, "child": report.child}
        if report.event is Event.ESCALATED:
            _log.critical("too many restarts", **where, exc_info=report.error)
        elif report.event is Event.OVERSTAYED:
            _log.warning("a task overstays its shutdown deadline", **where)
        elif report.event is Event.RESTARTING:
            _log.warning("restarting", **where, delay=report.delay, restarts=report.restarts)
        elif report.error is not None:
            _log.error("a task crashed", **where, exc_info=report.error)
        else:
            _log.debug(report.event.value, **where)
