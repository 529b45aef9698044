"""How a client ends, and how the server does: what is told last, what is cancelled, what is left."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from mcptrio import App
from tests.server.rig import TAG, list_changed, updated
from tests.server.test_hub_rebuilt import part
from tests.transports.clients import (
    WAYS,
    InSession,
    OnWebSocket,
    Way,
    everywhere,
    legacy,
    modern,
    over,
    world,
)
from tests.transports.conversation import PATIENCE, key_of
from tests.transports.rooms import Rooms, hold

SESSION_OVER_HTTP = Way("http", False)
connected = over([way for way in WAYS if way != SESSION_OVER_HTTP])


@modern
async def test_the_end_of_the_server_is_the_result_of_each_listen_behind_what_it_is_owed(
    way: Way, autojump_clock: MockClock
) -> None:
    async with world(Rooms().app) as here:
        client = await here.open(way)
        number = await client.subscribe("room://a", id=1)
        text = await client.subscribe("room://a", "room://b", id="1")
        here.app.updated_nowait("room://a")
        with trio.fail_after(PATIENCE):
            await client.stop_server()
        assert await number.next() == await text.next() == "room://a"
        for listen in (number, text):
            answer = await client.answer(listen.id)
            result = answer["result"]
            assert isinstance(result, dict)
            assert (result["resultType"], result["_meta"][TAG]) == ("complete", listen.id)
            await listen.inbox.end()
            assert listen.inbox.rest() == []
            assert client.came.index(answer) > client.came.index(updated("room://a", listen.id))
        assert here.subscriptions() == 0


@legacy
async def test_the_end_of_the_server_ends_a_session_and_its_streams(
    way: Way, autojump_clock: MockClock
) -> None:
    rooms = Rooms()
    async with world(rooms.app) as here:
        client = await here.open(way)
        told = await client.subscribe("room://a")
        await client.send(1, "tools/call", hold("t"))
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(PATIENCE):
            await client.stop_server()
        await told.inbox.end()
        await client.answers[int, 1].end()
        await trio.testing.wait_all_tasks_blocked()
        assert told.inbox.rest() == client.answers[int, 1].rest() == []
        assert rooms.cancelled == ["t"]
        assert here.subscriptions() == 0
        assert len(here.home.endpoint.http.sessions) == 0
        if isinstance(client, OnWebSocket):
            assert client.close_code == 1001


@everywhere
async def test_the_end_of_the_server_lets_a_request_finish_that_is_nearly_done(
    way: Way, autojump_clock: MockClock
) -> None:
    rooms = Rooms()
    async with world(rooms.app) as here:
        client = await here.open(way)
        await client.send(1, "tools/call", hold("t"))
        await trio.testing.wait_all_tasks_blocked()

        async def finish() -> None:
            await trio.sleep(0.3)
            rooms.gate.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(finish)
            nursery.start_soon(client.stop_server)
            assert (await client.answer(1))["result"]
        assert rooms.cancelled == []


@connected
async def test_leaving_cancels_what_runs_and_ends_what_is_subscribed(
    way: Way, autojump_clock: MockClock
) -> None:
    rooms = Rooms()
    async with world(rooms.app) as here:
        client = await here.open(way)
        await client.subscribe("room://a", "room://b")
        await client.send("quiet", "tools/call", hold("quiet"))
        await client.send("talks", "tools/call", hold("talks", token="p"))
        await client.told.next()
        assert here.subscriptions() == 2
        client.leave()
        if way.transport == "stdio":  # the end of its input leaves a moment for what is nearly done
            await trio.sleep(here.app.settings.drain_timeout)
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(rooms.cancelled) == ["quiet", "talks"]
        assert here.subscriptions() == 0
        assert not here.home.endpoint.peers
        assert not here.home.endpoint.http.exchanges


async def test_leaving_an_http_session_cancels_nothing_and_it_is_told_when_it_is_back(
    autojump_clock: MockClock,
) -> None:
    rooms = Rooms()
    async with world(rooms.app) as here:
        client = await here.open(SESSION_OVER_HTTP)
        assert isinstance(client, InSession)
        await client.subscribe("room://a", "room://b")
        await client.send(1, "tools/call", hold("t", token="p"))
        await client.told.next()
        client.leave()
        await trio.testing.wait_all_tasks_blocked()
        assert rooms.cancelled == []
        for _ in range(10):
            await here.change("room://a", "room://b", "room://a")
        rooms.gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert client.session.peer.requests == {}
        await client.open_stream()
        told = client.updates[type(None), None]
        uris = [(await told.next())["params"]["uri"] for _ in range(2)]  # type: ignore[index]
        assert sorted(uris) == ["room://a", "room://b"]
        await told.nothing()


@everywhere
async def test_a_hub_that_is_rebuilt_ends_everybody_who_may_have_missed_something(
    way: Way, autojump_clock: MockClock
) -> None:
    async with world(Rooms().app) as here:
        client = await here.open(way)
        told = await client.subscribe("room://a")
        hub = part(here.app, "hub")
        while not here.app.server.rebuilt_total:
            if hub.is_running:
                hub.exit_child("pump", RuntimeError("the pump crashes"))
            await trio.sleep(0.05)
        await told.inbox.end()
        await trio.testing.wait_all_tasks_blocked()
        assert told.inbox.rest() == client.answers[key_of(told.id)].rest() == []
        assert here.subscriptions() == 0
        if isinstance(client, InSession):
            assert (await client.session.get()).status == 404
        await trio.sleep(5)
        again = await (await here.open(way)).subscribe("room://a")
        await here.change("room://a")
        assert await again.next() == "room://a"


@everywhere
@pytest.mark.parametrize(
    ("above", "name"), [("hub", "pump"), ("hub", "flusher"), ("hub", "list changes"), ("root", "sweeper")]
)
async def test_a_part_that_crashes_and_comes_back_is_noticed_by_nobody(
    way: Way, above: str, name: str, autojump_clock: MockClock
) -> None:
    rooms = Rooms()
    async with world(rooms.app) as here:
        client = await here.open(way)
        told = await client.subscribe("room://a")
        await client.send("held", "tools/call", hold("t"))
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(2):
            part(rooms.app, above).exit_child(name, RuntimeError("crash"))
            await here.change("room://a")
            assert await told.next() == "room://a"
            await trio.sleep(5)  # restarts are counted, and too many at once are another matter
        rooms.gate.set()
        assert "result" in await client.answer("held")
        await told.inbox.nothing()


CHANGES: dict[str, Callable[[App], None]] = {
    "tools": lambda app: app.remove_tool("spare"),
    "prompts": lambda app: app.remove_prompt("spare"),
    "resources": lambda app: app.remove_resource("spare:1"),
}


@modern
@pytest.mark.parametrize("kind", CHANGES)
async def test_a_list_that_changes_is_told_to_who_asked_for_it_and_to_nobody_else(
    way: Way, kind: str, autojump_clock: MockClock
) -> None:
    async with world(Rooms().app) as here:
        client = await here.open(way)
        listens = [await client.subscribe(id=each, **{f"{each}ListChanged": True}) for each in CHANGES]
        listens.append(await client.subscribe("room://a", id="none"))
        other = await here.open(Way("http", True))
        others = await other.subscribe("room://a", toolsListChanged=False)
        CHANGES[kind](here.app)
        for listen in listens:
            if listen.id == kind:
                assert await listen.inbox.next() == list_changed(kind, kind)
        for listen in (*listens, others):
            await listen.inbox.nothing()


@legacy
@pytest.mark.parametrize("kind", CHANGES)
async def test_a_list_that_changes_is_told_to_who_has_a_session(
    way: Way, kind: str, autojump_clock: MockClock
) -> None:
    async with world(Rooms().app) as here:
        client = await here.open(way)
        await client.call("ping")  # behind `initialized`
        told = client.updates[type(None), None]
        await told.nothing()
        CHANGES[kind](here.app)
        assert await told.next() == list_changed(kind)
        await told.nothing()
