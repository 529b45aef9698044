"""Fixtures of the bridge's tests: an app in memory, and a bridge to it by each carrier in each revision."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from tests.bridge.rig import LEGACY, MODERN, Rig, notes


@pytest.fixture(params=["ws", "http"])
def scheme(request: pytest.FixtureRequest) -> str:
    """How the bridge reaches the server."""
    return str(request.param)


@pytest.fixture(params=[LEGACY, MODERN])
def revision(request: pytest.FixtureRequest) -> str:
    """What the host speaks."""
    return str(request.param)


@pytest.fixture
async def rig(
    nursery: trio.Nursery, scheme: str, revision: str, autojump_clock: MockClock
) -> AsyncIterator[Rig]:
    """A bridge that runs, and a host that has said hello."""
    app, _ = notes()
    async with app.connect():
        rig = Rig(app, f"{scheme}://localhost/mcp", revision)
        nursery.start_soon(rig.run)
        await rig.host.begin()
        yield rig
        await rig.host.stream.aclose()
        await rig.ended.wait()
