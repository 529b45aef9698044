"""Sources by demand, as clients cause it: subscribing, reading and listing start them, and leaving ends them."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from mcptrio import App, Feed
from mcptrio.protocol.types import Annotations, ResourceContents
from mcptrio.sources import LINGER
from tests.concurrency.crowd import connect_many
from tests.server.rig import Json, cancelled, list_changed, running, updated
from tests.sources.rig import Body

settled = trio.testing.wait_all_tasks_blocked


def house(body: Body) -> App:
    """A source by demand, of `a:{id}`, which can be read and listed; and a resource of no source."""
    app = App("house")
    app.source("a:{id}", name="mail")(body.run)

    @app.resource("a:{id}")
    async def read(id: str) -> str:
        return f"{id} after {body.begun}"

    @read.list
    async def listed() -> list[str]:
        return ["1", "2"]

    @app.resource("b:1")
    async def other() -> str:
        return "b"

    return app


async def gone(body: Body) -> None:
    """It stops when its linger is over, and not before."""
    await trio.sleep(LINGER - 1)
    assert body.running == 1
    await trio.sleep(2)
    assert body.running == 0


async def test_nothing_runs_for_clients_that_want_nothing_of_it() -> None:
    body = Body()
    async with running(house(body)) as home:
        wire = await home.connect(initialized=True)
        await wire.subscribe("b:1")
        await wire.result("resources/read", {"uri": "b:1"})
        await wire.result("resources/templates/list")
        await wire.listen("l", "b:1", toolsListChanged=True, promptsListChanged=True)
        await trio.sleep(1000)
        assert body.begun == 0


async def test_the_first_subscription_starts_it_and_the_end_of_the_last_stops_it() -> None:
    body = Body()
    async with running(house(body)) as home:
        one, two = await home.connect(initialized=True), await home.connect(initialized=True)
        await one.subscribe("a:1")
        await two.subscribe("a:1", "a:2")
        await one.result("resources/unsubscribe", {"uri": "a:1"})
        await two.result("resources/unsubscribe", {"uri": "a:1"})
        await trio.sleep(1000)
        assert (body.begun, body.running) == (1, 1)
        await two.result("resources/unsubscribe", {"uri": "a:2"})
        await gone(body)
        await one.subscribe("a:1")
        await settled()
        assert body.begun == 2


@pytest.mark.parametrize("how", ["vanish", "close", "abort"])
async def test_a_client_that_leaves_has_ended_its_subscriptions(how: str) -> None:
    body = Body()
    async with running(house(body)) as home:
        wire = await home.connect(initialized=True)
        await wire.subscribe("a:1", "a:2")
        await wire.listen("l", "a:3", resourcesListChanged=True)
        await settled()
        assert body.running == 1
        if how == "vanish":
            wire.vanish()
        elif how == "close":
            await wire.connection.aclose()
        else:
            wire.peer.abort()
        await settled()
        await gone(body)


async def test_a_subscription_within_the_linger_finds_it_running() -> None:
    body = Body()
    async with running(house(body)) as home:
        for _ in range(5):
            wire = await home.connect(initialized=True)
            await wire.subscribe("a:1")
            wire.vanish()
            await trio.sleep(LINGER - 1)
        assert (body.begun, body.running) == (1, 1)


async def test_a_listen_wants_what_it_was_granted_until_it_is_cancelled() -> None:
    body = Body()
    async with running(house(body)) as home:
        wire = await home.connect()
        assert await wire.listen("l", "a:1", "nothing:1") == {"resourceSubscriptions": ["a:1"]}
        await trio.sleep(1000)
        assert body.running == 1
        await wire.send(cancelled("l"))
        await settled()
        await gone(body)


async def test_a_thousand_clients_that_come_at_once_start_it_once() -> None:
    body = Body()
    async with running(house(body)) as home:
        crowd = await connect_many(home.app, 1000, "a:{}", "a:1")
        assert body.begun == 1
        assert len(home.app.sources.feeds["mail"].wanted) == 1000
        for raw in crowd:
            raw.stream.transport.abort()  # type: ignore[attr-defined]
        await settled()
        assert home.app.sources.feeds["mail"].wanted == frozenset()
        await gone(body)
        assert body.begun == 1


async def test_what_it_reports_reaches_those_who_started_it() -> None:
    app = App("house")

    @app.source("a:{id}")
    async def eager(feed: Feed) -> None:
        for uri in sorted(feed.wanted):
            await feed.updated(uri)
        while True:
            for uri in await feed.wanted_changed():
                await feed.updated(uri)

    async with running(app) as home:
        wire = await home.connect(initialized=True)
        await wire.subscribe("a:1")  # acknowledged first, whatever a source does at its start
        assert await wire.receive() == updated("a:1")
        await wire.result("resources/unsubscribe", {"uri": "a:1"})
        other = await home.connect()
        await other.listen("l", "a:1", "a:2")
        told = [await other.receive() for _ in range(2)]
        assert sorted(told, key=str) == [updated("a:1", "l"), updated("a:2", "l")]


@pytest.mark.parametrize("modern", [False, True])
async def test_a_read_starts_it_and_waits_for_its_first_word(modern: bool) -> None:
    body = Body()
    body.live_after = 3
    async with running(house(body)) as home:
        wire = await home.connect(initialized=not modern)
        before = trio.current_time()
        result = await wire.result("resources/read", {"uri": "a:1"}, modern=modern)
        assert trio.current_time() - before == pytest.approx(3)
        [contents] = result["contents"]  # type: ignore[misc]
        assert (contents["text"], "annotations" in contents) == ("1 after 1", False)
        await wire.result("resources/read", {"uri": "a:2"}, modern=modern)
        assert trio.current_time() - before == pytest.approx(3)
        await gone(body)


async def test_a_client_that_leaves_while_its_read_waits_wants_nothing_any_more() -> None:
    body = Body()
    body.live_after = 100
    async with running(house(body)) as home:
        wire = await home.connect(initialized=True)
        await wire.send({"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": "a:1"}})
        await wire.send({"jsonrpc": "2.0", "id": 2, "method": "resources/list"})
        await settled()
        assert body.running == 1
        wire.vanish()
        await settled()
        await gone(body)


@pytest.mark.parametrize("modern", [False, True])
async def test_a_read_of_what_does_not_work_answers_with_how_old_it_may_be(modern: bool) -> None:
    body = Body()
    app = house(body)

    @app.resource("a:raw")
    async def raw() -> list[ResourceContents]:
        own = Annotations(priority=0.5, last_modified="2001-01-01T00:00:00Z")
        return [
            ResourceContents(uri="a:raw", text="x", annotations=Annotations(priority=0.5)),
            ResourceContents(uri="a:raw", text="y", annotations=own),
        ]

    async with running(app) as home:
        wire = await home.connect(initialized=not modern)
        await wire.listen("l", "a:1")
        await settled()
        body.crash = ConnectionError("refused")
        app.sources.supervisor.exit_child("mail", ConnectionError("hung up"))
        await trio.sleep(20)
        feed = app.sources.feeds["mail"]
        assert feed.state == "failed"
        assert feed.as_of is not None
        before = trio.current_time()
        result = await wire.result("resources/read", {"uri": "a:1"}, modern=modern)
        assert trio.current_time() == before, "nobody waits for what is in backoff"
        assert feed.as_of is not None
        at = feed.as_of.isoformat()
        [contents] = result["contents"]  # type: ignore[misc]
        assert contents["annotations"] == {"lastModified": at}
        assert contents["text"].startswith("1 after ")
        result = await wire.result("resources/read", {"uri": "a:raw"}, modern=modern)
        assert [contents["annotations"] for contents in result["contents"]] == [  # type: ignore[attr-defined]
            {"priority": 0.5, "lastModified": at},
            {"priority": 0.5, "lastModified": "2001-01-01T00:00:00Z"},
        ]
        result = await wire.result("resources/read", {"uri": "b:1"}, modern=modern)
        assert "annotations" not in result["contents"][0]  # type: ignore[index]


def uris_of(wire_result: Json) -> list[str]:
    resources = wire_result["resources"]
    assert isinstance(resources, list)
    return [resource["uri"] for resource in resources]


async def test_a_list_starts_what_may_be_listed_and_waits_for_it() -> None:
    body = Body()
    body.live_after = 3
    async with running(house(body)) as home:
        wire = await home.connect()
        before = trio.current_time()
        result = await wire.result("resources/list", modern=True)
        assert trio.current_time() - before == pytest.approx(3)
        assert {"a:1", "a:2", "b:1"} <= set(uris_of(result))
        await gone(body)


async def test_a_session_that_has_listed_has_the_list_watched_until_it_ends() -> None:
    body = Body()
    async with running(house(body)) as home:
        wire = await home.connect(initialized=True)
        await trio.sleep(100)
        assert body.begun == 0
        await wire.result("resources/list")
        await wire.result("resources/list")
        await trio.sleep(1000)
        assert (body.begun, body.running) == (1, 1)
        other = await home.connect()
        await other.result("resources/list", modern=True)
        wire.vanish()
        await settled()
        await gone(body)


async def test_a_listen_to_the_list_of_resources_has_it_watched_until_it_ends() -> None:
    app = App("house")
    body = Body()

    async def mail(feed: Feed) -> None:
        await feed.created("a:9")
        await body.run(feed)

    app.source("a:{id}", name="mail")(mail)
    async with running(app) as home:
        wire = await home.connect()
        await wire.listen("l", resourcesListChanged=True)
        assert await wire.receive() == list_changed("resources", "l")
        await trio.sleep(1000)
        assert (body.begun, body.running) == (1, 1)
        await wire.send(cancelled("l"))
        await settled()
        await gone(body)


async def test_a_source_for_each_uri_runs_for_those_that_are_wanted() -> None:
    app = App("house")
    body = Body()
    app.source("x:{id}", each=True)(body.part)

    @app.resource("x:{id}")
    async def read(id: int) -> str:
        return str(id)

    async with running(app) as home:
        wire = await home.connect(initialized=True)
        await wire.subscribe("x:1", "x:2")
        code, _, data = await wire.error("resources/subscribe", {"uri": "x:one"})
        assert (code, data) == (-32002, {"uri": "x:one"})
        await wire.result("resources/read", {"uri": "x:3"})
        await wire.result("resources/list")
        await settled()
        assert sorted(value["id"] for value in body.values) == [1, 2, 3]  # type: ignore[type-var]
        await trio.sleep(LINGER + 1)
        assert body.running == 2
        wire.vanish()
        await trio.sleep(LINGER + 1)
        assert body.running == 0


async def test_the_programs_own_subscription_is_one_too() -> None:
    body = Body()
    app = house(body)
    with app.changes("a:1"):
        assert body.begun == 0
        async with app._root.hold():
            await settled()
            assert body.running == 1
            await trio.sleep(1000)
            assert (body.begun, body.running) == (1, 1)
    assert body.running == 0
