"""A handler of many tasks, and a client that reads slowly."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from mcptrio import App, Context
from mcptrio.server import ServerSettings
from mcptrio.wire import Limits
from tests.server.http.rig import http
from tests.server.rig import Json, request

CALL: Json = {"name": "crowd", "_meta": {"io.modelcontextprotocol/logLevel": "error"}}
TASKS = 20


@pytest.mark.parametrize("modern", [True, False], ids=["exchange", "session"])
async def test_tasks_that_wait_for_a_slow_client_do_not_push_all_at_once(
    modern: bool, autojump_clock: MockClock
) -> None:
    # Together they would be far beyond the bound, at which the client is given up.
    app = App("house", settings=ServerSettings(limits=Limits(high_water=2_000, max_pending=6_000)))

    @app.tool
    async def crowd(context: Context) -> str:
        async def tell() -> None:
            for _ in range(3):
                await context.log("error", "x" * 1_500)

        async with trio.open_nursery() as nursery:
            for _ in range(TASKS):
                nursery.start_soon(tell)
        return "done"

    async with http(app) as home:
        session = await home.initialize()
        wire = await home.connect(capacity=100)
        if modern:
            answer = await wire.modern(1, "tools/call", CALL)
        else:
            answer = await wire.post(request(1, "tools/call", CALL), mcp_session_id=session.id)
        await trio.sleep(5)
        told = 0
        while "id" not in await answer.message():
            told += 1
        assert told == 3 * TASKS
