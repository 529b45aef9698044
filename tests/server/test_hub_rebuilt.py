"""A hub that cannot go on is rebuilt: every client is closed with 1012, and may come back and lose nothing silently."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing

from mcptrio import App, Feed
from mcptrio.live import Change, Hub, InvalidUri
from mcptrio.supervision import Supervisor, supervisors
from tests.server.rig import running, updated


def part(app: App, name: str) -> Supervisor:
    return next(supervisor for supervisor in supervisors(app.server.root) if supervisor.name == name)


class Crash(Exception):
    pass


async def test_a_hub_whose_tasks_keep_crashing_is_rebuilt_and_its_clients_are_closed_with_1012(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    app = App("house")
    app.catalog.add_pattern("a:{id}")
    async with running(app) as house:
        session, listener = await house.connect(initialized=True), await house.connect()
        await session.subscribe("a:1")
        await listener.listen(1, "a:1")
        changes = app.changes("a:1")
        epoch = app.hub.epoch
        hub = part(app, "hub")
        while not app.server.rebuilt_total:
            if hub.is_running:  # it may have given up already, and wait for its own restart
                hub.exit_child("pump", Crash())  # no effect while it waits for its restart
            await trio.sleep(0.05)
        assert await session.closed() == (
            1012,
            "the server has restarted its hub: connect and subscribe again",
        )
        assert (await listener.closed())[0] == 1012
        assert app.server.rebuilt_total == 1
        assert app.hub.epoch != epoch
        assert any(record.levelno == logging.CRITICAL for record in caplog.records)
        await trio.sleep(5)
        # The embedding program's own subscription was never interrupted, and newcomers are served.
        assert app.hub.subscribers("a:1") == (changes._outbox,)
        again = await house.connect(initialized=True)
        await again.subscribe("a:1")
        app.updated_nowait("a:1")
        assert await again.receive() == updated("a:1")
        assert (await changes.receive()).offset == 1
        changes.close()


async def test_one_crash_of_a_task_of_the_hub_disturbs_nobody(autojump_clock: trio.testing.MockClock) -> None:
    app = App("house")
    app.catalog.add_pattern("a:{id}")
    async with running(app) as house:
        session = await house.connect(initialized=True)
        await session.subscribe("a:1")
        for name in ("pump", "flusher", "list changes"):
            part(app, "hub").exit_child(name, Crash())
            app.updated_nowait("a:1")
            assert await session.receive() == updated("a:1")
            await trio.sleep(60)
        assert app.server.rebuilt_total == 0


async def test_a_change_that_the_hub_cannot_publish_is_set_aside_once_and_the_next_is_published(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App("house")
    told: list[tuple[str, str]] = []
    app.server.pump.on_set_aside(lambda change, error: told.append((change.uri, repr(error))))
    tried: list[str] = []
    publish = Hub.publish

    def publishing(self: Hub, change: Change) -> object:
        tried.append(change.uri)
        if change.uri == "a:poison":
            raise InvalidUri("no")
        return publish(self, change)

    monkeypatch.setattr(Hub, "publish", publishing)

    @app.source("a:{id}")
    async def source(feed: Feed) -> None:
        for id in ("poison", "1"):
            await feed.updated(f"a:{id}")
        await trio.sleep_forever()

    async with running(app) as house:
        session = await house.connect(initialized=True)
        await session.subscribe("a:1")
        assert await session.receive() == updated("a:1")
        await trio.sleep(60)
    assert tried == ["a:poison", "a:1"]
    assert told == [("a:poison", repr(InvalidUri("no")))]
    assert app.server.pump.set_aside_total == 1
