"""Fixtures of the client's tests: a fake server in memory, under a clock that jumps."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from inspect import iscoroutinefunction
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.abc import Instrument

from mcptrio.client import Client, open_client
from mcptrio.supervision.backoff import Backoff
from tests.client.fake_live import FakeLive
from tests.client.fake_server import LEGACY, MODERN, FakeServer
from tests.client.fake_wires import WIRES, target_of
from tests.client.origin import Handle, Origin


def _run_jumping(
    fn: Callable[[], Awaitable[None]], *, clock: object, instruments: Sequence[Instrument]
) -> None:
    trio.run(fn, clock=trio.testing.MockClock(autojump_threshold=0), instruments=instruments)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every async test of this folder runs under a clock that jumps whenever all tasks wait, but for real processes."""
    for item in items:
        here = Path(__file__).parent in item.path.parents and item.path.name != "test_processes.py"
        if here and iscoroutinefunction(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.trio(run=_run_jumping), append=False)


Open = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture(params=list(WIRES))
def wire(request: pytest.FixtureRequest) -> str:
    """Each carrier in turn; the marks below are for tests of what not all of them have."""
    return str(request.param)


only_websocket = pytest.mark.parametrize("wire", ["websocket"], indirect=True)
notices = pytest.mark.parametrize("wire", ["websocket", "stdio"], indirect=True)
"""For tests of a loss that is noticed at once: by HTTP it is when something is asked, which then fails."""


@pytest.fixture
def server(nursery: trio.Nursery, wire: str) -> FakeServer:
    """Speaks both revisions."""
    return FakeServer(nursery, make_peer=WIRES[wire])


@pytest.fixture
def opening(server: FakeServer, wire: str) -> Open:
    """`open_client` to the fake server."""
    return partial(open_client, target_of(server, wire), connect=server.connect, rng=random.Random(1))


@pytest.fixture(params=[LEGACY, MODERN])
def revision(request: pytest.FixtureRequest) -> str:
    """Each revision in turn."""
    return str(request.param)


@pytest.fixture
async def client(opening: Open, revision: str) -> AsyncIterator[Client]:
    """A connected client, in each revision."""
    async with opening(revision=revision) as client:
        yield client


TOKEN = "tulips-are-red"
Start = Callable[[Handle], tuple[Origin, Open]]


@pytest.fixture
def opening_http(nursery: trio.Nursery) -> Start:
    """Starts a server in memory that does what it is told, and gives `open_client` to it."""

    def start(handle: Handle) -> tuple[Origin, Open]:
        origin = Origin(nursery, handle)
        backoff = Backoff(initial=0.5, jitter=False)
        opened = partial(open_client, "http://localhost/mcp", connect=origin.connect, token=TOKEN)
        return origin, partial(opened, backoff=backoff)

    return start


@pytest.fixture
def live(server: FakeServer) -> FakeLive:
    """The fake server has the extension."""
    return FakeLive(server)


@pytest.fixture
async def live_client(live: FakeLive, opening: Open, revision: str) -> AsyncIterator[Client]:
    """A client connected to it, in each revision."""
    async with opening(revision=revision) as client:
        yield client
