"""What is refused, what fails, and what the caller and the log are told of it."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace

import pytest

from mcptrio import App, Limits, ServerSettings, ToolError
from mcptrio.server.subscriptions import Subscriptions
from tests.server.rig import request, running
from tests.server.work import BOTH, Work, call, connect, reason_of, text_of


@BOTH
async def test_the_id_of_a_running_request_is_refused_and_the_first_goes_on(modern: bool) -> None:
    work = Work()
    async with running(work.app) as home:
        wire = await connect(home, modern)
        await wire.send(call(1, "wait", modern=modern))
        for method in ("tools/call", "tools/list"):
            answer = await wire.call(method, {"name": "wait"}, modern=modern, id=1)
            assert answer["error"]["code"] == -32600  # type: ignore[index]
        work.gate.set()
        assert text_of(await wire.receive()) == "done"
        assert work.started == 1


async def test_one_request_too_many_is_refused_at_once_and_the_others_go_on() -> None:
    work = Work(ServerSettings(max_requests=3))
    async with running(work.app) as home:
        wire, other = await home.connect(initialized=True), await home.connect(initialized=True)
        await wire.send(*(call(number, "wait") for number in range(4)))
        refused = await wire.receive()
        assert (refused["id"], reason_of(refused)) == (3, "too_many_requests")
        assert refused["error"]["data"]["limit"] == 3  # type: ignore[index]
        await wire.send(request("r", "resources/list"))
        assert reason_of(await wire.receive()) == "too_many_requests"
        # What needs nobody's code is answered all the same, and another peer has its own room.
        assert await wire.result("ping") == {}
        assert "tools" in await wire.result("tools/list")
        assert "resources" in await other.result("resources/list")
        work.gate.set()
        assert len(await wire.rest()) == 3
        assert "resources" in await wire.result("resources/list")
        assert (await home.metrics())["mcptrio_requests_refused_total"] == 2


@BOTH
async def test_a_result_that_is_too_large_is_refused_and_the_peer_goes_on(modern: bool) -> None:
    limits = replace(Limits(), max_pending=50_000, high_water=20_000)
    work = Work(ServerSettings(limits=limits))

    @work.app.tool
    async def much(size: int) -> str:
        return "x" * size

    async with running(work.app) as home:
        wire = await connect(home, modern)
        answer = await wire.call("tools/call", {"name": "much", "arguments": {"size": 60_000}}, modern=modern)
        assert reason_of(answer) == "result_too_large"
        assert answer["error"]["data"]["limit"] == 49_488  # type: ignore[index]
        answer = await wire.call("tools/call", {"name": "much", "arguments": {"size": 40_000}}, modern=modern)
        assert len(text_of(answer)) == 40_000


@pytest.mark.parametrize("method", ["server/discover", "tools/call", "subscriptions/listen"])
async def test_an_endless_id_is_refused(method: str) -> None:
    # Ids are kept, come back on every frame of a listen, and frames are cached: their length must have a bound.
    async with running(Work().app) as home:
        wire = await home.connect()
        await wire.send(request("x" * 100_000, method, {"name": "count", "notifications": {}}, modern=True))
        answer = await wire.receive()
        assert answer["error"]["code"] == -32600  # type: ignore[index]
        assert answer["id"] == "x" * 100_000
        assert len(home.app.server.flusher.frames) == 0


@BOTH
async def test_a_handler_that_crashes_shows_a_correlation_id_and_the_log_has_the_rest(
    modern: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = App("work")

    @app.tool
    async def crash() -> str:
        raise ValueError("secret word")

    @app.resource("a:b")
    async def broken() -> str:
        raise ValueError("secret word")

    @app.prompt
    async def lost() -> str:
        raise ValueError("secret word")

    async with running(app) as home:
        wire = await connect(home, modern)
        shown = [await wire.call("tools/call", {"name": "crash"}, modern=modern)]
        assert shown[0]["result"]["isError"] is True  # type: ignore[index]
        for method, params in (("resources/read", {"uri": "a:b"}), ("prompts/get", {"name": "lost"})):
            answer = await wire.call(method, params, modern=modern)
            assert answer["error"]["code"] == -32603  # type: ignore[index]
            assert answer["error"]["message"] == "Internal error"  # type: ignore[index]
            shown.append(answer)
        assert "secret" not in json.dumps(shown)
        logged = [record for record in caplog.records if record.getMessage().startswith("handler failed")]
        assert len(logged) == 3
        for record, answer in zip(logged, shown, strict=True):
            assert record.levelno == logging.ERROR
            assert record.exc_info is not None
            assert str(record.exc_info[1]) == "secret word"
            assert record.__dict__["correlation_id"] in json.dumps(answer)
            assert record.__dict__["peer"] == wire.peer.name
            assert record.__dict__["request"] == answer["id"]


@BOTH
async def test_a_bug_of_the_server_is_answered_and_hurts_nobody(
    modern: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*args: object) -> None:
        raise KeyError("secret word")

    work = Work()
    async with running(work.app) as home:
        wire, other = await connect(home, modern), await connect(home, modern)
        with monkeypatch.context() as patch:
            patch.setattr(Subscriptions, "subscribe", bug)
            patch.setattr(Subscriptions, "listen", bug)
            patch.setattr(type(work.app.catalog), "list_resources", bug)
            home.app.server.dispatch._now[
                next(r for r, m in home.app.server.dispatch._now if m == "ping"), "ping"
            ] = bug
            method = "subscriptions/listen" if modern else "ping"
            if modern:
                key = next(key for key in home.app.server.dispatch._now if key[1] == method)
                home.app.server.dispatch._now[key] = bug
            answers = [
                await wire.call(method, {"notifications": {}}, modern=modern),
                await wire.call("resources/list", modern=modern),
            ]
        for answer in answers:
            error = answer["error"]
            assert isinstance(error, dict)
            assert (error["code"], error["message"]) == (-32603, "Internal error")
            assert "secret" not in json.dumps(answer)
            assert any(
                record.__dict__.get("correlation_id") == error["data"]["correlationId"]
                for record in caplog.records
                if record.getMessage().startswith("request failed")
            )
        assert "result" in await wire.call("tools/list", modern=modern)
        assert "result" in await other.call("tools/list", modern=modern)


@BOTH
async def test_a_tools_own_failures_are_results_that_the_model_can_read(modern: bool) -> None:
    app = App("work")

    @app.tool
    async def fails(days: int) -> str:
        raise ToolError("no such city")

    async with running(app) as home:
        wire = await connect(home, modern)
        result = await wire.result("tools/call", {"name": "fails", "arguments": {"days": 1}}, modern=modern)
        assert (result["isError"], result["content"]) == (True, [{"type": "text", "text": "no such city"}])
        result = await wire.result("tools/call", {"name": "fails", "arguments": {"days": "x"}}, modern=modern)
        assert result["isError"] is True
        assert "days" in str(result["content"])
        assert (await wire.error("tools/call", {"name": "none"}, modern=modern))[0] == -32602
        assert (await wire.error("tools/call", {"name": "fails", "arguments": []}, modern=modern))[
            0
        ] == -32602
        assert (await wire.error("tools/call", {}, modern=modern))[0] == -32602


@pytest.mark.parametrize(("modern", "code"), [(False, -32002), (True, -32602)])
async def test_a_resource_that_is_not_there_has_the_code_of_the_revision(modern: bool, code: int) -> None:
    async with running(Work().app) as home:
        wire = await connect(home, modern)
        found, _, data = await wire.error("resources/read", {"uri": "a:none"}, modern=modern)
        assert (found, data) == (code, {"uri": "a:none"})
        for uri in ("", "none", "a:\n", "a:" + "b" * 3000):
            assert (await wire.error("resources/read", {"uri": uri}, modern=modern))[0] == -32602


async def test_a_step_that_keeps_the_thread_is_logged_with_the_handlers_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App("work", settings=ServerSettings(slow_step=0.02))

    @app.tool
    async def greedy() -> str:
        time.sleep(0.05)  # noqa: ASYNC251  # what must not be done
        return "done"

    async with running(app) as home:
        wire = await home.connect(initialized=True)
        await wire.result("tools/call", {"name": "greedy"})
        slow = [record for record in caplog.records if "kept the thread" in record.getMessage()]
        assert any(record.__dict__["task"] == "tools/call greedy" for record in slow)
        assert all(record.levelno == logging.WARNING for record in slow)
        assert (await home.metrics())["mcptrio_slow_steps_total"] >= 1
