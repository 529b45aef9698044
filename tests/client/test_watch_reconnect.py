"""Watches that lose their connection: they go on after what was received last, and what is gone is a gap."""

from __future__ import annotations

import pytest
import trio

from mcptrio.client import Client, ConnectionLost, ExtensionMissing, RpcError, WatchEvent
from tests.client.conftest import Open
from tests.client.fake_live import FIRST, NAMED, SECOND, FakeLive
from tests.client.fake_server import MODERN, FakeServer, Message, Peer, refuses
from tests.client.test_subscriptions import A, B, settle
from tests.client.test_watch import ALL, event


async def take(events: object, count: int) -> list[WatchEvent]:
    return [await anext(events) for _ in range(count)]  # type: ignore[call-overload]


async def away(client: Client, live: FakeLive, *uris: str, watches: int = 1) -> None:
    """Lose the connection; these change while nobody is connected."""
    live.server.down = OSError("away")
    await live.server.peer.drop()
    live.watchers.clear()
    for uri in uris:
        live.number += 1
        live.history.append((live.number, uri, {"kind": "updated"}))
    live.server.down = None
    with trio.fail_after(60):
        while len(live.labels) < watches:
            try:
                await client.ping()  # by HTTP a loss is noticed by whoever asks
            except ConnectionLost:
                pass
            await trio.sleep(0.1)
    await settle()


async def test_nothing_is_repeated_and_nothing_lost(live_client: Client, live: FakeLive) -> None:
    async with live_client.watch(glob=ALL, policy="every") as events:
        await live.change("a://1")
        await live.change("a://2")
        assert await take(events, 1) == [event("a://1", 101)]
        await settle()
        await away(live_client, live, "a://1", "b://b", "a://3")
        assert live.asked["since"] == f"{FIRST}.102", "what waits here is received already"
        assert events.cursor == f"{FIRST}.101"
        assert events.recovered is True
        await live.change("a://4")
        assert await take(events, 4) == [
            event("a://2", 102),
            event("a://1", 103),
            event("a://3", 105),
            event("a://4", 106),
        ]
        assert events.cursor == f"{FIRST}.106"
        assert live_client.statistics().connections == 2


async def test_it_goes_on_from_where_it_began_if_nothing_came(live_client: Client, live: FakeLive) -> None:
    async with live_client.watch(A) as events:
        await away(live_client, live, A)
        assert live.asked["since"] == f"{FIRST}.100"
        assert await take(events, 1) == [event(A, 101)]


async def test_what_waits_is_merged_with_what_comes_after_the_reconnect(
    live_client: Client, live: FakeLive
) -> None:
    async with live_client.watch(glob=ALL) as events:
        await live.change("a://1")
        await live.change("a://2")
        await settle()
        await away(live_client, live, "a://1")
        assert events.pending == 2
        assert await take(events, 2) == [event("a://2", 102), event("a://1", 103)]


async def test_what_history_does_not_have_is_the_servers_gap(live_client: Client, live: FakeLive) -> None:
    async with live_client.watch(glob=ALL) as events:
        live.kept = 110
        await away(live_client, live, A, A)
        about = f"{NAMED}{live.labels[0]}"
        assert await take(events, 1) == [event(about, 102, "gap", reason="history")]
        assert events.recovered is False
        await live.change(A)
        assert await take(events, 1) == [event(A, 103)]


async def test_a_server_that_began_anew_is_followed(live_client: Client, live: FakeLive) -> None:
    async with live_client.watch(A, policy="every") as events:
        await live.change(A)
        await settle()
        live.restart()
        await away(live_client, live)
        await live.change(A)
        first, gap, last = await take(events, 3)
        assert first == event(A, 101)
        assert (gap.kind, gap.reason, gap.offset, gap.cursor) == ("gap", "restarted", 3, f"{SECOND}.3")
        assert (last.offset, last.cursor) == (4, f"{SECOND}.4")
        await away(live_client, live, A)
        assert live.asked["since"] == f"{SECOND}.4"
        assert (await anext(events)).offset == 5


async def test_a_gap_that_did_not_arrive_is_asked_for_again(
    live_client: Client, live: FakeLive, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*arguments: object) -> None:
        await trio.lowlevel.checkpoint()

    async with live_client.watch(A) as events:
        live.restart()
        with monkeypatch.context() as patch:
            patch.setattr(live, "_replay", lost)
            await away(live_client, live)
        assert (events.pending, events.recovered) == (0, False)
        await away(live_client, live)
        assert live.asked["since"] == f"{FIRST}.100"
        assert (await anext(events)).reason == "restarted"


async def test_each_watch_goes_on_from_its_own_cursor(live_client: Client, live: FakeLive) -> None:
    async with live_client.watch(A) as one, live_client.watch(B) as other:
        await live.change(A)
        assert await take(one, 1) == [event(A, 101)]
        await away(live_client, live, B, A, watches=2)
        assert await take(one, 1) == [event(A, 103)]
        assert await take(other, 1) == [event(B, 102)]


async def test_a_refused_resubscription_is_raised_after_what_waits(
    live_client: Client, live: FakeLive, server: FakeServer
) -> None:
    async with live_client.watch(A) as events:
        await live.change(A)
        await settle()
        refusal = refuses(-32603, "not now")
        server.handlers |= {"subscriptions/listen": refusal, "resources/subscribe": refusal}
        await server.peer.drop()
        assert await take(events, 1) == [event(A, 101)]
        with pytest.raises(RpcError, match="not now"):
            await anext(events)
        assert live_client.statistics().subscriptions == 0


async def test_without_reconnect_what_came_is_given_and_then_the_loss(
    live: FakeLive, server: FakeServer, opening: Open, revision: str
) -> None:
    async with opening(revision=revision, reconnect=False) as client, client.watch(A) as events:
        await live.change(A)
        await settle()
        await server.peer.drop()
        assert await take(events, 1) == [event(A, 101)]
        with pytest.raises(ConnectionLost):
            await anext(events)


async def test_a_watch_that_the_server_ends_goes_on_where_it_was(
    live: FakeLive, server: FakeServer, opening: Open
) -> None:
    async with opening(revision=MODERN) as client, client.watch(A) as events:
        await live.change(A)
        await server.end_listens()
        await live.change(A)
        began = trio.current_time()
        assert await take(events, 1) == [event(A, 101)]
        assert await take(events, 1) == [event(A, 102)]
        assert trio.current_time() - began == pytest.approx(5)
        assert client.statistics().connections == 1


async def test_leaving_while_it_is_made_again_leaves_nothing(
    live_client: Client, live: FakeLive, server: FakeServer, revision: str
) -> None:
    method = "subscriptions/listen" if revision == MODERN else "resources/subscribe"
    original = server.handlers[method]

    async def slowly(peer: Peer, message: Message) -> Message | None:
        await trio.sleep(1)
        return (
            None
            if message["id"] not in peer.listens and revision == MODERN
            else await original(peer, message)
        )

    async with live_client.subscribe(B), live_client.watch(A):
        server.handlers[method] = slowly
        await server.peer.drop()
        await server.wait_for(method, peers=2)
    await trio.sleep(3)
    assert live.labels == []
    assert live_client.statistics().subscriptions == 0


async def test_the_extension_may_be_gone_after_a_reconnect(live_client: Client, live: FakeLive) -> None:
    async with live_client.watch(glob=ALL) as events, live_client.watch(A) as exact:
        live.switch(False)
        await live.server.peer.drop()
        with pytest.raises(ExtensionMissing, match="does not have the extension"):
            await anext(events)
        gap = await anext(exact)
        assert gap == WatchEvent(uri=A, kind="gap", reason="lost")
        assert (exact.cursor, exact.honoured) == (f"{FIRST}.100", None)
        await live.server.updated(A)
        assert await anext(exact) == WatchEvent(uri=A)
        live.switch(True)
        await away(live_client, live, A)
        assert await anext(exact) == event(A, 101)


async def test_the_extension_may_be_there_after_a_reconnect(
    live: FakeLive, opening: Open, revision: str
) -> None:
    live.switch(False)
    async with opening(revision=revision) as client, client.watch(A) as events:
        live.switch(True)
        await away(client, live, A)
        gap = await anext(events)
        assert (gap.kind, gap.reason, gap.cursor) == ("gap", "lost", None)
        assert events.cursor == f"{FIRST}.101"
        await live.change(A)
        assert await anext(events) == event(A, 102)
