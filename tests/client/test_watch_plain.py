"""Watches at a server without the extension: a URI alone is subscribed plainly, the rest is refused here."""

from __future__ import annotations

import pytest

from mcptrio.client import Client, ExtensionMissing, RpcError, Update, WatchEvent
from tests.client.fake_server import FakeServer
from tests.client.test_subscriptions import A, B, held, settle


async def test_a_uri_alone_is_subscribed_plainly(client: Client, server: FakeServer) -> None:
    async with client.watch(A) as events, client.subscribe(A) as plain:
        await server.updated(A)
        await server.updated(A)
        await settle()
        assert (events.pending, plain.pending) == (1, 1)
        assert await anext(events) == WatchEvent(uri=A, kind="updated")
        assert await anext(plain) == Update(A)
        assert (events.cursor, events.honoured, events.recovered) == (None, None, None)
    await settle()
    assert held(server) == []


async def test_it_has_a_gap_after_a_reconnect(client: Client, server: FakeServer) -> None:
    async with client.watch(A) as events:
        await server.peer.drop()
        assert await anext(events) == WatchEvent(uri=A, kind="gap", reason="lost")
        await server.updated(A)
        assert await anext(events) == WatchEvent(uri=A)


async def test_a_resource_below_is_told_by_its_name(client: Client, server: FakeServer) -> None:
    async with client.watch("f://d") as events:
        ids = (
            [{}]
            if not server.peer.listens
            else [{"_meta": {"io.modelcontextprotocol/subscriptionId": id}} for id in server.peer.listens]
        )
        for uri in ("f://d/e", "f://dd"):
            await server.peer.notify("notifications/resources/updated", uri=uri, **ids[0])
        await settle()
        assert events.pending == 1
        assert await anext(events) == WatchEvent(uri="f://d/e")


async def test_what_is_not_offered_is_refused(client: Client, server: FakeServer) -> None:
    server.unknown = {B}
    with pytest.raises(RpcError, match="Resource not found"):
        async with client.watch(B):
            raise AssertionError
    await settle()
    assert held(server) == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"glob": "a://*"},
        {"template": "a://{id}"},
        {"uri": A, "filter": {"kind": "created"}},
        {"uri": A, "policy": "every"},
        {"uri": A, "fields": "all"},
        {"uri": A, "since": "0123456789abcdef.1"},
    ],
)
async def test_more_needs_the_extension_and_the_error_says_so(
    client: Client, server: FakeServer, arguments: dict[str, object]
) -> None:
    before = len(server.peer.received)
    with pytest.raises(ExtensionMissing, match=r"does not have the extension io\.mcptrio/live.*exact URIs"):
        async with client.watch(**arguments):  # type: ignore[arg-type]
            raise AssertionError
    assert len(server.peer.received) == before
    assert client.statistics().subscriptions == 0
