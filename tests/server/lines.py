"""A host in memory: MCP over lines with a running app, and at the end a look for what was left behind."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import trio
import trio.testing

from mcptrio import App, Context, Limits, ServerSettings
from mcptrio.access import Access
from mcptrio.wire import TransportStream, memory_transport_pair
from tests.server.rig import ACKNOWLEDGED, INITIALIZE, Json, expect_nothing_left, notification, request


def house(access: Access | None = None, **limits: float) -> App:
    settings = ServerSettings(limits=replace(Limits(), **limits))  # type: ignore[arg-type]
    app = App("house", settings=settings, access=access)

    @app.resource("a:{id}")
    async def resource(id: str) -> str:
        return id

    @app.tool
    async def echo(text: str) -> str:
        return text

    @app.tool
    async def big(size: int) -> str:
        return "x" * size

    @app.tool
    async def wait(context: Context, seconds: float = 1e9) -> str:
        await context.progress(1)
        await trio.sleep(seconds)
        return "waited"

    return app


class Host:
    """The client's end of a connection in memory, and how its serving ended."""

    def __init__(self, stream: TransportStream) -> None:
        self.stream = stream
        self.served = trio.Event()
        self.scope = trio.CancelScope()
        self.disconnected = 0
        self._data = b""
        self._ids = 1000

    def count_disconnected(self) -> None:
        self.disconnected += 1

    async def send(self, *messages: Json | bytes) -> None:
        lines = [each if isinstance(each, bytes) else json.dumps(each).encode() + b"\n" for each in messages]
        await self.stream.send_all(b"".join(lines))

    async def receive(self) -> Json:
        message = await self.receive_or_end()
        assert message is not None, "ended"
        return message

    async def receive_or_end(self) -> Json | None:
        while b"\n" not in self._data:
            chunk = await self.stream.receive_some()
            if not chunk:
                assert self._data == b""
                return None
            self._data += chunk
        line, _, self._data = self._data.partition(b"\n")
        message = json.loads(line)
        assert isinstance(message, dict)
        return message

    async def quiet(self, seconds: float = 5.0) -> None:
        """Nothing comes for some seconds."""
        with trio.move_on_after(seconds) as scope:
            raise AssertionError(f"told {await self.receive_or_end()}")
        assert scope.cancelled_caught

    async def call(self, method: str, params: Json | None = None, *, modern: bool = False) -> Json:
        """The next message, which must be the answer: a result or an error."""
        self._ids += 1
        await self.send(request(self._ids, method, params, modern=modern))
        answer = await self.receive()
        assert answer["id"] == self._ids, answer
        told = answer.get("result") or answer.get("error") or {}
        assert isinstance(told, dict)
        return told

    async def listen(self, id: object, *uris: str) -> None:
        wanted: Json = {"resourceSubscriptions": list(uris)}
        await self.send(request(id, "subscriptions/listen", {"notifications": wanted}, modern=True))
        assert (await self.receive())["method"] == ACKNOWLEDGED

    async def initialize(self) -> None:
        assert (await self.call("initialize", {**INITIALIZE}))["protocolVersion"] == "2025-11-25"
        await self.send(notification("notifications/initialized"))


def texts(result: Json) -> list[object]:
    content = result["content"]
    assert isinstance(content, list)
    return [each["text"] for each in content]


@asynccontextmanager
async def connected(app: App, *, capacity: int = 65_536) -> AsyncIterator[Host]:
    """A host of a running app. Leaving ends it, if it has not ended, and looks for what it left behind."""
    ours, theirs = memory_transport_pair(capacity)
    host = Host(TransportStream(theirs))

    async def be_served() -> None:
        with host.scope:
            await app.server.serve_stdio(ours, on_disconnected=host.count_disconnected)
        host.served.set()

    async with app._root.hold(), trio.open_nursery() as nursery:
        nursery.start_soon(be_served)
        await trio.testing.wait_all_tasks_blocked()
        yield host
        host.stream.transport.abort()
        await host.served.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert host.disconnected == 1
        expect_nothing_left(app)
