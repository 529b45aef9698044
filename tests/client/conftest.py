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
from tests.client.fake_server import LEGACY, MODERN, FakeServer


def _run_jumping(
    fn: Callable[[], Awaitable[None]], *, clock: object, instruments: Sequence[Instrument]
) -> None:
    trio.run(fn, clock=trio.testing.MockClock(autojump_threshold=0), instruments=instruments)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every async test of this folder runs under a clock that jumps whenever all tasks wait."""
    for item in items:
        if Path(__file__).parent in item.path.parents and iscoroutinefunction(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.trio(run=_run_jumping), append=False)


Open = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def server(nursery: trio.Nursery) -> FakeServer:
    """Speaks both revisions."""
    return FakeServer(nursery)


@pytest.fixture
def opening(server: FakeServer) -> Open:
    """`open_client` to the fake server."""
    return partial(open_client, "ws://localhost/mcp", connect=server.connect, rng=random.Random(1))


@pytest.fixture(params=[LEGACY, MODERN])
def revision(request: pytest.FixtureRequest) -> str:
    """Each revision in turn."""
    return str(request.param)


@pytest.fixture
async def client(opening: Open, revision: str) -> AsyncIterator[Client]:
    """A connected client, in each revision."""
    async with opening(revision=revision) as client:
        yield client
