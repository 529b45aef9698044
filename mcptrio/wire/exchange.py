"""One request and what becomes of it: a response, whole or streamed, or a WebSocket."""

from collections.abc import Sequence

import trio

from mcptrio.wire.body import PeerGone, RequestBody
from mcptrio.wire.head import RequestHead, Upgrade
from mcptrio.wire.inbound import Inbound
from mcptrio.wire.link import Link
from mcptrio.wire.response import CLOSE, response_head
from mcptrio.wire.response_stream import ResponseStream
from mcptrio.wire.site import Site
from mcptrio.wire.websocket import WebSocket

__all__ = ["Exchange", "PeerGone"]

_MAX_PIPELINED = 65_536
_HEAD_BYTES = 16_384  # more than a response's head has


class Exchange:
    """A request that has passed all checks, on its way through a route.

    The route answers it once: with `respond`, with `open_stream`, or with `accept_websocket` where
    `wants_websocket`. These are synchronous. When the route returns, the connection serves the next request, if it
    may (HTTP/1.1, the whole body read, nobody said `Connection: close`), or ends.

    A route may raise `Refused` before it has answered: that is the answer, and the connection ends.
    """

    __slots__ = (
        "_body",
        "_head",
        "_inbound",
        "_link",
        "_site",
        "_upgrade",
        "headers",
        "keeps_alive",
        "method",
        "path",
        "query",
        "status",
        "stream",
        "websocket",
    )

    def __init__(
        self, link: Link, inbound: Inbound, head: RequestHead, upgrade: Upgrade | None, site: Site
    ) -> None:
        self._link = link
        self._inbound = inbound
        self._head = head
        self._upgrade = upgrade
        self._site = site
        self._body = RequestBody(head, link, inbound)
        self.method = head.method
        self.path = head.path
        self.query = head.query
        #: Names in lower case, in the order in which they came.
        self.headers = head.headers
        #: What it was answered with; None before.
        self.status: int | None = None
        #: Whether another request may follow; known once it was answered.
        self.keeps_alive = False
        #: What `open_stream` returned.
        self.stream: ResponseStream | None = None
        #: What `accept_websocket` returned.
        self.websocket: WebSocket | None = None

    @property
    def peername(self) -> str:
        """Who asks, for logs."""
        return self._link.peername

    @property
    def secure(self) -> bool:
        """Whether it came by TLS."""
        return self._link.secure

    @property
    def closing(self) -> bool:
        """Whether the listener serves no more than what has begun; it may be from one checkpoint to the next."""
        return self._site.closing

    @property
    def wants_websocket(self) -> bool:
        """Whether this is a (sound) request to become a WebSocket."""
        return self._upgrade is not None

    def header(self, name: str) -> str | None:
        """Return the values of the header field `name` (lower case), joined by ", "; None if there is none."""
        return self._head.fields.get(name)

    def header_values(self, name: str) -> list[str]:
        """Return the value of each line of the header field `name` (lower case)."""
        return [value for key, value in self.headers if key == name]

    async def read_body(self, limit: int | None = None) -> bytes:
        """Return the whole body, of at most `limit` bytes (`max_message`), within `body_timeout`; empty if there is
        none, or it was read before.

        A client that waits for `100 Continue` is sent it, if its body may come at all. If this is cancelled the body
        is lost, and the connection ends with the response.

        Raises:
            Refused: 413 `body_too_big`, by its Content-Length before anything is read; 408 `body_timeout`; 400
                `bad_request` for bad chunks. To be left to the listener, which answers so.
            PeerGone: there is nobody to answer any more. To be left to the listener, too.
        """
        limits = self._site.limits
        return await self._body.read(limits.max_message if limit is None else limit, limits.body_timeout)

    async def wait_disconnected(self) -> None:
        """Return when the client has gone (any end of its bytes counts), or the connection was aborted.

        The body must have been read; this is the only reader meanwhile. What comes is kept as the next request: a
        client that sends more than 64 KiB ahead is cut off. Nothing is lost if it is cancelled.
        """
        inbound = self._inbound
        try:
            while await inbound.more():
                if len(inbound.data) > _MAX_PIPELINED:
                    self._abort("sent too much ahead")
                    return
        except (OSError, trio.ClosedResourceError):
            self._abort("connection lost")

    def respond(
        self,
        status: int,
        body: bytes = b"",
        *,
        content_type: str = "text/plain; charset=utf-8",
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Push the whole response. The connection ends after it unless `keeps_alive`.

        To HEAD it goes without its body. Raises `RuntimeError` if it was answered already, `ValueError` if
        the header fields are not valid; then it is not answered yet.
        """
        self._check_unanswered()
        # What is too much for a push is sent all the same, as the last of its connection.
        keeps_alive = self._may_keep_alive() and len(body) + _HEAD_BYTES <= self._site.limits.max_pending
        data = whole_response(self.method, status, body, content_type, headers, close=not keeps_alive)
        self._answered(status, keeps_alive)
        if keeps_alive:
            self._link.push(data)
        else:
            self._link.finish(data, eof=True)

    def open_stream(
        self,
        *,
        status: int = 200,
        content_type: str = "text/event-stream",
        headers: Sequence[tuple[str, str]] = (),
        idle_chunk: bytes = b"",
    ) -> ResponseStream:
        """Push the head of a response and return its body, to be pushed in pieces.

        If the route returns before the stream is finished, that finishes it; if it fails or is cancelled, that aborts
        it. To HEAD it is finished from the start. `idle_chunk`: see `ResponseStream`. Raises as `respond`.
        """
        self._check_unanswered()
        if status in (204, 304):
            raise ValueError(f"not a valid response: {status} has no body to stream")
        framed = self._head.http_version != "1.0"
        keeps_alive = framed and self._may_keep_alive()
        framing = ("Transfer-Encoding: chunked\r\n" if framed else "") + ("" if keeps_alive else CLOSE)
        self._link.push(response_head(status, framing, content_type, headers))
        self._answered(status, keeps_alive)
        sweeper = self._site.sweeper
        stream = self.stream = ResponseStream(
            self._link,
            limits=self._site.limits,
            framed=framed,
            idle_chunk=idle_chunk,
            on_gone=sweeper.discard,
        )
        if self.method == "HEAD":
            stream.closed = True
        elif self._link.buffer.broken:
            stream.abort("connection lost")
        else:
            sweeper.add(stream)
        return stream

    def accept_websocket(self, *, subprotocols: Sequence[str] = ("mcp",)) -> WebSocket:
        """Push the 101 and return the open WebSocket; what the peer sent behind its request is its first input.

        Of `subprotocols` the first that the client offers is agreed on; none if it offers none of them.
        Raises `RuntimeError` if it was answered already, or does not want a WebSocket.
        """
        self._check_unanswered()
        if self._upgrade is None:
            raise RuntimeError("this is not a WebSocket request")
        response, subprotocol = self._upgrade.accept(subprotocols)
        received = self._inbound.take(len(self._inbound.data))
        self._answered(101, False)
        self._link.push(response)
        site = self._site
        self.websocket = WebSocket(
            self._link,
            limits=site.limits,
            subprotocol=subprotocol,
            headers=self.headers,
            received=received,
            on_closed=site.websocket_closed,
        )
        site.websocket_opened(self.websocket)
        return self.websocket

    def _abort(self, reason: str) -> None:
        if self.stream is not None:
            self.stream.abort(reason)
        self._link.abort()

    def _check_unanswered(self) -> None:
        if self.status is not None:
            raise RuntimeError("this request was answered already")

    def _may_keep_alive(self) -> bool:
        return self._head.keeps_alive and not self._site.closing and self._body.settle()

    def _answered(self, status: int, keeps_alive: bool) -> None:
        self.status = status
        self.keeps_alive = keeps_alive
        self._site.requests += 1


def whole_response(
    method: str,
    status: int,
    body: bytes,
    content_type: str,
    headers: Sequence[tuple[str, str]],
    *,
    close: bool,
) -> bytes:
    """Return a whole response, to HEAD without its body. Raises `ValueError` for what cannot be sent."""
    end = CLOSE if close else ""
    if status in (204, 304):
        return response_head(status, end, None, headers)
    head = response_head(status, f"Content-Length: {len(body)}\r\n{end}", content_type, headers)
    return head if method == "HEAD" else head + body
