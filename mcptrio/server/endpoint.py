"""An endpoint: one listener's routes, and the peers that came through it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from functools import partial

import msgspec
import trio

from mcptrio.access import Access, Unauthorized
from mcptrio.catalog import Catalog
from mcptrio.log import get_logger
from mcptrio.server.dispatch import Dispatch
from mcptrio.server.flusher import BATCH
from mcptrio.server.http import StreamableHttp
from mcptrio.server.http.cors import cors_headers
from mcptrio.server.http.sessions import Sessions
from mcptrio.server.http.streamable import address_of
from mcptrio.server.peer import Peer
from mcptrio.server.settings import ServerSettings
from mcptrio.server.subscriptions import Subscriptions
from mcptrio.wire import ConnectionEvent, EventKind, Exchange, Listener, Sweeper, Transport
from mcptrio.wire.head import Refused

_log = get_logger("mcptrio.server")

MCP_PATH = "/mcp"
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Traffic(msgspec.Struct):
    """Counts of connections over all endpoints of a server, past ones too."""

    accepted: int = 0
    refusals: Counter[str] = msgspec.field(default_factory=Counter)
    closes: Counter[str] = msgspec.field(default_factory=Counter)
    peers: int = 0
    """MCP peers that there have been. The last one's number, by which the log calls it."""
    peer_changes: int = 0
    """Rises when a peer comes, says who it is, begins or ends a session or a listen, and when it goes."""

    def peer_changed(self) -> None:
        """Something of a peer is not as it was."""
        self.peer_changes += 1


class Endpoint:
    """`/mcp`, `/healthz` and `/metrics` on one listener.

    Owns the table of its peers; each is put in and taken out by its own connection's task, synchronously.
    """

    def __init__(
        self,
        name: str,
        dispatch: Dispatch,
        subscriptions: Subscriptions,
        catalog: Catalog,
        access: Access,
        settings: ServerSettings,
        sweeper: Sweeper,
        traffic: Traffic,
        *,
        start_connection: Callable[[str, Callable[[], Awaitable[None]]], None],
        metrics: Callable[[], bytes],
        allowed_hosts: Collection[str],
        allowed_origins: Collection[str],
    ) -> None:
        self.name = name
        self.max_connections = settings.limits.max_connections
        self.peers: dict[str, Peer] = {}
        self._traffic = traffic
        self._access = access
        self._dispatch = dispatch
        self._subscriptions = subscriptions
        self._settings = settings
        self._metrics = metrics
        self._start_connection = start_connection
        self.http = StreamableHttp(
            dispatch,
            subscriptions,
            catalog,
            settings,
            Sessions(settings, sweeper, start_connection, self.peers),
            self.peers,
            self._name_peer,
            traffic.peer_changed,
        )
        self.listener = Listener(
            {MCP_PATH: self._mcp, "/healthz": self._health, "/metrics": self._show_metrics},
            limits=settings.limits,
            start_connection=start_connection,
            # A page of a rebinding attacker cannot name a loopback host, so these are let in beside any list.
            allowed_hosts=[*LOOPBACK_HOSTS, *allowed_hosts] if allowed_hosts else None,
            allowed_origins=allowed_origins,
            on_event=self._count,
            sweeper=sweeper,
        )

    def connect(self, transport: Transport) -> None:
        """Serve a connection that came by no socket, as if it had been accepted."""
        self._start_connection(transport.peername, partial(self.listener.connection, transport))

    async def drain(self) -> None:
        """End all peers politely within `drain_timeout`: final results, answers, close 1001; what is left is cut.

        Safe to cancel: then the rest is cut by whoever cancels the connections.
        """
        self.listener.closing()
        with trio.move_on_after(self._settings.drain_timeout):
            async with trio.open_nursery() as nursery:
                everyone = dict.fromkeys([*self.peers.values(), *self.http.exchanges])
                for number, peer in enumerate(everyone, 1):
                    peer.draining = True
                    self._subscriptions.end_listens(peer)
                    nursery.start_soon(peer.drain, self._settings.drain_requests)
                    if number % BATCH == 0:
                        await trio.lowlevel.checkpoint()
        for peer in [*self.peers.values(), *self.http.exchanges]:
            peer.abort()

    async def _mcp(self, exchange: Exchange) -> None:
        if exchange.method == "OPTIONS":
            self.http.preflight(exchange)  # it carries no credentials, and nothing is done for it
            return
        try:
            await self._let_in(exchange, self._authenticate(exchange))
        except Refused as refused:  # whoever refused it, a web page may see why
            headers = [*refused.headers, *cors_headers(exchange.header("origin"))]
            raise Refused(refused.status, refused.reason, refused.message, headers) from refused

    async def _let_in(self, exchange: Exchange, principal: str | None) -> None:
        if exchange.closing:
            headers = [("Retry-After", "5"), *cors_headers(exchange.header("origin"))]
            exchange.respond(503, b"The server is shutting down.\n", headers=headers)
        elif exchange.wants_websocket:
            await self._serve_websocket(exchange, principal)
        else:
            await self.http.serve(exchange, principal)

    async def _serve_websocket(self, exchange: Exchange, principal: str | None) -> None:
        name = self._name_peer(exchange.peername)
        peer = self.peers[name] = Peer(
            exchange.accept_websocket(),
            name,
            self._settings.limits.high_water,
            self._traffic.peer_changed,
            principal=principal,
            address=address_of(exchange.peername),
        )
        self._traffic.peer_changed()
        try:
            await peer.run(self._dispatch.received, self._subscriptions.gone)
        finally:
            del self.peers[name]
            self._traffic.peer_changed()

    def _name_peer(self, peername: str) -> str:
        self._traffic.peers += 1
        return f"{peername} #{self._traffic.peers}"

    def _authenticate(self, exchange: Exchange) -> str | None:
        """Who asks.

        Raises:
            Refused: nobody who is let in.
        """
        try:
            return self._access.authenticate(exchange.header("authorization"))
        except Unauthorized as error:
            raise Refused(
                401, "unauthorized", f"{error}\n", [("WWW-Authenticate", error.challenge)]
            ) from None

    async def _health(self, exchange: Exchange) -> None:
        if exchange.closing:
            exchange.respond(503, b'{"status":"draining"}\n', content_type="application/json")
        else:
            exchange.respond(200, b'{"status":"ok"}\n', content_type="application/json")

    async def _show_metrics(self, exchange: Exchange) -> None:
        self._authenticate(exchange)
        exchange.respond(200, self._metrics(), content_type=METRICS_TYPE)

    def _count(self, event: ConnectionEvent) -> None:
        if event.kind is EventKind.REFUSED:
            self._traffic.refusals[event.reason] += 1
            _log.info("connection refused", peer=event.peername, reason=event.reason, status=event.code)
        elif event.kind is EventKind.CLOSED:
            # Peers choose their close codes: only those that mean something get a label of their own.
            known = event.code is None or event.code < 1016
            self._traffic.closes[str(event.code) if known else "other"] += 1
            _log.debug("connection closed", peer=event.peername, reason=event.reason, code=event.code)
        else:
            self._traffic.accepted += 1
            _log.debug("connection accepted", peer=event.peername)
