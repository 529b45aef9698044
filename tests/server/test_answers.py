"""Many answers that are ready together, more than may be pending: each waits for its place, and all arrive."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from mcptrio import App
from tests.server.rig import running
from tests.server.work import BOTH, call, connect, text_of

pytestmark = pytest.mark.unmeasured


@BOTH
@pytest.mark.parametrize(("number", "size"), [(20, 600_000), (64, 300_000)])
async def test_answers_that_are_ready_together_all_arrive_at_a_client_that_reads(
    modern: bool, number: int, size: int
) -> None:
    app = App("work")
    gate = trio.Event()

    @app.tool
    async def much() -> str:
        await gate.wait()
        return "x" * size

    assert number * size > app.settings.limits.max_pending
    async with running(app) as home:
        wire = await connect(home, modern)
        await wire.send(*(call(id, "much", modern=modern) for id in range(number)))
        await trio.testing.wait_all_tasks_blocked()
        assert len(wire.peer.requests) == number
        gate.set()
        arrived: set[object] = set()
        for _ in range(number):
            answer = await wire.receive()
            assert len(text_of(answer)) == size
            arrived.add(answer["id"])
        assert arrived == set(range(number))
        assert "result" in await wire.call("tools/list", modern=modern)
