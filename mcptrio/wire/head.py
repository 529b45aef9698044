"""The head of a request: parsed by h11 within its limits, and judged for a WebSocket upgrade.

Bytes of a peer may make any of this say no, and nothing else: every fault comes out as `Refused`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from mcptrio.wire.inbound import Inbound

__all__ = ["HeadParser", "Refused", "RequestHead", "Upgrade", "parse_upgrade", "read_head"]

_ASCII_ONLY = frozenset({"host", "origin", "upgrade", "connection"})
_lengths = re.compile(rb"\ncontent-length:([^\r]*)", re.IGNORECASE).findall


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


@dataclass(slots=True)
class RequestHead:
    """A request line and its header fields. Names are in lower case, values Latin-1, the path is as it was sent."""

    method: str
    path: str
    query: str
    authorities: Sequence[str]
    """The hosts that the request names: its `Host`, and that of an absolute request target."""
    headers: tuple[tuple[str, str], ...]
    fields: dict[str, str]
    """The values of each field, joined by commas."""
    http_version: str
    chunked: h11.Connection | None = None
    """Where the body comes in chunks: what parses them, and holds what came behind the head."""

    def get(self, name: str) -> str | None:
        """Return the values of the header field `name` (lower case), joined by commas; None if there is none."""
        return self.fields.get(name)

    @property
    def keeps_alive(self) -> bool:
        """Whether the client leaves the connection open for another request."""
        if self.http_version != "1.1":
            return False
        connection = self.fields.get("connection")
        return connection is None or "close" not in _tokens(connection)

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for a 100 before it sends the body."""
        expect = self.fields.get("expect")
        return expect is not None and self.http_version != "1.0" and "100-continue" in _tokens(expect)


class HeadParser:
    """Finds one request head at the beginning of what has come."""

    __slots__ = ("_fed", "_http", "_limit")

    def __init__(self, head_bytes: int) -> None:
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=head_bytes)
        self._limit = head_bytes
        self._fed = 0

    def parse(self, inbound: Inbound) -> RequestHead | None:
        """Take the head out of `inbound` and return it; None if more of it has to come.

        The bytes of a chunked body go with it, into its parser. Raises `Refused` (400, 431 and what h11 hints at).
        """
        data, http = inbound.data, self._http
        # Nothing new is the end of the peer's bytes, to h11 too: then it raises.
        http.receive_data(bytes(data[self._fed :] if self._fed else data))
        self._fed = len(data)
        try:
            event = http.next_event()
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == 431:
                raise self._too_big() from error
            # h11's words may quote the peer: they stay out of the response.
            raise _bad("this is no valid HTTP/1.1 request head", error.error_status_hint) from error
        if not isinstance(event, h11.Request):
            return None
        size = len(data) - len(http.trailing_data[0])
        if size > self._limit:  # h11 looks at the size of heads that are incomplete only
            raise self._too_big()
        head = _parse_request(event)
        _check_framing(head, inbound.take(size))
        if "transfer-encoding" in head.fields:
            inbound.data = bytearray()
            head.chunked = http
        return head

    def _too_big(self) -> Refused:
        return Refused(431, "head_too_big", f"The request head exceeds {self._limit} bytes.\n")


async def read_head(inbound: Inbound, parser: HeadParser) -> RequestHead | None:
    """Read on in a request head; None if the peer left without a word.

    Raises as `HeadParser.parse` and, if the connection is broken, `OSError` or `trio.ClosedResourceError`. It has
    no deadline: its caller sets one. Every read is a checkpoint.
    """
    while await inbound.more() or inbound.data:
        head = parser.parse(inbound)
        if head is not None:
            return head
    return None


def _bad(what: str, status: int = 400) -> Refused:
    return Refused(status, "bad_request", f"Bad request: {what}.\n")


def _tokens(value: str) -> list[str]:
    return [token.strip() for token in value.lower().split(",")]


def _parse_request(event: h11.Request) -> RequestHead:
    headers: list[tuple[str, str]] = []
    fields: dict[str, str] = {}
    for raw_name, raw_value in event.headers.raw_items():
        name, value = raw_name.decode("ascii").lower(), raw_value.decode("latin-1")
        # Control characters too: h11 lets them through, and what reads these fields next does not.
        if (name in _ASCII_ONLY or name.startswith("sec-websocket-")) and not _is_printable(value):
            raise _bad(f"{name} is not printable ASCII")
        headers.append((name, value))
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    authorities = [fields["host"]] if "host" in fields else []  # h11 refuses two
    target = event.target.decode("ascii")
    if not target.startswith("/"):
        # The absolute form (RFC 9112, 3.2.2), which every server must understand; no other has a meaning here.
        try:
            parts = urlsplit(target)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise _bad("the request target must be a path")
        authorities.append(parts.netloc)
        target = parts._replace(scheme="", netloc="", path=parts.path or "/").geturl()
    path, _, query = target.partition("?")
    return RequestHead(
        event.method.decode("ascii"),
        path,
        query,
        authorities,
        tuple(headers),
        fields,
        event.http_version.decode(),
    )


def _check_framing(head: RequestHead, raw: bytes) -> None:
    """Refuse what two readers may understand in two ways: that is how requests are smuggled.

    h11 lets these through, each as the more lenient reading of RFC 9112 has it.
    """
    if raw.count(b"\n") != raw.count(b"\r\n"):
        raise _bad("a line of the request head does not end with CRLF")
    if b"\n " in raw or b"\n\t" in raw:
        raise _bad("a header field is folded over several lines")
    fields = head.fields
    if "transfer-encoding" in fields:
        if "content-length" in fields:
            raise _bad("the request has both a Content-Length and a Transfer-Encoding")
        if head.http_version != "1.1":
            raise _bad("only HTTP/1.1 has a Transfer-Encoding")
    elif "content-length" in fields:
        lengths = _lengths(raw)  # as it came: h11 makes one of several that are the same
        if len(lengths) != 1 or b"," in lengths[0]:
            raise _bad("the request has more than one Content-Length")


def _is_printable(value: str) -> bool:
    return value.isascii() and value.replace("\t", " ").isprintable()


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
