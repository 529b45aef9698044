"""Clients that have nothing of ours: other people's transports, and JSON-RPC written out by hand, as docs/ tells it.

They block, each at most for the deadline of its socket, and belong in a thread or a test without Trio.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections import deque
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPResponse
from itertools import count
from typing import Protocol
from urllib.parse import urlsplit

from websockets import Subprotocol
from websockets.sync.client import connect

from .processes import DEADLINE, ROOT

Json = dict[str, object]

VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"
EXTENSION = "io.mcptrio/live"
SUBSCRIPTIONS = "io.mcptrio/subscriptions"
CHANGE = "io.mcptrio/change"


class Channel(Protocol):
    """Carries messages. `drop` loses the connection, without a goodbye where the transport can do without."""

    def send(self, message: Json) -> None: ...

    def receive(self) -> Json: ...

    def drop(self) -> None: ...


class WebSocketChannel:
    """One WebSocket, by the library websockets."""

    def __init__(self, url: str) -> None:
        self._stack = ExitStack()
        self._socket = self._stack.enter_context(connect(url, subprotocols=[Subprotocol("mcp")]))

    def send(self, message: Json) -> None:
        self._socket.send(json.dumps(message))

    def receive(self) -> Json:
        return _object(self._socket.recv(timeout=DEADLINE))

    def drop(self) -> None:
        self._socket.socket.shutdown(socket.SHUT_RDWR)
        self._stack.close()


class StdioChannel:
    """A server of its own in a process, over pipes."""

    def __init__(self, app: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mcptrio", "serve", app, "--stdio"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def send(self, message: Json) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def receive(self) -> Json:
        assert self._process.stdout is not None
        return _object(self._process.stdout.readline())

    def drop(self) -> None:
        self._process.communicate(timeout=DEADLINE)
        assert self._process.returncode == 0


class HttpChannel:
    """Streamable HTTP by the standard library, in either revision; each message to the server is a connection of its own.

    Of 2026-07-28 the listen's own stream is followed, of 2025-11-25 the stream of a GET, which `initialized` opens.
    """

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._session: dict[str, str] = {}
        self._answers: deque[Json] = deque()
        self._stream: tuple[HTTPConnection, HTTPResponse] | None = None
        self.last_id = ""

    def send(self, message: Json) -> None:
        method = str(message["method"])
        params = message.get("params", {})
        assert isinstance(params, dict)
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            **self._session,
        }
        if VERSION in params.get("_meta", {}):
            headers |= {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
            if "name" in params:
                headers["Mcp-Name"] = params["name"]
        connection, response = self._ask("POST", headers, json.dumps(message))
        if method == "subscriptions/listen":
            assert response.headers["Content-Type"] == "text/event-stream"
            self._stream = connection, response
            return
        body = response.read()
        connection.close()
        if method == "initialize":
            self._session = {
                "Mcp-Session-Id": response.headers["Mcp-Session-Id"],
                "MCP-Protocol-Version": "2025-11-25",
            }
        if body:
            self._answers.append(_object(body))
        elif method == "notifications/initialized":
            self.come_back()

    def receive(self) -> Json:
        if self._answers:
            return self._answers.popleft()
        assert self._stream is not None
        while True:
            line = self._stream[1].readline().decode()
            assert line, "the stream has ended"
            if line.startswith("id:"):
                self.last_id = line[3:].strip()
            elif line.startswith("data:") and line[5:].strip():
                return _object(line[5:])

    def come_back(self) -> None:
        """Open the session's stream, behind the last event that was read."""
        headers = {"Accept": "text/event-stream", **self._session}
        if self.last_id:
            headers["Last-Event-ID"] = self.last_id
        self._stream = self._ask("GET", headers)

    def drop(self) -> None:
        if self._stream is not None:
            connection, response = self._stream
            response.close()
            connection.close()
            self._stream = None

    def _ask(
        self, method: str, headers: dict[str, str], body: str | None = None
    ) -> tuple[HTTPConnection, HTTPResponse]:
        assert self._url.hostname is not None
        connection = HTTPConnection(self._url.hostname, self._url.port, timeout=DEADLINE)
        connection.request(method, self._url.path, body, headers)
        response = connection.getresponse()
        assert response.status in (200, 202), response.status
        return connection, response


class ForeignClient:
    """Speaks one revision over a channel, and declares the extension, or not."""

    def __init__(self, channel: Channel, *, modern: bool, declares: bool = True) -> None:
        self.channel = channel
        self.modern = modern
        self._capabilities: Json = {"extensions": {EXTENSION: {}}} if declares else {}
        self._ids = count(1)
        self._listen = ""
        self._updates: deque[Json] = deque()

    def open(self) -> Json:
        """Say who this is; the capabilities of the server."""
        if self.modern:
            result = self.ask("server/discover", {})
        else:
            opening: Json = {
                "protocolVersion": "2025-11-25",
                "clientInfo": {"name": "foreign", "version": "1"},
            }
            result = self.ask("initialize", {**opening, "capabilities": self._capabilities})
            self.channel.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        capabilities = result["capabilities"]
        assert isinstance(capabilities, dict)
        return capabilities

    def ask(self, method: str, params: Json) -> Json:
        """A request; its result. Updates that come before it are kept."""
        id = next(self._ids)
        self.channel.send({"jsonrpc": "2.0", "id": id, "method": method, "params": self._enveloped(params)})
        while True:
            message = self.channel.receive()
            if message.get("id") == id:
                result = message.get("result")
                assert isinstance(result, dict), message
                return result
            self._updates.append(message)

    def subscribe(self, wanted: Json) -> Json:
        """Subscribe by a template or a glob; what the server honours of it."""
        if not self.modern:
            uri = f"mcptrio://subscriptions/{wanted['label']}"
            result = self.ask("resources/subscribe", {"uri": uri, "_meta": {SUBSCRIPTIONS: wanted}})
            honoured = result["_meta"][SUBSCRIPTIONS]  # type: ignore[index]
            assert isinstance(honoured, dict)
            return honoured
        message = self.listen([wanted])
        assert message.get("method") == "notifications/subscriptions/acknowledged", message
        acknowledged = message["params"]
        assert isinstance(acknowledged, dict)
        assert acknowledged["_meta"] == {SUBSCRIPTION_ID: self._listen}
        (honoured,) = acknowledged["notifications"][SUBSCRIPTIONS]
        assert isinstance(honoured, dict)
        return honoured

    def listen(self, wanted: list[Json]) -> Json:
        """A listen; the first message after it."""
        self._listen = f"listen {next(self._ids)}"
        params = self._enveloped({"notifications": {SUBSCRIPTIONS: wanted}})
        self.channel.send(
            {"jsonrpc": "2.0", "id": self._listen, "method": "subscriptions/listen", "params": params}
        )
        return self.channel.receive()

    def told(self) -> tuple[str, Json]:
        """The next message, which is an update: its URI, and what the extension says of it, without the time."""
        message = self._updates.popleft() if self._updates else self.channel.receive()
        assert message["method"] == "notifications/resources/updated", message
        params = message["params"]
        assert isinstance(params, dict)
        meta = params["_meta"]
        assert meta.pop(SUBSCRIPTION_ID, "") == self._listen
        assert list(meta) == [CHANGE]
        return params["uri"], {name: value for name, value in meta[CHANGE].items() if name != "at"}

    def unsubscribe(self, label: str) -> None:
        """End a subscription."""
        if self.modern:
            ended = {"requestId": self._listen}
            self.channel.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": ended})
        else:
            self.ask("resources/unsubscribe", {"uri": f"mcptrio://subscriptions/{label}"})

    def _enveloped(self, params: Json) -> Json:
        if not self.modern:
            return params
        return {**params, "_meta": {VERSION: "2026-07-28", CAPABILITIES: self._capabilities}}


def _object(text: str | bytes) -> Json:
    value = json.loads(text)
    assert isinstance(value, dict)
    return value
