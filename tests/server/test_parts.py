"""Sources that crash, figures, health, and what the other parts of the server do when they are alone."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing

from mcptrio import App, Feed, ServerSettings
from mcptrio.live import Pump
from mcptrio.server.flusher import Flusher
from mcptrio.server.list_changes import ListChanges
from mcptrio.server.slow_steps import SlowSteps
from mcptrio.supervision import Escalation
from tests.server.rig import House, Wire, cancelled, request, running, updated


async def test_a_source_that_crashes_comes_back_and_subscriptions_to_it_are_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App("house")
    starts: list[float] = []
    crash = trio.Event()

    @app.source("a:{id}")
    async def flaky(feed: Feed) -> None:
        starts.append(trio.current_time())
        feed.live()
        await feed.updated("a:1", data=len(starts))
        if len(starts) == 1:
            await crash.wait()
            raise ConnectionError("the service hung up")
        await trio.sleep_forever()

    async with running(app) as home:
        wire = await home.connect(initialized=True)
        await wire.subscribe("a:1")
        assert await wire.receive() == updated("a:1")  # the subscription has started it
        assert (await home.metrics())['mcptrio_source_state{source="flaky",state="live"}'] == 1
        crash.set()
        await trio.testing.wait_all_tasks_blocked()
        figures = await home.metrics()
        assert figures['mcptrio_source_state{source="flaky",state="failed"}'] == 1
        assert figures['mcptrio_source_state{source="flaky",state="live"}'] == 0
        assert app.sources.feeds["flaky"].reason == "ConnectionError: the service hung up"
        with trio.fail_after(60):
            assert await wire.receive() == updated("a:1")
        assert len(starts) == 2
        figures = await home.metrics()
        assert figures['mcptrio_restarts_total{supervisor="sources"}'] == 1
        assert figures['mcptrio_source_state{source="flaky",state="live"}'] == 1
        assert home.app.hub.statistics().subscriptions == 1
    states = [
        record.__dict__["state"]
        for record in caplog.records
        if record.getMessage().startswith("source state")
    ]
    assert states[-1] == "failed"  # at the level of warnings
    assert any(record.getMessage().startswith("a task crashed") for record in caplog.records)
    assert any(record.getMessage().startswith("restarting") for record in caplog.records)


async def test_a_source_that_crashes_for_ever_hurts_nobody_and_is_not_given_up() -> None:
    app = App("house")
    starts = 0

    @app.source(name="hopeless")
    async def body(feed: Feed) -> None:
        nonlocal starts
        starts += 1
        raise ValueError("no")

    @app.source("b:{id}")
    async def healthy(feed: Feed) -> None:
        while True:
            await trio.sleep(10)
            await feed.updated("b:1")

    async with running(app) as home:
        wire = await home.connect(initialized=True)
        await wire.subscribe("b:1")
        for _ in range(30):
            assert await wire.receive() == updated("b:1")
        assert starts > 8
        assert await wire.result("ping") == {}
        assert (await home.get("/healthz"))[0] == 200


async def test_a_source_that_returns_has_ended_and_is_not_restarted() -> None:
    app = App("house")
    starts = 0

    @app.source()
    async def once(feed: Feed) -> None:
        nonlocal starts
        starts += 1
        await feed.created("a:1")

    async with running(app):
        await trio.sleep(100)
    assert starts == 1
    assert app.hub.offset == 1


@pytest.mark.parametrize("part", [Pump, Flusher, ListChanges])
async def test_a_part_that_crashes_is_restarted_over_its_tables(
    part: type[Pump | Flusher | ListChanges],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs = 0
    crash = trio.Event()
    body = part.run

    async def run(self: Pump | Flusher | ListChanges) -> None:
        nonlocal runs
        runs += 1
        if runs > 1:
            return await body(self)  # type: ignore[arg-type]  # it is the one of this very part
        async with trio.open_nursery() as nursery:
            nursery.start_soon(body, self)
            await crash.wait()
            raise ValueError("a bug")

    monkeypatch.setattr(part, "run", run)
    app = App("house")
    app.catalog.add_pattern("a:{id}")

    @app.source()
    async def source(feed: Feed) -> None:
        for number in range(100):
            await trio.sleep(0.1)
            await feed.created(f"a:{number}")
        await trio.sleep_forever()

    async with running(app) as home:
        wire = await home.connect(initialized=True)
        uris = [f"a:{number}" for number in range(100)]
        await wire.subscribe(*uris)
        await trio.sleep(2)
        crash.set()
        messages = await wire.rest(10)
        assert [each for each in messages if "uri" in str(each)] == [updated(uri) for uri in uris]
        assert any("list_changed" in str(each) for each in messages)
    assert runs == 2


async def test_health_is_told() -> None:
    async with running(App("house")) as home:
        status, headers, body = await home.get("/healthz")
        assert (status, body) == (200, '{"status":"ok"}\n')
        assert headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_request_that_names_no_session_is_told_what_there_is(method: str) -> None:
    async with running(App("house")) as home:
        status, headers, body = await home.get("/mcp", method)
        assert status == 405
        assert headers["allow"] == "POST"
        assert "connect a WebSocket" in body


@pytest.mark.parametrize("path", ["/", "/mcp/", "/metrics/x", "/MCP"])
async def test_there_is_nothing_else(path: str) -> None:
    async with running(App("house")) as home:
        assert (await home.get(path))[0] == 404


async def test_the_figures_tell_what_happened() -> None:
    app = App("house")
    app.catalog.add_pattern("a:{id}")

    @app.tool
    async def wait() -> str:
        await trio.sleep_forever()
        return ""

    async with running(app) as home:
        session, listener = await home.connect(initialized=True), await home.connect()
        await session.subscribe("a:1", "a:2")
        await listener.listen(1, "a:1")
        await session.send(request(9, "tools/call", {"name": "wait"}))
        app.updated_nowait("a:1", event_id="x")
        app.updated_nowait("a:1", event_id="x")
        app.updated_nowait("a:1")
        await session.rest()
        await listener.rest()
        figures = await home.metrics()
        expected = {
            "mcptrio_connections": 3,  # with the one that asks
            "mcptrio_peers": 2,
            "mcptrio_sessions": 1,
            "mcptrio_listens": 1,
            "mcptrio_requests_running": 1,
            "mcptrio_pending_bytes": 0,
            "mcptrio_connections_accepted_total": 3,
            "mcptrio_changes_total": 2,
            "mcptrio_changes_repeated_total": 1,
            "mcptrio_matches_total": 4,
            "mcptrio_conflated_total": 2,
            "mcptrio_deliveries_total": 2,
            "mcptrio_subscriptions": 3,
            "mcptrio_subscribed_uris": 2,
            "mcptrio_pump_queue": 0,
            "mcptrio_flusher_queue": 0,
            "mcptrio_requests_total": 5,
            "mcptrio_errors_total": 0,
            "mcptrio_requests_refused_total": 0,
            'mcptrio_restarts_total{supervisor="root"}': 0,
            'mcptrio_restarts_total{supervisor="peers"}': 0,
        }
        assert {name: figures[name] for name in expected} == expected
        status, headers, body = await home.get("/metrics")
        assert status == 200
        assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert body.count("# HELP mcptrio_") == body.count("# TYPE mcptrio_") > 20
        await session.send(cancelled(9))


async def test_ends_of_connections_and_refusals_are_counted() -> None:
    async with running(App("house")) as home:
        wire = await home.connect()
        await wire.connection.aclose(1000, "bye")
        stream = await home.stream()
        await stream.send_all(b"GET /mcp HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 403 ")
        await stream.aclose()
        await home.get("/none")
        figures = await home.metrics()
        assert figures['mcptrio_connections_closed_total{code="1000"}'] == 1
        assert figures['mcptrio_connections_refused_total{reason="host"}'] == 1
        assert figures['mcptrio_connections_refused_total{reason="not_found"}'] == 1


async def test_a_peer_cannot_make_up_labels_without_bound() -> None:
    async with running(App("house")) as home:
        for code in range(3000, 3060):
            wire = await home.connect()
            await wire.connection.aclose(code, "")
        await trio.testing.wait_all_tasks_blocked()
        closed = [
            name for name in await home.metrics() if name.startswith("mcptrio_connections_closed_total")
        ]
        assert len(closed) < 20


async def test_a_limit_of_connections_turns_the_next_one_away() -> None:
    from dataclasses import replace

    from mcptrio import Limits

    app = App("house", settings=ServerSettings(limits=replace(Limits(), max_connections=1)))
    async with running(app) as home:
        wire = await home.connect(initialized=True)
        assert (await home.get("/healthz"))[0] in (200, 503)
        assert await wire.result("ping") == {}


async def test_a_client_in_memory_is_served_like_any_other() -> None:
    app = App("house")

    @app.resource("a:{id}")
    async def resource(id: str) -> str:
        return f"this is {id}"

    for revision in ("auto", "2025-11-25", "2026-07-28"):
        async with app.connect(revision=revision) as client:
            async with client.subscribe("a:1") as updates:
                app.updated_nowait("a:1")
                update = await updates.__anext__()
                assert (update.uri, update.gap) == ("a:1", False)
                contents = (await client.read_resource("a:1")).contents
                assert [each.text for each in contents] == ["this is 1"]
            await client.ping()  # the newer revision's end of a listen has no answer
            assert app.hub.subscriptions() == {}
            assert len(app.server.endpoints[0].peers) == 1
        assert app.server.endpoints[0].peers == {}
        assert app.server.list_changes.watchers() == 0


def test_an_instrument_that_begins_in_the_middle_of_a_step_says_nothing() -> None:
    steps = SlowSteps(0.0)

    async def main() -> None:
        task = trio.lowlevel.current_task()
        steps.after_task_step(task)

    trio.run(main)
    assert steps.found == 0


async def test_what_is_logged_of_a_peer_names_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "mcptrio")
    app = App("house")

    @app.tool
    async def crash() -> str:
        raise ValueError

    async with running(app) as home:
        wire = await _one(home)
        await wire.call("tools/call", {"name": "crash"}, id="r1")
    record = next(each for each in caplog.records if each.getMessage().startswith("handler failed"))
    assert (record.__dict__["peer"], record.__dict__["request"]) == (wire.peer.name, "r1")
    assert {"connection accepted", "connection closed"} <= {
        str(getattr(each.msg, "event", "")) for each in caplog.records
    }


async def _one(home: House) -> Wire:
    return await home.connect(initialized=True)


async def test_a_part_that_cannot_be_kept_running_ends_the_app_with_its_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(self: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(Pump, "run", broken)
    app = App("house")
    with pytest.raises(Escalation), trio.fail_after(600):
        async with running(app):
            await trio.sleep_forever()
    assert any(record.getMessage().startswith("too many restarts") for record in caplog.records)
    assert app.server.endpoints[0].peers == {}


async def test_a_source_that_overstays_its_end_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    app = App("house")

    @app.source()
    async def stubborn(feed: Feed) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(60, shield=True):
                await trio.sleep(30)

    async with running(app):
        await trio.testing.wait_all_tasks_blocked()
    assert any("overstays" in record.getMessage() for record in caplog.records)
