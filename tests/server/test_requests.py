"""Requests that run: progress, cancellation, ids, limits, failures."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace

import pytest
import trio
import trio.testing

from mcptrio import App, Context, Limits, ServerSettings, ToolError
from mcptrio.catalog import ListKind
from mcptrio.server.subscriptions import Subscriptions
from tests.server.rig import House, Wire, cancelled, notification, request, running

BOTH = pytest.mark.parametrize("modern", [False, True], ids=["2025-11-25", "2026-07-28"])


class Work:
    """An app whose tools show what happens to them."""

    def __init__(self, settings: ServerSettings | None = None) -> None:
        self.app = App("work", settings=settings)
        self.started = 0
        self.ended: list[str] = []
        self.gate = trio.Event()
        app = self.app

        @app.tool
        async def wait() -> str:
            self.started += 1
            try:
                await self.gate.wait()
            except trio.Cancelled:
                self.ended.append("cancelled")
                raise
            self.ended.append("done")
            return "done"

        @app.tool
        async def count(to: int, context: Context) -> str:
            for number in range(1, to + 1):
                await context.progress(number, total=to, message=f"step {number}")
            return "counted"


def call(
    id: object,
    name: str,
    arguments: dict[str, object] | None = None,
    *,
    modern: bool = False,
    token: object = None,
) -> dict[str, object]:
    params: dict[str, object] = {"name": name, "arguments": arguments or {}}
    if token is not None:
        params["_meta"] = {"progressToken": token}
    return request(id, "tools/call", params, modern=modern)


def text_of(answer: dict[str, object]) -> str:
    result = answer["result"]
    assert isinstance(result, dict)
    return str(result["content"][0]["text"])


def reason_of(answer: dict[str, object]) -> object:
    error = answer["error"]
    assert isinstance(error, dict)
    assert error["code"] == -32603
    return error["data"]["reason"]


async def connect(home: House, modern: bool) -> Wire:
    return await home.connect(initialized=not modern)


@BOTH
async def test_answers_come_as_they_are_ready_and_the_reader_never_waits(modern: bool) -> None:
    work = Work()
    async with running(work.app) as home:
        wire = await connect(home, modern)
        await wire.send(call("slow", "wait", modern=modern))
        assert "result" in await wire.call("tools/list", modern=modern)
        assert len(wire.peer.requests) == 1
        work.gate.set()
        assert text_of(await wire.receive()) == "done"
        assert wire.peer.requests == {}


# Progress


@BOTH
@pytest.mark.parametrize("token", ["t", "1", 1, 2**64])
async def test_progress_comes_with_the_callers_token_in_order_before_the_answer(
    modern: bool, token: object
) -> None:
    async with running(Work().app) as home:
        wire = await connect(home, modern)
        await wire.send(call(1, "count", {"to": 3}, modern=modern, token=token))
        reports = [(await wire.receive())["params"] for _ in range(3)]
        assert reports == [
            {"progressToken": token, "progress": number, "total": 3, "message": f"step {number}"}
            for number in (1, 2, 3)
        ]
        assert all(isinstance(each, dict) and type(each["progressToken"]) is type(token) for each in reports)
        assert text_of(await wire.receive()) == "counted"


@BOTH
async def test_without_a_token_there_is_no_progress(modern: bool) -> None:
    async with running(Work().app) as home:
        wire = await connect(home, modern)
        answer = await wire.call("tools/call", {"name": "count", "arguments": {"to": 3}}, modern=modern)
        assert text_of(answer) == "counted"
        assert await wire.rest() == []


async def test_progress_that_does_not_rise_is_dropped() -> None:
    work = Work()

    @work.app.tool
    async def uneven(context: Context) -> str:
        for number in (1, 1, 0.5, -1, 1.5, 1.5, 2):
            await context.progress(number)
        return "done"

    async with running(work.app) as home:
        wire = await home.connect(initialized=True)
        await wire.send(call(1, "uneven", token="t"))
        messages = await wire.rest()
        progress = [message["params"]["progress"] for message in messages if "method" in message]  # type: ignore[index]
        assert progress == [1, 1.5, 2]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
async def test_progress_that_is_no_number_is_not_sent(value: float) -> None:
    work = Work()

    @work.app.tool
    async def odd(context: Context) -> str:
        await context.progress(value)
        await context.progress(1, total=value)
        await context.progress(2, total=4)
        return "done"

    async with running(work.app) as home:
        wire = await home.connect(initialized=True)
        await wire.send(call(1, "odd", token="t"))
        messages = await wire.rest()
        assert text_of(messages[-1]) == "done"
        # JSON has no such number: null in its place is not what the schema allows.
        assert all("null" not in json.dumps(message) for message in messages), messages
        params = [message["params"] for message in messages if "method" in message]
        assert {"progressToken": "t", "progress": 2, "total": 4} in params


async def test_nothing_is_reported_after_the_answer() -> None:
    work = Work()
    contexts: list[Context] = []

    @work.app.tool
    async def leak(context: Context) -> str:
        contexts.append(context)
        return "done"

    async with running(work.app) as home:
        wire = await home.connect(initialized=True)
        await wire.send(call(1, "leak", token="t"))
        assert text_of(await wire.receive()) == "done"
        await contexts[0].progress(1)
        assert await wire.rest() == []


async def test_nothing_is_reported_for_a_cancelled_request_even_from_a_shield() -> None:
    work = Work()

    @work.app.tool
    async def stubborn(context: Context) -> str:
        try:
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(2, shield=True):
                await context.progress(1)
                work.ended.append("cleaned")

    async with running(work.app) as home:
        wire = await home.connect(initialized=True)
        await wire.send(call(1, "stubborn", token="t"))
        await trio.testing.wait_all_tasks_blocked()
        await wire.send(cancelled(1))
        assert await wire.rest() == []
        assert work.ended == ["cleaned"]


async def test_the_meta_of_a_request_is_shown_to_its_handler() -> None:
    app = App("work")

    @app.tool
    async def meta(context: Context) -> dict[str, object]:
        return {"meta": dict(context.request_meta), "principal": context.principal}

    async with running(app) as home:
        wire = await home.connect(initialized=True)
        params = {"name": "meta", "_meta": {"traceparent": "00-1", "mine": [1]}}
        result = await wire.result("tools/call", params)
        assert result["structuredContent"] == {
            "meta": {"traceparent": "00-1", "mine": [1]},
            "principal": None,
        }
        result = await wire.result("tools/call", {"name": "meta"})
        assert result["structuredContent"] == {"meta": {}, "principal": None}


# Cancellation


@BOTH
async def test_a_cancelled_request_answers_nothing_and_is_gone(modern: bool) -> None:
    work = Work()
    async with running(work.app) as home:
        wire = await connect(home, modern)
        await wire.send(call(1, "wait", modern=modern))
        await trio.testing.wait_all_tasks_blocked()
        await wire.send(cancelled(1))
        assert await wire.rest() == []
        assert work.ended == ["cancelled"]
        assert wire.peer.requests == {}
        work.gate.set()
        await wire.send(call(1, "wait", modern=modern))  # the id is free again
        assert text_of(await wire.receive()) == "done"


@BOTH
async def test_a_cancellation_in_the_same_read_as_its_call_answers_nothing(modern: bool) -> None:
    work = Work()

    @work.app.tool
    async def at_once() -> str:
        work.started += 1
        return "done"

    async with running(work.app) as home:
        wire = await connect(home, modern)
        await wire.send_at_once(
            call(1, "wait", modern=modern), cancelled(1), call(2, "at_once", modern=modern), cancelled(2)
        )
        assert await wire.rest() == []
        assert wire.peer.requests == {}
        assert work.ended in ([], ["cancelled"])


@pytest.mark.parametrize(
    ("running_id", "other"), [(1, "1"), ("1", 1), (1, 2), ("a", "A"), (1, True), (1, 1.0)]
)
async def test_the_id_of_another_type_or_of_nothing_cancels_nothing(
    running_id: object, other: object
) -> None:
    work = Work()
    async with running(work.app) as home:
        wire = await home.connect(initialized=True)
        await wire.send(call(running_id, "wait"))
        await wire.send(cancelled(other), cancelled("unknown"), notification("notifications/cancelled", {}))
        assert await wire.rest() == []
        work.gate.set()
        answer = await wire.receive()
        assert (answer["id"], text_of(answer)) == (running_id, "done")


async def test_ids_of_both_types_run_side_by_side() -> None:
    work = Work()
    async with running(work.app) as home:
        wire = await home.connect(initialized=True)
        await wire.send(call(1, "wait"), call("1", "wait"))
        await wire.send(cancelled("1"))
        assert await wire.rest() == []
        work.gate.set()
        messages = await wire.rest()
        assert [(type(message["id"]), message["id"]) for message in messages] == [(int, 1)]


async def test_a_peer_cannot_cancel_what_another_runs() -> None:
    work = Work()
    async with running(work.app) as home:
        one, two = await home.connect(initialized=True), await home.connect(initialized=True)
        await one.send(call(1, "wait"))
        await trio.testing.wait_all_tasks_blocked()
        await two.send(cancelled(1))
        assert await two.rest() == []
        work.gate.set()
        assert text_of(await one.receive()) == "done"


async def test_a_cancellation_behind_the_answer_is_ignored() -> None:
    async with running(Work().app) as home:
        wire = await home.connect(initialized=True)
        await wire.call("tools/call", {"name": "count", "arguments": {"to": 1}}, id=1)
        await wire.send(cancelled(1), cancelled(1))
        assert await wire.rest() == []
        assert await wire.result("ping") == {}


async def test_a_peer_that_vanishes_takes_its_requests_with_it() -> None:
    work = Work()
    async with running(work.app) as home:
        wire = await home.connect(initialized=True)
        await wire.send(call(1, "wait"), call(2, "wait"))
        await trio.testing.wait_all_tasks_blocked()
        assert work.started == 2
        wire.vanish()
        await trio.testing.wait_all_tasks_blocked()
        assert work.ended == ["cancelled", "cancelled"]


@BOTH
async def test_wherever_a_call_is_cancelled_it_is_answered_once_or_never_and_leaves_nothing(
    modern: bool,
) -> None:
    async with running(Work().app) as home:
        wire = await connect(home, modern)
        for steps in range(12):
            await wire.send_at_once(call(steps, "count", {"to": 2}, modern=modern, token="t"))
            for _ in range(steps):
                await trio.lowlevel.checkpoint()
            await wire.send_at_once(cancelled(steps))
            answers = [message for message in await wire.rest() if "id" in message]
            assert len(answers) <= 1
            assert wire.peer.requests == {}
        assert "result" in await wire.call("tools/list", modern=modern)


# Ids and limits


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
        assert answer["error"]["data"]["limit"] == 50_000  # type: ignore[index]
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
        assert len(json.dumps(answer)) < 10_000


# Failures


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
        logged = [record for record in caplog.records if record.getMessage() == "handler failed"]
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
                if record.getMessage() == "request failed"
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


async def test_a_request_while_the_server_drains_is_refused_with_the_reason() -> None:
    work = Work()
    async with running(work.app) as home:
        wire = await home.connect(initialized=True)
        await wire.send(call(1, "wait"))
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(home.app.server.endpoints[0].drain)
            await trio.testing.wait_all_tasks_blocked()
            await wire.send(request("late", "tools/list"))
            assert reason_of(await wire.receive()) == "shutting_down"
            work.gate.set()  # what runs is let finish
            assert text_of(await wire.receive()) == "done"
            assert (await wire.closed())[0] == 1001
        assert wire.peer.requests == {}


async def test_what_overstays_the_drain_is_cancelled_and_the_wire_closed() -> None:
    work = Work()
    async with running(work.app) as home:
        wire = await home.connect(initialized=True)
        await wire.send(call(1, "wait"))
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(home.app.server.endpoints[0].drain)
            assert (await wire.closed())[0] == 1001
        assert trio.current_time() - began <= home.app.settings.drain_timeout
        assert work.ended == ["cancelled"]


def test_the_kinds_of_lists_are_the_three_of_the_protocol() -> None:
    assert [kind.value for kind in ListKind] == ["tools", "resources", "prompts"]
