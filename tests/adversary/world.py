"""A running app with one well-behaved client, and hand-written connections that attack it."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial

import trio

from mcptrio import App
from mcptrio.client import Client, Subscription, open_client
from mcptrio.protocol.envelope import CAPABILITIES_KEY, VERSION_KEY
from mcptrio.server import ServerSettings
from mcptrio.wire import Limits
from tests.wire.rig import CLOSE, PING, PONG, TEXT, frame, upgrade_request
from tests.wire.rig import Client as RawClient

HOT = "hot://1"
PATIENCE = 20.0
"""Seconds after which a wait is a hang: more than ten times what any of them takes."""

LIMITS = Limits(
    max_connections=40,
    head_bytes=2048,
    head_timeout=5.0,
    body_timeout=5.0,
    max_message=65_536,
    max_fragments=8,
    high_water=32_768,
    max_pending=131_072,
    stall_timeout=2.0,
    close_timeout=0.2,
)
SETTINGS = ServerSettings(
    limits=LIMITS, max_requests=4, max_listens=3, max_subscriptions=20, drain_timeout=1.0, drain_requests=0.2
)

META = {VERSION_KEY: "2026-07-28", CAPABILITIES_KEY: {}}


def rpc(method: str, id: object = None, **params: object) -> bytes:
    """A message of the older revision; without id a notification."""
    message: dict[str, object] = {"jsonrpc": "2.0", "method": method, "params": params}
    if id is not None:
        message["id"] = id
    return json.dumps(message).encode()


def modern(method: str, id: object, **params: object) -> bytes:
    """A request of the newer revision."""
    return rpc(method, id, **params, _meta=META)


def listen(id: object, *uris: str) -> bytes:
    """A request to be told of changes."""
    return modern("subscriptions/listen", id, notifications={"resourceSubscriptions": list(uris)})


def text(payload: bytes) -> bytes:
    """A client's frame."""
    return frame(TEXT, payload)


INITIALIZE = text(
    rpc(
        "initialize",
        "init",
        protocolVersion="2025-11-25",
        capabilities={},
        clientInfo={"name": "evil", "version": "0"},
    )
)
INITIALIZED = text(rpc("notifications/initialized"))
ALIVE = text(rpc("ping", "alive"))


class Raw(RawClient):
    """A connection whose bytes are written by hand."""

    async def send(self, data: bytes) -> None:
        """Send, if anybody is still there to take it."""
        with suppress(trio.BrokenResourceError):
            await self.stream.send_all(data)

    async def more(self) -> bool:
        """Read once; False at the end, whoever made it."""
        try:
            return await super().more()
        except trio.BrokenResourceError:
            return False

    async def message(self) -> dict[str, object]:
        """The next JSON message."""
        while True:
            opcode, payload = await self.frame()
            if opcode == TEXT:
                message = json.loads(payload)
                assert isinstance(message, dict)
                return message
            assert opcode in (PING, PONG), (opcode, payload)

    async def answer(self, id: object) -> dict[str, object]:
        """The message that answers a request."""
        while True:
            message = await self.message()
            if message.get("id") == id and type(message["id"]) is type(id):
                return message

    async def close_code(self) -> int:
        """The code of the close frame, whatever comes before it; nothing may come after it."""
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                assert await self.rest() == b""
                return int(struct.unpack("!H", payload[:2])[0]) if payload else 1005

    async def initialize(self) -> None:
        """Open a session of the older revision."""
        await self.send(INITIALIZE + INITIALIZED)
        assert "result" in await self.answer("init")

    async def subscribe(self, *uris: str) -> None:
        """Subscribe in the older revision."""
        for uri in uris:
            await self.send(text(rpc("resources/subscribe", f"sub {uri}", uri=uri)))
            assert "result" in await self.answer(f"sub {uri}")

    async def is_served(self) -> None:
        """Fail unless a ping is answered."""
        await self.send(ALIVE)
        assert (await self.answer("alive"))["result"] == {}

    async def reset(self) -> None:
        """Go as a crashed host goes: with a RST on a socket, at once in memory."""
        if isinstance(self.stream, trio.SocketStream):
            self.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with trio.CancelScope() as scope:
            scope.cancel()
            await self.stream.aclose()


@dataclass
class Left:
    """What a server holds for its peers."""

    connections: int
    peers: int
    requests: int
    listens: int
    subscriptions: int
    watchers: int
    children: int
    exchanges: int = 0
    sessions: int = 0
    watched: int = 0


def left(app: App) -> Left:
    """Count what is left."""
    endpoints = app.server.endpoints
    peers = [peer for endpoint in endpoints for peer in endpoint.peers.values()]
    return Left(
        connections=sum(endpoint.listener.statistics().open for endpoint in endpoints),
        peers=len(peers),
        requests=sum(len(peer.requests) for peer in peers),
        listens=sum(len(peer.listens) for peer in peers),
        subscriptions=app.hub.statistics().subscriptions,
        watchers=app.server.list_changes.watchers(),
        children=len(app.server._peers.children()),
        exchanges=sum(len(endpoint.http.exchanges) for endpoint in endpoints),
        sessions=sum(len(endpoint.http.sessions) for endpoint in endpoints),
        watched=app.server._sweeper.statistics().watched,
    )


NOTHING = Left(0, 0, 0, 0, 0, 0, 0)
ONLY_WITNESS = Left(1, 1, 0, 1, 1, 0, 1, watched=1)
"""The well-behaved client: one connection, one listen, one subscription; its deadlines are watched."""


async def until(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Look again until the condition holds: of what a kernel or another task does there is no event."""
    with trio.fail_after(patience):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.002)


async def settled(app: App, expected: Left) -> None:
    """Wait until exactly this is left."""
    with suppress(trio.TooSlowError):
        await until(lambda: left(app) == expected)
    assert left(app) == expected


@dataclass
class World:
    """An app, a witness who is to notice nothing, and a door for the attackers."""

    app: App
    witness: Client
    updates: Subscription
    port: int | None
    entered: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    async def dial(self) -> Raw:
        """A connection of bytes."""
        if self.port is None:
            return Raw(self.app.server.connect())  # type: ignore[arg-type]
        return Raw(await trio.open_tcp_stream("127.0.0.1", self.port))

    async def open(self) -> Raw:
        """A WebSocket of hand-written frames."""
        raw = await self.dial()
        await raw.send(upgrade_request())
        assert (await raw.take_head())[0] == 101
        return raw

    async def witness_is_served(self) -> None:
        """The well-behaved client gets its answer, and its update of a change."""
        result = await self.witness.call_tool("echo", {"text": "hello"})
        assert result.content[0].text == "hello"  # type: ignore[union-attr]
        self.app.updated_nowait(HOT)
        assert (await anext(self.updates)).uri == HOT

    async def entered_is(self, *tags: str) -> None:
        """Wait until these calls of `hold` run."""
        await until(lambda: not set(tags) - set(self.entered))


def make_app(settings: ServerSettings = SETTINGS, world: list[World] | None = None) -> App:
    """An app with something of everything."""
    app = App("target", settings=settings)
    worlds = [] if world is None else world

    @app.tool
    def echo_thread(text: str) -> str:
        """Say it again, in a thread."""
        return text

    @app.tool
    async def echo(text: str) -> str:
        """Say it again."""
        return text

    @app.tool
    async def hold(tag: str) -> str:
        """Run for ever."""
        worlds[0].entered.append(tag)
        try:
            await trio.sleep_forever()
        finally:
            worlds[0].cancelled.append(tag)

    @app.tool
    async def large(size: int) -> str:
        """A large answer."""
        return "x" * size

    @app.resource("hot://{name}")
    async def hot(name: str) -> str:
        """Changes often."""
        return name

    @app.prompt
    async def greet(name: str) -> str:
        """A greeting."""
        return f"Hello, {name}"

    return app


@asynccontextmanager
async def open_world(
    *, sockets: bool, settings: ServerSettings = SETTINGS, prepare: Callable[[App], object] = lambda app: None
) -> AsyncIterator[World]:
    """A world in which attacks happen. At its end nothing may be left of the attackers, then of anybody."""
    worlds: list[World] = []
    app = make_app(settings, worlds)
    prepare(app)
    if sockets:
        # Deadlines of WebSockets are looked at once a second: too long for tests that wait for them in earnest.
        app.server._sweeper._interval = 0.05
    async with trio.open_nursery() as nursery:
        with trio.fail_after(PATIENCE * 5):
            port = None
            if sockets:
                address = await nursery.start(partial(app.serve, port=0))
                port = address.port
                connect = open_client(address.websocket, reconnect=False)
            else:
                connect = app.connect()
            async with connect as witness, witness.subscribe(HOT) as updates:
                world = World(app, witness, updates, port)
                worlds.append(world)
                yield world
                await world.witness_is_served()
                await settled(app, ONLY_WITNESS)
            if sockets:
                await settled(app, NOTHING)
            nursery.cancel_scope.cancel(reason="the test is over")
    assert left(app) == NOTHING


def with_limits(**changes: object) -> ServerSettings:
    """The settings with other limits of the wire."""
    return replace(SETTINGS, limits=replace(LIMITS, **changes))  # type: ignore[arg-type]
