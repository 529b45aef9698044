"""Clients that vanish: nothing is left of them, however many they were."""

from __future__ import annotations

import gc

import pytest
import trio
from trio.testing import MockClock

from mcptrio.live import Outbox
from mcptrio.server import ServerSettings
from mcptrio.server.subscriber import Subscriber
from tests.adversary.world import (
    HOT,
    NOTHING,
    ONLY_WITNESS,
    PATIENCE,
    left,
    listen,
    make_app,
    modern,
    open_world,
    settled,
    text,
)
from tests.concurrency.crowd import connect_many, living

pytestmark = pytest.mark.unmeasured


def _objects() -> dict[str, int]:
    gc.collect()
    kinds = (Outbox, Subscriber)  # of peers the tap of the tests keeps one each
    found = gc.get_objects()
    return {kind.__name__: sum(isinstance(item, kind) for item in found) for kind in kinds}


async def test_a_tcp_reset_leaves_no_subscription_no_task_and_no_outbox() -> None:
    async with open_world(sockets=True) as world:
        tasks, objects = living(), _objects()
        for number in range(5):
            raw = await world.open()
            await raw.initialize()
            await raw.subscribe(HOT, "hot://2")
            await raw.send(text(listen(1, HOT, "hot://3")))
            await raw.message()
            tag = f"t{number}"
            await raw.send(text(modern("tools/call", 2, name="hold", arguments={"tag": tag})))
            await world.entered_is(tag)
            assert living() > tasks
            await raw.reset()
            await settled(world.app, ONLY_WITNESS)
            assert living() == tasks
            assert len(world.app.hub.subscribers(HOT)) == 1
            assert list(world.app.hub.subscriptions()) == [HOT]
        del raw
        # The flusher and the pump hold the one they turned to last.
        await world.witness_is_served()
        assert _objects() == objects


async def test_a_thousand_clients_that_vanish_at_once_leave_an_empty_index(autojump_clock: MockClock) -> None:
    app = make_app(ServerSettings())
    async with app.connect(revision="2026-07-28") as witness:
        with trio.fail_after(PATIENCE):
            await trio.testing.wait_all_tasks_blocked()
            tasks, before = living(), left(app)
            crowd = await connect_many(app, 1000, HOT, *(f"hot://{{}}-{number}" for number in range(9)))
            assert app.hub.statistics().subscriptions == 10_000
            assert len(app.hub.subscribers(HOT)) == 1000
            app.updated_nowait(HOT)  # a change is on its way to all of them
            for raw in crowd:
                await raw.reset()
            app.updated_nowait(HOT)
            await settled(app, before)
            await trio.testing.wait_all_tasks_blocked()
            assert living() == tasks
            assert not app.hub.subscriptions()
            assert not app.hub._uris
            async with witness.subscribe(HOT) as updates:
                app.updated_nowait(HOT)
                assert (await anext(updates)).uri == HOT
    assert left(app) == NOTHING
