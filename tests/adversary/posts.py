"""HTTP requests written by hand: sound ones, to be damaged."""

from __future__ import annotations

from tests.adversary.world import modern, rpc

VERSION = "MCP-Protocol-Version: 2026-07-28"
JSON = "Content-Type: application/json"


def head(first: str, *lines: str, host: str = "Host: localhost") -> bytes:
    """A request's head. An empty `host` leaves the field out."""
    return "\r\n".join([first, *([host] if host else []), *lines, "", ""]).encode("latin-1")


def post(
    body: bytes,
    *lines: str,
    first: str = "POST /mcp HTTP/1.1",
    length: str = "",
    host: str = "Host: localhost",
) -> bytes:
    """A POST; `length` lies about the body's."""
    return head(first, JSON, f"Content-Length: {length or len(body)}", *lines, host=host) + body


def fields(method: str, name: str = "") -> tuple[str, ...]:
    """What a request of the newer revision must say in its head."""
    return (VERSION, f"Mcp-Method: {method}", *([f"Mcp-Name: {name}"] if name else []))


def chunked(body: bytes, *lines: str) -> bytes:
    """A POST of the newer revision that lists tools; `body` is its chunks."""
    return (
        head("POST /mcp HTTP/1.1", JSON, "Transfer-Encoding: chunked", *fields("tools/list"), *lines) + body
    )


def chunks(body: bytes, size: int, extension: bytes = b"") -> bytes:
    """A body in chunks of one size, to its end."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces) + b"0\r\n\r\n"


LIST_BODY = modern("tools/list", 1)
LIST = post(LIST_BODY, *fields("tools/list"))
"""Answered in the reader's step."""


def call(name: str, id: object = 1, *lines: str, **arguments: object) -> bytes:
    """A POST of the newer revision that calls a tool."""
    body = modern("tools/call", id, name=name, arguments=arguments)
    return post(body, *fields("tools/call", name), *lines)


ECHO = call("echo", text="hello")
"""Answered by a task."""


def listen_post(*uris: str) -> bytes:
    """A POST of the newer revision that is answered by a stream without end."""
    body = modern("subscriptions/listen", 1, notifications={"resourceSubscriptions": list(uris)})
    return post(body, *fields("subscriptions/listen"))


INITIALIZE_POST = post(
    rpc(
        "initialize",
        1,
        protocolVersion="2025-11-25",
        capabilities={},
        clientInfo={"name": "evil", "version": "0"},
    )
)


def in_session(session: str, body: bytes, *lines: str) -> bytes:
    """A POST of a session."""
    return post(body, f"Mcp-Session-Id: {session}", *lines)


def get(session: str, *lines: str) -> bytes:
    """What opens a session's stream."""
    return head("GET /mcp HTTP/1.1", f"Mcp-Session-Id: {session}", "Accept: text/event-stream", *lines)


def delete(session: str) -> bytes:
    """What ends a session."""
    return head("DELETE /mcp HTTP/1.1", f"Mcp-Session-Id: {session}")
