"""A bridge's core between two lists, and what is said to it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from mcptrio.bridge import CONNECTION_LOST, Core

Message = dict[str, Any]

SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
CAPABILITIES = {"tools": {"listChanged": True}, "resources": {"subscribe": True}}


class Rig:
    """A core between two lists."""

    def __init__(self, **options: int) -> None:
        self._host: list[bytes] = []
        self._server: list[bytes] = []
        self.core = Core(self._host.append, self._server.append, **options)

    def host(self, **message: object) -> None:
        self.core.host_said(json.dumps({"jsonrpc": "2.0", **message}).encode())

    def server(self, **message: object) -> None:
        self.core.server_said(json.dumps({"jsonrpc": "2.0", **message}).encode())

    def to_host(self) -> list[Message]:
        """What the host was told since the last look."""
        return _taken(self._host)

    def to_server(self) -> list[Message]:
        return _taken(self._server)

    def begin_session(self) -> None:
        """A 2025-11-25 handshake through the bridge."""
        self.core.connected()
        self.host(id=0, method="initialize", params={"capabilities": {}, "x": 1})
        self.server(id=0, result={"protocolVersion": "2025-11-25", "capabilities": CAPABILITIES})
        self.host(method="notifications/initialized")
        self.to_host(), self.to_server()

    def subscribe(self, *uris: str) -> None:
        for uri in uris:
            self.host(id=f"s {uri}", method="resources/subscribe", params={"uri": uri})
            self.server(id=f"s {uri}", result={})
        self.to_host(), self.to_server()

    def listen(self, id: object, *uris: str) -> None:
        asked = {"resourceSubscriptions": [*uris], "toolsListChanged": True}
        self.host(id=id, method="subscriptions/listen", params={"notifications": asked, "_meta": ENVELOPE})
        self.acknowledge(id, asked)

    def acknowledge(self, id: object, honoured: object) -> None:
        params = {"notifications": honoured, "_meta": {SUBSCRIPTION_ID: id}}
        self.server(method="notifications/subscriptions/acknowledged", params=params)

    def again(self) -> None:
        """The connection is lost, and there is a new one."""
        self.core.lost()
        self.core.connected()


def _taken(messages: list[bytes]) -> list[Message]:
    found = [json.loads(each) for each in messages]
    messages.clear()
    return found


def updated(*uris: str, **tag: object) -> list[Message]:
    meta = {"_meta": {SUBSCRIPTION_ID: tag["id"]}} if tag else {}
    method = "notifications/resources/updated"
    return [{"jsonrpc": "2.0", "method": method, "params": {"uri": uri, **meta}} for uri in uris]


def methods(messages: Iterable[Message]) -> list[str]:
    return [each.get("method", "") for each in messages]


def lost(id: object) -> Message:
    error = {
        "code": -32603,
        "message": "The connection to the server was lost: try again",
        "data": {"reason": CONNECTION_LOST},
    }
    return {"jsonrpc": "2.0", "error": error, "id": id}
