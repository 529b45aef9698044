"""Raw MCP over WebSockets in memory: JSON in, JSON out, and at the end a look for what was left behind."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from mcptrio import App
from mcptrio.server.endpoint import Endpoint
from mcptrio.server.peer import Peer
from mcptrio.wire import TransportStream, memory_transport_pair
from tests.sources.rig import expect_no_tasks, expect_no_wants

Json = dict[str, object]

VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
TAG = "io.modelcontextprotocol/subscriptionId"
ENVELOPE = {VERSION_KEY: "2026-07-28", CAPABILITIES_KEY: {}}
INITIALIZE: Json = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}
UPDATED = "notifications/resources/updated"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"


def request(id: object, method: str, params: Json | None = None, *, modern: bool = False) -> Json:
    """A request; a modern one gets its envelope, beside what `_meta` it has."""
    message: Json = {"jsonrpc": "2.0", "id": id, "method": method}
    if modern:
        params = {} if params is None else params
        meta = params.get("_meta", {})
        assert isinstance(meta, dict)
        message["params"] = {**params, "_meta": {**ENVELOPE, **meta}}
    elif params is not None:
        message["params"] = params
    return message


def notification(method: str, params: Json | None = None) -> Json:
    return {"jsonrpc": "2.0", "method": method} | ({} if params is None else {"params": params})


def cancelled(id: object) -> Json:
    return notification("notifications/cancelled", {"requestId": id})


def client_frame(message: object) -> bytes:
    """A masked text frame (the mask is zero), to send several of them in one write."""
    payload = json.dumps(message).encode()
    size = len(payload)
    if size < 126:
        return b"\x81" + bytes([0x80 | size]) + bytes(4) + payload
    assert size < 65_536
    return b"\x81\xfe" + size.to_bytes(2, "big") + bytes(4) + payload


class Wire:
    """One raw connection. `receive` reads the next message; nothing is read otherwise, so a quiet one is a slow reader."""

    def __init__(self, connection: WebSocketConnection, stream: TransportStream, peer: Peer) -> None:
        self.connection = connection
        self.stream = stream
        self.peer = peer
        self._ids = 1000

    async def send(self, *messages: object) -> None:
        """Send messages, each in a frame; strings and bytes as they are."""
        for message in messages:
            if isinstance(message, bytes):
                message = message.decode()
            await self.connection.send_message(message if isinstance(message, str) else json.dumps(message))

    async def send_at_once(self, *messages: object) -> None:
        """Send messages in one write, which the server gets in one read."""
        await self.stream.send_all(b"".join(map(client_frame, messages)))

    async def receive(self) -> Json:
        message = json.loads(await self.connection.get_message())
        assert isinstance(message, dict)
        return message

    async def rest(self, seconds: float = 0.5) -> list[Json]:
        """All that comes until nothing does for some seconds."""
        messages: list[Json] = []
        while True:
            with trio.move_on_after(seconds) as scope:
                messages.append(await self.receive())
            if scope.cancelled_caught:
                return messages

    async def call(
        self, method: str, params: Json | None = None, *, modern: bool = False, id: object = None
    ) -> Json:
        """Send a request; return the next message, which must be its answer."""
        if id is None:
            self._ids += 1
            id = self._ids
        await self.send(request(id, method, params, modern=modern))
        answer = await self.receive()
        assert (type(answer.get("id")), answer.get("id")) == (type(id), id), answer
        return answer

    async def result(self, method: str, params: Json | None = None, *, modern: bool = False) -> Json:
        answer = await self.call(method, params, modern=modern)
        assert "result" in answer, answer
        result = answer["result"]
        assert isinstance(result, dict)
        return result

    async def error(
        self, method: str, params: Json | None = None, *, modern: bool = False
    ) -> tuple[int, str, object]:
        """The code, message and data of the refusal."""
        answer = await self.call(method, params, modern=modern)
        assert "error" in answer, answer
        error = answer["error"]
        assert isinstance(error, dict)
        return error["code"], error["message"], error.get("data")

    async def initialize(self) -> Json:
        result = await self.result("initialize", INITIALIZE)
        await self.send(notification("notifications/initialized"))
        return result

    async def subscribe(self, *uris: str) -> None:
        for uri in uris:
            assert await self.result("resources/subscribe", {"uri": uri}) == {}

    async def listen(self, id: object, *uris: str, **kinds: bool) -> Json:
        """Open a listen; return what is honoured."""
        wanted: Json = {**kinds}
        if uris:
            wanted["resourceSubscriptions"] = list(uris)
        await self.send(request(id, "subscriptions/listen", {"notifications": wanted}, modern=True))
        acknowledged = await self.receive()
        assert acknowledged["method"] == ACKNOWLEDGED, acknowledged
        params = acknowledged["params"]
        assert isinstance(params, dict)
        assert params["_meta"] == {TAG: id}
        honoured = params["notifications"]
        assert isinstance(honoured, dict)
        return honoured

    async def closed(self) -> tuple[int, str | None]:
        """Wait for the end; the code and reason."""
        try:
            while True:
                await self.connection.get_message()
        except ConnectionClosed as error:
            assert error.reason is not None
            return error.reason.code, error.reason.reason

    def vanish(self) -> None:
        """Be gone without a word."""
        self.stream.transport.abort()


def updated(uri: str, tag: object = None) -> Json:
    """The notification of an update, as it is expected on the wire."""
    params: Json = {"uri": uri}
    if tag is not None:
        params["_meta"] = {TAG: tag}
    return notification(UPDATED, params)


def list_changed(kind: str, tag: object = None) -> Json:
    return notification(f"notifications/{kind}/list_changed", None if tag is None else {"_meta": {TAG: tag}})


def expect_nothing_left(app: App) -> None:
    """No subscription, want, subscriber, peer or connection is left, in any table."""
    assert app.hub._outboxes == {}
    assert app.hub._uris == {}
    assert app.hub.statistics().subscriptions == 0
    assert len(app.hub.selections) == 0
    assert list(app.hub.selections.wanted()) == []
    assert app.hub.selections.tally.waiting == 0
    expect_no_wants(app.sources)
    server = app.server
    assert server.list_changes.watchers() == 0
    assert len(server.endpoints) == 1, "only the endpoint in memory is for ever"
    assert server.endpoints[0].peers == {}
    assert server.endpoints[0].listener.statistics().open == 0
    assert server._peers.children() == ()
    assert server._sweeper.statistics().watched == 0
    assert server.flusher.statistics().current_buffer_used == 0


class House:
    """A running app, and the connections to it."""

    def __init__(self, app: App, nursery: trio.Nursery) -> None:
        self.app = app
        self._nursery = nursery
        self._wires: list[Wire] = []

    async def stream(self, capacity: int = 65_536, endpoint: Endpoint | None = None) -> TransportStream:
        """A connection in memory, before any byte."""
        ours, theirs = memory_transport_pair(capacity)
        (endpoint or self.app.server.endpoints[0]).connect(ours)
        return TransportStream(theirs)

    async def connect(self, *, capacity: int = 65_536, initialized: bool = False) -> Wire:
        stream = await self.stream(capacity)
        known = set(self.app.server.endpoints[0].peers)
        connection = await wrap_client_stream(
            self._nursery,
            stream,  # type: ignore[arg-type]  # any stream will do
            "localhost",
            "/mcp",
            subprotocols=["mcp"],
        )
        peers = self.app.server.endpoints[0].peers
        (name,) = set(peers) - known
        wire = Wire(connection, stream, peers[name])
        self._wires.append(wire)
        if initialized:
            await wire.initialize()
        return wire

    async def metrics(self) -> dict[str, float]:
        """The figures at /metrics: name with labels to value."""
        _, _, body = await self.get("/metrics")
        lines = [line for line in body.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    async def get(self, path: str, method: str = "GET") -> tuple[int, dict[str, str], str]:
        """A plain HTTP request: status, headers, body."""
        stream = await self.stream()
        await stream.send_all(
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        data = b""
        while chunk := await stream.receive_some():
            data += chunk
        await stream.aclose()
        head, _, body = data.decode().partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return int(first.split(" ")[1]), headers, body

    def end_connections(self) -> None:
        for wire in self._wires:
            wire.vanish()


@asynccontextmanager
async def running(app: App) -> AsyncIterator[House]:
    """The app, running. Leaving ends all connections and looks for what they left behind."""
    async with app._root.hold(), trio.open_nursery() as nursery:
        house = House(app, nursery)
        yield house
        house.end_connections()
        await trio.testing.wait_all_tasks_blocked(0.01)
        expect_nothing_left(app)
        nursery.cancel_scope.cancel()
    expect_no_tasks(app.sources)
