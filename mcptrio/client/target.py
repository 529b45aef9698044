"""What a client connects to: a URL, by WebSocket or HTTP, or a command to start and talk to by its standard streams."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import trio

from mcptrio.client.carrier import (
    Carrier,
    Connect,
    HttpCarrier,
    Running,
    StdioCarrier,
    StdioCommand,
    WebSocketCarrier,
)
from mcptrio.client.limits import Limits
from mcptrio.wire.dial import dial, parse_url


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and how to make one carrier after the other to it. `url` is for people."""

    url: str
    carrier: Callable[[], Carrier] = field(repr=False)
    is_http: bool = False
    """Whether an open carrier says nothing about the server: no connection was needed yet."""


def find_target(
    server: str | StdioCommand | Target,
    *,
    timeout: float,
    token: str | None = None,
    tls: ssl.SSLContext | None = None,
    connect: Connect | None = None,
    limits: Limits | None = None,
) -> Target:
    """Read where `server` is. `timeout` (seconds) is for each dial, `connect` replaces dialling.

    Raises:
        ValueError: it is nothing to connect to, or the token cannot be sent.
    """
    if token is not None:
        check_token(token)
    if isinstance(server, Target):
        return server
    if isinstance(server, StdioCommand):
        if token is not None or tls is not None or connect is not None:
            raise ValueError(
                "a command takes no token, TLS or connection: give it a token in its environment"
            )
        return Target(server.url, partial(StdioCarrier, server.url, partial(Running, server), limits=limits))
    endpoint = parse_url(server)

    async def dialled() -> trio.abc.Stream:
        return await dial(endpoint, timeout=timeout, tls=tls)

    kind: type[HttpCarrier | WebSocketCarrier] = (
        HttpCarrier if server.lower().startswith("http") else WebSocketCarrier
    )
    url = endpoint.http_url if kind is HttpCarrier else endpoint.websocket_url
    carrier = partial(kind, endpoint, connect or dialled, token=token, limits=limits)
    return Target(url, carrier, is_http=kind is HttpCarrier)


def check_token(token: str) -> None:
    """Refuse what no header can carry; the message does not show it.

    Raises:
        ValueError: it is empty, or holds a space, a control character or anything beyond ASCII.
    """
    if not token or not token.isascii() or any(not 0x21 <= ord(char) <= 0x7E for char in token):
        raise ValueError(
            "a token is one word of visible ASCII characters: look for a line end or a space in it"
        )
