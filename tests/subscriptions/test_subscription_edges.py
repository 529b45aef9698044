"""The edges of resource subscriptions, over the wire: the older suite's groups edge and validation, and its defects.

The table of all cases is in test_resource_subscriptions.py.
"""

from __future__ import annotations

import pytest
import trio

from .callers import META, MODERN, Caller, error_of
from .conftest import NOTE, OTHER, World

Clock = trio.abc.Clock | None

only_modern = pytest.mark.parametrize("revision", [MODERN])


# edge


async def test_subscribing_twice_is_subscribing_once(world: World, clock: Clock) -> None:
    if world.legacy:
        await world.ana.subscribe(NOTE)
        await world.ana.subscribe(NOTE)
    else:
        answer = await world.ana.try_subscribe(NOTE, NOTE)
        assert answer["params"]["notifications"] == {"resourceSubscriptions": [NOTE]}
    assert world.watched() == {NOTE: 1}
    world.app.updated_nowait(NOTE)
    assert await world.ana.heard() == [NOTE]
    await world.ana.unsubscribe(NOTE)
    assert world.watched() == {}
    world.app.updated_nowait(NOTE)
    assert await world.ana.heard() == []


@only_modern
async def test_two_listens_for_one_resource_are_each_told_with_their_own_id(
    world: World, clock: Clock
) -> None:
    await world.ana.subscribe(NOTE)
    first = world.ana.listens[NOTE]
    await world.ana.subscribe(NOTE)
    second = world.ana.listens[NOTE]
    world.app.updated_nowait(NOTE)
    messages = [await world.ana.next(), await world.ana.next()]
    assert [message["params"]["_meta"][META + "subscriptionId"] for message in messages] == [first, second]
    await world.ana.unsubscribe(NOTE)
    world.app.updated_nowait(NOTE)
    message = await world.ana.next()
    assert message["params"]["_meta"][META + "subscriptionId"] == first


async def test_unsubscribing_what_was_never_subscribed_is_harmless(world: World, clock: Clock) -> None:
    await world.ben.subscribe(NOTE)
    if world.legacy:
        for uri in (NOTE, "nowhere://at/all"):
            answer = await world.ana.request("resources/unsubscribe", {"uri": uri})
            assert answer["result"] == {}
    else:
        # Neither an unknown id nor one of another connection's listens ends anything.
        for id in (4711, "1", 1, 2):
            if id not in world.ana.listens.values():
                await world.ana.notify("notifications/cancelled", {"requestId": id})
        await world.ana.round_trip()
    assert world.watched() == {NOTE: 1}
    world.app.updated_nowait(NOTE)
    assert await world.ben.heard() == [NOTE]
    assert await world.ana.heard() == []


async def test_an_empty_uri_is_refused(world: World, clock: Clock) -> None:
    error = error_of(await world.ana.try_subscribe(""))
    member = "uri" if world.legacy else "notifications.resourceSubscriptions"
    assert error == {"code": -32602, "message": f"Invalid params: `{member}`: the URI is empty: ''"}
    assert world.watched() == {}
    if world.legacy:
        error = error_of(await world.ana.request("resources/unsubscribe", {"uri": ""}))
        assert error["code"] == -32602


# validation


@pytest.mark.parametrize(
    "uri",
    [
        "file:///tmp/a.txt",
        "http://example.org/a",
        "https://example.org/a",
        "resource://a/b",
        "x-own.scheme+1:opaque",
    ],
    ids=["file", "http", "https", "resource", "custom"],
)
async def test_a_uri_of_any_scheme_is_valid(world: World, clock: Clock, uri: str) -> None:
    both: list[Caller] = [world.ana, world.ben]
    for caller in both:
        await caller.subscribe(uri)
    assert world.watched() == {uri: 2}
    world.app.updated_nowait(uri)
    for caller in both:
        assert await caller.heard() == [uri]
        await caller.unsubscribe(uri)
    assert world.watched() == {}


@pytest.mark.parametrize("uri", [7, None, True, ["note://today"], {"uri": "note://today"}], ids=repr)
async def test_a_uri_that_is_no_text_is_refused(world: World, clock: Clock, uri: object) -> None:
    error = error_of(await world.ana.try_subscribe(uri))
    assert error["code"] == -32602
    assert "Expected `str`" in error["message"]
    assert world.watched() == {}
    await world.expect_service()


# The defects


async def test_deleting_a_resource_that_nobody_watches_is_harmless(world: World, clock: Clock) -> None:
    await world.ana.subscribe(NOTE)
    await world.ben.subscribe(NOTE)
    world.app.deleted_nowait(OTHER)
    world.app.deleted_nowait(OTHER)
    world.app.updated_nowait(OTHER)
    assert world.watched() == {NOTE: 2}
    world.app.updated_nowait(NOTE)
    assert await world.ana.heard() == [NOTE]
    assert await world.ben.heard() == [NOTE]


async def test_subscribing_and_unsubscribing_in_turn_leaves_nothing(world: World, clock: Clock) -> None:
    before = world.app.hub.statistics()
    both: list[Caller] = [world.ana, world.ben]
    for number in range(50):
        for caller in both:
            await caller.subscribe(f"note://{number % 3}")
        for caller in both:
            await caller.unsubscribe(f"note://{number % 3}")
    after = world.app.hub.statistics()
    assert world.watched() == {}
    assert (after.uris, after.subscriptions) == (before.uris, before.subscriptions)
    for number in range(3):
        world.app.updated_nowait(f"note://{number}")
    assert await world.ana.heard() == []
    assert await world.ben.heard() == []


async def test_a_deletion_leaves_both_sides_of_the_index_in_step(world: World, clock: Clock) -> None:
    await world.ana.subscribe(NOTE)
    await world.ana.subscribe(OTHER)
    await world.ben.subscribe(NOTE)
    world.app.deleted_nowait(NOTE)
    assert await world.ana.heard() == [NOTE]
    assert world.watched() == {NOTE: 2, OTHER: 1}
    await world.ana.unsubscribe(NOTE)
    assert world.watched() == {NOTE: 1, OTHER: 1}
    await world.ana.vanish()
    await world.until(lambda: world.watched() == {NOTE: 1})
    await world.ben.unsubscribe(NOTE)
    assert world.watched() == {}


async def test_a_deleted_resource_that_is_created_again_is_told_of_again(world: World, clock: Clock) -> None:
    both: list[Caller] = [world.ana, world.ben]
    for caller in both:
        await caller.subscribe(NOTE)
    del world.notes["today"]
    world.app.deleted_nowait(NOTE)
    for caller in both:
        assert await caller.heard() == [NOTE]
    error = error_of(await world.ana.request("resources/read", {"uri": NOTE}))
    assert (error["code"], error["data"]) == (-32002 if world.legacy else -32602, {"uri": NOTE})
    assert world.watched() == {NOTE: 2}, "deletion keeps the subscription"

    world.notes["today"] = "fog"
    world.app.created_nowait(NOTE)
    for caller in both:
        assert await caller.heard() == [NOTE]
    answer = await world.ana.request("resources/read", {"uri": NOTE})
    assert answer["result"]["contents"][0]["text"] == "fog"
