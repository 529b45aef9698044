"""One request and what becomes of it: a response, or a WebSocket."""

from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus

import h11

from mcptrio.wire.head import RequestHead, Upgrade
from mcptrio.wire.limits import Limits
from mcptrio.wire.link import Link
from mcptrio.wire.sweeper import Sweeper
from mcptrio.wire.websocket import WebSocket

__all__ = ["Exchange"]


class Exchange:
    """A request that has passed all checks, on its way through a route.

    The route answers it once: with `respond`, or with `accept_websocket` where `wants_websocket`. Both are
    synchronous. The connection ends when the route returns.
    """

    __slots__ = (
        "_http",
        "_limits",
        "_link",
        "_sweeper",
        "_upgrade",
        "headers",
        "method",
        "path",
        "query",
        "status",
        "websocket",
    )

    def __init__(
        self,
        link: Link,
        http: h11.Connection,
        head: RequestHead,
        upgrade: Upgrade | None,
        limits: Limits,
        sweeper: Sweeper,
    ) -> None:
        self._link = link
        self._http: h11.Connection | None = http
        self._upgrade = upgrade
        self._limits = limits
        self._sweeper = sweeper
        self.method = head.method
        self.path = head.path
        self.query = head.query
        #: Names in lower case, in the order in which they came.
        self.headers = head.headers
        #: What it was answered with; None before.
        self.status: int | None = None
        #: What `accept_websocket` returned.
        self.websocket: WebSocket | None = None

    @property
    def peername(self) -> str:
        """Who asks, for logs."""
        return self._link.peername

    @property
    def wants_websocket(self) -> bool:
        """Whether this is a (sound) request to become a WebSocket."""
        return self._upgrade is not None

    def respond(
        self,
        status: int,
        body: bytes = b"",
        *,
        content_type: str = "text/plain; charset=utf-8",
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Push the response, and close the connection once it has left.

        To HEAD it goes without its body. Raises `RuntimeError` if it was answered already, `ValueError` if
        the header fields are not valid; then it is not answered yet.
        """
        http = self._take()
        try:
            data = serialize_response(http, self.method, status, body, content_type, headers)
        except (h11.LocalProtocolError, UnicodeEncodeError) as error:
            raise ValueError(f"not a valid response: {error}") from error
        self._http = None
        self.status = status
        self._link.finish(data, eof=True)

    def accept_websocket(self, *, subprotocols: Sequence[str] = ("mcp",)) -> WebSocket:
        """Push the 101 and return the open WebSocket; what the peer sent behind its request is its first input.

        Of `subprotocols` the first that the client offers is agreed on; none if it offers none of them.
        Raises `RuntimeError` if it was answered already, or does not want a WebSocket.
        """
        http = self._take()
        if self._upgrade is None:
            raise RuntimeError("this is not a WebSocket request")
        response, subprotocol = self._upgrade.accept(subprotocols)
        received = http.trailing_data[0]
        self._http = None
        self.status = 101
        self._link.push(response)
        self.websocket = WebSocket(
            self._link,
            limits=self._limits,
            subprotocol=subprotocol,
            headers=self.headers,
            received=received,
            on_closed=self._sweeper.discard,
        )
        if not self.websocket.closed:
            self._sweeper.add(self.websocket)
        return self.websocket

    def _take(self) -> h11.Connection:
        if self._http is None:
            raise RuntimeError("this request was answered already")
        return self._http


def serialize_response(
    http: h11.Connection,
    method: str,
    status: int,
    body: bytes,
    content_type: str,
    headers: Sequence[tuple[str, str]],
) -> bytes:
    """Return a whole response, which says that the connection closes.

    Raises `h11.LocalProtocolError` for a status or header fields that are not valid, and `UnicodeEncodeError`.
    """
    bodiless = status in (204, 304)
    fields = [("Date", formatdate(usegmt=True)), ("Connection", "close")]
    if not bodiless:
        fields += [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    response = h11.Response(
        status_code=status,
        reason=phrase.encode(),
        headers=[(name.encode("ascii"), value.encode("latin-1")) for name, value in (*fields, *headers)],
    )
    data = http.send(response)
    if body and method != "HEAD" and not bodiless:
        data += http.send(h11.Data(data=body))
    return data + http.send(h11.EndOfMessage())
