"""The extension as it is seen: its subscriptions in the documents, what waits for whom, and the updates by it."""

from __future__ import annotations

import json
from collections import Counter

import trio

from mcptrio import Change, Feed
from mcptrio.live import Entry
from mcptrio.live.weight import Weighed
from mcptrio.protocol.extension import SUBSCRIPTION_URI, SUBSCRIPTIONS_KEY
from tests.introspection.house import (
    ALERTS,
    BOTH,
    LONG,
    MAIL,
    SECRET,
    SESSIONS,
    SUBSCRIPTIONS,
    SUPERVISION,
    house,
    read,
    selected,
    subscribed,
    told,
)
from tests.server.rig import Json, Wire, running


async def seen(wire: Wire) -> Counter[tuple[object, object]]:
    """What comes: label and URI of each change."""
    found: Counter[tuple[object, object]] = Counter()
    for message in await wire.rest(LONG):
        params = message["params"]
        assert isinstance(params, dict)
        found[params["_meta"]["io.mcptrio/change"]["label"], params["uri"]] += 1
    return found


@BOTH
async def test_selectors_are_counted_shown_and_updated(modern: bool) -> None:
    async with running(house()) as home:
        wire = await subscribed(home, modern, SUBSCRIPTIONS)
        assert await wire.rest(LONG) == []
        secret = f"a:*token={SECRET}"
        first = await selected(home, modern, {"label": "one", "glob": "mail://*"})
        assert await wire.rest(LONG) == [told(SUBSCRIPTIONS, modern)], "a selector came"
        second = await selected(
            home, modern, {"label": "two", "glob": "mail://*"}, {"label": "three", "glob": secret}
        )
        assert await wire.rest(LONG) == [told(SUBSCRIPTIONS, modern)], "one more came, and one came again"
        document = await read(wire, SUBSCRIPTIONS, modern)
        assert document == {
            "total": 4,
            "totalUris": 1,
            "uris": [{"uri": SUBSCRIPTIONS, "subscribers": 1}],
            "totalSelectors": 2,
            "selectors": [
                {"selector": "mail://*", "kind": "glob", "subscriptions": 2},
                {"selector": "a:*token=***", "kind": "glob", "subscriptions": 1},
            ],
            "truncated": False,
        }
        assert SECRET not in json.dumps(document)
        first.vanish()
        assert await wire.rest(LONG) == [told(SUBSCRIPTIONS, modern)], "the selector stays, and has one less"
        second.vanish()
        assert await wire.rest(LONG) == [told(SUBSCRIPTIONS, modern)]
        assert (await read(wire, SUBSCRIPTIONS, modern))["selectors"] == []


@BOTH
async def test_a_session_is_seen_with_its_subscriptions_by_the_extension_and_what_waits_for_them(
    modern: bool,
) -> None:
    async with running(house()) as home:
        wire = await home.connect(initialized=not modern)
        batch: Json = {"policy": {"batch": {"windowMs": 60_000, "maxWaitMs": 600_000}}}
        other = await selected(
            home, modern, {"label": "a", "glob": "mail://*", **batch}, {"label": "b", "uri": "a:1"}
        )
        for number in range(3):
            home.app.hub.publish(Change(uri=f"mail://{number}"))
        [entry] = [each for each in await sessions(wire, modern) if each["id"] == "#2"]
        assert (entry["subscriptions"], entry["selections"], entry["waiting"]) == (2, 2, 3)
        assert entry["waitingBytes"] == 3 * Weighed.of(Entry(1, Change(uri="mail://0"))).weight
        [mine] = [each for each in await sessions(wire, modern) if each["id"] == "#1"]
        assert (mine["selections"], mine["waiting"], mine["waitingBytes"]) == (0, 0, 0)
        assert len(await other.rest(100)) == 3
        [entry] = [each for each in await sessions(wire, modern) if each["id"] == "#2"]
        assert (entry["selections"], entry["waiting"], entry["waitingBytes"]) == (2, 0, 0)


async def sessions(wire: Wire, modern: bool) -> list[Json]:
    found = (await read(wire, SESSIONS, modern))["sessions"]
    assert isinstance(found, list)
    return found


async def test_sessions_are_updated_when_one_subscribes_by_the_extension_and_not_by_what_waits() -> None:
    async with running(house()) as home:
        other = await selected(home, False, {"label": "a", "glob": "a:*"})
        wire = await subscribed(home, False, SESSIONS)
        await wire.rest(LONG)
        again: Json = {
            "uri": f"{SUBSCRIPTION_URI}b",
            "_meta": {SUBSCRIPTIONS_KEY: {"label": "b", "glob": "a:*"}},
        }
        for method in ("resources/subscribe", "resources/unsubscribe"):
            await other.result(method, again)
            assert await wire.rest(LONG) == [told(SESSIONS, False)]
        home.app.hub.publish(Change(uri="a:1"))
        assert await wire.rest(LONG) == []


@BOTH
async def test_each_resource_is_updated_for_who_subscribed_to_it_by_the_extension(modern: bool) -> None:
    async with running(house()) as home:
        uris = (SUPERVISION, SUBSCRIPTIONS, SESSIONS, MAIL)
        wire = await selected(home, modern, *({"label": str(n), "uri": uri} for n, uri in enumerate(uris)))
        await wire.rest(LONG)
        assert await wire.rest(LONG) == []
        with home.app.changes("mail://1"):
            assert (await seen(wire)).keys() == {(str(n), uri) for n, uri in enumerate(uris)}


@BOTH
async def test_one_change_is_told_plainly_and_by_the_extension_to_who_subscribed_both_ways(
    modern: bool,
) -> None:
    async with running(house()) as home:
        plain = await subscribed(home, modern, MAIL)
        wire = await selected(home, modern, {"label": "x", "uri": MAIL}, {"label": "p", "glob": f"{MAIL}*"})
        assert await plain.rest(LONG) == []
        with home.app.changes("mail://1"):
            assert await plain.rest(LONG) == [told(MAIL, modern)]
            assert await seen(wire) == {("x", MAIL): 1, ("p", MAIL): 1}
        plain.vanish()
        assert await seen(wire) == {("x", MAIL): 1, ("p", MAIL): 1}


@BOTH
async def test_a_pattern_is_told_of_all_that_it_selects_and_of_nothing_else(modern: bool) -> None:
    async with running(house()) as home:
        wire = await selected(
            home,
            modern,
            {"label": "all", "glob": "mcptrio://**"},
            {"label": "top", "glob": "mcptrio://*"},
            {"label": "sources", "template": "mcptrio://sources/{name}"},
        )
        await wire.rest(LONG)
        assert await wire.rest(LONG) == []
        with home.app.changes("mail://1"):
            found = await seen(wire)
        top = (SUBSCRIPTIONS, SESSIONS, SUPERVISION)
        assert {uri for label, uri in found if label == "top"} == set(top)
        assert {uri for label, uri in found if label == "sources"} == {MAIL}
        assert {uri for label, uri in found if label == "all"} == {*top, MAIL}


async def test_a_source_that_comes_later_is_told_of_to_a_pattern() -> None:
    app = house()
    async with running(app) as home:
        wire = await selected(home, True, {"label": "sources", "glob": "mcptrio://sources/*"})
        assert await wire.rest(LONG) == []

        @app.source(name="late")
        async def late(feed: Feed) -> None:
            feed.live()
            await trio.sleep_forever()

        assert (await seen(wire))["sources", "mcptrio://sources/late"] == 1
        assert await wire.rest(LONG) == []


async def test_more_that_waits_than_may_is_an_alert_for_a_minute() -> None:
    async with running(house()) as home:
        wire = await subscribed(home, False, ALERTS)
        terms: Json = {"label": "a", "glob": "mail://*", "policy": "every", "fields": "all"}
        await selected(home, False, terms)
        await wire.rest(LONG)
        for number in range(17):
            home.app.hub.publish(Change(uri=f"mail://{number}", data="x" * 2**20))
        assert await wire.rest(LONG) == [told(ALERTS, False)]
        [alert] = (await read(wire, ALERTS, False))["open"]  # type: ignore[misc]
        assert (alert["part"], alert["reason"], alert["severity"]) == ("hub", "gaps", "warning")
        assert alert["message"].startswith("1 gaps: ")
        assert await wire.rest(100) == [told(ALERTS, False)]
        assert (await read(wire, ALERTS, False))["open"] == []
