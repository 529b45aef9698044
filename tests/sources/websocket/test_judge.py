"""A feed by another library in another process: every event reaches two clients over TCP exactly once."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
import trio

from mcptrio import App
from mcptrio.client import open_client
from mcptrio.client.subscription import Subscription
from mcptrio.live import Change, SourceState
from mcptrio.sources.websocket import Receiver
from tests.interop.processes import LineProcess
from tests.sources.killing import Killed
from tests.sources.websocket.service import made

EVENTS = 60
FEED = Path(__file__).parent / "feed_server.py"
URIS = [f"chat://c{number}/last" for number in range(1, EVENTS + 1)]
EXPECTED = [("created" if number % 10 else "deleted", uri) for number, uri in enumerate(URIS, 1)]


@pytest.mark.parametrize("kills", [0, 3])
async def test_each_event_reaches_two_clients_exactly_once(
    kills: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEED_TOKEN", "hush")
    monkeypatch.setenv("FEED_AUTHORIZATION", "Bearer hush")
    with trio.fail_after(60):
        await _judge(kills)


async def _judge(kills: int) -> None:
    async with AsyncExitStack() as stack:
        feed = await stack.enter_async_context(LineProcess(sys.executable, FEED, str(EVENTS)))
        port = int(await feed.output.next())
        receiver = Receiver(
            made(
                url=f"ws://127.0.0.1:{port}/feed",
                headers={"Authorization": {"env": "FEED_AUTHORIZATION"}},
                subprotocols=["feed.v1"],
                first=[{"action": "auth", "token": {"env": "FEED_TOKEN"}}],
                reconnect="100ms",
                linger=0,
            )
        )
        app = App("house")
        receiver.install(app.registry)
        changes: list[Change] = []
        feed_of_app = app.sources.feeds["chat"]
        feed_of_app.watch(changes.append)
        nursery = await stack.enter_async_context(trio.open_nursery())
        address = await nursery.start(partial(app.serve, port=0))
        lot = trio.lowlevel.ParkingLot()
        heard = [Counter[str](), Counter[str]()]
        for revision, counter in zip(("2025-11-25", "2026-07-28"), heard, strict=True):
            url = f"ws://127.0.0.1:{address.port}/mcp"
            client = await stack.enter_async_context(open_client(url, revision=revision))
            subscription = await stack.enter_async_context(client.subscribe(*URIS))
            nursery.start_soon(_listen, subscription, counter, lot)
        await feed.write("go")
        for _ in range(kills):
            await feed_of_app.wait_while(*set(SourceState) - {SourceState.LIVE})
            await trio.sleep(0.02)
            app.sources.supervisor.exit_child("chat", Killed("by the test"))
            await feed_of_app.wait_while(SourceState.LIVE)
        await _until(lambda: all(len(counter) == EVENTS for counter in heard), lot)
        assert "sending to feed.v1" in await feed.output.next()
        await trio.sleep(0.3)  # what comes twice comes soon
        assert [(change.kind, change.uri) for change in changes] == EXPECTED
        assert heard == [Counter(URIS)] * 2
        counts = receiver.counts()
        assert counts.taken == EVENTS
        assert counts.repeated > 0, "it was broken off in between"
        assert counts.unusable == 0
        [child] = [child for child in app.sources.supervisor.children() if child.name == "chat"]
        assert child.restarts == kills
        nursery.cancel_scope.cancel()


async def _listen(subscription: Subscription, counter: Counter[str], lot: trio.lowlevel.ParkingLot) -> None:
    async for update in subscription:
        counter[update.uri] += 1
        lot.unpark_all()


async def _until(condition: Callable[[], bool], lot: trio.lowlevel.ParkingLot) -> None:
    while not condition():
        await lot.park()
