"""A receiver killed wherever it may be in a running app announces each event that the service repeats exactly once."""

from __future__ import annotations

from random import Random

import pytest
import trio
import trio.testing

from mcptrio import App
from mcptrio.live import pump
from mcptrio.sources.websocket import Receiver
from tests.sources.killing import Record, crash_at_every_report, killed_at_step, watched
from tests.sources.rig import expect_no_tasks
from tests.sources.websocket.service import Service, WebSocket, event, made, talking

pytestmark = pytest.mark.unmeasured

MockClock = trio.testing.MockClock

EVENTS = [
    event(number, f"c{number % 4}", type="closed" if number % 5 == 4 else "posted") for number in range(12)
]
KEPT = 3


def expected() -> list[tuple[str, str]]:
    """What the events come to, kept by hand."""
    told: list[tuple[str, str]] = []
    held: list[str] = []
    for number in range(12):
        uri = f"chat://c{number % 4}/last"
        known = uri in held
        if known:
            held.remove(uri)
        if number % 5 == 4:
            told.append(("deleted", uri))
            continue
        told.append(("updated" if known else "created", uri))
        held.append(uri)
        if len(held) > KEPT:
            told.append(("deleted", held.pop(0)))
    return told


async def replay(ws: WebSocket) -> None:
    """All events from the first, over every connection; some close after them."""
    for message in EVENTS:
        await ws.send_message(message)
        await trio.sleep(0.01)
    await trio.sleep(50)


def chat_app(service: Service) -> App:
    app = App("house")
    Receiver(made(keep=KEPT), connect=service.connect, random=Random(1)).install(app.registry)
    return app


@pytest.mark.parametrize("capacity", [0, 256])
async def test_a_receiver_killed_after_any_step_announces_each_event_once(
    capacity: int,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(pump, "CAPACITY", capacity)
    killed = 0
    for step in range(1, 40):
        service = Service(talking(replay))
        app = chat_app(service)
        record = Record(app)
        async with trio.open_nursery() as nursery:
            await nursery.start(service.run)
            with killed_at_step(app.sources.supervisor, "chat", step, kills=6) as killer:
                async with watched(record, "chat://c1/last"):
                    await record.wait(len(expected()))
                    await trio.sleep(200)
            nursery.cancel_scope.cancel()
        assert record.told() == expected(), step
        killed += killer.killed
        expect_no_tasks(app.sources)
        caplog.clear()
    assert killed > 100


@pytest.mark.parametrize("when", ["before", "behind", "both"])
async def test_a_receiver_that_crashes_at_every_report_announces_each_event_once(
    when: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    crashed = crash_at_every_report(monkeypatch, when)
    service = Service(talking(replay))
    app = chat_app(service)
    record = Record(app)
    async with trio.open_nursery() as nursery:
        await nursery.start(service.run)
        async with watched(record, "chat://c1/last"):
            await record.wait(len(expected()))
            await trio.sleep(200)
        nursery.cancel_scope.cancel()
    assert record.told() == expected()
    assert len(crashed) == len(expected()) * (2 if when == "both" else 1)


async def test_it_connects_while_somebody_wants_it(autojump_clock: MockClock) -> None:
    service = Service(talking(replay))
    app = chat_app(service)
    async with trio.open_nursery() as nursery:
        await nursery.start(service.run)
        async with app.connect() as client:
            await client.list_tools()
            await trio.sleep(1000)
            assert service.times == []
            async with client.subscribe("chat://c3/last") as changes:
                await changes.__anext__()
                read = await client.read_resource("chat://c3/last")
                assert read.contents[0].text == '{"channel":"c3"}'
                assert read.contents[0].annotations
                listed = await client.list_resources()
                assert "chat://c3/last" in [each.uri for each in listed]
            await trio.sleep(100)
            connected = len(service.times)
            await trio.sleep(1000)
            assert len(service.times) == connected
            assert service.gone == connected
        nursery.cancel_scope.cancel()
