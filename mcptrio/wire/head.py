"""The head of a request: read from a link within its limits, parsed by h11, and judged for a WebSocket upgrade.

Bytes of a peer may make any of this say no, and nothing else: every fault comes out as `Refused`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from mcptrio.wire.link import Link

__all__ = ["Refused", "RequestHead", "Upgrade", "parse_upgrade", "read_head"]

_READ_BYTES = 4096
_ASCII_ONLY = (b"host", b"origin", b"upgrade", b"connection")


class Refused(Exception):
    """A request that is answered with an error, and its connection closed.

    `reason` is a short word for logs and counters, the message is the response's body.
    """

    def __init__(
        self, status: int, reason: str, message: str, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.headers = tuple(headers)


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request line and its header fields. Names are in lower case, values Latin-1, the path is as it was sent."""

    method: str
    path: str
    query: str
    authorities: tuple[str, ...]
    """The hosts that the request names: its `Host`, and that of an absolute request target."""
    headers: tuple[tuple[str, str], ...]
    http_version: str

    def get(self, name: str) -> str | None:
        """Return the values of the header field `name` (lower case), joined by commas; None if there is none."""
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else None


async def read_head(link: Link, http: h11.Connection, head_bytes: int) -> RequestHead | None:
    """Read one request head through `http`; None if the peer left without a word.

    Raises `Refused` (400, 431 and what h11 hints at) and, if the connection is broken, `OSError` or
    `trio.ClosedResourceError`. It has no deadline: its caller sets one. Every read is a checkpoint.
    """
    received = 0
    while True:
        try:
            event = http.next_event()
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == 431:
                raise _head_too_big(head_bytes) from error
            # h11's words may quote the peer: they stay out of the response.
            message = "Bad request: this is no valid HTTP/1.1 request head.\n"
            raise Refused(error.error_status_hint, "bad_request", message) from error
        if isinstance(event, h11.Request):
            # h11 looks at the size of heads that are incomplete only.
            if received - len(http.trailing_data[0]) > head_bytes:
                raise _head_too_big(head_bytes)
            return _parse_request(event)
        if isinstance(event, h11.ConnectionClosed):
            return None
        await link.transport.wait_readable()
        try:
            data = link.read_nowait(_READ_BYTES)
        except BlockingIOError:
            continue
        if data is None:
            http.receive_data(b"")
        elif data:
            received += len(data)
            http.receive_data(bytes(data))


def _head_too_big(head_bytes: int) -> Refused:
    return Refused(431, "head_too_big", f"The request head exceeds {head_bytes} bytes.\n")


def _parse_request(event: h11.Request) -> RequestHead:
    for name, value in event.headers:
        # Control characters too: h11 lets them through, and what reads these fields next does not.
        if (name in _ASCII_ONLY or name.startswith(b"sec-websocket-")) and not _is_printable(value):
            raise Refused(400, "bad_request", f"Bad request: {name.decode()} is not printable ASCII.\n")
    headers = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in event.headers)
    authorities = [value for name, value in headers if name == "host"]
    target = event.target.decode("ascii")
    if not target.startswith("/"):
        # The absolute form (RFC 9112, 3.2.2), which every server must understand; no other has a meaning here.
        try:
            parts = urlsplit(target)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise Refused(400, "bad_request", "Bad request: the request target must be a path.\n")
        authorities.append(parts.netloc)
        target = parts._replace(scheme="", netloc="", path=parts.path or "/").geturl()
    path, _, query = target.partition("?")
    return RequestHead(
        event.method.decode("ascii"), path, query, tuple(authorities), headers, event.http_version.decode()
    )


def _is_printable(value: bytes) -> bool:
    return value.isascii() and value.decode().replace("\t", " ").isprintable()


class Upgrade:
    """A sound request to become a WebSocket, not answered yet. `offered` are the subprotocols that it offers."""

    __slots__ = ("_response", "offered")

    def __init__(self, response: bytes, offered: tuple[str, ...]) -> None:
        self._response = response
        self.offered = offered

    def accept(self, subprotocols: Sequence[str]) -> tuple[bytes, str | None]:
        """Return the 101 response, and the first of `subprotocols` that was offered: None if none was.

        A client that offers none, or none of ours, is accepted without one: it may still speak the same.
        """
        chosen = next((name for name in subprotocols if name in self.offered), None)
        if chosen is None:
            return self._response, None
        return self._response[:-2] + f"Sec-WebSocket-Protocol: {chosen}\r\n\r\n".encode(), chosen


def parse_upgrade(head: RequestHead) -> Upgrade | None:
    """Return the upgrade that a request asks for; None if it asks for none (or in HTTP/1.0, where none exists).

    Raises `Refused`, as RFC 6455, 4.2.2 and 4.4 have it: 400, 405 not a GET, 426 another version, or no
    `Connection: upgrade`.
    """
    upgrade = head.get("upgrade")
    if upgrade is None or "websocket" not in upgrade.lower() or head.http_version != "1.1":
        return None
    if head.get("transfer-encoding") is not None or head.get("content-length") not in (None, "0"):
        # Where the body ends and the frames begin is nothing to guess about.
        raise Refused(400, "bad_handshake", "A WebSocket handshake has no body.\n")
    version = head.get("sec-websocket-version")
    if version is not None and version != "13":
        raise Refused(
            426,
            "bad_handshake",
            "This server speaks version 13 of the WebSocket protocol.\n",
            [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")],
        )
    offered: list[str] = []

    def select(_: ServerProtocol, subprotocols: Sequence[Subprotocol]) -> None:
        offered.extend(subprotocols)

    # This protocol judges the handshake, no more. The frames are parsed by another one, which starts in the open
    # state: so no byte that follows the request can be taken for a part of it, or be answered before the 101.
    request = Request(
        head.path,
        Headers([field for field in head.headers if _of_handshake(field[0])]),
        method=head.method,
    )
    response = ServerProtocol(select_subprotocol=select).accept(request)
    if response.status_code != 101:
        extra = [(name, response.headers[name]) for name in ("Allow", "Upgrade") if name in response.headers]
        message = bytes(response.body or b"").decode()
        raise Refused(response.status_code, "bad_handshake", message, extra)
    return Upgrade(response.serialize(), tuple(offered))


def _of_handshake(name: str) -> bool:
    return name in ("upgrade", "connection") or name.startswith("sec-websocket-")
