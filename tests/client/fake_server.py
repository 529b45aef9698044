"""A small MCP server for the client's tests: in memory, told by each test how to behave; fake_wires.py carries it.

Every message that it receives is checked against the official schema of its revision.
"""

from __future__ import annotations

import abc
import json
from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import trio
import trio.testing

DATA = Path(__file__).parent.parent / "data"
META = "io.modelcontextprotocol/"
SUBSCRIPTION_ID = META + "subscriptionId"
LEGACY, MODERN = "2025-11-25", "2026-07-28"
CAPABILITIES = {
    "tools": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "prompts": {},
}

Message = dict[str, Any]
MemoryStream = trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]
Handler = Callable[["Peer", Message], Awaitable[Message | None]]


class Refuse(Exception):
    """Raised by a handler: the error to answer with."""

    def __init__(self, code: int, message: str = "refused", data: object = None) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message} | ({} if data is None else {"data": data})


@cache
def validator(revision: str, name: str) -> jsonschema_rs.Validator:
    schema = json.loads((DATA / f"schema-{revision}.json").read_text())
    return jsonschema_rs.validator_for({**schema, "$ref": f"#/$defs/{name}"})


class Peer(abc.ABC):
    """The server's end of one connection, whatever carries it (see fake_wires.py)."""

    many_streams = False

    def __init__(self, server: FakeServer, nursery: trio.Nursery) -> None:
        self.server = server
        self.received: list[Message] = []
        self.subscribed: set[str] = set()
        self.listens: dict[int, Message] = {}
        self.close_code: int | None = None
        self.gone = trio.Event()
        self.nursery = nursery

    @abc.abstractmethod
    async def run(self, stream: MemoryStream) -> None:
        """Serve a stream that was dialled."""

    @abc.abstractmethod
    async def send(self, message: Message) -> None:
        """Send a message."""

    @abc.abstractmethod
    async def cut(self) -> None:
        """Break the connection without a word."""

    async def drop(self) -> None:
        """The same, and wait until it was noticed."""
        await self.cut()
        await trio.testing.wait_all_tasks_blocked()

    def take(self, message: Message, answers: trio.Nursery) -> None:
        """A message came."""
        self._check(message)
        self.received.append(message)
        self.server.arrived.unpark_all()
        if "method" in message and "id" in message:
            answers.start_soon(self._answer, message)
        elif message.get("method") == "notifications/cancelled":
            self.listens.pop(message["params"]["requestId"], None)

    def _check(self, message: Message) -> None:
        meta = message.get("params", {}).get("_meta", {})
        is_request = "method" in message and "id" in message
        modern = META + "protocolVersion" in meta or (self.server.speaks == MODERN and not is_request)
        revision = MODERN if modern else LEGACY
        if "method" not in message:
            kind = "JSONRPCResponse" if "result" in message else "JSONRPCErrorResponse"
        elif message["method"] in self.server.unofficial:
            kind = "JSONRPCRequest"
        else:
            kind = "ClientRequest" if is_request else "ClientNotification"
        validator(revision, kind).validate(message)

    async def _answer(self, message: Message) -> None:
        try:
            handler = self.server.handlers.get(message["method"])
            if handler is None:
                raise Refuse(-32601, "Method not found")
            result = await handler(self, message)
        except Refuse as refusal:
            await self.send({"id": message["id"], "error": refusal.error})
        else:
            if result is not None:
                await self.send({"id": message["id"], "result": result})

    async def notify(self, method: str, **params: object) -> None:
        await self.send({"method": method, "params": params})

    def methods(self) -> list[str]:
        return [message.get("method", "") for message in self.received]


class FakeServer:
    """Speaks the given versions; `handlers` may be replaced, `connect` is what the client dials."""

    def __init__(
        self,
        nursery: trio.Nursery,
        versions: Iterable[str] = (MODERN, LEGACY),
        *,
        make_peer: Callable[[FakeServer, trio.Nursery], Peer],
    ) -> None:
        self.versions = list(versions)
        self._make_peer = make_peer
        self.capabilities: Message = CAPABILITIES
        self.speaks: str | None = None
        self.unofficial: set[str] = set()
        self.unknown: set[str] = set()
        self.acknowledges = True
        self.down: OSError | None = None
        self.dials = 0
        self.peers: list[Peer] = []
        self.near: list[MemoryStream] = []
        self.far: list[MemoryStream] = []
        self.arrived = trio.lowlevel.ParkingLot()
        self._nursery = nursery
        self.handlers: dict[str, Handler] = {
            "initialize": self._initialize,
            "ping": self._empty,
            "resources/subscribe": self._subscribe,
            "resources/unsubscribe": self._unsubscribe,
        }
        if MODERN in self.versions:
            self.handlers |= {"server/discover": self._discover, "subscriptions/listen": self._listen}

    @property
    def peer(self) -> Peer:
        return self.peers[-1]

    async def connect(self) -> MemoryStream:
        self.dials += 1
        await trio.lowlevel.checkpoint()
        if self.down is not None:
            raise self.down
        near, far = trio.testing.memory_stream_pair()
        self.near.append(near)
        self.far.append(far)
        if not self.peers or self.peer.gone.is_set() or not self.peer.many_streams:
            self.peers.append(self._make_peer(self, self._nursery))
        self._nursery.start_soon(self.peer.run, far)
        return near

    def stall(self) -> trio.Event:
        """From now on, what the client sends is stuck until the event is set."""
        gate = trio.Event()
        near, far = self.near[-1].send_stream, self.far[-1].receive_stream

        async def hold() -> None:
            await gate.wait()
            trio.testing.memory_stream_pump(near, far)

        near.send_all_hook = hold
        return gate

    async def wait_for(self, method: str, count: int = 1, *, peers: int = 1) -> Message:
        """The `count`-th message with this method on the newest connection, the `peers`-th or later."""
        while len(self.peers) < peers or self.peer.methods().count(method) < count:
            await self.arrived.park()
        return [message for message in self.peer.received if message.get("method") == method][count - 1]

    async def updated(self, uri: str, **meta: object) -> None:
        """Tell all subscribers of the newest connection, as its revision does."""
        peer = self.peer
        if uri in peer.subscribed:
            extra = {"_meta": meta} if meta else {}
            await peer.notify("notifications/resources/updated", uri=uri, **extra)
        for id, asked in list(peer.listens.items()):
            if uri in asked.get("resourceSubscriptions", ()):
                tagged = {SUBSCRIPTION_ID: id, **meta}
                await peer.notify("notifications/resources/updated", uri=uri, _meta=tagged)

    async def list_changed(self, kind: str) -> None:
        peer = self.peer
        if self.speaks == MODERN:
            for id, asked in list(peer.listens.items()):
                if asked.get(f"{kind}ListChanged"):
                    await peer.notify(f"notifications/{kind}/list_changed", _meta={SUBSCRIPTION_ID: id})
        else:
            await peer.send({"method": f"notifications/{kind}/list_changed"})

    async def end_listens(self) -> None:
        for id in list(self.peer.listens):
            self.peer.listens.pop(id)
            meta = {SUBSCRIPTION_ID: id}
            await self.peer.send({"id": id, "result": {"resultType": "complete", "_meta": meta}})

    async def _discover(self, peer: Peer, message: Message) -> Message:
        self.speaks = MODERN
        return {
            "resultType": "complete",
            "supportedVersions": self.versions,
            "capabilities": self.capabilities,
            "instructions": "be gentle",
            "ttlMs": 0,
            "cacheScope": "private",
            "_meta": {META + "serverInfo": {"name": "fake", "version": "1"}},
        }

    async def _initialize(self, peer: Peer, message: Message) -> Message:
        if LEGACY not in self.versions:
            raise Refuse(-32022, "unsupported", {"supported": self.versions})
        self.speaks = LEGACY
        return {
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": self.capabilities,
            "serverInfo": {"name": "fake", "version": "1"},
        }

    async def _empty(self, peer: Peer, message: Message) -> Message:
        return {}

    async def _subscribe(self, peer: Peer, message: Message) -> Message:
        uri = message["params"]["uri"]
        if uri in self.unknown:
            raise Refuse(-32002, f"Resource not found: {uri}", {"uri": uri})
        peer.subscribed.add(uri)
        return {}

    async def _unsubscribe(self, peer: Peer, message: Message) -> Message:
        peer.subscribed.discard(message["params"]["uri"])
        return {}

    async def _listen(self, peer: Peer, message: Message) -> None:
        if not self.acknowledges:
            return
        asked = dict(message["params"]["notifications"])
        if "resourceSubscriptions" in asked:
            asked["resourceSubscriptions"] = [
                uri for uri in asked["resourceSubscriptions"] if uri not in self.unknown
            ]
        peer.listens[message["id"]] = asked
        await peer.notify(
            "notifications/subscriptions/acknowledged",
            notifications=asked,
            _meta={SUBSCRIPTION_ID: message["id"]},
        )


async def never(peer: Peer, message: Message) -> None:
    """A handler that does not answer."""


def answers(result: Message) -> Handler:
    """A handler that always answers the same."""

    async def handler(peer: Peer, message: Message) -> Message:
        return result

    return handler


def refuses(code: int, message: str = "refused", data: object = None) -> Handler:
    """A handler that always refuses."""

    async def handler(peer: Peer, request: Message) -> Message:
        raise Refuse(code, message, data)

    return handler
