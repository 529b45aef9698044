"""Where a server listens, and how clients are told."""

from __future__ import annotations

import os
from collections.abc import Sequence

import trio
from msgspec import Struct

from mcptrio.server import MCP_PATH


class CannotListen(OSError):
    """An address could not be bound: told apart from the errors of what else an app opens."""


class Address(Struct, frozen=True):
    """A bound address. `endpoint` and `websocket` are what clients are given.

    That of a Unix socket has a path, and neither host nor port.
    """

    host: str
    port: int
    tls: bool = False
    unix_socket: str | None = None

    @classmethod
    def of(cls, host: str, sockets: Sequence[trio.socket.SocketType], *, tls: bool = False) -> Address:
        """The address of listening sockets that were opened for `host`."""
        return cls(host, sockets[0].getsockname()[1], tls)

    @classmethod
    def of_unix_socket(cls, path: str, *, tls: bool = False) -> Address:
        """The address of a Unix socket at a path."""
        return cls("", 0, tls, os.path.abspath(path))

    @property
    def endpoint(self) -> str:
        """The URL with http or https; `unix:/path` for a Unix socket."""
        return self._url("http")

    @property
    def websocket(self) -> str:
        """The URL with ws or wss; `unix:/path` for a Unix socket."""
        return self._url("ws")

    def _url(self, scheme: str) -> str:
        if self.unix_socket is not None:
            return f"unix:{self.unix_socket}"
        # A wildcard is no address to connect to.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)
        authority = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        return f"{scheme}{'s' if self.tls else ''}://{authority}{MCP_PATH}"


async def open_sockets(host: str, port: int) -> list[trio.socket.SocketType]:
    """Listening sockets for all addresses of a host name, on one port; with port 0 the system picks it.

    Raises:
        CannotListen: the name is unknown or the port is taken.
    """
    try:
        listeners = await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        raise CannotListen(error.errno, error.strerror or str(error)) from error
    if port == 0 and len(listeners) > 1:
        # Each address got a port of its own: one port is one address.
        for listener in listeners[1:]:
            await listener.aclose()
        del listeners[1:]
    return [listener.socket for listener in listeners]
