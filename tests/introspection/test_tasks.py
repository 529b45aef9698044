"""`mcptrio://supervision` and `mcptrio://sources/{name}` over the wire, in both revisions."""

from __future__ import annotations

import trio
import trio.testing

from mcptrio import App, Feed
from tests.introspection.house import (
    BOTH,
    LONG,
    MAIL,
    SECRET,
    SUPERVISION,
    Mail,
    house,
    once_or_twice,
    read,
    subscribed,
    told,
)
from tests.server.rig import running


@BOTH
async def test_the_tree_shows_every_task_with_its_state(modern: bool) -> None:
    mail = Mail()
    async with running(house(mail)) as home:
        wire = await subscribed(home, modern, "mail://1")
        await trio.testing.wait_all_tasks_blocked()
        mail.fails.set()
        await trio.testing.wait_all_tasks_blocked()
        root = await read(wire, SUPERVISION, modern)
        assert (root["name"], root["strategy"], root["state"], root["restarts"]) == (
            "root",
            "one_for_one",
            "running",
            0,
        )
        below = {each["name"]: each for each in root["children"]}  # type: ignore[attr-defined]
        assert list(below) == ["hub", "sweeper", "sources", "peers", "listeners"]
        [source] = [each for each in below["sources"]["children"] if each["name"] == "mail"]
        assert (source["state"], source["restarts"]) == ("restarting", 1)
        assert source["lastError"] == "ConnectionError: https://***@mail.example.org said no"
        assert "strategy" not in source
        peers = below["peers"]
        assert (peers["strategy"], peers["children"]) == ("simple_one_for_one", [])
        assert {state: count for state, count in peers["counts"].items() if count} == {"running": 1}


@BOTH
async def test_the_tree_is_updated_when_something_comes_goes_or_fails(modern: bool) -> None:
    mail = Mail()
    async with running(house(mail)) as home:
        wire = await subscribed(home, modern, SUPERVISION)
        assert await wire.rest(LONG) == []
        await read(wire, SUPERVISION, modern)
        assert await wire.rest(LONG) == [], "reading changes nothing"
        other = await home.connect()
        assert await wire.rest(LONG) == [told(SUPERVISION, modern)]
        other.vanish()
        assert await wire.rest(LONG) == [told(SUPERVISION, modern)]
        with home.app.changes("mail://1"):
            assert await wire.rest(LONG) == [told(SUPERVISION, modern)]
            mail.fails.set()
            assert await wire.rest(LONG) in once_or_twice(SUPERVISION, modern), "it went, and it came back"


@BOTH
async def test_a_source_tells_how_it_is_doing(modern: bool) -> None:
    mail = Mail()
    async with running(house(mail)) as home:
        wire = await home.connect(initialized=not modern)
        document = await read(wire, MAIL, modern)
        assert {
            key: document[key] for key in ("name", "state", "reason", "demand", "wanted", "restarts")
        } == {
            "name": "mail",
            "state": "idle",
            "reason": "",
            "demand": True,
            "wanted": 0,
            "restarts": 0,
        }
        with home.app.changes("mail://1", "mail://2"):
            await trio.testing.wait_all_tasks_blocked()
            document = await read(wire, MAIL, modern)
            assert (document["state"], document["wanted"], document["lastError"]) == ("live", 2, None)
            mail.fails.set()
            await trio.testing.wait_all_tasks_blocked()
            document = await read(wire, MAIL, modern)
            error = "ConnectionError: https://***@mail.example.org said no"
            assert (document["state"], document["reason"], document["lastError"]) == ("failed", error, error)


@BOTH
async def test_a_source_is_updated_when_its_state_its_reason_or_what_is_wanted_changes(modern: bool) -> None:
    mail = Mail()
    async with running(house(mail)) as home:
        wire = await subscribed(home, modern, MAIL)
        assert await wire.rest(LONG) == []
        with home.app.changes("mail://1"):
            assert await wire.rest(LONG) == [told(MAIL, modern)]
            with home.app.changes("mail://2"):
                assert await wire.rest(LONG) == [told(MAIL, modern)]
            await wire.rest(LONG)
            assert mail.feed is not None
            for reason in ("slow", "slower"):
                mail.feed.degraded(reason)
                assert await wire.rest(LONG) == [told(MAIL, modern)]
        assert await wire.rest(LONG) == [told(MAIL, modern)]
        assert await wire.rest(10 * LONG) == [told(MAIL, modern)], "its linger is over"


@BOTH
async def test_parts_of_a_source_are_shown_and_their_states_update_it(modern: bool) -> None:
    app = App("house")
    feeds: dict[str, Feed] = {}

    @app.source("room://{name}", each=True, linger=1.0)
    async def rooms(feed: Feed, name: str) -> None:
        feeds[name] = feed
        feed.live()
        await trio.sleep_forever()

    uri = "mcptrio://sources/rooms"
    async with running(app) as home:
        wire = await subscribed(home, modern, uri)
        with app.changes("room://a", "room://b"):
            assert await wire.rest(LONG) == [told(uri, modern)]
            feeds["a"].degraded(f"token={SECRET}")
            assert await wire.rest(LONG) == [told(uri, modern)]
            feeds["b"].degraded("too")  # the source as a whole is as it was
            assert await wire.rest(LONG) == [told(uri, modern)]
            document = await read(wire, uri, modern)
            assert (document["state"], document["wanted"], document["truncated"]) == ("degraded", 2, False)
            parts = document["parts"]
            assert isinstance(parts, list)
            assert [(part["uri"], part["state"], part["reason"]) for part in parts] == [
                ("room://a", "degraded", "token=***"),
                ("room://b", "degraded", "too"),
            ]
        await wire.rest(LONG)
        assert (await read(wire, uri, modern))["parts"] == []


@BOTH
async def test_what_a_source_counts_is_seen_in_its_document_and_in_the_figures(modern: bool) -> None:
    app = App("house")

    @app.source(name="mail", always=True)
    async def mail(feed: Feed) -> None:
        feed.count_by(lambda: {"unknown": 3})
        await trio.sleep_forever()

    async with running(app) as home:
        wire = await home.connect(initialized=not modern)
        assert (await read(wire, MAIL, modern))["counts"] == {"unknown": 3}
        assert (await home.metrics())['mcptrio_source_count{name="unknown",source="mail"}'] == 3
