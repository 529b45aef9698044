"""Who has subscribed is told of what it has subscribed: each change once, in order, until it says that it is enough."""

from __future__ import annotations

import trio
import trio.lowlevel
import trio.testing
from trio.testing import MockClock

from tests.server.rig import ACKNOWLEDGED, UPDATED, Json
from tests.transports.clients import ONE_WIRE, Way, everywhere, legacy, modern, over, world
from tests.transports.conversation import code_of
from tests.transports.rooms import Rooms

NEIGHBOURS = (
    "room://a",
    "room://a/",
    "room://a/b/",
    "room://a/b/c",
    "room://a/bb",
    "room://a/B",
    "room://A/b",
    "room://a/b?c",
    "room://a/%62",
    "room:/a/b",
    "rooms://a/b",
    "note:1",
)


@everywhere
async def test_a_change_of_exactly_the_uri_is_told_and_of_no_other(
    way: Way, autojump_clock: MockClock
) -> None:
    async with world(Rooms().app) as here:
        told = await (await here.open(way)).subscribe("room://a/b")
        await here.change(*NEIGHBOURS)
        await told.inbox.nothing()
        await here.change("room://a/b", *NEIGHBOURS)
        assert await told.next() == "room://a/b"
        await told.inbox.nothing()


@everywhere
async def test_changes_that_are_read_one_by_one_arrive_one_by_one_in_their_order(
    way: Way, autojump_clock: MockClock
) -> None:
    async with world(Rooms().app) as here:
        told = await (await here.open(way)).subscribe("room://a", "room://b")
        for _ in range(3):
            here.app.updated_nowait("room://a")
            assert await told.next() == "room://a"
        order = ["room://b", "room://a", "room://b", "room://b", "room://a"]
        await here.change(*order)
        assert [await told.next() for _ in order] == order
        await told.inbox.nothing()


@everywhere
async def test_the_end_of_a_subscription_is_the_end_of_what_is_told(
    way: Way, autojump_clock: MockClock
) -> None:
    async with world(Rooms().app) as here:
        client = await here.open(way)
        told = await client.subscribe("room://a", "room://b")
        await here.change("room://a")
        assert await told.next() == "room://a"
        here.app.updated_nowait("room://b")  # not sent yet, when the end comes or before it
        await told.end()
        await trio.testing.wait_all_tasks_blocked()
        told.inbox.rest()
        assert here.subscriptions() == 0
        await here.change("room://a", "room://b")
        await told.inbox.nothing()
        assert await client.call_tool("echo", text="still here") == "still here"


@legacy
async def test_one_of_two_uris_is_unsubscribed_and_the_other_is_told(
    way: Way, autojump_clock: MockClock
) -> None:
    async with world(Rooms().app) as here:
        client = await here.open(way)
        told = await client.subscribe("room://a", "room://b")
        await client.call("resources/unsubscribe", {"uri": "room://a"})
        await client.call("resources/subscribe", {"uri": "room://b"})  # twice is once
        await here.change("room://a", "room://b")
        assert await told.next() == "room://b"
        await told.inbox.nothing()


@everywhere
async def test_nothing_is_told_before_the_subscription_is_acknowledged_and_the_last_change_always(
    way: Way, autojump_clock: MockClock
) -> None:
    async with world(Rooms().app) as here:
        client = await here.open(way)
        publishing = True

        async def publish() -> None:
            while publishing:
                here.app.updated_nowait("room://a")
                await trio.lowlevel.checkpoint()

        async def stop() -> None:
            nonlocal publishing
            for _ in range(500):
                await trio.lowlevel.checkpoint()
            publishing = False

        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            nursery.start_soon(stop)
            told = await client.subscribe("room://a")
        await told.next()
        came = [message.get("method") for message in client.came]
        answered = came.index(ACKNOWLEDGED) if way.modern else _last(came, None)
        assert answered < came.index(UPDATED) or way == Way(
            "http", False
        )  # where each has its own connection
        told.inbox.rest()
        await here.change("room://a")
        assert await told.next() == "room://a"


def _last(items: list[object], item: object) -> int:
    return len(items) - 1 - items[::-1].index(item)


@modern
async def test_what_nothing_could_serve_is_left_out_of_the_acknowledgement_and_never_told(
    way: Way, autojump_clock: MockClock
) -> None:
    async with world(Rooms().app) as here:
        client = await here.open(way)
        told = await client.subscribe("room://b", "nowhere:1", "room://a", "room://b", toolsListChanged=True)
        assert told.honoured == {"resourceSubscriptions": ["room://b", "room://a"], "toolsListChanged": True}
        none = await client.subscribe("nowhere:1", id="none")
        assert none.honoured == {"resourceSubscriptions": []}
        await here.change("nowhere:1")
        await told.inbox.nothing()
        await none.inbox.nothing()


@legacy
async def test_what_nothing_could_serve_is_refused_and_never_told(
    way: Way, autojump_clock: MockClock
) -> None:
    async with world(Rooms().app) as here:
        client = await here.open(way)
        told = await client.subscribe("room://a")
        assert code_of(await client.call("resources/subscribe", {"uri": "nowhere:1"})) == -32002
        await here.change("nowhere:1", "room://a")
        assert await told.next() == "room://a"
        await told.inbox.nothing()


@modern
async def test_two_listens_each_get_their_own_copy_under_their_own_id(
    way: Way, autojump_clock: MockClock
) -> None:
    async with world(Rooms().app) as here:
        client = await here.open(way)
        number = await client.subscribe("room://a", "room://both", id=1)
        text = await client.subscribe("room://both", "room://b", id="1")
        await here.change("room://a", "room://both", "room://b")
        assert [await number.next(), await number.next()] == ["room://a", "room://both"]
        assert [await text.next(), await text.next()] == ["room://both", "room://b"]
        await number.end()
        await here.change("room://both", "room://a")
        assert await text.next() == "room://both"
        await number.inbox.nothing()
        await text.inbox.nothing()


@over([way for way in ONE_WIRE if not way.modern])
async def test_a_session_and_a_listen_are_told_side_by_side_on_one_connection(
    way: Way, autojump_clock: MockClock
) -> None:
    async with world(Rooms().app) as here:
        client = await here.open(way)
        session = await client.subscribe("room://a", "room://both")
        client.modern = True
        listen = await client.subscribe("room://both", "room://b")
        await here.change("room://a", "room://both", "room://b")
        assert [await session.next(), await session.next()] == ["room://a", "room://both"]
        assert [await listen.next(), await listen.next()] == ["room://both", "room://b"]
        await listen.end()
        await here.change("room://both", "room://b")
        assert await session.next() == "room://both"
        client.modern = False
        await session.end()
        await here.change("room://a", "room://both", "room://b")
        await session.inbox.nothing()
        await listen.inbox.nothing()


async def test_two_sessions_of_one_http_client_are_told_each_of_its_own(autojump_clock: MockClock) -> None:
    async with world(Rooms().app) as here:
        clients = [await here.open(Way("http", False)) for _ in range(2)]
        first = await clients[0].subscribe("room://a", "room://both")
        second = await clients[1].subscribe("room://both", "room://b")
        await here.change("room://a", "room://both", "room://b")
        assert [await first.next(), await first.next()] == ["room://a", "room://both"]
        assert [await second.next(), await second.next()] == ["room://both", "room://b"]
        await second.end()
        await here.change("room://both")
        assert await first.next() == "room://both"
        await second.inbox.nothing()


@over([way for way in ONE_WIRE if not way.modern])
async def test_nothing_follows_the_answer_of_an_unsubscription_in_the_midst_of_changes(
    way: Way, autojump_clock: MockClock
) -> None:
    async with world(Rooms().app) as here:
        client = await here.open(way)
        told = await client.subscribe("room://a")

        async def publish() -> None:
            while True:
                here.app.updated_nowait("room://a")
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            await told.next()
            await told.end()
            for _ in range(100):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert client.came[-1]["result"] == {}


@modern
async def test_one_malformed_uri_refuses_the_whole_listen(way: Way, autojump_clock: MockClock) -> None:
    async with world(Rooms().app) as here:
        client = await here.open(way)
        for uri in ("", "room", "room://a b", "room://é", "room://a#b%"):
            asked: Json = {"notifications": {"resourceSubscriptions": ["room://a", uri]}}
            assert code_of(await client.call("subscriptions/listen", asked)) == -32602, uri
        assert here.subscriptions() == 0
        told = await client.subscribe("room://a")
        await here.change("room://a")
        assert await told.next() == "room://a"
