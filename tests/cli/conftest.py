"""What the command line's tests share: output that is kept, and an app that is reached in memory."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Annotated

import pytest
import structlog
import trio
from msgspec import Meta, Struct
from trio.testing import memory_stream_pair
from trio_websocket import ConnectionClosed, wrap_server_stream

from mcptrio.app import App
from mcptrio.catalog import Context, ResourceNotFound, ToolError
from mcptrio.cli.output import Output
from mcptrio.cli.remote import Remote


class Kept(Output):
    """Output into memory."""

    def __init__(self, *, tty: bool = False) -> None:
        super().__init__(-1)
        self.data = b""
        self._tty = tty
        self._arrived = trio.Event()

    async def write(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.data += data
        self._arrived.set()

    def isatty(self) -> bool:
        return self._tty

    @property
    def text(self) -> str:
        return self.data.decode()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    async def wait_lines(self, count: int) -> list[str]:
        """All lines, once there are at least so many."""
        while len(self.lines) < count:
            self._arrived = trio.Event()
            await self._arrived.wait()
        return self.lines


class Report(Struct):
    city: str
    celsius: float


@pytest.fixture
def app() -> App:
    """A small server with something of everything."""
    app = App("weather", version="1.2.3", instructions="Ask for the weather.")
    news = {"one": "first", "two": "second"}

    @app.tool
    async def forecast(
        city: str, days: Annotated[int, Meta(ge=1, le=7)] = 1, *, context: Context
    ) -> list[Report]:
        """Forecast for a city."""
        await context.progress(1, total=2, message="asking")
        return [Report(city, 20.0 + day) for day in range(days)]

    @app.tool
    async def broken(why: str) -> str:
        """Always fails."""
        await trio.lowlevel.checkpoint()
        raise ToolError(f"it broke: {why}")

    @app.tool
    async def hang() -> str:
        """Never answers."""
        await trio.sleep_forever()
        raise AssertionError

    @app.resource("news://{id}", mime_type="text/plain")
    async def article(id: str) -> str:
        """An article."""
        await trio.lowlevel.checkpoint()
        if id not in news:
            raise ResourceNotFound(f"news://{id}")
        return news[id]

    @app.resource("bytes://all")
    async def everything() -> bytes:
        await trio.lowlevel.checkpoint()
        return bytes(range(256))

    @app.prompt
    async def summary(topic: str, style: str = "short") -> str:
        """Summarize a topic."""
        await trio.lowlevel.checkpoint()
        return f"Summarize {topic}, {style}"

    return app


@asynccontextmanager
async def in_memory(app: App, *, timeout: float = 5.0, revision: str = "auto") -> AsyncIterator[Remote]:
    """The app running, and how a command reaches it."""

    async def stream() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return app.server.connect()

    async with app.connect():
        yield Remote(url="ws://localhost/mcp", connect=stream, timeout=timeout, revision=revision)


@asynccontextmanager
async def old_server(answers: Mapping[str, object]) -> AsyncIterator[Remote]:
    """Somebody else's server, of the older revision: results by method, an int for an error's code, a str for a
    reason to close the connection. What is not there is not found."""
    answers = {"initialize": INITIALIZED, **answers}
    async with trio.open_nursery() as nursery:

        async def serve(stream: trio.abc.HalfCloseableStream) -> None:
            request = await wrap_server_stream(nursery, stream)
            connection = await request.accept(subprotocol="mcp")
            with suppress(ConnectionClosed):
                while True:
                    message = json.loads(await connection.get_message())
                    if "id" not in message:
                        continue
                    answer = answers.get(message["method"], -32601)
                    reply: dict[str, object] = {"jsonrpc": "2.0", "id": message["id"]}
                    if isinstance(answer, str):
                        await connection.aclose(1008, answer)
                    elif isinstance(answer, int):
                        reply["error"] = {"code": answer, "message": "No"}
                    else:
                        reply["result"] = answer
                    await connection.send_message(json.dumps(reply))

        async def stream() -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            ours, theirs = memory_stream_pair()
            nursery.start_soon(serve, theirs)
            return ours

        yield Remote(url="ws://localhost/mcp", connect=stream, timeout=5, revision="2025-11-25")
        nursery.cancel_scope.cancel(reason="the test is over")


INITIALIZED = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "old", "version": "1"},
}


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """No test leaves its logging to the next."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {
        name: logging.getLogger(name).level for name in ("httpcore", "httpx", "trio-websocket", "websockets")
    }
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
