"""That the resources are there, in both revisions: listed last, read as JSON; and that they can be switched off."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
import trio

from mcptrio import Feed, ServerSettings
from mcptrio.introspection import INTERVAL
from tests.introspection.house import (
    ALERTS,
    BOTH,
    LONG,
    MAIL,
    OWN,
    SESSIONS,
    SUBSCRIPTIONS,
    SUPERVISION,
    house,
    read,
    subscribed,
)
from tests.server.rig import list_changed, running, updated


@BOTH
async def test_they_are_listed_after_all_others(modern: bool) -> None:
    app = house()
    async with running(app) as home:
        wire = await home.connect(initialized=not modern)
        listed = await wire.result("resources/list", modern=modern)
        assert [each["uri"] for each in listed["resources"]] == [  # type: ignore[attr-defined]
            "fixed://one",
            SUPERVISION,
            SUBSCRIPTIONS,
            SESSIONS,
            ALERTS,
            OWN,
            MAIL,
        ]
        templates = await wire.result("resources/templates/list", modern=modern)
        assert [each["uriTemplate"] for each in templates["resourceTemplates"]] == [  # type: ignore[attr-defined]
            "a:{name}",
            "mcptrio://sources/{name}",
        ]


@BOTH
@pytest.mark.parametrize("uri", [SUPERVISION, SUBSCRIPTIONS, SESSIONS, ALERTS, MAIL, OWN])
async def test_each_is_read_as_json_with_its_time_in_utc(uri: str, modern: bool) -> None:
    async with running(house()) as home:
        wire = await home.connect(initialized=not modern)
        text = json.dumps(await read(wire, uri, modern))
        assert "memory" not in text, "no address is shown"
        assert '"since": "20' in text or uri in (SUBSCRIPTIONS, ALERTS)


@BOTH
async def test_a_source_that_there_is_not_is_not_found(modern: bool) -> None:
    async with running(house()) as home:
        wire = await home.connect(initialized=not modern)
        uri = "mcptrio://sources/no%2Fsuch"
        code, _, data = await wire.error("resources/read", {"uri": uri}, modern=modern)
        assert (code, data) == (-32602 if modern else -32002, {"uri": uri})


async def test_they_can_be_switched_off_and_the_metric_stays() -> None:
    app = house(settings=ServerSettings(introspection=False))
    async with running(app) as home:
        wire = await home.connect(initialized=True)
        listed = await wire.result("resources/list")
        assert [each["uri"] for each in listed["resources"]] == ["fixed://one"]  # type: ignore[attr-defined]
        for uri in (SUPERVISION, MAIL, SUBSCRIPTIONS, SESSIONS, ALERTS):
            assert (await wire.error("resources/read", {"uri": uri}))[0] == -32002
            assert (await wire.error("resources/subscribe", {"uri": uri}))[0] == -32002
        assert (await home.metrics())['mcptrio_alerts{severity="critical"}'] == 0
        assert "mcptrio" not in app.sources.names()


async def test_a_source_that_comes_later_changes_the_list_and_is_told_to_who_waits_for_it() -> None:
    app = house()
    async with running(app) as home:
        wire = await home.connect(initialized=True)
        uri = "mcptrio://sources/late"
        await wire.subscribe(uri)
        assert await wire.rest(LONG) == []

        @app.source(name="late")
        async def late(feed: Feed) -> None:
            feed.live()
            await trio.sleep_forever()

        messages = await wire.rest(LONG)
        assert messages.count(list_changed("resources")) == 1
        assert messages.count(updated(uri)) == 1
        assert (await read(wire, uri, False))["state"] == "live"


@BOTH
async def test_updates_come_at_most_once_an_interval_however_much_happens(modern: bool) -> None:
    async with running(house()) as home:
        wire = await subscribed(home, modern, SESSIONS, SUBSCRIPTIONS)
        times: dict[object, list[float]] = {SESSIONS: [], SUBSCRIPTIONS: []}
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def churn() -> None:
                for _ in range(40):
                    other = await home.connect(initialized=True)
                    await other.subscribe("a:1")
                    await trio.sleep(0.1)
                    other.vanish()
                await trio.sleep(2)
                nursery.cancel_scope.cancel()

            while True:
                message = await wire.receive()
                params = message["params"]
                assert isinstance(params, dict)
                times[params["uri"]].append(trio.current_time())
        for each in times.values():
            assert 8 <= len(each) <= 10
            assert all(later - earlier >= INTERVAL for earlier, later in pairwise(each))


async def test_nobody_subscribed_means_nothing_computed() -> None:
    app = house()
    [updates] = [spec.run.__self__ for spec in app.registry.sources() if spec.name == "mcptrio"]  # type: ignore[attr-defined]
    looks = 0
    stamp = updates._stamp

    def counted(uri: str) -> object:
        nonlocal looks
        looks += 1
        return stamp(uri)

    updates._stamp = counted
    async with running(app) as home:
        wire = await home.connect(initialized=True)
        await wire.subscribe("a:1", "mail://1")
        for uri in (SUPERVISION, ALERTS, MAIL):
            await read(wire, uri, False)
        await wire.result("resources/list")
        await trio.sleep(100)
        assert looks == 0
        await wire.subscribe(ALERTS)
        await trio.sleep(10)
        assert 10 <= looks <= 25
        await wire.result("resources/unsubscribe", {"uri": ALERTS})
        looks = 0
        await trio.sleep(100)
        assert looks <= 1
