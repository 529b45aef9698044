"""What the command line's tests share: output that is kept, and an app that is reached in memory."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated

import pytest
import structlog
import trio
from msgspec import Meta, Struct

from mcptrio.app import App
from mcptrio.catalog import Context, ResourceNotFound, ToolError
from mcptrio.cli.output import Output
from mcptrio.cli.remote import Remote


class Kept(Output):
    """Output into memory. `closed_after` lines, its reader leaves."""

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
        raise ToolError(f"it broke: {why}")

    @app.tool
    async def hang() -> str:
        """Never answers."""
        await trio.sleep_forever()
        raise AssertionError

    @app.resource("news://{id}", mime_type="text/plain")
    async def article(id: str) -> str:
        """An article."""
        if id not in news:
            raise ResourceNotFound(f"news://{id}")
        return news[id]

    @app.resource("bytes://all")
    async def everything() -> bytes:
        return bytes(range(256))

    @app.prompt
    async def summary(topic: str, style: str = "short") -> str:
        """Summarize a topic."""
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
