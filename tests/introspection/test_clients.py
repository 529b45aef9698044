"""`mcptrio://subscriptions` and `mcptrio://sessions` over the wire, in both revisions."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import trio
import trio.testing

from tests.introspection.house import (
    BOTH,
    LONG,
    SECRET,
    SESSIONS,
    SUBSCRIPTIONS,
    SUPERVISION,
    house,
    read,
    subscribed,
    told,
)
from tests.server.rig import Json, running, updated


@BOTH
async def test_subscriptions_are_counted_and_updated(modern: bool) -> None:
    async with running(house()) as home:
        wire = await subscribed(home, modern, SUBSCRIPTIONS)
        assert await wire.rest(LONG) == []
        others = [await home.connect(initialized=True) for _ in range(3)]
        for number, other in enumerate(others):
            await other.subscribe("a:all", f"a:b;token={SECRET}", f"a:{number}")
        assert told(SUBSCRIPTIONS, modern) in await wire.rest(LONG)
        document = await read(wire, SUBSCRIPTIONS, modern)
        assert (document["total"], document["totalUris"], document["truncated"]) == (10, 6, False)
        uris = document["uris"]
        assert isinstance(uris, list)
        assert uris[:2] == [
            {"uri": "a:all", "subscribers": 3},
            {"uri": "a:b;token=***", "subscribers": 3},
        ]
        assert SECRET not in json.dumps(document)
        others[0].vanish()
        assert await wire.rest(LONG) == [told(SUBSCRIPTIONS, modern)]
        assert (await read(wire, SUBSCRIPTIONS, modern))["total"] == 7


async def test_two_thousand_clients_are_summed_up_in_bounded_documents() -> None:
    app = house()
    async with running(app) as home:
        wire = await home.connect(initialized=True)
        await wire.subscribe(SESSIONS, SUBSCRIPTIONS, SUPERVISION)
        hub = app.hub
        many = [app.changes(f"a:{number}", "a:hot") for number in range(2000)]
        assert {updated(SESSIONS)["method"]} == {each["method"] for each in await wire.rest(LONG)}
        document = await read(wire, SUBSCRIPTIONS, False)
        assert (document["total"], document["totalUris"], document["truncated"]) == (4003, 2004, True)
        uris = document["uris"]
        assert isinstance(uris, list)
        assert (len(uris), uris[0]) == (1000, {"uri": "a:hot", "subscribers": 2000})
        for each in many:
            each.close()
        assert hub.statistics().subscriptions == 3


@BOTH
async def test_sessions_tell_who_is_there(modern: bool) -> None:
    async with running(house()) as home:
        wire = await home.connect(initialized=not modern)
        silent = await home.connect()
        legacy = await home.connect(initialized=True)
        await legacy.subscribe("a:1", "a:2")
        await legacy.send({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "rest"}})
        listening = await home.connect()
        await listening.listen("x", "a:1")
        await listening.listen("y", toolsListChanged=True)
        await trio.testing.wait_all_tasks_blocked()
        document = await read(wire, SESSIONS, modern)
        assert (document["total"], document["truncated"]) == (4, False)
        sessions = document["sessions"]
        assert isinstance(sessions, list)
        by_id = {each.pop("id"): each for each in sessions}
        assert list(by_id) == ["#1", "#2", "#3", "#4"], "as the log calls them"
        assert {each.pop("since")[:2] for each in sessions} == {"20"}
        test = {"name": "test", "version": "1"}
        nothing = {
            **{"subscriptions": 0, "selections": 0, "listens": 0, "requests": 0},
            **{"pendingBytes": 0, "waiting": 0, "waitingBytes": 0},
        }
        assert by_id["#2"] == {"revision": None, "client": None, **nothing}
        assert by_id["#3"] == {
            **nothing,
            **{"revision": "2025-11-25", "client": test},
            **{"subscriptions": 2, "requests": 1},
        }
        assert by_id["#4"] == {
            **nothing,
            **{"revision": "2026-07-28", "client": None},
            **{"subscriptions": 1, "listens": 2},
        }
        mine = by_id["#1"]
        assert (mine["revision"], mine["requests"]) == ("2026-07-28" if modern else "2025-11-25", 1)
        silent.vanish()


@BOTH
async def test_sessions_are_updated_when_somebody_comes_introduces_himself_listens_or_goes(
    modern: bool,
) -> None:
    async with running(house()) as home:
        wire = await subscribed(home, modern, SESSIONS)
        assert await wire.rest(LONG) == []
        other = await home.connect()
        steps: list[Callable[[], Awaitable[object]]] = [
            other.initialize,
            lambda: other.subscribe("a:1"),
            lambda: other.listen("x"),
            lambda: other.send(
                {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "x"}}
            ),
        ]
        assert await wire.rest(LONG) == [told(SESSIONS, modern)]
        for step in steps:
            await step()
            assert await wire.rest(LONG) == [told(SESSIONS, modern)]
        await other.result("tools/list")
        await read(wire, SESSIONS, modern)
        assert await wire.rest(LONG) == [], "requests alone announce nothing"
        other.vanish()
        assert await wire.rest(LONG) == [told(SESSIONS, modern)]


@BOTH
async def test_a_client_that_is_behind_is_seen_and_its_name_steers_no_terminal(modern: bool) -> None:
    async with running(house()) as home:
        wire = await home.connect(initialized=not modern)
        odd = await home.connect(capacity=256)
        info = {"name": "\x1b[2Jodd\nname", "version": f"password={SECRET}"}
        params: Json = {"_meta": {"io.modelcontextprotocol/clientInfo": info}}
        await odd.result("tools/list", params, modern=True)
        await odd.send(*({"jsonrpc": "2.0", "id": n, "method": "ping"} for n in range(100)))
        await trio.sleep(1)
        document = await read(wire, SESSIONS, modern)
        sessions = document["sessions"]
        assert isinstance(sessions, list)
        assert sessions[0]["id"] == "#2"
        assert sessions[0]["client"] == {"name": "\\x1b[2Jodd name", "version": "password=***"}
        assert sessions[0]["pendingBytes"] > 0
        odd.vanish()
