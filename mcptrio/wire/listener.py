"""The one port: it accepts connections, reads each one's request, checks it, and hands it to its route.

Every connection runs in its own guard: nothing that a peer sends, and nothing that a route does wrong, reaches
another connection or the accept loop. State (counts, the sweeper's set) is owned by the Listener and changed
synchronously.
"""

import enum
import errno
import logging
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import h11
import trio

from mcptrio.wire.exchange import Exchange, serialize_response
from mcptrio.wire.head import Refused, parse_upgrade, read_head
from mcptrio.wire.hosts import HostCheck
from mcptrio.wire.limits import Limits
from mcptrio.wire.link import Link
from mcptrio.wire.sweeper import Sweeper
from mcptrio.wire.transport import SocketTransport, Transport
from mcptrio.wire.websocket import WebSocket

__all__ = ["ConnectionEvent", "EventKind", "Listener", "ListenerStatistics", "Route"]

_logger = logging.getLogger(__name__)

Route = Callable[[Exchange], Awaitable[None]]

_TURNED_AWAY = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 22\r\n\r\nToo many connections.\n"
)
_MAX_TURNING_AWAY = 64  # beyond, a refused connection is closed without a word
_LINGER_BYTES = 262_144
_ACCEPT_PAUSE = 0.1


class _Ending:
    """How a connection ended, as far as is known."""

    __slots__ = ("code", "reason")

    def __init__(self) -> None:
        self.set("cancelled", None)

    def set(self, reason: str, code: int | None) -> None:
        self.reason = reason
        self.code = code


class EventKind(enum.Enum):
    """What happened to a connection."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class ConnectionEvent:
    """Something to log or count.

    `refused`: `reason` is one of `connection_limit`, `head_timeout`, `head_too_big`, `bad_request`, `host`, `origin`,
    `not_found`, `bad_handshake`, and `code` the HTTP status.
    `closed`, once for each `accepted`: `code` is the close code of a WebSocket, else the HTTP status, else None;
    `reason` is the close reason, or says how a plain connection ended. It may quote the peer.
    """

    kind: EventKind
    peername: str
    reason: str = ""
    code: int | None = None


@dataclass(frozen=True, slots=True)
class ListenerStatistics:
    """Counts: connections open now, WebSockets among them, and since the start accepted and refused ones."""

    open: int
    websockets: int
    accepted: int
    refused: int


class Listener:
    """Serves the routes on any number of sockets, and on transports in memory.

    Args:
        routes: by exact path, without query. Whatever a route does with its `Exchange`, the connection ends when it
            returns: unanswered is 500, an open WebSocket is closed with 1000 (1011 after an exception, which is
            logged; 1001 when it was cancelled).
        limits: for each connection.
        start_connection: starts a connection's task, given a name and its body, which raises nothing but
            `trio.Cancelled`. It may raise to say that no more are started: then the connection is dropped.
        allowed_hosts, allowed_origins: see `HostCheck`.
        on_event: told what happens; synchronous. What it raises is logged.
        sweeper: looks after the WebSockets' deadlines. Somebody must run it: see `sweeper`.
    """

    def __init__(
        self,
        routes: Mapping[str, Route],
        *,
        limits: Limits,
        start_connection: Callable[[str, Callable[[], Awaitable[None]]], None],
        allowed_hosts: Collection[str] | None = None,
        allowed_origins: Collection[str] = (),
        on_event: Callable[[ConnectionEvent], None] | None = None,
        sweeper: Sweeper | None = None,
    ) -> None:
        self._routes = dict(routes)
        self._limits = limits
        self._start_connection = start_connection
        self._hosts = HostCheck(allowed_hosts, allowed_origins)
        self._on_event = on_event
        self._open = 0
        self._accepted = 0
        self._refused = 0
        self._turning_away = 0
        #: `sweeper.run` must run, once, as long as connections do: without it no WebSocket has deadlines.
        self.sweeper = sweeper if sweeper is not None else Sweeper()

    async def serve(self, sockets: Sequence[trio.socket.SocketType]) -> None:
        """Accept connections on listening sockets, which it owns, until cancelled; then they are closed.

        Errors of accepting (a shortage of descriptors, say) are logged and survived, with a short pause.
        Returns when all sockets were closed by someone else.
        """
        try:
            for sock in sockets:
                address = sock.getsockname()
                if isinstance(address, tuple):
                    self._hosts.allow_host(str(address[0]))
            async with trio.open_nursery() as nursery:
                for sock in sockets:
                    nursery.start_soon(self._accept, sock, nursery.start_soon)
        finally:
            for sock in sockets:
                sock.close()

    async def connection(self, transport: Transport) -> None:
        """Serve one connection from its first byte to its last: the accept loop's, or one in memory.

        Counts towards `max_connections`. Raises nothing but `trio.Cancelled`; the transport is aborted in the end.
        """
        if self._admit(transport.peername):
            await self._run(transport)
        else:
            await self._turn_away(transport)

    def statistics(self) -> ListenerStatistics:
        """Return a look at it."""
        return ListenerStatistics(
            self._open, self.sweeper.statistics().watched, self._accepted, self._refused
        )

    # ---- accepting

    async def _accept(
        self, sock: trio.socket.SocketType, start_soon: Callable[[Callable[[], Awaitable[None]]], None]
    ) -> None:
        failing = False
        while True:
            try:
                accepted, address = await sock.accept()
            except trio.ClosedResourceError:
                return
            except OSError as error:
                if error.errno == errno.EBADF:
                    return
                if (
                    error.errno != errno.ECONNABORTED
                ):  # that connection died in the queue: the next may be well
                    if not failing:
                        _logger.warning("accepting connections fails (trying on): %s", error)
                    failing = True
                    await trio.sleep(_ACCEPT_PAUSE)
                continue
            if failing:
                _logger.warning("accepting connections works again")
            failing = False
            transport = SocketTransport(_take_over(accepted), _format_address(address))
            transport.set_options(user_timeout=self._limits.stall_timeout)
            if not self._admit(transport.peername):
                if self._turning_away < _MAX_TURNING_AWAY:
                    start_soon(partial(self._turn_away, transport))
                else:
                    transport.abort()
                continue
            try:
                self._start_connection(f"connection {transport.peername}", partial(self._run, transport))
            except Exception as error:
                # Without a traceback: while nobody can serve them, everybody comes back again and again.
                _logger.warning("a connection could not be started: %s", error)
                transport.abort()
                self._release(transport.peername, "not started", None)

    def _admit(self, peername: str) -> bool:
        if self._open >= self._limits.max_connections:
            self._refuse(peername, "connection_limit", 503)
            return False
        self._open += 1
        self._accepted += 1
        self._report(ConnectionEvent(EventKind.ACCEPTED, peername))
        return True

    def _release(self, peername: str, reason: str, code: int | None) -> None:
        self._open -= 1
        self._report(ConnectionEvent(EventKind.CLOSED, peername, reason, code))

    async def _turn_away(self, transport: Transport) -> None:
        """Say 503 to a connection that is one too many."""
        self._turning_away += 1
        try:
            transport.send(_TURNED_AWAY)
            await _linger(transport, self._limits.close_timeout)
        except OSError:
            pass
        finally:
            self._turning_away -= 1
            transport.abort()

    # ---- one connection

    async def _run(self, transport: Transport) -> None:
        """The guard around one connection."""
        ending = _Ending()
        try:
            # The nursery is for the send buffer's drain task, which the abort of the link ends.
            async with trio.open_nursery() as nursery:
                link = Link(transport, nursery.start_soon, self._limits)
                try:
                    await self._converse(link, ending)
                finally:
                    link.abort()
        except* Exception:
            _logger.exception("a connection failed: %s", transport.peername)
            ending.set("internal error", None)
        finally:
            transport.abort()
            self._release(transport.peername, ending.reason, ending.code)

    async def _converse(self, link: Link, ending: _Ending) -> None:
        """Read the request, run its route, see the connection off; note in `ending` how it went."""
        opened = await self._open_exchange(link)
        if opened is None:
            ending.set("no request", None)
        elif isinstance(opened, Refused):
            ending.set(opened.reason, opened.status)
            await self._see_off(link)
        else:
            exchange, route = opened
            try:
                await self._answer(exchange, route)
            finally:
                websocket = exchange.websocket
                if websocket is not None:
                    if websocket.close_code is None:  # it was cancelled
                        websocket.close(1001, "going away")
                    websocket.abort()
                    ending.set(websocket.close_reason, websocket.close_code)
            if websocket is None:
                ending.set("answered", exchange.status)
                await self._see_off(link)

    async def _answer(self, exchange: Exchange, route: Route) -> None:
        """Run the route; do what it left undone."""
        try:
            await route(exchange)
        except Exception:
            _logger.exception("the route %s failed", exchange.path)
            if exchange.websocket is not None:
                exchange.websocket.close(1011, "internal error")
        if exchange.websocket is not None:
            await self._see_off_websocket(exchange.websocket)
        elif exchange.status is None:
            exchange.respond(500, b"Internal server error.\n")

    async def _open_exchange(self, link: Link) -> tuple[Exchange, Route] | Refused | None:
        """Return a checked request and its route; the refusal that was answered; or None if none ever came."""
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=self._limits.head_bytes)
        method = ""
        try:
            head = None
            with trio.move_on_after(self._limits.head_timeout) as scope:
                head = await read_head(link, http, self._limits.head_bytes)
            if scope.cancelled_caught and http.trailing_data[0]:
                raise Refused(408, "head_timeout", "The request head did not come in time.\n")
            if head is None:
                return None
            method = head.method
            if not self._hosts.hosts_allowed(head.authorities):
                raise Refused(403, "host", "This host is not among the allowed hosts.\n")
            if not self._hosts.origin_allowed(head.get("origin")):
                raise Refused(403, "origin", "This origin is not among the allowed origins.\n")
            route = self._routes.get(head.path)
            if route is None:
                raise Refused(404, "not_found", "Not found.\n")
            return Exchange(link, http, head, parse_upgrade(head), self._limits, self.sweeper), route
        except Refused as refused:
            self._refuse(link.peername, refused.reason, refused.status)
            link.finish(
                serialize_response(
                    http,
                    method,
                    refused.status,
                    refused.message.encode(),
                    "text/plain; charset=utf-8",
                    refused.headers,
                ),
                eof=True,
            )
            return refused
        except (OSError, trio.ClosedResourceError):
            return None  # the peer has gone, quietly

    async def _see_off(self, link: Link) -> None:
        """Let the response leave, and the peer take it."""
        with trio.move_on_after(self._limits.head_timeout) as scope:
            await link.buffer.wait_empty()
        if not scope.cancelled_caught and not link.buffer.broken:
            await _linger(link.transport, self._limits.close_timeout)

    async def _see_off_websocket(self, websocket: WebSocket) -> None:
        """Close what the route left open; let the peer answer the close frame."""
        websocket.close(1000)
        with trio.move_on_after(self._limits.close_timeout):
            while await websocket.receive():
                pass

    # ---- telling

    def _refuse(self, peername: str, reason: str, status: int) -> None:
        self._refused += 1
        self._report(ConnectionEvent(EventKind.REFUSED, peername, reason, status))

    def _report(self, event: ConnectionEvent) -> None:
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:
                _logger.exception("the callback for connection events failed")


async def _linger(transport: Transport, seconds: float) -> None:
    """Half-close, then read the peer's rest for a while: closing with bytes unread would take the response back."""
    transport.send_eof()
    scratch = bytearray(16_384)
    rest = _LINGER_BYTES
    with trio.move_on_after(seconds):
        while rest > 0:
            try:
                await transport.wait_readable()
                size = transport.recv_into(scratch)
            except BlockingIOError:
                continue
            except (OSError, trio.ClosedResourceError):
                return
            if not size:
                return
            rest -= size


def _take_over(accepted: trio.socket.SocketType) -> socket.socket:
    """Return the accepted socket as a plain one, which can send without awaiting."""
    family, kind, protocol = accepted.family, accepted.type, accepted.proto
    return socket.socket(family, kind, protocol, fileno=accepted.detach())


def _format_address(address: object) -> str:
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[0], address[1]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    return "local"
