"""Watches on a living connection: what is asked, what comes, what does not, and leaving; in both revisions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mcptrio.client import (
    Client,
    ConnectionLost,
    InvalidResponse,
    RpcError,
    TimedOut,
    Update,
    WatchEvent,
    batch,
)
from mcptrio.client.backlog import MOST_EVENTS
from mcptrio.client.chain import Delivered
from tests.client.conftest import Open, only_websocket
from tests.client.fake_live import CHANGE, EXTENSION, FIRST, NAMED, SUBSCRIPTIONS, UPDATED, FakeLive
from tests.client.fake_server import (
    LEGACY,
    META,
    MODERN,
    SUBSCRIPTION_ID,
    FakeServer,
    Message,
    Peer,
    answers,
    never,
    refuses,
)
from tests.client.test_subscriptions import A, B, held, settle

ALL = "a://*"


def event(uri: str, offset: int, kind: str = "updated", **more: object) -> WatchEvent:
    """What is given for a change with this number."""
    return WatchEvent(uri=uri, kind=kind, offset=offset, cursor=f"{FIRST}.{offset}", **more)  # type: ignore[arg-type]


async def test_the_client_declares_the_extension(
    live_client: Client, server: FakeServer, revision: str
) -> None:
    first = server.peer.received[0]["params"]
    if revision == LEGACY:
        assert first["capabilities"] == {"extensions": {EXTENSION: {}}, "experimental": {EXTENSION: {}}}
    else:
        assert first["_meta"][META + "clientCapabilities"] == {"extensions": {EXTENSION: {}}}
    assert EXTENSION in live_client.capabilities["extensions"]  # type: ignore[operator]


async def test_a_change_comes_with_all_that_was_said_of_it(live_client: Client, live: FakeLive) -> None:
    async with live_client.watch(glob=ALL, fields="all") as events:
        await live.change(
            A,
            "created",
            at="2026-11-20T15:04:05.678Z",
            eventId="<17@example.org>",
            data={"subject": "Hello"},
            metadata={"version": "3"},
        )
        got = await anext(events)
        assert got == event(
            A,
            101,
            "created",
            at=datetime(2026, 11, 20, 15, 4, 5, 678000, tzinfo=UTC),
            event_id="<17@example.org>",
            data={"subject": "Hello"},
            metadata={"version": "3"},
        )
        assert not got.is_gap
        await live.change(A, "read", omitted=True, at=None)
        assert await anext(events) == event(A, 102, "read", omitted=True)


async def test_what_is_asked_for_is_sent_as_it_is(
    live_client: Client, live: FakeLive, server: FakeServer, revision: str
) -> None:
    filter = {"kind": "created"}
    async with live_client.watch(
        template="a://{id}",
        filter=filter,
        policy=batch(0.2, 1),
        fields=["/subject"],
        since=f"{FIRST}.100",
    ) as events:
        [label] = live.labels
        assert live.asked == {
            "label": label,
            "template": "a://{id}",
            "filter": filter,
            "policy": {"batch": {"windowMs": 200, "maxWaitMs": 1000}},
            "fields": ["/subject"],
            "since": f"{FIRST}.100",
        }
        assert events.honoured is not None
        assert events.honoured["policy"] == {"batch": {"windowMs": 200, "maxWaitMs": 1000}}
        assert (events.recovered, events.cursor) == (True, f"{FIRST}.100")
    async with live_client.watch(A):
        assert live.asked == {"label": live.labels[0], "uri": A}
    if revision == LEGACY:
        asked = [m["params"]["uri"] for m in server.peer.received if m["method"] == "resources/subscribe"]
        assert asked == [NAMED + label, A]


async def test_the_cursor_is_that_of_what_was_taken(live_client: Client, live: FakeLive) -> None:
    async with live_client.watch(glob=ALL) as events:
        assert (events.cursor, events.recovered) == (f"{FIRST}.100", None)
        await live.change(A)
        await live.change("a://b")
        await settle()
        assert (events.cursor, events.pending) == (f"{FIRST}.100", 2)
        assert (await anext(events)).cursor == events.cursor == f"{FIRST}.101"
        await anext(events)
        assert events.cursor == f"{FIRST}.102"


@pytest.mark.parametrize("policy", ["conflate", "every"])
async def test_what_waits_is_merged_unless_every_change_was_asked_for(
    live_client: Client, live: FakeLive, policy: str
) -> None:
    async with live_client.watch(glob=ALL, policy=policy) as events:
        for uri in ("a://1", "a://2", "a://1"):
            await live.change(uri)
        await settle()
        got = [(await anext(events)).offset for _ in range(events.pending)]
        assert got == ([102, 103] if policy == "conflate" else [101, 102, 103])


async def test_more_than_may_wait_becomes_one_gap(live_client: Client, live: FakeLive) -> None:
    async with live_client.watch(A, policy="every") as events:
        chain = events._chain
        for number in range(MOST_EVENTS):
            chain.delivered(A, _told(events._label, 101 + number), 10)
        live.number = 100 + MOST_EVENTS
        [watcher] = live.watchers[live.server.peer].values()
        watcher.told = live.number
        assert events.pending == MOST_EVENTS
        await live.change(A)
        await settle()
        assert events.pending == 1
        gap = await anext(events)
        assert gap == event(A, 101 + MOST_EVENTS, "gap", reason="pending")
        await live.change(A)
        assert await anext(events) == event(A, 102 + MOST_EVENTS)


def _told(label: str, offset: int) -> Delivered:
    return Delivered(label=label, kind="updated", offset=offset, prev=offset - 1)


async def test_a_plain_subscription_beside_a_watch_gets_its_own_only(
    live_client: Client, live: FakeLive, server: FakeServer
) -> None:
    async with live_client.subscribe(A) as plain, live_client.watch(A) as events:
        await live.change(A)
        await settle()
        assert (plain.pending, events.pending) == (0, 1)
        await server.updated(A)
        await settle()
        assert (plain.pending, events.pending) == (1, 1)
        assert await anext(plain) == Update(A)
        assert await anext(events) == event(A, 101)


async def test_a_watch_outlives_the_plain_subscription_beside_it(
    live_client: Client, live: FakeLive, server: FakeServer
) -> None:
    async with live_client.watch(A) as events:
        async with live_client.subscribe(A):
            pass
        await settle()
        assert len(live.labels) == 1
        await live.change(A)
        assert await anext(events) == event(A, 101)
    await settle()
    assert live.labels == [] if server.speaks == LEGACY else not server.peer.listens
    assert held(server) == []


async def test_a_plain_subscription_outlives_the_watch_beside_it(
    live_client: Client, live: FakeLive, server: FakeServer
) -> None:
    async with live_client.subscribe(A) as plain:
        async with live_client.watch(A), live_client.watch(A) as other:
            assert len(live.labels) == 2
            await live.change(A)
            assert await anext(other) == event(A, 101)
        await server.updated(A)
        assert await anext(plain) == Update(A)
    await settle()
    assert server.peer.listens == {}
    assert server.peer.subscribed == set()


async def test_leaving_ends_it_at_the_server_and_here(
    live_client: Client, live: FakeLive, server: FakeServer, revision: str
) -> None:
    async with live_client.watch(glob=ALL) as left, live_client.watch(glob=ALL) as kept:
        first = live.labels[0]
        await left.__aexit__(None, None, None)
        await settle()
        await live.change(A)
        await settle()
        assert (left.pending, kept.pending) == (0, 1)
        last = server.peer.received[-1]
        if revision == LEGACY:
            assert last["params"]["uri"] == NAMED + first
        else:
            assert last["method"] == "notifications/cancelled"
    await settle()
    assert live_client.statistics().subscriptions == live_client.statistics().calls == 0


async def test_what_belongs_to_others_is_not_delivered(
    live_client: Client, live: FakeLive, server: FakeServer
) -> None:
    async with live_client.watch(A) as events, live_client.subscribe(A) as plain:
        [label] = live.labels
        for odd in ("watch-99", "", None, 5, [label]):
            await live.tell(A, odd, kind="updated", offset=101, prev=100)  # type: ignore[arg-type]
        for odd_change in (None, "x"):
            await server.peer.notify(UPDATED, uri=A, _meta={**live.id, CHANGE: odd_change})
        await server.peer.notify(
            UPDATED,
            uri=A,
            _meta={
                SUBSCRIPTION_ID: "of nobody",
                CHANGE: {"label": "of nobody", "kind": "updated", "offset": 101, "prev": 100},
            },
        )
        await settle()
        assert (events.pending, plain.pending) == (0, 0)
        await live.tell(A, label, kind="updated", offset=101, prev=100)
        assert await anext(events) == event(A, 101)


async def test_a_plain_notification_is_nothing_to_a_watch(
    live_client: Client, live: FakeLive, server: FakeServer
) -> None:
    async with live_client.watch(A) as events:
        for uri in (A, f"{NAMED}{live.labels[0]}"):
            await server.peer.notify(UPDATED, uri=uri, _meta=live.id)
        await settle()
        assert events.pending == 0


async def test_a_hole_is_a_gap_before_what_follows_it(live_client: Client, live: FakeLive) -> None:
    async with live_client.watch(glob=ALL) as events:
        await live.change("a://1")
        await live.change("a://2", arrives=False)
        await live.change("a://3")
        got = [await anext(events) for _ in range(3)]
        gap = event(NAMED + live.labels[0], 102, "gap", reason="lost")
        assert got == [event("a://1", 101), gap, event("a://3", 103)]
        assert got[1].is_gap


async def test_what_was_told_before_is_not_told_again(live_client: Client, live: FakeLive) -> None:
    async with live_client.watch(A) as events:
        [label] = live.labels
        for offset, prev in ((101, 100), (101, 100), (100, 99), (103, 101), (102, 101)):
            await live.tell(A, label, kind="created", offset=offset, prev=prev)
        await live.change(A, "deleted", arrives=False)
        await settle()
        assert [(await anext(events)).offset for _ in range(events.pending)] == [103]


@pytest.mark.parametrize("reason", ["pending", "history", "of the future"])
async def test_the_servers_gap_is_passed_on(live_client: Client, live: FakeLive, reason: str) -> None:
    async with live_client.watch(A) as events:
        await live.gap(reason)
        assert await anext(events) == event(A, 101, "gap", reason=reason)


async def test_what_could_never_match_is_refused_as_a_uri_is(
    live_client: Client, live: FakeLive, revision: str
) -> None:
    live.unknown = {ALL, B}
    for watch in (live_client.watch(glob=ALL), live_client.watch(B)):
        with pytest.raises(RpcError, match="Resource not found") as refused:
            async with watch:
                raise AssertionError
        assert refused.value.code == (-32602 if revision == MODERN else -32002)
    await settle()
    assert live.labels == []
    assert live_client.statistics().subscriptions == live_client.statistics().calls == 0


async def test_a_refusal_is_raised(live_client: Client, server: FakeServer) -> None:
    refusal = refuses(-32602, "Invalid params: filter: no such thing")
    server.handlers |= {"subscriptions/listen": refusal, "resources/subscribe": refusal}
    with pytest.raises(RpcError, match="no such thing"):
        async with live_client.watch(A, filter={"x": 1}):
            raise AssertionError
    assert live_client.statistics().subscriptions == live_client.statistics().calls == 0


async def test_no_answer_in_time_is_said_by_what_was_watched(live_client: Client, server: FakeServer) -> None:
    server.handlers |= {"subscriptions/listen": never, "resources/subscribe": never}
    with pytest.raises(TimedOut, match=r"glob a://\*: not subscribed within 3 s"):
        async with live_client.watch(glob=ALL, timeout=3):
            raise AssertionError


@only_websocket
@pytest.mark.parametrize(
    "change",
    [
        {"kind": "updated", "offset": "101", "prev": 100},
        {"kind": "updated", "prev": 100},
        {"kind": "updated", "offset": 101, "prev": 100, "at": "yesterday"},
        {"kind": None, "offset": 101, "prev": 100},
    ],
)
async def test_a_change_that_cannot_be_read_ends_the_connection(
    live: FakeLive, opening: Open, revision: str, change: dict[str, object]
) -> None:
    async with opening(revision=revision, reconnect=False) as client, client.watch(A) as events:
        await live.tell(A, live.labels[0], **change)
        with pytest.raises(ConnectionLost) as lost:
            await anext(events)
        assert lost.value.code == 1007


@only_websocket
@pytest.mark.parametrize("honoured", [{}, {"label": "watch-1"}, {"label": "watch-1", "cursor": "x"}, None])
async def test_an_answer_that_honours_nothing_known_is_no_answer(
    live: FakeLive, server: FakeServer, opening: Open, honoured: object
) -> None:
    server.handlers["resources/subscribe"] = answers({"_meta": {SUBSCRIPTIONS: honoured}})
    async with opening(revision=LEGACY) as client:
        with pytest.raises(InvalidResponse, match="resources/subscribe"):
            async with client.watch(A):
                raise AssertionError
        assert server.peer.methods()[-1] == "resources/unsubscribe"
        assert client.statistics().subscriptions == 0


@only_websocket
@pytest.mark.parametrize("honoured", [5, [5], [{"label": "watch-1"}], [{"label": "watch-1", "cursor": "1"}]])
async def test_an_acknowledgement_of_nothing_known_ends_the_connection(
    live: FakeLive, server: FakeServer, opening: Open, honoured: object
) -> None:
    async def acknowledge(peer: Peer, message: Message) -> None:
        meta = {SUBSCRIPTION_ID: message["id"]}
        method = "notifications/subscriptions/acknowledged"
        await peer.notify(method, notifications={SUBSCRIPTIONS: honoured}, _meta=meta)

    server.handlers["subscriptions/listen"] = acknowledge
    async with opening(revision=MODERN, reconnect=False) as client:
        with pytest.raises(ConnectionLost) as lost:
            async with client.watch(A):
                raise AssertionError
        assert lost.value.code == 1007


async def test_deliveries_before_the_answer_are_not_lost(live: FakeLive, opening: Open) -> None:
    for number in range(3):
        live.history.append((101 + number, f"a://{number}", {"kind": "updated"}))
    live.number, live.early = 103, True
    async with opening(revision=LEGACY) as client, client.watch(glob=ALL, since=f"{FIRST}.100") as events:
        await settle()
        assert [(await anext(events)).offset for _ in range(3)] == [101, 102, 103]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "none of them"),
        ({"uri": A, "glob": ALL}, "uri and glob"),
        ({"uri": A, "policy": "all"}, "policy must be"),
        ({"uri": A, "fields": "/subject"}, "fields must be"),
    ],
)
async def test_what_makes_no_sense_is_the_callers_mistake(
    live_client: Client, arguments: dict[str, str], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        live_client.watch(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(("window", "wait"), [(0, 1), (61, 70), (1, 0.5), (1, 601), (float("nan"), 1)])
def test_a_batch_has_bounds(window: float, wait: float) -> None:
    with pytest.raises(ValueError, match="batch"):
        batch(window, wait)
