"""Streams of a 2025-11-25 session: an answer's and that of the notifications, how they end and are resumed."""

from __future__ import annotations

import itertools

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from mcptrio.client import ConnectionLost, Update
from mcptrio.client.carrier.http import HttpCarrier
from mcptrio.protocol import encode_notification, encode_request
from mcptrio.wire.dial import parse_url
from tests.client.conftest import Start
from tests.client.origin import INITIALIZED, LEGACY, SSE, Asked, Origin, old

A = "note://a"


@pytest.mark.parametrize("how", ["end", "cut"])
async def test_an_answer_whose_stream_ends_is_waited_for_on_one_that_continues_it(
    opening_http: Start, how: str
) -> None:
    waits: list[float] = []
    id: object = None

    async def call(asked: Asked) -> None:
        nonlocal id
        id = asked.message["id"]
        waits.append(trio.current_time())
        await asked.begin(200, SSE)
        await asked.send(b"id: e1\nretry: 3000\ndata:\n\n")
        await (asked.end() if how == "end" else asked.cut())

    async def get(asked: Asked) -> None:
        if "last-event-id" not in asked.headers:
            await asked.answer(405)
            return
        waits.append(trio.current_time())
        assert asked.headers["mcp-session-id"] == "s1"
        await asked.begin(200, SSE)
        if asked.headers["last-event-id"] == "e1":
            await asked.event({"method": "notifications/message", "params": {}}, "id: e2")
            await asked.send(b"id: e3\ndata: half an ev")
            await asked.cut()
        else:
            assert asked.headers["last-event-id"] == "e2"
            await asked.event({"id": id, "result": {"content": []}})
            await asked.end()

    _origin, opened = opening_http(old(call=call, GET=get))
    async with opened(revision=LEGACY, reconnect=False) as client:
        assert (await client.call_tool("x")).content == []
        await client.ping()
    assert [later - sooner for sooner, later in itertools.pairwise(waits)] == pytest.approx([3, 3])


async def test_a_stream_that_cannot_be_continued_is_given_up(opening_http: Start) -> None:
    async def call(asked: Asked) -> None:
        await asked.begin(200, SSE)
        await asked.send(b"id: e1\ndata:\n\n")
        await asked.cut()

    _origin, opened = opening_http(old(call=call))
    async with opened(revision=LEGACY, reconnect=False) as client:
        with pytest.raises(ConnectionLost, match="405"):
            await client.call_tool("x")


@pytest.mark.parametrize("ids", [True, False])
async def test_a_stream_of_notifications_that_ends_is_opened_again_and_a_gap_told_if_it_may_have_one(
    opening_http: Start, ids: bool
) -> None:
    opened_streams: list[str | None] = []

    async def get(asked: Asked) -> None:
        opened_streams.append(asked.headers.get("last-event-id"))
        await asked.begin(200, SSE)
        if ids:
            await asked.send(f"id: n{len(opened_streams)}\ndata:\n\n".encode())
        await trio.sleep(10)
        await asked.event({"method": "notifications/resources/updated", "params": {"uri": A}})
        await (asked.end() if len(opened_streams) % 2 else asked.cut())

    _origin, opened = opening_http(old(GET=get))
    async with opened(revision=LEGACY) as client, client.subscribe(A) as changes:
        heard = [await anext(changes) for _ in range(3)]
        assert client.statistics().connections == 1
    gap = [] if ids else [Update(A, gap=True)]
    assert heard == [Update(A), *gap, Update(A), *([Update(A)] if ids else gap)][:3]
    assert opened_streams[:2] == [None, "n1" if ids else None]


async def test_a_dead_session_is_made_again_with_its_subscriptions(opening_http: Start) -> None:
    dead: set[str] = set()
    sessions = iter(("s1", "s2"))

    async def initialize(asked: Asked) -> None:
        await asked.result(INITIALIZED, ("Mcp-Session-Id", next(sessions)))

    plain = old(initialize=initialize)

    async def handle(asked: Asked) -> None:
        await (asked.answer(404) if asked.headers.get("mcp-session-id") in dead else plain(asked))

    origin, opened = opening_http(handle)
    async with opened(revision=LEGACY) as client, client.subscribe(A) as changes:
        dead.add("s1")
        with pytest.raises(ConnectionLost, match="ended the session"):
            await client.ping()
        assert await anext(changes) == Update(A, gap=True)
        await client.ping()
    assert [each for each in origin.asked if each.method == "DELETE"][-1].headers["mcp-session-id"] == "s2"


async def test_a_stream_that_opens_late_holds_up_messages_for_five_seconds_only(opening_http: Start) -> None:
    async def get(asked: Asked) -> None:
        await trio.sleep_forever()

    _origin, opened = opening_http(old(GET=get))
    async with opened(revision=LEGACY) as client:
        assert trio.current_time() == pytest.approx(5)
        await client.ping()


async def test_a_server_that_does_not_take_a_notification_is_given_up_on(opening_http: Start) -> None:
    async def initialized(asked: Asked) -> None:
        await trio.sleep_forever()

    _origin, opened = opening_http(old(initialized=initialized))
    with pytest.raises(ConnectionLost, match="took nothing for 30 s"):
        async with opened(revision=LEGACY, timeout=100):
            raise AssertionError


async def test_cancelling_a_call_of_the_older_revision_is_said_and_its_answer_left(
    opening_http: Start,
) -> None:
    left = trio.Event()

    async def call(asked: Asked) -> None:
        await asked.begin(200, SSE)
        try:
            while True:
                await trio.sleep(1)
                await asked.send(b": waiting\n\n")
        finally:
            left.set()

    origin, opened = opening_http(old(call=call))
    async with opened(revision=LEGACY) as client:
        with trio.move_on_after(5):
            await client.call_tool("x")
        await left.wait()
        await client.ping()
    assert origin.said()[4:6] == ["notifications/cancelled", "ping"]


async def test_what_is_sent_behind_initialize_waits_for_the_session_that_its_answer_names(
    nursery: trio.Nursery,
) -> None:
    go = trio.Event()

    async def slowly(asked: Asked) -> None:
        await go.wait()
        await asked.result(INITIALIZED, ("Mcp-Session-Id", "s1"))

    origin = Origin(nursery, old(initialize=slowly))
    carrier = HttpCarrier(parse_url("http://localhost/mcp"), origin.connect)
    received: list[bytes] = []
    nursery.start_soon(carrier.run, received.append)
    await carrier.wait_open()
    opening = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    carrier.push(encode_request(1, "initialize", opening))
    carrier.push(encode_notification("notifications/initialized"))
    carrier.push(encode_request(2, "tools/list"))
    await trio.testing.wait_all_tasks_blocked()
    assert origin.said() == ["initialize"]
    go.set()
    await trio.testing.wait_all_tasks_blocked()
    assert len(received) == 2
    sessions = [asked.headers.get("mcp-session-id") for asked in origin.asked]
    assert sessions == [None, *["s1"] * (len(sessions) - 1)]
    nursery.cancel_scope.cancel()


async def test_closing_does_not_wait_for_an_initialize_that_is_not_answered(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def never(asked: Asked) -> None:
        await trio.sleep_forever()

    origin = Origin(nursery, old(initialize=never))
    carrier = HttpCarrier(parse_url("http://localhost/mcp"), origin.connect)

    async def close_soon() -> None:
        await carrier.wait_open()
        carrier.push(encode_request(1, "initialize", {}))
        await trio.testing.wait_all_tasks_blocked()
        carrier.close_nowait()

    began = trio.current_time()
    nursery.start_soon(close_soon)
    await carrier.run(lambda data: None)
    assert trio.current_time() - began <= 5
    nursery.cancel_scope.cancel()
