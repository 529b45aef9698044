"""The same contract over a WebSocket, over lines, and over HTTP in each revision; and what streams that break do to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from mcptrio import ServerSettings
from tests.extension.judge import CALLED, SUBSCRIPTIONS
from tests.extension.rig import (
    DECLARED,
    EXTENSIONS,
    OPENING,
    changes,
    expect_no_selections,
    glob,
    house,
    offsets,
    publish,
    selecting,
)
from tests.server.asked import CAPABLE
from tests.server.http.rig import Answer, HttpHouse, HttpSession, http
from tests.server.rig import ACKNOWLEDGED, Json, notification, request
from tests.transports import clients, conversation
from tests.transports.clients import World, everywhere, legacy, modern, over, world
from tests.transports.conversation import Conversation, Inbox, key_of

URI = "mail://a/1"
QUIET = ServerSettings(introspection=False)

settled = trio.testing.wait_all_tasks_blocked


@pytest.fixture(autouse=True)
def opted_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clients of all transports opt in."""
    for module in (conversation, clients):
        monkeypatch.setattr(module, "CAPABLE", {**CAPABLE, **EXTENSIONS})


@asynccontextmanager
async def living(settings: ServerSettings = QUIET) -> AsyncIterator[World]:
    app = house(settings)
    async with world(app) as here:
        yield here
        here.leave()
        await settled(0.01)
    expect_no_selections(app)


async def ask(one: Conversation, *asked: Json, id: object = "l") -> list[Json]:
    """Subscribe; what is honoured."""
    if one.modern:
        await one.send(id, "subscriptions/listen", {"notifications": {SUBSCRIPTIONS: list(asked)}})
        acknowledged = await one.updates[key_of(id)].next()
        assert acknowledged["method"] == ACKNOWLEDGED
        return acknowledged["params"]["notifications"][SUBSCRIPTIONS]  # type: ignore[index,no-any-return]
    answers = [await one.call("resources/subscribe", selecting(each)) for each in asked]
    return [answer["result"]["_meta"][SUBSCRIPTIONS] for answer in answers]  # type: ignore[index]


def inbox(one: Conversation, id: object = "l") -> Inbox:
    return one.updates[key_of(id if one.modern else None)]


async def told(one: Conversation, id: object = "l") -> list[Json]:
    """All that was told until now."""
    await trio.sleep(0.5)
    return inbox(one, id).rest()


@everywhere
async def test_what_is_subscribed_is_acknowledged_and_told_and_ends(
    way: clients.Way, autojump_clock: MockClock
) -> None:
    async with living() as here:
        one = await here.open(way)
        batch: Json = {"batch": {"windowMs": 100, "maxWaitMs": 100}}
        honoured = await ask(
            one,
            glob("mail://*/1", "every", policy="every", fields="all"),
            {"label": "uri", "uri": URI, "fields": ["/n"]},
            glob(label="batch", policy=batch),
            glob(label="none", filter={"kind": "deleted"}),
        )
        assert [each["label"] for each in honoured] == ["every", "uri", "batch", "none"]
        assert {each["cursor"] for each in honoured} == {f"{here.app.hub.epoch}.0"}
        first = [publish(here.app, URI, data={"n": number}) for number in range(20)]
        messages = await told(one)
        assert offsets(messages, "every") == first
        assert [each["data"] for each in changes(messages) if each["label"] == "every"] == [
            {"n": number} for number in range(20)
        ]
        assert [each["data"] for each in changes(messages) if each["label"] == "uri"] == [{"/n": 19}]
        assert offsets(messages, "batch") == [first[-1]] and offsets(messages, "none") == []
        if one.modern:
            await one.cancel("l")
        else:
            for uri in (URI, *(f"{CALLED}{label}" for label in ("every", "batch", "none"))):
                assert (await one.call("resources/unsubscribe", {"uri": uri}))["result"] == {}
        publish(here.app, URI)
        await inbox(one).nothing()
        assert len(here.app.hub.selections) == 0


@everywhere
async def test_who_comes_back_with_a_cursor_is_told_what_it_has_missed(
    way: clients.Way, autojump_clock: MockClock
) -> None:
    async with living() as here:
        one = await here.open(way)
        await ask(one, glob(policy="every"))
        seen = [publish(here.app, URI) for _ in range(3)]
        last = changes(await told(one))[-1]
        assert last["offset"] == seen[-1]
        one.leave()
        await settled(0.01)
        missed = [publish(here.app, URI) for _ in range(100)]
        again = await here.open(way)
        (honoured,) = await ask(again, glob(policy="every", since=f"{here.app.hub.epoch}.{last['offset']}"))
        assert honoured["recovered"] is True
        later = publish(here.app, URI)
        assert offsets(await told(again)) == [*missed, later]


@modern
async def test_at_the_server_s_end_what_is_owed_comes_then_the_result_and_then_nothing(
    way: clients.Way, autojump_clock: MockClock
) -> None:
    async with living() as here:
        one = await here.open(way)
        slow: Json = {"batch": {"windowMs": 60_000, "maxWaitMs": 60_000}}
        await ask(one, glob(policy=slow), glob(label="e", policy="every"))
        published = [publish(here.app, f"mail://a/{number}") for number in range(100)]
        await one.stop_server()
        await settled(0.01)
        final = await one.answer("l")
        assert "result" in final and one.came[-1] is final
        messages = inbox(one).rest()
        assert offsets(messages, "g") == offsets(messages, "e") == published


@everywhere
async def test_what_is_refused_is_refused_alike(way: clients.Way, autojump_clock: MockClock) -> None:
    async with living() as here:
        one = await here.open(way)
        for asked, code in (
            (glob(filter={"eq": 3}), -32602),
            (glob(since=f"{here.app.hub.epoch}.7"), -32602),
            (glob(policy="often"), -32602),
        ):
            if one.modern:
                params: Json = {"notifications": {SUBSCRIPTIONS: [asked]}, "_meta": DECLARED}
                answer = await one.call("subscriptions/listen", params)
            else:
                answer = await one.call("resources/subscribe", selecting(asked))
            assert answer["error"]["code"] == code, answer  # type: ignore[index]
        assert len(here.app.hub.selections) == 0


@over([way for way in clients.WAYS if way.modern])
async def test_over_http_each_listen_is_a_client_of_its_own_and_elsewhere_all_of_a_connection_are_one(
    way: clients.Way, autojump_clock: MockClock
) -> None:
    async with living(replace(QUIET, max_selections=2)) as here:
        one = await here.open(way)
        await ask(one, glob(label="a"), glob(label="b"), id=1)
        if way.transport == "http":
            await ask(one, glob(label="a"), glob(label="b"), id=2)
            assert len(here.app.hub.selections) == 4
        else:
            params: Json = {"notifications": {SUBSCRIPTIONS: [glob(label="c")]}}
            answer = await one.call("subscriptions/listen", params)
            assert answer["error"]["data"]["limit"] == 2  # type: ignore[index]


@legacy
async def test_a_session_is_told_plainly_what_it_has_subscribed_plainly_beside(
    way: clients.Way, autojump_clock: MockClock
) -> None:
    async with living() as here:
        one = await here.open(way)
        plain = await one.subscribe("mail://b/1")
        await ask(one, glob("mail://a/*"))
        publish(here.app, "mail://b/1")
        assert await plain.next() == "mail://b/1"
        offset = publish(here.app, URI)
        assert offsets(await told(one)) == [offset]


# 2025-11-25 over HTTP: a standing stream that breaks


async def opened(home: HttpHouse) -> HttpSession:
    """A session that has opted in."""
    answer = await (await home.connect()).post(request(0, "initialize", OPENING))
    session = HttpSession(home, answer.headers["mcp-session-id"])
    await answer.json()
    await session.post(notification("notifications/initialized"))
    return session


async def chosen(session: HttpSession, *asked: Json) -> list[Json]:
    results = [
        await session.call(f"s {number}", "resources/subscribe", selecting(each))
        for number, each in enumerate(asked)
    ]
    return [each["result"]["_meta"][SUBSCRIPTIONS] for each in results]  # type: ignore[index]


async def some(stream: Answer, count: int) -> tuple[list[Json], str]:
    """The next updates, and the id of the last event."""
    messages: list[Json] = []
    last = ""
    while len(messages) < count:
        event = await stream.event()
        last = event.get("id", last)
        if '"notifications/resources/updated"' in event["data"]:
            messages.append(decoded(event["data"]))
    return messages, last


def decoded(text: str) -> Json:
    value = json.loads(text)
    assert isinstance(value, dict)
    return value


async def broken(stream: Answer) -> None:
    await trio.aclose_forcefully(stream._wire.stream)
    await settled()


async def test_a_stream_that_breaks_and_comes_back_with_its_last_event_loses_and_repeats_nothing(
    autojump_clock: MockClock,
) -> None:
    app = house(QUIET)
    async with http(app) as home:
        session = await opened(home)
        await chosen(session, glob(policy="every", fields="all"))
        stream = await session.get()
        published = [publish(app, URI, data=number) for number in range(20)]
        messages, last = await some(stream, 5)
        await broken(stream)
        published += [publish(app, URI, data=number) for number in range(20, 40)]
        again = await session.get(last)
        more, _ = await some(again, 35)
        assert offsets(messages + more) == published
        assert [each["prev"] for each in changes(messages + more)] == [0, *published[:-1]]
        new = publish(app, URI)
        assert offsets((await some(again, 1))[0]) == [new]
    expect_no_selections(app)


async def test_a_stream_that_comes_back_without_its_last_event_is_told_a_gap_by_each_subscription(
    autojump_clock: MockClock,
) -> None:
    app = house(QUIET)
    async with http(app) as home:
        session = await opened(home)
        await chosen(session, glob(policy="every"), {"label": "u", "uri": URI}, glob(label="c"))
        stream = await session.get()
        for _ in range(20):
            publish(app, URI)
        first, _ = await some(stream, 3)  # more than that was sent, and is lost
        seen = {str(each["label"]): int(str(each["offset"])) for each in changes(first)}
        await broken(stream)
        waits = publish(app, URI)
        again = await session.get()
        told = changes((await some(again, 6))[0])
        gaps = [each for each in told if "reason" in each]
        assert sorted((each["label"], each["kind"], each["reason"]) for each in gaps) == [
            (label, "gap", "history") for label in "cgu"
        ]
        # What was told is in doubt; what waits is told after that.
        assert {(each["offset"], each["prev"]) for each in gaps} == {(waits - 1, waits - 1)}
        for label in "cgu":
            assert [each["offset"] for each in told if each["label"] == label] == [waits - 1, waits]
        new = publish(app, URI)
        assert sorted(each["label"] for each in changes((await some(again, 3))[0])) == ["c", "g", "u"]
        assert app.hub.offset == new
        # Or it subscribes again from what it was told last, and misses nothing.
        (honoured,) = await chosen(session, glob(policy="every", since=f"{app.hub.epoch}.{seen['g']}"))
        assert honoured["recovered"] is True
        missed = list(range(seen["g"] + 1, new + 1))
        assert offsets((await some(again, len(missed)))[0], "g") == missed
        # The cursor of a gap is one to go on from: what is read now is all that there is.
        (honoured,) = await chosen(session, glob(label="back", policy="every", since=f"{app.hub.epoch}.21"))
        assert honoured["recovered"] is True
        assert offsets((await some(again, 1))[0], "back") == [new]
    expect_no_selections(app)


async def test_who_subscribes_again_after_its_stream_was_lost_is_told_what_it_has_missed_and_no_gap(
    autojump_clock: MockClock,
) -> None:
    app = house(QUIET)
    async with http(app) as home:
        session = await opened(home)
        await chosen(session, glob(policy="every"), glob(label="other"))
        stream = await session.get()
        for _ in range(10):
            publish(app, URI)
        first, _ = await some(stream, 3)
        seen = [offset for offset in offsets(first, "g") if isinstance(offset, int)][-1]
        await broken(stream)
        publish(app, URI)
        (honoured,) = await chosen(session, glob(policy="every", since=f"{app.hub.epoch}.{seen}"))
        assert honoured["recovered"] is True
        again = await session.get()
        missed = list(range(seen + 1, app.hub.offset + 1))
        told = (await some(again, len(missed) + 2))[0]
        assert offsets(told, "g") == missed
        assert [each.get("reason") for each in changes(told) if each["label"] == "other"] == ["history", None]
    expect_no_selections(app)


async def test_while_nobody_reads_the_standing_stream_what_is_owed_waits_as_the_policy_has_it(
    autojump_clock: MockClock,
) -> None:
    app = house(QUIET)
    async with http(app) as home:
        session = await opened(home)
        await chosen(session, glob(label="every", policy="every"), glob(label="conflate"))
        published = [publish(app, URI) for _ in range(500)]
        await settled()
        stream = await session.get()
        messages, _ = await some(stream, 501)
        assert offsets(messages, "every") == published
        assert offsets(messages, "conflate") == [published[-1]]
    expect_no_selections(app)


async def test_a_session_that_is_ended_leaves_nothing(autojump_clock: MockClock) -> None:
    app = house(QUIET)
    async with http(app) as home:
        session = await opened(home)
        await chosen(session, glob(policy="every"), glob(label="b", since=f"{app.hub.epoch}.0"))
        publish(app, URI)
        assert (await session.delete()).status in (200, 204)
        await settled()
        expect_no_selections(app)
