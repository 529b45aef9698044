"""A session that is no more is 404, whatever is asked of it and whatever has ended it; and nothing of it is left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from mcptrio import ServerSettings
from tests.server.http.rig import Answer, HttpHouse, HttpSession, http
from tests.server.rig import cancelled, notification, request
from tests.transports.clients import InSession, Way, world
from tests.transports.rooms import Rooms, hold

settled = trio.testing.wait_all_tasks_blocked

USES: dict[str, Callable[[HttpSession], Awaitable[Answer]]] = {
    "a request": lambda session: session.post(request(1, "tools/list")),
    "a ping": lambda session: session.post(request(1, "ping")),
    "a second initialize": lambda session: session.post(request(1, "initialize", {})),
    "a notification": lambda session: session.post(notification("notifications/initialized")),
    "a cancellation": lambda session: session.post(cancelled(1)),
    "an answer": lambda session: session.post({"jsonrpc": "2.0", "id": 1, "result": {}}),
    "a stream": lambda session: session.get(),
    "coming back": lambda session: session.get("0-1"),
    "an end": lambda session: session.delete(),
}


async def expect_dead(session: HttpSession) -> None:
    for what, use in USES.items():
        assert (await use(session)).status == 404, what


def expect_nothing_left(home: HttpHouse, rooms: Rooms) -> None:
    assert rooms.cancelled == ["t"]
    assert home.app.hub.statistics().subscriptions == 0
    assert home.app.server.list_changes.watchers() == 0
    assert not home.endpoint.peers
    assert not len(home.endpoint.http.sessions)


@pytest.mark.parametrize("ended_by", ["DELETE", "the time without a client"])
async def test_a_session_that_has_ended_is_not_found_and_leaves_nothing(
    ended_by: str, autojump_clock: MockClock
) -> None:
    rooms = Rooms(ServerSettings(introspection=False))
    async with world(rooms.app) as here:
        client = await here.open(Way("http", False))
        assert isinstance(client, InSession)
        told = await client.subscribe("room://a")
        await client.send(7, "tools/call", hold("t"))
        await trio.sleep(1)  # by now it is answered by a stream
        if ended_by == "DELETE":
            assert (await client.session.delete()).status == 204
        else:
            client.leave()
            await trio.sleep(here.app.settings.session_timeout - 2)
            assert rooms.cancelled == []
            await trio.sleep(5)
        await settled()
        expect_nothing_left(here.home, rooms)
        await told.inbox.end()
        await client.answers[int, 7].end()
        await expect_dead(client.session)
        await here.change("room://a")
        assert told.inbox.rest() == []


async def test_a_session_lives_as_long_as_anybody_is_there(autojump_clock: MockClock) -> None:
    async with http(Rooms().app) as home:
        sessions = [await home.initialize() for _ in range(3)]
        await sessions[0].get()
        await sessions[1].post(request(1, "tools/call", hold("t")))
        await trio.sleep(3 * home.app.settings.session_timeout)
        for session in sessions[:2]:
            assert (await session.call(2, "ping"))["result"] == {}
        await expect_dead(sessions[2])


async def test_a_session_of_a_server_that_was_shut_down_is_not_known_to_the_next_one(
    autojump_clock: MockClock,
) -> None:
    rooms = Rooms()
    async with http(rooms.app) as home:
        session = await home.initialize()
        await session.call(1, "resources/subscribe", {"uri": "room://a"})
        with trio.move_on_after(1):
            await session.post(request(2, "tools/call", hold("t")))
        await home.endpoint.drain()
        await settled()
        expect_nothing_left(home, rooms)
        for what, use in USES.items():
            assert (await use(session)).status == 503, what
    async with http(Rooms().app) as home:
        session.home = home
        await expect_dead(session)
        assert (await (await home.initialize()).call(1, "ping"))["result"] == {}


async def test_the_end_of_one_session_is_nothing_to_another(autojump_clock: MockClock) -> None:
    async with world(Rooms().app) as here:
        ann, bob = await here.open(Way("http", False)), await here.open(Way("http", False))
        assert isinstance(bob, InSession)
        told = await ann.subscribe("room://a")
        await bob.subscribe("room://a")
        await bob.session.delete()
        await here.change("room://a")
        assert await told.next() == "room://a"
        assert await ann.call_tool("echo", text="on") == "on"
        await expect_dead(bob.session)


async def test_a_new_session_has_nothing_of_the_one_before_it(autojump_clock: MockClock) -> None:
    async with world(Rooms().app) as here:
        first = await here.open(Way("http", False))
        assert isinstance(first, InSession)
        await first.subscribe("room://a")
        await first.session.delete()
        again = await here.open(Way("http", False))
        told = await again.subscribe("room://b")
        await here.change("room://a", "room://b")
        assert await told.next() == "room://b"
        await told.inbox.nothing()
