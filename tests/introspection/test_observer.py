"""`mcptrio://alerts` over the wire: what happens to the parts of a running server becomes alerts."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from prometheus_client import generate_latest

from mcptrio import Change, ServerSettings
from mcptrio.access import Access
from mcptrio.introspection import install
from mcptrio.supervision import supervisors
from mcptrio.wire import Limits, memory_transport_pair
from tests.introspection.house import (
    ALERTS,
    BOTH,
    LONG,
    SECRET,
    SUPERVISION,
    Mail,
    house,
    once_or_twice,
    read,
    subscribed,
    told,
)
from tests.server.rig import Json, running


@BOTH
async def test_an_alert_opens_is_told_of_and_resolves_by_itself(modern: bool) -> None:
    mail = Mail()
    async with running(house(mail)) as home:
        wire = await subscribed(home, modern, ALERTS)
        assert await read(wire, ALERTS, modern) == {"open": [], "history": [], "dropped": 0}
        with home.app.changes("mail://1"):
            await trio.testing.wait_all_tasks_blocked()
            mail.fails.set()
            assert await wire.rest(LONG) in once_or_twice(ALERTS, modern)
            document = await read(wire, ALERTS, modern)
            assert isinstance(document["open"], list)
            assert isinstance(document["history"], list)
            message = "ConnectionError: https://***@mail.example.org said no"
            crashed, failed = *document["open"], *document["history"]
            assert (crashed["part"], crashed["reason"], crashed["severity"], crashed["message"]) == (
                *("sources/mail", "crashed", "error"),
                message,
            )
            assert (failed["part"], failed["reason"], failed["severity"], failed["message"]) == (
                *("sources/mail", "failed", "error"),
                message,
            )
            assert (crashed["count"], crashed["resolvedAt"]) == (1, None)
            assert failed["resolvedAt"] >= failed["since"]
            assert (await home.metrics())['mcptrio_alerts{severity="error"}'] == 1
            assert await wire.rest(20) == [told(ALERTS, modern)]
            document = await read(wire, ALERTS, modern)
            assert (document["open"], len(document["history"])) == ([], 2)  # type: ignore[arg-type]
            assert (await home.metrics())['mcptrio_alerts{severity="error"}'] == 0


async def test_a_change_that_is_set_aside_is_an_alert() -> None:
    mail = Mail()
    async with running(house(mail)) as home:
        wire = await subscribed(home, False, "mail://1")
        await trio.testing.wait_all_tasks_blocked()
        assert mail.feed is not None
        publish, home.app.hub.publish = home.app.hub.publish, _refuse  # type: ignore[method-assign]
        await mail.feed.report(Change(uri=f"mail://1?token={SECRET}", source="mail"))
        await trio.testing.wait_all_tasks_blocked()
        home.app.hub.publish = publish  # type: ignore[method-assign]
        [alert] = (await read(wire, ALERTS, False))["open"]  # type: ignore[misc]
        assert (alert["part"], alert["reason"], alert["severity"]) == ("pump", "change set aside", "error")
        assert alert["message"] == "mail://1?token=*** of mail: OSError: full"
        await trio.sleep(60)
        assert (await read(wire, ALERTS, False))["open"] == []


def _refuse(change: Change) -> None:
    raise OSError("full")


async def test_connections_near_their_limit_are_alerts_while_they_are() -> None:
    app = house(settings=ServerSettings(limits=Limits(max_connections=10)))
    async with running(app) as home:
        wires = [await home.connect(initialized=True) for _ in range(7)]
        wire = wires.pop()
        document = await read(wire, ALERTS, False)
        [alert] = document["open"]  # type: ignore[misc]
        assert (alert["part"], alert["reason"], alert["severity"], alert["message"]) == (
            *("memory", "many connections", "info"),
            "7 of 10 connections are open",
        )
        wires += [await home.connect() for _ in range(3)]
        [alert] = (await read(wire, ALERTS, False))["open"]  # type: ignore[misc]
        assert (alert["reason"], alert["severity"]) == ("no more connections", "warning")
        for other in wires:
            other.vanish()
        await trio.testing.wait_all_tasks_blocked()
        document = await read(wire, ALERTS, False)
        assert (document["open"], [each["reason"] for each in document["history"]]) == (  # type: ignore[attr-defined]
            [],
            ["many connections", "no more connections", "many connections"],
        )


def open_alerts(document: Json) -> list[tuple[str, str, str]]:
    return [(each["part"], each["reason"], each["severity"]) for each in document["open"]]  # type: ignore[attr-defined]


async def test_a_hub_that_had_to_be_rebuilt_is_critical_until_it_has_run_for_a_minute() -> None:
    app = house()
    async with running(app) as home:
        [hub] = [each for each in supervisors(app.server.root) if each.name == "hub"]
        wire = await home.connect(initialized=True)
        for number in range(4):
            hub.exit_child("pump", ValueError(f"token={SECRET} {number}"))
            await trio.sleep(1)
        assert (await wire.closed())[0] == 1012
        wire = await home.connect(initialized=True)
        document = await read(wire, ALERTS, False)
        assert open_alerts(document) == [
            ("hub", "escalated", "critical"),
            ("hub", "rebuilt", "critical"),
            ("hub/pump", "crashed", "error"),
        ]
        [escalated, *_] = document["open"]  # type: ignore[misc]
        assert escalated["message"] == "too many restarts, the last of pump after ValueError: token=*** 3"
        assert (await home.metrics())['mcptrio_alerts{severity="critical"}'] == 2
        await trio.sleep(60)
        document = await read(wire, ALERTS, False)
        assert document["open"] == []
        reasons = [each["reason"] for each in document["history"]]  # type: ignore[attr-defined]
        assert sorted(reasons) == ["crashed", "escalated", "rebuilt"]


async def test_a_connection_that_overstays_its_end_is_a_warning_until_it_ends() -> None:
    app = house()
    free = trio.Event()

    @app.tool
    async def stuck() -> None:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 100):
            await free.wait()

    async with running(app) as home:
        wire, stubborn = [await home.connect(initialized=True) for _ in range(2)]
        await stubborn.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "stuck"}})
        await trio.testing.wait_all_tasks_blocked()
        [peers] = [each for each in supervisors(app.server.root) if each.name == "peers"]
        peers.stop_child_nowait(peers.children()[1].name)
        await trio.sleep(5)
        document = await read(wire, ALERTS, False)
        assert open_alerts(document) == [("peers", "overstayed", "warning")]
        [alert] = document["open"]  # type: ignore[misc]
        assert alert["message"] == "connection #2 was told to stop and still runs after its deadline"
        root = await read(wire, SUPERVISION, False)
        [shown] = [each for each in root["children"] if each["name"] == "peers"]  # type: ignore[attr-defined]
        assert [(each["name"], each["state"]) for each in shown["children"]] == [
            ("connection #2", "overstayed")
        ]
        free.set()
        await trio.testing.wait_all_tasks_blocked()
        assert (await read(wire, ALERTS, False))["open"] == []


async def test_the_connections_of_a_listener_that_has_ended_are_no_alert_any_more() -> None:
    app = house()
    async with running(app) as home:
        wire = await home.connect(initialized=True)
        crowded = app.server._open_endpoint("listener 7", Access(), (), (), max_connections=1)
        ours, theirs = memory_transport_pair()
        crowded.connect(ours)
        await trio.testing.wait_all_tasks_blocked()
        assert open_alerts(await read(wire, ALERTS, False)) == [
            ("listener 7", "no more connections", "warning")
        ]
        app.server.endpoints.remove(crowded)
        assert open_alerts(await read(wire, ALERTS, False)) == []
        theirs.abort()


def test_times_of_an_earlier_run_of_trio_keep_no_alert_open() -> None:
    app = house()

    async def crash() -> list[tuple[str, str, str]]:
        async with running(app) as home:
            wire = await home.connect(initialized=True)
            app.server._start_connection("memory", _crash)
            await trio.testing.wait_all_tasks_blocked()
            return open_alerts(await read(wire, ALERTS, False))

    async def look() -> tuple[list[tuple[str, str, str]], object]:
        async with running(app) as home:
            wire = await home.connect(initialized=True)
            document = await read(wire, ALERTS, False)
            return open_alerts(document), document["history"]

    assert trio.run(crash, clock=_clock(1_000_000)) == [("peers", "crashed", "error")]
    metrics = generate_latest(app.server.metrics).decode()
    assert 'mcptrio_alerts{severity="error"} 1.0' in metrics, "outside of a run it is as it was"
    still_open, history = trio.run(look, clock=_clock(0))
    assert still_open == []
    assert [each["reason"] for each in history] == ["crashed"]  # type: ignore[attr-defined]


async def _crash() -> None:
    raise ValueError("no")


def _clock(at: float) -> trio.testing.MockClock:
    clock = trio.testing.MockClock(autojump_threshold=0)
    clock.jump(at)
    return clock


def test_it_is_installed_once() -> None:
    app = house()
    with pytest.raises(ValueError, match="mcptrio"):
        install(app.registry, app.hub, app.server.pump, app.server, app.sources, app.server.reports)


def test_the_resources_can_be_subscribed_before_the_app_runs() -> None:
    app = house()
    with app.changes(ALERTS, SUPERVISION, "mcptrio://sources/mail") as changes:

        async def look() -> str:
            async with running(app):
                with changes:
                    return (await changes.receive()).change.uri

        assert trio.run(look, clock=_clock(0)) == SUPERVISION, "its parts have come to run"


def test_what_a_source_says_outside_of_a_run_is_no_alert() -> None:
    app = house()
    app.sources.feeds["mail"].failed("nothing runs")
    assert 'mcptrio_alerts{severity="error"} 0.0' in generate_latest(app.server.metrics).decode()
