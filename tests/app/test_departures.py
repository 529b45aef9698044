"""What a client leaves behind is gone at once, however long a handler of it still takes. On the real clock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest
import trio

from mcptrio import App
from tests.server.rig import request, running

BOTH = pytest.mark.parametrize("modern", [False, True], ids=["2025-11-25", "2026-07-28"])


class Busy:
    """An app with a tool that does not end before it is told to, in a thread or in a shield."""

    def __init__(self) -> None:
        self.app = App("house")
        self.app.catalog.add_pattern("a:{id}")
        self.entered = threading.Event()
        self.leave = threading.Event()
        self.free = trio.Event()

        @self.app.tool
        def in_a_thread() -> str:
            self.entered.set()
            assert self.leave.wait(60)
            return ""

        @self.app.tool
        async def in_a_shield() -> str:
            with trio.move_on_after(60, shield=True):
                self.entered.set()
                await self.free.wait()
            return ""

    def end(self) -> None:
        self.leave.set()
        self.free.set()


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - threads set no event of Trio's
            await trio.lowlevel.checkpoint()


@BOTH
@pytest.mark.parametrize("tool", ["in_a_thread", "in_a_shield"])
async def test_subscriptions_and_session_end_with_the_wire_and_not_with_the_last_handler(
    modern: bool, tool: str
) -> None:
    busy = Busy()
    app = busy.app
    async with running(app) as home:
        wire = await home.connect(initialized=not modern)
        if modern:
            await wire.listen("l", "a:1", "a:2", toolsListChanged=True)
        else:
            await wire.subscribe("a:1", "a:2")
        assert app.hub.statistics().subscriptions == 2
        assert app.server.list_changes.watchers() > 0
        await wire.send(request(1, "tools/call", {"name": tool}, modern=modern))
        await trio.to_thread.run_sync(partial(busy.entered.wait, 10))
        try:
            wire.vanish()
            await until(lambda: app.hub.statistics().subscriptions == 0)
            assert app.hub.subscriptions() == {}
            assert app.server.list_changes.watchers() == 0
            assert wire.peer.session is None
            assert wire.peer.listens == {}
            assert len(wire.peer.requests) == 1, "the handler still runs"
            assert list(app.server.endpoints[0].peers.values()) == [wire.peer]
        finally:
            busy.end()
        await until(lambda: not app.server.endpoints[0].peers)
