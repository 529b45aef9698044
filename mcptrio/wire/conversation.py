"""One connection from its first byte to its last: request after request, or a request and then a WebSocket."""

import logging
import math
import ssl
from collections.abc import Awaitable, Callable

import trio

from mcptrio.wire.exchange import Exchange, PeerGone, whole_response
from mcptrio.wire.head import HeadParser, Refused, RequestHead, parse_upgrade, read_head
from mcptrio.wire.inbound import READ_BYTES, Inbound
from mcptrio.wire.link import Link
from mcptrio.wire.site import Site
from mcptrio.wire.transport import Transport

__all__ = ["Conversation", "linger"]

_logger = logging.getLogger("mcptrio.wire.listener")

_TEXT = "text/plain; charset=utf-8"
_LINGER_BYTES = 262_144


class Conversation:
    """Serves one connection. `reason` and `code` say how it ended, as far as is known."""

    __slots__ = ("_idle_since", "_inbound", "_link", "_site", "_waiting", "code", "reason")

    def __init__(self, link: Link, site: Site) -> None:
        self._link = link
        self._site = site
        self._inbound = Inbound(link)
        self._waiting = False
        self._idle_since = math.inf
        self.reason = "cancelled"
        self.code: int | None = None

    async def run(self) -> None:
        """Serve until it ends. What it raises is a bug, or `trio.Cancelled`."""
        try:
            head = await self._first_head()
            while head is not None and await self._serve(head):
                head = await self._next_head()
        except Refused as refused:
            self._refuse(refused, "")
            await self._see_off()
        except ssl.SSLError:
            self._site.refuse(self._link.peername, "tls", None)
            self._end("tls")
        except (OSError, trio.ClosedResourceError):
            self._end_silent()
        else:
            self._end_silent()
            self._link.close()
        finally:
            self._site.sweeper.discard(self)

    def close_if_idle(self, reason: str) -> None:
        """End it at once if no request is under way."""
        if self._waiting and not self._inbound.data:
            self._end(reason, self.code)
            self._link.close()

    # ---- what the sweeper calls

    def check_deadlines(self, now: float) -> None:
        """Close it if it has been idle for too long."""
        if now - self._idle_since >= self._site.limits.idle_timeout:
            self.close_if_idle("idle")

    def abort(self) -> None:
        """End it at once."""
        self._link.abort()

    # ---- heads

    async def _first_head(self) -> RequestHead | None:
        """Return the first head; None if none came."""
        self._waiting = True
        try:
            return await self._read_head()
        finally:
            self._waiting = False

    async def _next_head(self) -> RequestHead | None:
        """Return the next head, after any time up to `idle_timeout` without one; None if none came."""
        inbound = self._inbound
        if not inbound.data:
            if inbound.ended or self._site.closing:
                return None
            self._waiting = True
            self._idle_since = trio.current_time()
            self._site.sweeper.add(self)
            try:
                if not await inbound.more():
                    return None
            finally:
                self._waiting = False
        else:
            await trio.lowlevel.checkpoint()  # a client may pipeline for ever
        return await self._read_head()

    async def _read_head(self) -> RequestHead | None:
        """Read a head within its deadline. Raises `Refused`, and what a broken connection raises."""
        head_bytes = self._site.limits.head_bytes
        parser = HeadParser(head_bytes)
        if self._inbound.data and (head := parser.parse(self._inbound)) is not None:
            return head
        with trio.move_on_after(self._site.limits.head_timeout):
            return await read_head(self._inbound, parser)
        if self._inbound.data:
            raise Refused(408, "head_timeout", "The request head did not come in time.\n")
        return None

    # ---- requests

    async def _serve(self, head: RequestHead) -> bool:
        """Serve one request; return whether another may follow."""
        try:
            exchange, route = self._open_exchange(head)
        except Refused as refused:
            self._refuse(refused, head.method)
            return await self._see_off()
        self._end("cancelled")
        try:
            await self._answer(exchange, route)
            return await self._deliver(exchange)
        finally:
            if exchange.stream is not None:
                exchange.stream.abort("cancelled")  # does nothing if it was delivered
                self._end(exchange.stream.close_reason or "answered", exchange.status)
            elif exchange.websocket is not None:
                if exchange.websocket.close_code is None:  # it was cancelled
                    exchange.websocket.close(1001, "going away")
                exchange.websocket.abort()
                self._end(exchange.websocket.close_reason, exchange.websocket.close_code)

    def _open_exchange(self, head: RequestHead) -> tuple[Exchange, Callable[[Exchange], Awaitable[None]]]:
        """Return a checked request and its route. Raises `Refused`."""
        site = self._site
        if not site.hosts.hosts_allowed(head.authorities):
            raise Refused(403, "host", "This host is not among the allowed hosts.\n")
        if not site.hosts.origin_allowed(head.get("origin")):
            raise Refused(403, "origin", "This origin is not among the allowed origins.\n")
        route = site.routes.get(head.path)
        if route is None:
            raise Refused(404, "not_found", "Not found.\n")
        upgrade = parse_upgrade(head)
        if upgrade is not None and len(self._inbound.data) > READ_BYTES:
            # More than one read may bring: it was sent ahead while another request was worked on. No client sends
            # frames before its 101 (RFC 6455, 4.1), and so many tiny ones at once would keep everybody waiting.
            raise Refused(400, "bad_handshake", "Frames were sent before the handshake was answered.\n")
        return Exchange(self._link, self._inbound, head, upgrade, site), route

    async def _answer(self, exchange: Exchange, route: Callable[[Exchange], Awaitable[None]]) -> None:
        """Run the route; do what it left undone."""
        try:
            await route(exchange)
        except Exception as failure:
            error: BaseException = failure
            while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
                error = error.exceptions[0]  # the route has a nursery
            if isinstance(error, PeerGone):
                self._end("disconnected")
                self._link.abort()
                return
            if isinstance(error, Refused) and exchange.status is None:
                exchange.status = error.status
                self._refuse(error, exchange.method)
                return
            _logger.exception("the route %s failed", exchange.path)
            if exchange.websocket is not None:
                exchange.websocket.close(1011, "internal error")
            elif exchange.stream is not None and not exchange.stream.closed:
                exchange.stream.abort("internal error")
        if exchange.websocket is not None:
            # Close what it left open; let the peer answer the close frame.
            exchange.websocket.close(1000)
            with trio.move_on_after(self._site.limits.close_timeout):
                while await exchange.websocket.receive():
                    pass
        elif exchange.stream is not None:
            exchange.stream.finish()
        elif exchange.status is None:
            exchange.respond(500, b"Internal server error.\n")
        if self.reason == "cancelled":
            self._end("answered", exchange.status)

    async def _deliver(self, exchange: Exchange) -> bool:
        """Let the response leave; return whether another request may follow it."""
        link = self._link
        if exchange.websocket is not None:
            return False
        if exchange.stream is not None:
            await link.buffer.wait_empty()  # for as long as the client takes bytes: the sweeper sees to that
            exchange.stream.release()
        elif exchange.keeps_alive and not await self._flush():
            return False
        return not link.buffer.broken and (exchange.keeps_alive or await self._see_off())

    async def _see_off(self) -> bool:
        """End the connection after what is pending, and let the peer take it; return False."""
        self._link.finish(eof=True)
        if await self._flush():
            await linger(self._link.transport, self._site.limits.close_timeout)
        return False

    async def _flush(self) -> bool:
        """Wait until what is pending has left; False if it cannot, or no byte of it did for `head_timeout`."""
        buffer = self._link.buffer
        while buffer.pending_bytes:
            accepted_at = buffer.last_accepted_at
            with trio.move_on_after(self._site.limits.head_timeout) as scope:
                await buffer.wait_empty()
            if scope.cancelled_caught and buffer.last_accepted_at == accepted_at:
                return False
        return not buffer.broken

    # ---- telling

    def _refuse(self, refused: Refused, method: str) -> None:
        self._site.refuse(self._link.peername, refused.reason, refused.status)
        self._end(refused.reason, refused.status)
        response = whole_response(
            method, refused.status, refused.message.encode(), _TEXT, refused.headers, close=True
        )
        self._link.finish(response, eof=True)

    def _end_silent(self) -> None:
        if self.reason == "cancelled":  # else it has been said already
            self._end("no request")

    def _end(self, reason: str, code: int | None = None) -> None:
        self.reason = reason
        self.code = code


async def linger(transport: Transport, seconds: float) -> None:
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
