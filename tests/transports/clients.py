"""The four ways to have a conversation: over a WebSocket, over lines, and over HTTP in each revision."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import h11
import pytest
import trio
import trio.testing
from trio_websocket import ConnectionClosed

from mcptrio import App
from mcptrio.wire import TransportStream, memory_transport_pair
from tests.server.asked import CAPABLE
from tests.server.http.rig import Answer, HttpHouse, HttpSession, HttpWire, http
from tests.server.lines import Host
from tests.server.rig import INITIALIZE, Json, Wire, cancelled, notification, request
from tests.transports.conversation import Conversation, Inbox, Key, key_of

LOST = (EOFError, trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError)


class Way(NamedTuple):
    """A transport and a revision."""

    transport: str
    modern: bool

    @property
    def name(self) -> str:
        return f"{self.transport}-{'2026-07-28' if self.modern else '2025-11-25'}"


TRANSPORTS = ("websocket", "http", "stdio")
WAYS = [Way(transport, modern) for transport in TRANSPORTS for modern in (False, True)]
ONE_WIRE = [way for way in WAYS if way.transport != "http"]


def over(ways: list[Way]) -> pytest.MarkDecorator:
    """The same test over each of these."""
    return pytest.mark.parametrize("way", ways, ids=[way.name for way in ways])


everywhere = over(WAYS)
modern = over([way for way in WAYS if way.modern])
legacy = over([way for way in WAYS if not way.modern])


class OnWebSocket(Conversation):
    """Everything goes by one WebSocket."""

    def __init__(self, start: Callable[..., None], modern: bool, home: HttpHouse, wire: Wire) -> None:
        super().__init__(start, modern)
        self._home = home
        self._wire = wire
        self.close_code: int | None = None
        start(self._read)

    async def _read(self) -> None:
        try:
            while True:
                self.route(await self._wire.receive())
        except ConnectionClosed as error:
            self.close_code = None if error.reason is None else error.reason.code
        self.over()

    async def send(self, id: object, method: str, params: Json | None = None) -> None:
        await self._wire.send(request(id, method, self.params(params), modern=self.modern))

    async def notify(self, message: Json) -> None:
        await self._wire.send(message)

    async def cancel(self, id: object) -> None:
        await self.notify(cancelled(id))
        await trio.testing.wait_all_tasks_blocked()

    def leave(self) -> None:
        self._wire.vanish()

    async def stop_server(self) -> None:
        await self._home.endpoint.drain()


class OnLines(Conversation):
    """Everything goes by one pair of pipes."""

    def __init__(self, start: Callable[..., None], modern: bool, app: App) -> None:
        super().__init__(start, modern)
        ours, theirs = memory_transport_pair()
        self._host = Host(TransportStream(theirs))
        self.served = trio.Event()
        self._scope = trio.CancelScope()

        async def serve() -> None:
            with self._scope:
                await app.server.serve_stdio(ours)
            self.served.set()

        start(serve)
        start(self._read)

    async def _read(self) -> None:
        try:
            while (message := await self._host.receive_or_end()) is not None:
                self.route(message)
        except LOST:
            pass
        self.over()

    async def send(self, id: object, method: str, params: Json | None = None) -> None:
        await self._host.send(request(id, method, self.params(params), modern=self.modern))

    async def notify(self, message: Json) -> None:
        await self._host.send(message)

    async def cancel(self, id: object) -> None:
        await self.notify(cancelled(id))
        await trio.testing.wait_all_tasks_blocked()

    def leave(self) -> None:
        self._host.stream.transport.abort()

    async def stop_server(self) -> None:
        self._scope.cancel(reason="the server is told to stop")
        await self.served.wait()


class OnHttp(Conversation):
    """Each request has a connection of its own."""

    capacity = 65_536
    """Bytes on their way to a client that does not read."""

    def __init__(self, start: Callable[..., None], modern: bool, home: HttpHouse) -> None:
        super().__init__(start, modern)
        self.home = home
        self._streams: dict[Key, TransportStream] = {}

    async def _begin(self, id: object, ask: Callable[[HttpWire], Awaitable[Answer]]) -> None:
        """Ask on a new connection, and have all routed that the response brings."""
        key = key_of(id)
        self.answers.pop(key, None)
        self.updates.pop(key, None)
        stream = self._streams[key] = await self.home.house.stream(self.capacity)
        self._start(self._follow, stream, self.answers[key], self.updates[key], ask)
        await trio.testing.wait_all_tasks_blocked()

    async def _follow(
        self,
        stream: TransportStream,
        answers: Inbox,
        updates: Inbox,
        ask: Callable[[HttpWire], Awaitable[Answer]],
    ) -> None:
        try:
            answer = await ask(HttpWire(stream))
            while answer.streams:
                self.route(await answer.message())
            if (body := await answer.body()) and answer.headers["content-type"] == "application/json":
                self.route(json.loads(body))
        except LOST:
            pass
        stream.transport.abort()
        answers.ended.set()
        updates.ended.set()

    def drop(self, id: object) -> None:
        """Lose the connection of a request."""
        self._streams.pop(key_of(id)).transport.abort()

    def leave(self) -> None:
        for _, id in tuple(self._streams):
            self.drop(id)

    async def stop_server(self) -> None:
        await self.home.endpoint.drain()


class Stateless(OnHttp):
    """2026-07-28 over HTTP: to leave is to cancel."""

    async def send(self, id: object, method: str, params: Json | None = None) -> None:
        await self._begin(id, lambda wire: wire.modern(id, method, self.params(params)))

    async def notify(self, message: Json) -> None:
        answer = await (await self.home.connect()).post(message, mcp_protocol_version="2026-07-28")
        assert answer.status == 202, answer.status

    async def cancel(self, id: object) -> None:
        self.drop(id)
        await trio.testing.wait_all_tasks_blocked()


class InSession(OnHttp):
    """2025-11-25 over HTTP: a session, whose GET brings what belongs to no request."""

    session: HttpSession

    async def initialize(self) -> None:
        asked = request(0, "initialize", {**INITIALIZE, "capabilities": CAPABLE})
        answer = await (await self.home.connect()).post(asked)
        self.session = HttpSession(self.home, answer.headers["mcp-session-id"])
        await self.notify(notification("notifications/initialized"))
        await self.open_stream()

    async def open_stream(self, last: str | None = None) -> None:
        """Open the standing stream, after the event of this id."""
        id = self.session.id
        await self._begin(None, lambda wire: wire.request("GET", mcp_session_id=id, last_event_id=last))

    async def send(self, id: object, method: str, params: Json | None = None) -> None:
        message = request(id, method, params)
        await self._begin(id, lambda wire: wire.post(message, mcp_session_id=self.session.id))

    async def notify(self, message: Json) -> None:
        answer = await self.session.post(message)
        assert answer.status == 202, answer.status

    async def cancel(self, id: object) -> None:
        await self.notify(cancelled(id))


class World:
    """A running app, and clients of every kind."""

    def __init__(self, home: HttpHouse, nursery: trio.Nursery) -> None:
        self.home = home
        self.app = home.app
        self._start = nursery.start_soon
        self._clients: list[Conversation] = []

    async def open(self, way: Way) -> Conversation:
        """A new client, with its session in the older revision."""
        client: Conversation
        if way.transport == "websocket":
            client = OnWebSocket(self._start, way.modern, self.home, await self.home.house.connect())
        elif way.transport == "stdio":
            client = OnLines(self._start, way.modern, self.app)
            await trio.testing.wait_all_tasks_blocked()
        else:
            client = (Stateless if way.modern else InSession)(self._start, way.modern, self.home)
        self._clients.append(client)
        if not way.modern:
            await client.initialize()
        return client

    async def change(self, *uris: str) -> None:
        """These change one after the other, each told before the next changes."""
        for uri in uris:
            self.app.updated_nowait(uri)
            await trio.testing.wait_all_tasks_blocked()

    def subscriptions(self) -> int:
        return self.app.hub.statistics().subscriptions

    def leave(self) -> None:
        for client in self._clients:
            client.leave()


@asynccontextmanager
async def world(app: App) -> AsyncIterator[World]:
    """Run an app; at the end all clients leave, and nothing of them may be left."""
    async with http(app) as home:
        async with trio.open_nursery() as nursery:
            here = World(home, nursery)
            yield here
            here.leave()
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
