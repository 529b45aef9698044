"""What one client does is nothing to another, though they name their requests alike; whatever each speaks, and how."""

from __future__ import annotations

import pytest
import trio.testing
from trio.testing import MockClock

from tests.server.rig import ENVELOPE, cancelled, notification, request
from tests.transports.clients import WAYS, InSession, Way, everywhere, over, world
from tests.transports.conversation import Conversation, code_of, text_of
from tests.transports.rooms import Rooms, hold

PAIRS = [
    (one, other)
    for one in WAYS
    for other in WAYS
    if {one.transport, other.transport} != {"stdio"}  # of which a server has one
]
pairs = pytest.mark.parametrize(("way", "other_way"), PAIRS, ids=[f"{a.name}, {b.name}" for a, b in PAIRS])


async def held(client: Conversation, id: object, tag: str) -> None:
    await client.send(id, "tools/call", hold(tag))
    await trio.testing.wait_all_tasks_blocked()


@pairs
async def test_cancelling_or_leaving_touches_no_request_of_another_under_the_same_id(
    way: Way, other_way: Way, autojump_clock: MockClock
) -> None:
    rooms = Rooms()
    async with world(rooms.app) as here:
        ann, bob = await here.open(way), await here.open(other_way)
        for id, tag in ((1, "number"), ("1", "text")):
            await held(ann, id, tag)
        await held(bob, 1, "bob's")
        assert rooms.entered == ["number", "text", "bob's"]

        await bob.notify(cancelled(1))
        await bob.notify(cancelled("1"))
        await bob.cancel(1)
        await trio.testing.wait_all_tasks_blocked()
        assert rooms.cancelled == ["bob's"]
        await held(bob, 2, "bob's last")
        bob.leave()
        await trio.testing.wait_all_tasks_blocked()
        assert not {"number", "text"} & set(rooms.cancelled)
        await ann.cancel("1")
        await trio.testing.wait_all_tasks_blocked()
        assert "text" in rooms.cancelled
        rooms.gate.set()
        assert text_of(await ann.answer(1)) == "held number"


@pairs
async def test_each_is_told_of_its_own_and_goes_on_being_told_when_the_other_ends(
    way: Way, other_way: Way, autojump_clock: MockClock
) -> None:
    async with world(Rooms().app) as here:
        ann, bob = await here.open(way), await here.open(other_way)
        hers, his = (
            await ann.subscribe("room://ann", "room://both"),
            await bob.subscribe("room://bob", "room://both"),
        )
        await here.change("room://ann", "room://both", "room://bob")
        assert [await hers.next(), await hers.next()] == ["room://ann", "room://both"]
        assert [await his.next(), await his.next()] == ["room://both", "room://bob"]
        await his.end()
        await here.change("room://both", "room://bob")
        assert await hers.next() == "room://both"
        await his.inbox.nothing()
        bob.leave()
        await here.change("room://both")
        assert await hers.next() == "room://both"
        await hers.inbox.nothing()


CANCELS = {
    "2026-07-28, without a session": {"mcp_protocol_version": "2026-07-28"},
    "2026-07-28, with a session": {"mcp_protocol_version": "2026-07-28", "mcp_session_id": "own"},
    "2026-07-28, with all its fields": {
        "mcp_protocol_version": "2026-07-28",
        "mcp_method": "notifications/cancelled",
    },
    "2025-11-25, without a session": {},
    "2025-11-25, with a session": {"mcp_session_id": "own"},
    "2025-11-25, with a session that never was": {"mcp_session_id": "x"},
    "no version that there is": {"mcp_protocol_version": "2024-11-05"},
}


@everywhere
async def test_a_posted_cancellation_touches_no_request_of_another(
    way: Way, autojump_clock: MockClock
) -> None:
    rooms = Rooms()
    async with world(rooms.app) as here:
        ann = await here.open(way)
        told = await ann.subscribe("room://a", id=2)
        for id in (1, "1"):
            await held(ann, id, str(type(id)))
        bob = await here.open(Way("http", False))
        assert isinstance(bob, InSession)
        for what, fields in CANCELS.items():
            own = {name: bob.session.id if value == "own" else value for name, value in fields.items()}
            for id in (1, "1", 2):
                for meta in ({}, {"_meta": ENVELOPE}):
                    message = notification("notifications/cancelled", {"requestId": id, **meta})
                    answer = await (await here.home.connect()).post(message, **own)
                    assert answer.status in (202, 400, 404), what
            await trio.testing.wait_all_tasks_blocked()
            assert rooms.cancelled == [], what
        await here.change("room://a")
        assert await told.next() == "room://a"
        rooms.gate.set()
        for id in (1, "1"):
            assert text_of(await ann.answer(id)) == f"held {type(id)}"


@over([way for way in WAYS if way != Way("http", True)])
async def test_a_client_cancels_by_exactly_its_own_id(way: Way, autojump_clock: MockClock) -> None:
    rooms = Rooms()
    async with world(rooms.app) as here:
        client = await here.open(way)
        for id, tag in ((1, "number"), ("1", "text")):
            await held(client, id, tag)
        await client.notify(cancelled("1"))
        await trio.testing.wait_all_tasks_blocked()
        assert rooms.cancelled == ["text"]
        rooms.gate.set()
        assert text_of(await client.answer(1)) == "held number"
        await client.answers[str, "1"].nothing()


@over([way for way in WAYS if way != Way("http", True)])
async def test_a_second_request_under_the_id_of_a_running_one_is_refused_and_the_first_goes_on(
    way: Way, autojump_clock: MockClock
) -> None:
    rooms = Rooms()
    async with world(rooms.app) as here:
        client = await here.open(way)
        await held(client, 1, "first")
        if isinstance(client, InSession):
            # Each has a response of its own, and the client knows by that which is which.
            refused = await (await client.session.post(request(1, "tools/call", hold("second")))).json()
        else:
            await client.send(1, "tools/call", hold("second"))
            refused = await client.answer(1)
        assert code_of(refused) == -32600
        assert rooms.entered == ["first"]
        rooms.gate.set()
        assert text_of(await client.answer(1)) == "held first"


async def test_requests_of_one_id_on_two_connections_are_two_requests_where_there_is_no_session(
    autojump_clock: MockClock,
) -> None:
    rooms = Rooms()
    async with world(rooms.app) as here:
        clients = [await here.open(Way("http", True)) for _ in range(2)]
        for client, tag in zip(clients, ("first", "second"), strict=True):
            await held(client, 1, tag)
        assert rooms.entered == ["first", "second"]
        await clients[1].cancel(1)
        assert rooms.cancelled == ["second"]
        rooms.gate.set()
        assert text_of(await clients[0].answer(1)) == "held first"
