"""Subscriptions on a living connection: entering, updates, merging, leaving; in both revisions."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from mcptrio.client import Client, ConnectionLost, RpcError, TimedOut, Update
from mcptrio.client.inbox import InboxByKey
from mcptrio.client.subscription import MAX_MEMBERS, names_above
from tests.client.conftest import Open, only_websocket
from tests.client.fake_server import (
    LEGACY,
    MODERN,
    SUBSCRIPTION_ID,
    FakeServer,
    Message,
    Peer,
    never,
    refuses,
)

A, B, C = "a://a", "b://b", "c://c"


async def settle() -> None:
    """Let everything that was sent arrive."""
    await trio.testing.wait_all_tasks_blocked()


def held(server: FakeServer) -> list[str]:
    """What the server has subscriptions for, on the newest connection."""
    listens = [uri for asked in server.peer.listens.values() for uri in asked["resourceSubscriptions"]]
    return sorted([*server.peer.subscribed, *listens])


async def test_a_change_reaches_its_subscriber(client: Client, server: FakeServer) -> None:
    async with client.subscribe(A) as changes:
        assert held(server) == [A]
        await server.updated(A)
        assert await anext(changes) == Update(A)
        await server.updated(A, why="mail")
        assert await anext(changes) == Update(A, False, {"why": "mail"})
    await settle()
    assert held(server) == []
    assert client.statistics() == type(client.statistics())(True, 1, 0, 0)


async def test_entering_returns_only_after_the_server_has_confirmed(
    server: FakeServer, opening: Open, revision: str
) -> None:
    go = trio.Event()
    method = "subscriptions/listen" if revision == MODERN else "resources/subscribe"
    original = server.handlers[method]

    async def slowly(peer: Peer, message: Message) -> Message | None:
        await go.wait()
        return await original(peer, message)

    server.handlers[method] = slowly
    entered = False
    async with opening(revision=revision) as client, trio.open_nursery() as nursery:

        async def enter() -> None:
            nonlocal entered
            async with client.subscribe(A):
                entered = True

        nursery.start_soon(enter)
        await settle()
        assert not entered
        go.set()
        await settle()
        assert entered


async def test_pending_updates_of_a_resource_are_merged_and_keep_their_turn(
    client: Client, server: FakeServer
) -> None:
    async with client.subscribe(A, B) as changes:
        for uri, meta in ((A, {"n": 1}), (B, {}), (A, {"n": 2}), (A, {})):
            await server.updated(uri, **meta)
        await settle()
        assert changes.pending == 2
        assert [await anext(changes), await anext(changes)] == [Update(A, False, {"n": 2}), Update(B)]
        assert changes.pending == 0


async def test_each_subscription_gets_what_it_asked_for(client: Client, server: FakeServer) -> None:
    async with client.subscribe(A, B) as one, client.subscribe(B, C) as other:
        for uri in (A, B, C):
            await server.updated(uri)
        await settle()
        assert [(await anext(one)).uri, (await anext(one)).uri] == [A, B]
        assert [(await anext(other)).uri, (await anext(other)).uri] == [B, C]
        assert (one.pending, other.pending) == (0, 0)


async def test_a_uri_given_twice_is_subscribed_once(client: Client, server: FakeServer) -> None:
    async with client.subscribe(A, A):
        assert held(server) == [A]


async def test_the_older_revision_shares_one_subscription_per_uri(server: FakeServer, opening: Open) -> None:
    async with opening(revision=LEGACY) as client:
        async with client.subscribe(A, B):
            async with client.subscribe(A), client.subscribe(A, C):
                assert held(server) == [A, B, C]
            assert held(server) == [A, B]
            assert server.peer.methods().count("resources/subscribe") == 3
        assert held(server) == []
        assert server.peer.methods().count("resources/unsubscribe") == 3


async def test_the_newer_revision_makes_each_subscription_a_listen(server: FakeServer, opening: Open) -> None:
    async with opening(revision=MODERN) as client:
        async with client.subscribe(A), client.subscribe(A):
            assert held(server) == [A, A]
            assert client.statistics().calls == 2
        await settle()
        assert server.peer.methods()[-2:] == ["notifications/cancelled"] * 2


async def test_many_uris_are_subscribed_without_flooding(server: FakeServer, opening: Open) -> None:
    flying = most = 0
    original = server.handlers["resources/subscribe"]

    async def slowly(peer: Peer, message: Message) -> Message | None:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await trio.sleep(1)
        flying -= 1
        return await original(peer, message)

    server.handlers["resources/subscribe"] = slowly
    async with opening(revision=LEGACY) as client:
        async with client.subscribe(*(f"n://{n}" for n in range(50))):
            assert len(held(server)) == 50
    assert 1 < most <= 8


async def test_a_uri_that_is_not_offered_is_refused_by_name_and_nothing_stays(
    client: Client, server: FakeServer
) -> None:
    server.unknown = {B}
    with pytest.raises(RpcError, match=f"not found.*{B}") as refused:
        async with client.subscribe(A, B, C):
            raise AssertionError
    assert refused.value.code == (-32602 if client.revision == MODERN else -32002)
    assert isinstance(refused.value.data, dict) and refused.value.data["uri"] == B
    await settle()
    assert held(server) == []
    assert client.statistics().subscriptions == client.statistics().calls == 0


async def test_what_is_missing_may_be_accepted(client: Client, server: FakeServer) -> None:
    server.unknown = {B, C}
    async with client.subscribe(A, B, C, missing_ok=True) as changes:
        assert changes.missing == (B, C)
        assert held(server) == [A]


async def test_another_refusal_is_raised_even_where_missing_is_accepted(
    client: Client, server: FakeServer
) -> None:
    refusal = refuses(-32603, "too many", {"reason": "subscription_limit"})
    server.handlers |= {"subscriptions/listen": refusal, "resources/subscribe": refusal}
    with pytest.raises(RpcError, match="too many"):
        async with client.subscribe(A, missing_ok=True):
            raise AssertionError
    assert client.statistics().subscriptions == client.statistics().calls == 0


async def test_entering_that_is_not_confirmed_in_time_is_given_up(client: Client, server: FakeServer) -> None:
    server.handlers |= {"subscriptions/listen": never, "resources/subscribe": never}
    with pytest.raises(TimedOut, match=f"{A}: not subscribed within 3 s"):
        async with client.subscribe(A, timeout=3):
            raise AssertionError
    await settle()
    assert server.peer.methods().count("notifications/cancelled") == 1
    assert client.statistics().subscriptions == client.statistics().calls == 0


async def test_leaving_is_bounded_when_the_server_does_not_answer(server: FakeServer, opening: Open) -> None:
    server.handlers["resources/unsubscribe"] = never
    async with opening(revision=LEGACY) as client:
        with trio.move_on_after(5) as scope:
            async with client.subscribe(A):
                began = trio.current_time()
                scope.cancel()
                await trio.sleep_forever()
        assert trio.current_time() - began == pytest.approx(2)
        await settle()
        assert "notifications/cancelled" in server.peer.methods()
        # The server may still hold it: whoever wants it next is safe, and whoever leaves next gives it back.
        del server.handlers["resources/unsubscribe"]
        async with client.subscribe(A):
            pass
        assert client.statistics().subscriptions == 0


async def test_a_refused_unsubscribe_hurts_nobody(server: FakeServer, opening: Open) -> None:
    server.handlers["resources/unsubscribe"] = refuses(-32603)
    async with opening(revision=LEGACY) as client:
        async with client.subscribe(A):
            pass
        async with client.subscribe(A):
            pass
    assert server.peer.methods().count("resources/subscribe") == 2


async def test_what_a_cut_entering_left_is_given_back_by_the_next_leaving(
    server: FakeServer, opening: Open
) -> None:
    server.handlers |= {"resources/subscribe": never, "resources/unsubscribe": never}
    async with opening(revision=LEGACY) as client:
        with pytest.raises(TimedOut):
            async with client.subscribe(A, timeout=1):
                raise AssertionError
        server.handlers |= {
            "resources/subscribe": FakeServer.__dict__["_subscribe"].__get__(server),
            "resources/unsubscribe": FakeServer.__dict__["_unsubscribe"].__get__(server),
        }
        async with client.subscribe(B):
            pass
        gone = [m["params"]["uri"] for m in server.peer.received if m["method"] == "resources/unsubscribe"]
        assert gone.count(A) == 2
        assert held(server) == []


async def test_a_subscriber_below_and_one_above_both_hear_of_a_change(
    client: Client, server: FakeServer
) -> None:
    async with client.subscribe("f://d") as above, client.subscribe("f://d/e") as below:
        await announce(server, "f://d/e")
        await settle()
        assert (above.pending, below.pending) == (1, 1)
        await announce(server, "f://d/e/f")
        await announce(server, "f://dd/e")
        await settle()
        assert (above.pending, below.pending) == (2, 2)
        assert await anext(above) == Update("f://d/e")


async def test_members_without_end_become_a_gap_of_what_was_subscribed(
    client: Client, server: FakeServer
) -> None:
    async with client.subscribe("f://d/") as changes:
        for n in range(MAX_MEMBERS + 50):
            await announce(server, f"f://d/{n}")
        await settle()
        assert changes.pending == MAX_MEMBERS + 2
        got = [await anext(changes) for _ in range(changes.pending)]
        assert [update for update in got if update.gap] == [Update("f://d/", True)]


async def announce(server: FakeServer, uri: str) -> None:
    """Send an update to every subscription, whatever it asked for."""
    method = "notifications/resources/updated"
    if server.speaks == LEGACY:
        await server.peer.notify(method, uri=uri)
    for id in server.peer.listens:
        await server.peer.notify(method, uri=uri, _meta={SUBSCRIPTION_ID: id})


async def test_an_inbox_that_is_over_takes_nothing_more_and_keeps_its_first_reason() -> None:
    inbox: InboxByKey[int] = InboxByKey()
    inbox.put_nowait("a", 1)
    inbox.end(ZeroDivisionError())
    inbox.end(KeyError())
    inbox.put_nowait("b", 2)
    assert await inbox.get() == 1
    with pytest.raises(ZeroDivisionError):
        await inbox.get()


def test_the_names_above_a_uri_are_its_containers_nearest_first() -> None:
    assert list(names_above("a://b/c")) == ["a://b/c", "a://b/", "a://b", "a://", "a:/", "a:/", "a:"]
    assert list(names_above("urn:x")) == ["urn:x"]


async def test_updates_of_nobodys_interest_are_ignored(client: Client, server: FakeServer) -> None:
    async with client.subscribe(A) as changes, client.list_changes() as lists:
        await announce(server, "x://unasked")
        await server.peer.notify(
            "notifications/resources/updated", uri=A, _meta={SUBSCRIPTION_ID: "of nobody"}
        )
        await server.peer.notify("notifications/cancelled", requestId="of nobody")
        await server.peer.notify("notifications/message", level="info", data="x")
        await settle()
        expected = 0 if client.revision == MODERN else 1
        assert (changes.pending, lists.pending) == (expected, 0)
    assert client.statistics().connections == 1


async def test_a_true_is_no_subscription_id(server: FakeServer, opening: Open) -> None:
    async with opening(revision=MODERN) as client, client.subscribe(A) as changes:
        for id in (True, 2.0, None, [2]):
            await server.peer.notify("notifications/resources/updated", uri=A, _meta={SUBSCRIPTION_ID: id})
        await settle()
        assert changes.pending == 0


@pytest.mark.parametrize("honoured", [5, {"resourceSubscriptions": "all"}])
async def test_an_acknowledgement_of_nothing_known_ends_the_connection(
    server: FakeServer, opening: Open, honoured: object
) -> None:
    async def acknowledge(peer: Peer, message: Message) -> None:
        meta = {SUBSCRIPTION_ID: message["id"]}
        method = "notifications/subscriptions/acknowledged"
        await peer.notify(method, notifications=honoured, _meta=meta)

    server.handlers["subscriptions/listen"] = acknowledge
    async with opening(revision=MODERN, reconnect=False) as client:
        with pytest.raises(ConnectionLost) as lost:
            async with client.subscribe(A):
                raise AssertionError
        assert lost.value.code == 1007


@only_websocket
@pytest.mark.parametrize("data", ["[" * 200_000 + "]" * 200_000, "1e999"])
async def test_notifications_whose_params_cannot_be_read_end_the_connection(
    server: FakeServer, opening: Open, data: str
) -> None:
    async with opening(reconnect=False) as client:
        await server.peer.ws.send_message(
            '{"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": ' + data + "}}"
        )
        with pytest.raises(ConnectionLost) as lost:
            await client.request("tools/list")
        assert lost.value.code == 1007


async def test_a_connection_lost_right_after_the_confirmation_is_told_by_iteration(
    server: FakeServer, opening: Open
) -> None:
    original = server.handlers["subscriptions/listen"]

    async def confirm_and_go(peer: Peer, message: Message) -> None:
        await original(peer, message)
        await peer.cut()

    server.handlers["subscriptions/listen"] = confirm_and_go
    async with opening(revision=MODERN, reconnect=False) as client:
        async with client.subscribe(A) as changes:
            with pytest.raises(ConnectionLost):
                await anext(changes)
