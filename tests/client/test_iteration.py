"""Iterating a subscription, and how it ends: left, ended by the server, or never confirmed."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from mcptrio.client import Client, ConnectionLost, ListChanges, RpcError, Subscription, Update
from tests.client.conftest import Open
from tests.client.fake_server import (
    LEGACY,
    MODERN,
    SUBSCRIPTION_ID,
    FakeServer,
    Message,
    Peer,
)

A, B, C = "a://a", "b://b", "c://c"


async def settle() -> None:
    """Let everything that was sent arrive."""
    await trio.testing.wait_all_tasks_blocked()


def held(server: FakeServer) -> list[str]:
    """What the server has subscriptions for, on the newest connection."""
    listens = [uri for asked in server.peer.listens.values() for uri in asked["resourceSubscriptions"]]
    return sorted([*server.peer.subscribed, *listens])


async def test_changes_of_lists_are_told_once_each(client: Client, server: FakeServer) -> None:
    async with client.list_changes() as changes:
        for kind in ("tools", "prompts", "tools", "resources"):
            await server.list_changed(kind)
        await settle()
        assert [await anext(changes) for _ in range(3)] == ["tools", "prompts", "resources"]
        assert changes.pending == 0
    await settle()
    assert server.peer.listens == {}
    assert client.statistics().subscriptions == 0


async def test_resource_updates_are_no_list_changes_and_the_other_way_round(
    client: Client, server: FakeServer
) -> None:
    async with client.list_changes() as lists, client.subscribe(A) as changes:
        for id in server.peer.listens:
            meta = {SUBSCRIPTION_ID: id}
            await server.peer.notify("notifications/resources/updated", uri=A, _meta=meta)
            await server.peer.notify("notifications/tools/list_changed", _meta=meta)
        if server.speaks == LEGACY:
            await server.peer.notify("notifications/resources/updated", uri=A)
            await server.list_changed("tools")
        await settle()
        assert (lists.pending, changes.pending) == (1, 1)


async def test_iteration_waits_and_a_cancelled_wait_loses_nothing(client: Client, server: FakeServer) -> None:
    async with client.subscribe(A) as changes:
        with trio.move_on_after(1):
            await anext(changes)
        await server.updated(A)
        await settle()
        with trio.CancelScope() as scope:
            scope.cancel()
            await anext(changes)
        assert await anext(changes) == Update(A)


async def test_several_tasks_may_share_a_subscription(client: Client, server: FakeServer) -> None:
    got: list[str] = []
    async with client.subscribe(A, B) as changes:

        async def take() -> None:
            got.append((await anext(changes)).uri)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            nursery.start_soon(take)
            await settle()
            await server.updated(A)
            await server.updated(B)
    assert sorted(got) == [A, B]


async def test_what_was_left_gives_nothing_more(client: Client, server: FakeServer) -> None:
    async with client.subscribe(A) as changes:
        await server.updated(A)
        await settle()
    assert changes.closed
    with pytest.raises(trio.ClosedResourceError):
        await anext(changes)
    with pytest.raises(RuntimeError, match="once"):
        async with changes:
            raise AssertionError


async def test_leaving_in_the_middle_of_a_loop_is_clean(client: Client, server: FakeServer) -> None:
    async with client.subscribe(A) as changes:
        await server.updated(A)
        async for update in changes:
            assert update == Update(A)
            break
    await settle()
    assert held(server) == []


async def test_a_subscription_to_nothing_is_the_callers_mistake(client: Client) -> None:
    with pytest.raises(ValueError, match="at least one"):
        client.subscribe()


async def test_a_listen_that_the_server_ends_stops_the_iteration_without_reconnect(
    server: FakeServer, opening: Open
) -> None:
    async with opening(revision=MODERN, reconnect=False) as client:
        async with client.subscribe(A) as changes, client.list_changes() as lists:
            await server.updated(A)
            await server.end_listens()
            assert [update async for update in changes] == [Update(A)]
            assert [kind async for kind in lists] == []
        assert "notifications/cancelled" not in server.peer.methods()


async def test_a_listen_that_the_server_cancels_is_ended_too(server: FakeServer, opening: Open) -> None:
    async with opening(revision=MODERN, reconnect=False) as client, client.subscribe(A) as changes:
        (id,) = server.peer.listens
        await server.peer.notify("notifications/cancelled", requestId=id)
        assert [update async for update in changes] == []


async def test_a_listen_that_fails_after_its_acknowledgement_raises_that(
    server: FakeServer, opening: Open
) -> None:
    async with opening(revision=MODERN) as client, client.subscribe(A) as changes:
        (id,) = server.peer.listens
        await server.peer.send({"id": id, "error": {"code": -32603, "message": "revoked"}})
        with pytest.raises(RpcError, match="revoked"):
            await anext(changes)


async def test_a_listen_that_ends_before_its_acknowledgement_is_lost(
    server: FakeServer, opening: Open
) -> None:
    async def end(peer: Peer, message: Message) -> Message:
        return {"resultType": "complete", "_meta": {SUBSCRIPTION_ID: message["id"]}}

    server.handlers["subscriptions/listen"] = end
    async with opening(revision=MODERN) as client:
        with pytest.raises(ConnectionLost, match="ended before it began"):
            async with client.subscribe(A):
                raise AssertionError
        assert client.statistics().subscriptions == 0


async def test_the_lists_of_a_client_are_typed(client: Client) -> None:
    assert isinstance(client.subscribe(A), Subscription)
    assert isinstance(client.list_changes(), ListChanges)
