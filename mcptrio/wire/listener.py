"""The one port: it accepts connections, and each one's requests are read, checked and handed to their routes.

Every connection runs in its own guard: nothing that a peer sends, and nothing that a route does wrong, reaches
another connection or the accept loop. State (counts, the sweeper's set) is owned by the Listener and changed
synchronously.
"""

import enum
import errno
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import trio

from mcptrio.wire.codec import IDENTITY
from mcptrio.wire.conversation import Conversation, linger
from mcptrio.wire.exchange import Exchange
from mcptrio.wire.hosts import HostCheck
from mcptrio.wire.limits import Limits
from mcptrio.wire.link import Link
from mcptrio.wire.site import Site
from mcptrio.wire.sweeper import Sweeper
from mcptrio.wire.tls import TlsCodec
from mcptrio.wire.transport import SocketTransport, Transport

__all__ = ["ConnectionEvent", "EventKind", "Listener", "ListenerStatistics", "Route"]

_logger = logging.getLogger(__name__)

Route = Callable[[Exchange], Awaitable[None]]

_TURNED_AWAY = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 22\r\n\r\nToo many connections.\n"
)
_MAX_TURNING_AWAY = 64  # beyond, a refused connection is closed without a word
_ACCEPT_PAUSE = 0.1


class EventKind(enum.Enum):
    """What happened to a connection."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class ConnectionEvent:
    """Something to log or count.

    `refused`: `reason` is one of `connection_limit`, `tls`, `head_timeout`, `head_too_big`, `bad_request`, `host`,
    `origin`, `not_found`, `bad_handshake`, `body_timeout`, `body_too_big`, or a route's own, and `code` the HTTP
    status (None for `tls`). A connection may be refused something after it was served something else.
    `closed`, once for each `accepted`: `code` is the close code of a WebSocket, else the last HTTP status, else None;
    `reason` is the close reason, or says how a plain connection ended. It may quote the peer.
    """

    kind: EventKind
    peername: str
    reason: str = ""
    code: int | None = None


@dataclass(frozen=True, slots=True)
class ListenerStatistics:
    """Counts: connections open now, WebSockets among them; since the start accepted and refused ones, and requests
    that were answered.
    """

    open: int
    websockets: int
    accepted: int
    refused: int
    requests: int


class Listener:
    """Serves the routes on any number of sockets, and on transports in memory.

    Args:
        routes: by exact path, without query. Whatever a route does with its `Exchange`, the request ends when it
            returns: unanswered is 500, an open WebSocket is closed with 1000 (1011 after an exception, which is
            logged; 1001 when it was cancelled), an open stream is finished (aborted after an exception).
        limits: for each connection.
        start_connection: starts a connection's task, given a name and its body, which raises nothing but
            `trio.Cancelled`. It may raise to say that no more are started: then the connection is dropped.
        allowed_hosts, allowed_origins: see `HostCheck`.
        on_event: told what happens; synchronous. What it raises is logged.
        sweeper: looks after the deadlines of WebSockets, streams and idle connections. Somebody must run it: see
            `sweeper`.
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
        self._limits = limits
        self._start_connection = start_connection
        self._hosts = HostCheck(allowed_hosts, allowed_origins)
        self._on_event = on_event
        self._accepted = 0
        self._refused = 0
        self._open = 0
        self._turning_away = 0
        self._conversations: set[Conversation] = set()
        #: `sweeper.run` must run, once, as long as connections do: without it nothing that is open has deadlines.
        self.sweeper = sweeper if sweeper is not None else Sweeper()
        self._site = Site(dict(routes), limits, self._hosts, self.sweeper, self._refuse)

    async def serve(
        self, sockets: Sequence[trio.socket.SocketType], *, tls: ssl.SSLContext | None = None
    ) -> None:
        """Accept connections on listening sockets, which it owns, until cancelled; then they are closed.

        With `tls` (see `mcptrio.wire.tls.server_context`) these sockets speak TLS, and nothing else.

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
                    nursery.start_soon(self._accept, sock, tls, nursery.start_soon)
        finally:
            for sock in sockets:
                sock.close()

    async def connection(self, transport: Transport, *, tls: ssl.SSLContext | None = None) -> None:
        """Serve one connection from its first byte to its last: the accept loop's, or one in memory.

        Counts towards `max_connections`. Raises nothing but `trio.Cancelled`; the transport is aborted in the end.
        """
        if self._admit(transport.peername):
            await self._run(transport, tls)
        else:
            await self._turn_away(transport, tls)

    def closing(self) -> None:
        """Serve no connection for longer than the request that it is at: every response says so from now on, and who
        has no request under way is let go at once. Idempotent.
        """
        self._site.closing = True
        for conversation in tuple(self._conversations):
            conversation.close_if_idle("going away")

    def statistics(self) -> ListenerStatistics:
        """Return a look at it."""
        site = self._site
        return ListenerStatistics(self._open, site.websockets, self._accepted, self._refused, site.requests)

    # ---- accepting

    async def _accept(
        self,
        sock: trio.socket.SocketType,
        tls: ssl.SSLContext | None,
        start_soon: Callable[[Callable[[], Awaitable[None]]], None],
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
                    start_soon(partial(self._turn_away, transport, tls))
                else:
                    transport.abort()
                continue
            try:
                self._start_connection(f"connection {transport.peername}", partial(self._run, transport, tls))
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

    async def _turn_away(self, transport: Transport, tls: ssl.SSLContext | None) -> None:
        """Say 503 to a connection that is one too many; in TLS that would cost a handshake, and nothing is said."""
        self._turning_away += 1
        try:
            if tls is None:
                transport.send(_TURNED_AWAY)
                await linger(transport, self._limits.close_timeout)
        except OSError:
            pass
        finally:
            self._turning_away -= 1
            transport.abort()

    # ---- one connection

    async def _run(self, transport: Transport, tls: ssl.SSLContext | None) -> None:
        """The guard around one connection."""
        reason: str = "internal error"
        code: int | None = None
        try:
            # The nursery is for the send buffer's drain task, which the abort of the link ends.
            async with trio.open_nursery() as nursery:
                codec = IDENTITY if tls is None else TlsCodec(tls)
                link = Link(transport, nursery.start_soon, self._limits, codec)
                conversation = Conversation(link, self._site)
                self._conversations.add(conversation)
                try:
                    await conversation.run()
                finally:
                    self._conversations.discard(conversation)
                    link.abort()
                    reason, code = conversation.reason, conversation.code
        except* Exception:
            _logger.exception("a connection failed: %s", transport.peername)
            reason, code = "internal error", None
        finally:
            transport.abort()
            self._release(transport.peername, reason, code)

    # ---- telling

    def _refuse(self, peername: str, reason: str, status: int | None) -> None:
        self._refused += 1
        self._report(ConnectionEvent(EventKind.REFUSED, peername, reason, status))

    def _report(self, event: ConnectionEvent) -> None:
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:
                _logger.exception("the callback for connection events failed")


def _take_over(accepted: trio.socket.SocketType) -> socket.socket:
    """Return the accepted socket as a plain one, which can send without awaiting."""
    family, kind, protocol = accepted.family, accepted.type, accepted.proto
    return socket.socket(family, kind, protocol, fileno=accepted.detach())


def _format_address(address: object) -> str:
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[0], address[1]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    return "unix"
