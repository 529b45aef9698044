"""Requests that run side by side: progress, cancellation."""

from __future__ import annotations

import json

import pytest
import trio
import trio.testing

from mcptrio import App, Context
from tests.server.rig import cancelled, notification, running
from tests.server.work import BOTH, Work, call, connect, text_of


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
