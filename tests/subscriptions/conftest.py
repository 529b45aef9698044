"""The world of a subscription test: one app, two clients, in memory under a clock that jumps, or over real sockets."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

import pytest
import trio
import trio.testing
from trio_websocket import wrap_client_stream

from mcptrio import App, ResourceNotFound, ServerSettings, ToolError, open_client

from .callers import LEGACY, MODERN, Caller, OwnCaller, WireCaller

NOTE = "note://today"
OTHER = "note://tomorrow"
BARRIER = "barrier://"
SECRET = "the password is tulip"

Dial = Callable[[], Awaitable[trio.abc.Stream]]


class World:
    """An app with notes, and its clients: `ana` speaks by hand, `ben` is the project's own client."""

    ana: WireCaller
    ben: OwnCaller

    def __init__(self, app: App, revision: str, nursery: trio.Nursery, stack: AsyncExitStack) -> None:
        self.app = app
        self.revision = revision
        self.notes = {"today": "rain", "tomorrow": "sun", "monday": "snow"}
        self.dial: Dial
        self._nursery = nursery
        self._stack = stack
        self._numbers = itertools.count(1)

    @property
    def legacy(self) -> bool:
        """Whether the clients speak the older revision."""
        return self.revision == LEGACY

    def barrier(self) -> str:
        """A URI of one client's own, by which it knows that it has heard all before it."""
        return f"{BARRIER}{next(self._numbers)}"

    async def another(self) -> WireCaller:
        """One more client that speaks by hand."""
        stream = await self.dial()
        connection = await wrap_client_stream(
            self._nursery, stream, "localhost", "/mcp", subprotocols=["mcp"]
        )
        caller = WireCaller(connection, stream, self.revision, self.barrier(), self.app.updated_nowait)
        self._stack.push_async_callback(caller.close)
        await caller.open()
        return caller

    def watched(self) -> dict[str, int]:
        """How many subscribers each resource has, for all that have any; barriers left out."""
        return {
            uri: len(outboxes)
            for uri, outboxes in self.app.hub.subscriptions().items()
            if not uri.startswith(BARRIER)
        }

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the server does in its own time: what sockets carry is on its way for a moment."""
        # Counted and not timed, because a clock that jumps stands still while somebody waits for rest.
        for _ in range(1000):
            if condition():
                return
            await trio.testing.wait_all_tasks_blocked(0.01)
        raise AssertionError(f"it never came to be; watched are {self.watched()}")

    async def expect_service(self) -> None:
        """After whatever happened, both clients subscribe, hear and leave as usual."""
        both: list[Caller] = [self.ana, self.ben]
        for caller in both:
            await caller.subscribe(NOTE)
        self.app.updated_nowait(NOTE)
        for caller in both:
            assert await caller.heard() == [NOTE]
            await caller.unsubscribe(NOTE)
        assert self.watched() == {}


def notes_app(world: World) -> None:
    """What the app of a world offers."""
    app = world.app

    @app.resource("note://{name}")
    async def note(name: str) -> str:
        if name not in world.notes:
            raise ResourceNotFound(f"note://{name}")
        return world.notes[name]

    @app.resource("barrier://{number}")
    async def barrier(number: str) -> str:
        return number

    @app.resource("broken://drawer")
    async def drawer() -> str:
        raise ZeroDivisionError(SECRET)

    @app.tool(timeout=0.05)
    async def wait_for_ever() -> str:
        await trio.sleep_forever()
        return "never"

    @app.tool
    async def complain() -> str:
        raise ToolError("the pen is dry")

    @app.tool
    async def crash() -> str:
        raise ZeroDivisionError(SECRET)

    for uri in ("file:///tmp/a.txt", "http://example.org/a", "https://example.org/a", "resource://a/b"):
        app.resource(uri)(_text)
    app.resource("x-own.scheme+1:opaque")(_text)


async def _text() -> str:
    return "text"


@pytest.fixture(params=["memory", "sockets"])
def wire(request: pytest.FixtureRequest) -> str:
    """How clients reach the server."""
    return str(request.param)


@pytest.fixture
def clock(wire: str) -> trio.abc.Clock | None:
    """A clock that jumps over all waiting, for what happens in memory; sockets need the real one.

    Every test names it, because that is how the test's loop is given its clock.
    """
    return trio.testing.MockClock(autojump_threshold=0) if wire == "memory" else None


@pytest.fixture(params=[LEGACY, MODERN])
def revision(request: pytest.FixtureRequest) -> str:
    """What the clients speak; a test of one revision parametrizes it itself."""
    return str(request.param)


@pytest.fixture
def settings() -> ServerSettings:
    """The server's limits; a test may parametrize them."""
    return ServerSettings()


@pytest.fixture
async def world(
    wire: str, revision: str, settings: ServerSettings, nursery: trio.Nursery
) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        world = World(App("notes", settings=settings), revision, nursery, stack)
        notes_app(world)
        if wire == "memory":
            client = await stack.enter_async_context(world.app.connect(revision=revision))

            async def dial() -> trio.abc.Stream:
                await trio.lowlevel.checkpoint()
                return world.app.server.connect()

            world.dial = dial
        else:
            serving = await stack.enter_async_context(trio.open_nursery())
            address = await serving.start(partial(world.app.serve, port=0))
            stack.callback(serving.cancel_scope.cancel)
            opening = open_client(address.websocket, revision=revision, reconnect=False)
            client = await stack.enter_async_context(opening)
            world.dial = partial(trio.open_tcp_stream, address.host, address.port)
        world.ana = await world.another()
        world.ben = OwnCaller(client, world.barrier(), world.app.updated_nowait)
        await world.ben.open()
        assert world.watched() == {}
        yield world
