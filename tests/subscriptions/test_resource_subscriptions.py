"""The cases of an older system's suite of resource subscriptions, over the wire.

They come from the integration suite of an Erlang MCP server (31 cases in eight groups). Most of them asserted less than
their names said; here the names are what is asserted, with two clients that know nothing of one another, in both
revisions where that makes sense. Three differ on purpose: an empty URI is refused in both places, and what a change
brings along is asserted on the program's own subscription, because MCP's message has no room for it.

The groups edge and validation and the defects are in test_subscription_edges.py, the last in test_error_format.py.

| group | case there | test here |
|---|---|---|
| rpc_subscribe | creates_subscription | test_subscribing_makes_the_client_a_subscriber |
| | returns_success_response | test_subscribing_is_answered_with_success |
| | invalid_uri_returns_error | test_subscribing_to_an_invalid_uri_is_an_error |
| | missing_uri_param_returns_error | test_subscribing_without_a_uri_is_an_error |
| | nonexistent_resource_returns_error | test_subscribing_to_what_nothing_could_serve_is_refused |
| rpc_unsubscribe | removes_subscription | test_unsubscribing_ends_the_subscription |
| | returns_success_response | test_unsubscribing_is_answered_with_success |
| | missing_uri_returns_error | test_unsubscribing_without_a_uri_is_an_error |
| multi_client | multiple_clients_subscribe | test_many_clients_subscribe_to_one_resource |
| | multiple_clients_get_notifications | test_every_subscribed_client_is_told_of_a_change |
| | single_client_unsubscribe_doesnt_affect_others | test_one_client_that_unsubscribes_does_not_affect_the_others |
| notification | resource_update_notifies_subscribers | test_an_update_of_a_resource_is_told_to_its_subscribers |
| | notification_includes_metadata | test_a_change_brings_its_metadata_to_the_program_itself |
| | notification_only_sent_to_subscribers | test_a_change_is_told_to_subscribers_only |
| cleanup | cleanup_on_client_disconnect | test_a_client_that_vanishes_takes_its_subscription_with_it |
| | cleanup_removes_all_subscriptions | test_a_client_that_vanishes_takes_all_its_subscriptions_with_it |
| edge | duplicate_subscribe_idempotent | test_subscribing_twice_is_subscribing_once |
| | unsubscribe_nonexistent_subscription | test_unsubscribing_what_was_never_subscribed_is_harmless |
| | empty_uri_valid | test_an_empty_uri_is_refused |
| validation | file, http, https, resource://, custom | test_a_uri_of_any_scheme_is_valid |
| | empty | test_an_empty_uri_is_refused |
| | non-binary | test_a_uri_that_is_no_text_is_refused |
| error format | not_found, timeout, atom, binary, unknown | one test each |

The defects of that system are negative cases here:

| defect there | test here |
|---|---|
| a: deleting a resource that nobody watches ended the server's subscriptions | test_deleting_a_resource_that_nobody_watches_is_harmless |
| b: subscribing and unsubscribing in turn leaked a monitor each time | test_subscribing_and_unsubscribing_in_turn_leaves_nothing |
| c: a deletion left the client's side of the index behind | test_a_deletion_leaves_both_sides_of_the_index_in_step |
| d: a deletion ended the subscription without a word | test_a_deleted_resource_that_is_created_again_is_told_of_again |
"""

from __future__ import annotations

import pytest
import trio

from .callers import META, MODERN, Caller, error_of
from .conftest import NOTE, OTHER, World

Clock = trio.abc.Clock | None

only_modern = pytest.mark.parametrize("revision", [MODERN])


# rpc_subscribe


async def test_subscribing_makes_the_client_a_subscriber(world: World, clock: Clock) -> None:
    await world.ana.subscribe(NOTE)
    assert world.watched() == {NOTE: 1}
    await world.ben.subscribe(OTHER)
    assert world.watched() == {NOTE: 1, OTHER: 1}
    assert world.app.hub.subscribers(NOTE) != world.app.hub.subscribers(OTHER)


async def test_subscribing_is_answered_with_success(world: World, clock: Clock) -> None:
    answer = await world.ana.try_subscribe(NOTE)
    if world.legacy:
        assert answer["result"] == {}
    else:
        assert answer["method"] == "notifications/subscriptions/acknowledged"
        assert answer["params"]["notifications"] == {"resourceSubscriptions": [NOTE]}
        assert answer["params"]["_meta"] == {META + "subscriptionId": world.ana.listens[NOTE]}


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("today", "not absolute"),
        ("//today", "not absolute"),
        ("1note://today", "not absolute"),
        ("note:", "nothing behind its scheme"),
        ("note://to day", "percent-encode it"),
        ("note://today\n", "percent-encode it"),
        ("note://" + "a" * 2048, "at most 2048"),
    ],
    ids=["relative", "no scheme", "bad scheme", "only a scheme", "space", "control character", "too long"],
)
async def test_subscribing_to_an_invalid_uri_is_an_error(
    world: World, clock: Clock, uri: str, why: str
) -> None:
    error = error_of(await world.ana.try_subscribe(uri))
    assert error["code"] == -32602
    assert why in error["message"]
    assert world.watched() == {}
    await world.expect_service()


@only_modern
async def test_one_invalid_uri_refuses_the_whole_listen(world: World, clock: Clock) -> None:
    assert error_of(await world.ana.try_subscribe(NOTE, "today"))["code"] == -32602
    assert world.watched() == {}


async def test_subscribing_without_a_uri_is_an_error(world: World, clock: Clock) -> None:
    method, missing = (
        ("resources/subscribe", "uri") if world.legacy else ("subscriptions/listen", "notifications")
    )
    for params in ({}, None):
        error = error_of(await world.ana.request(method, params))
        assert error["code"] == -32602
        assert missing in error["message"]
    assert world.watched() == {}
    await world.expect_service()


async def test_subscribing_to_what_nothing_could_serve_is_refused(world: World, clock: Clock) -> None:
    nowhere = "nowhere://at/all"
    if world.legacy:
        error = error_of(await world.ana.try_subscribe(nowhere))
        assert error == {
            "code": -32002,
            "message": f"Resource not found: {nowhere}",
            "data": {"uri": nowhere},
        }
    else:
        # The acknowledgement says what is honoured, and is the only way of the protocol to refuse a part.
        answer = await world.ana.try_subscribe(nowhere, NOTE)
        assert answer["params"]["notifications"] == {"resourceSubscriptions": [NOTE]}
    assert nowhere not in world.watched()
    world.app.updated_nowait(nowhere)
    assert await world.ana.heard() == []


async def test_a_resource_that_may_come_to_be_can_be_subscribed_before(world: World, clock: Clock) -> None:
    await world.ana.subscribe("note://someday")
    world.app.created_nowait("note://someday")
    assert await world.ana.heard() == ["note://someday"]


# rpc_unsubscribe


async def test_unsubscribing_ends_the_subscription(world: World, clock: Clock) -> None:
    both: list[Caller] = [world.ana, world.ben]
    for caller in both:
        await caller.subscribe(NOTE)
        world.app.updated_nowait(NOTE)
        assert await caller.heard() == [NOTE]
        # Whatever is still on its way comes before the end or never.
        world.app.updated_nowait(NOTE)
        await caller.unsubscribe(NOTE)
        world.ana.notices.clear()
        assert await caller.heard() == []
        assert world.watched() == {}
        world.app.updated_nowait(NOTE)
        assert await caller.heard() == []


async def test_unsubscribing_is_answered_with_success(world: World, clock: Clock) -> None:
    await world.ana.subscribe(NOTE)
    if world.legacy:
        answer = await world.ana.request("resources/unsubscribe", {"uri": NOTE})
        assert answer["result"] == {}
    else:
        # A cancelled request is not answered: the next message is that of the next request.
        await world.ana.notify("notifications/cancelled", {"requestId": world.ana.listens[NOTE]})
        id = await world.ana.send("server/discover")
        answer = await world.ana.next()
        assert (answer["id"], "result" in answer) == (id, True)
    assert world.watched() == {}


async def test_unsubscribing_without_a_uri_is_an_error(world: World, clock: Clock) -> None:
    await world.ana.subscribe(NOTE)
    if world.legacy:
        for params in ({}, None):
            error = error_of(await world.ana.request("resources/unsubscribe", params))
            assert error["code"] == -32602
            assert "uri" in error["message"]
        bad = error_of(await world.ana.request("resources/unsubscribe", {"uri": "today"}))
        assert (bad["code"], "not absolute" in bad["message"]) == (-32602, True)
    else:
        # A notification cannot be answered, so one that names no request is left alone.
        await world.ana.notify("notifications/cancelled", {})
        await world.ana.round_trip()
    assert world.watched() == {NOTE: 1}
    world.app.updated_nowait(NOTE)
    assert await world.ana.heard() == [NOTE]


# multi_client


async def test_many_clients_subscribe_to_one_resource(world: World, clock: Clock) -> None:
    third = await world.another()
    everybody: list[Caller] = [world.ana, world.ben, third]
    for caller in everybody:
        await caller.subscribe(NOTE)
    assert world.watched() == {NOTE: 3}
    assert len(set(world.app.hub.subscribers(NOTE))) == 3, "a subscriber is a client, never the server"


async def test_every_subscribed_client_is_told_of_a_change(world: World, clock: Clock) -> None:
    third = await world.another()
    everybody: list[Caller] = [world.ana, world.ben, third]
    for caller in everybody:
        await caller.subscribe(NOTE)
    for _ in range(3):
        world.app.updated_nowait(NOTE)
        for caller in everybody:
            assert await caller.heard() == [NOTE]


@pytest.mark.parametrize("leaver", ["ana", "ben"])
async def test_one_client_that_unsubscribes_does_not_affect_the_others(
    world: World, clock: Clock, leaver: str
) -> None:
    both: list[Caller] = [world.ana, world.ben]
    for caller in both:
        await caller.subscribe(NOTE)
    leaving, staying = (world.ana, world.ben) if leaver == "ana" else (world.ben, world.ana)
    before = world.app.hub.subscribers(NOTE)
    await leaving.unsubscribe(NOTE)
    assert world.app.hub.subscribers(NOTE) == (before[1] if leaver == "ana" else before[0],)
    world.app.updated_nowait(NOTE)
    assert await staying.heard() == [NOTE]
    assert await leaving.heard() == []


# notification


async def test_an_update_of_a_resource_is_told_to_its_subscribers(world: World, clock: Clock) -> None:
    await world.ana.subscribe(NOTE)
    await world.ben.subscribe(NOTE)
    world.notes["today"] = "hail"
    world.app.updated_nowait(NOTE)
    assert await world.ben.heard() == [NOTE]
    message = await world.ana.next()
    expected: dict[str, object] = {"uri": NOTE}
    if not world.legacy:
        expected["_meta"] = {META + "subscriptionId": world.ana.listens[NOTE]}
    assert message == {
        "jsonrpc": "2.0",
        "method": "notifications/resources/updated",
        "params": expected,
    }
    answer = await world.ana.request("resources/read", {"uri": NOTE})
    assert [content["text"] for content in answer["result"]["contents"]] == ["hail"]


async def test_a_change_brings_its_metadata_to_the_program_itself(world: World, clock: Clock) -> None:
    metadata = {
        "version": 2,
        "size": 1024,
        "mime": "text/plain",
        "tags": {"mood": "grey", "places": ["Oslo", "Bergen"]},
    }
    await world.ana.subscribe(NOTE)
    with world.app.changes(NOTE) as changes:
        world.app.updated_nowait(NOTE, data=metadata, event_id="e1")
        entry = await changes.receive()
    assert (entry.change.uri, entry.change.kind, entry.change.event_id) == (NOTE, "updated", "e1")
    assert entry.change.data == metadata
    # A client that did not ask for more is told what MCP says, and nothing else.
    message = await world.ana.next()
    assert set(message["params"]) == ({"uri"} if world.legacy else {"uri", "_meta"})
    assert await world.ana.heard() == []


async def test_a_change_is_told_to_subscribers_only(world: World, clock: Clock) -> None:
    await world.ana.subscribe(NOTE)
    await world.ben.subscribe(OTHER)
    bystander = await world.another()
    world.app.updated_nowait(NOTE)
    assert await world.ana.heard() == [NOTE]
    assert await world.ben.heard() == []
    assert await bystander.heard() == []
    # One URI that begins like another is another.
    world.app.updated_nowait(NOTE + "s")
    assert await world.ana.heard() == []


# cleanup


async def test_a_client_that_vanishes_takes_its_subscription_with_it(world: World, clock: Clock) -> None:
    await world.ana.subscribe(NOTE)
    await world.ben.subscribe(NOTE)
    await world.ana.vanish()
    await world.until(lambda: world.watched() == {NOTE: 1})
    world.app.updated_nowait(NOTE)
    assert await world.ben.heard() == [NOTE]


async def test_a_client_that_vanishes_takes_all_its_subscriptions_with_it(world: World, clock: Clock) -> None:
    for uri in (NOTE, OTHER, "note://monday"):
        await world.ana.subscribe(uri)
    assert world.watched() == {NOTE: 1, OTHER: 1, "note://monday": 1}
    await world.ana.vanish()
    await world.until(lambda: world.watched() == {})
    # Only what belongs to the other client is left: its barrier.
    assert world.app.hub.statistics().subscriptions == 1
    # A client that comes after one that went finds a server as it should be.
    world.ana = await world.another()
    await world.expect_service()
