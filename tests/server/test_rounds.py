"""Asking in 2026-07-28: the client tries again with answers, and the handler runs again with them."""

from __future__ import annotations

from typing import Annotated

import pytest
import trio
from msgspec import Struct

from mcptrio import App, Ask, Context, QuestionFailed, Sample, Sampled, ServerSettings, ToolError
from mcptrio.server import request_state
from tests.catalog.captured_logs import captured_logs
from tests.server.asked import Name, Talk, accept, said, said_by, talk
from tests.server.rig import Json, running


class Sure(Struct):
    sure: bool


def house(settings: ServerSettings | None = None) -> tuple[App, list[str]]:
    """An app with a tool that asks two things one after the other, and how far its runs came."""
    app = App("asking", settings=settings)
    runs: list[str] = []

    @app.tool
    async def ask(place: str, context: Context) -> str:
        runs.append("began")
        name = (await context.elicit("Who?", Name)).value.name
        runs.append(name)
        sure = (await context.elicit("Sure?", Sure, key="sure")).value.sure
        runs.append("through")
        return f"{name} {place} {sure}"

    return app, runs


def params(**more: object) -> Json:
    return {"name": "ask", "arguments": {"place": "oz"}, **more}


async def asked(client: Talk, request: Json) -> tuple[dict[str, Json], str]:
    """Try a tool call; what it asks for, and the state."""
    answer = await client.attempt("tools/call", request)
    result = answer["result"]
    assert isinstance(result, dict), answer
    assert result["resultType"] == "input_required", result
    return result["inputRequests"], result["requestState"]


async def refused(client: Talk, method: str, request: Json) -> str:
    error = (await client.attempt(method, request))["error"]
    assert isinstance(error, dict)
    assert error["code"] == -32602
    return str(error["message"])


async def test_the_handler_runs_again_for_each_round() -> None:
    app, runs = house()
    async with running(app) as home:
        client = await talk(home, modern=True)
        text = await client.text("ask", {"Who?": accept(name="Ann"), "Sure?": accept(sure=True)}, place="oz")
        assert text == "Ann oz True"
        assert runs == ["began", "began", "Ann", "began", "Ann", "through"]
        assert [list(each) for each in client.rounds] == [["question-1"], ["sure"]]


async def test_a_try_needs_nothing_but_itself() -> None:
    key = bytes(range(32))
    app, _ = house(ServerSettings(state_key=key))
    async with running(app) as home:
        _, state = await asked(await talk(home, modern=True), params())
    twin, runs = house(ServerSettings(state_key=key))
    async with running(twin) as home:
        client = await talk(home, modern=True)
        answers = {"question-1": accept(name="Ann"), "sure": accept(sure=False)}
        answer = await client.attempt("tools/call", params(inputResponses=answers, requestState=state))
        assert said_by(answer["result"]) == "Ann oz False"  # type: ignore[arg-type]
        assert runs == ["began", "Ann", "through"]


async def test_answers_of_earlier_rounds_are_in_the_state_alone() -> None:
    app, _ = house()
    async with running(app) as home:
        client = await talk(home, modern=True)
        _, state = await asked(client, params())
        first = {"question-1": accept(name="Ann")}
        questions, state = await asked(client, params(inputResponses=first, requestState=state))
        assert list(questions) == ["sure"]
        last = {"sure": accept(sure=True)}
        assert list((await asked(client, params(inputResponses=last)))[0]) == ["question-1"]
        # An answer that was given cannot be changed: what came of it may have been shown already.
        changed = {"question-1": accept(name="Eve"), **last}
        answer = await client.attempt("tools/call", params(inputResponses=changed, requestState=state))
        assert said_by(answer["result"]) == "Ann oz True"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "responses",
    [
        None,
        [],
        5,
        "question-1",
        {},
        {"other": accept(name="Ann")},
        {"question-1": 12345},
        {"question-1": None},
        {"question-1": {}},
        {"question-1": {"action": "perhaps"}},
        {"question-1": {"action": "accept"}},
        {"question-1": accept(name=5)},
        {"question-1": accept(nom="Ann")},
        {"question-1": said("Ann")},
        {"question-1": {"result": accept(name="Ann")}},
    ],
)
async def test_an_answer_that_does_not_fit_is_asked_for_again(responses: object) -> None:
    app, runs = house()
    async with running(app) as home:
        client = await talk(home, modern=True)
        _, state = await asked(client, params())
        questions, state = await asked(client, params(inputResponses=responses, requestState=state))
        assert list(questions) == ["question-1"]
        both = {"question-1": accept(name="Ann"), "sure": accept(sure=True), "more": 5}
        answer = await client.attempt("tools/call", params(inputResponses=both, requestState=state))
        assert said_by(answer["result"]) == "Ann oz True"  # type: ignore[arg-type]
        assert runs == ["began", "began", "began", "Ann", "through"]


async def test_only_what_is_missing_is_asked_for_again() -> None:
    app = App("asking")

    @app.tool
    async def greet(user: Annotated[Name, Ask("Who?")], heard: Annotated[Sampled, Sample("Speak")]) -> str:
        return f"{heard.text} {user.name}"

    async with running(app) as home:
        client = await talk(home, modern=True)
        questions, state = await asked(client, {"name": "greet"})
        assert list(questions) == ["user", "heard"]
        first: Json = {"user": accept(name="Ann"), "heard": 7}
        request: Json = {"name": "greet", "inputResponses": first, "requestState": state}
        questions, state = await asked(client, request)
        assert list(questions) == ["heard"]
        request = {"name": "greet", "inputResponses": {"heard": said("Hi")}, "requestState": state}
        answer = await client.attempt("tools/call", request)
        assert said_by(answer["result"]) == "Hi Ann"  # type: ignore[arg-type]


async def test_a_state_is_good_for_its_own_request_only(monkeypatch: pytest.MonkeyPatch) -> None:
    app, runs = house()

    @app.tool
    async def other(place: str) -> str:
        raise AssertionError("must not be called")

    @app.prompt(name="ask")
    async def prompt(place: str) -> str:
        raise AssertionError("must not be called")

    async with running(app) as home:
        client = await talk(home, modern=True)
        _, state = await asked(client, params())
        began = len(runs)
        assert "is not of this request" in await refused(
            client, "tools/call", params(requestState=state + "-TAMPERED")
        )
        for request in (
            params(requestState="x" + state),
            params(requestState=""),
            params(requestState=state, arguments={"place": "kansas"}),
            params(requestState=state, arguments={}),
            params(requestState=state, name="other"),
            params(requestState=state, more=1),
        ):
            await refused(client, "tools/call", request)
        await refused(client, "prompts/get", params(requestState=state))
        assert "is not a string" in await refused(client, "tools/call", params(requestState=5))
        client.wire.peer.principal = "somebody"
        await refused(client, "tools/call", params(requestState=state))
        client.wire.peer.principal = None
        assert len(runs) == began, "a refused request runs nothing"
        assert list((await asked(client, params(requestState=state)))[0]) == ["question-1"]
        assert list((await asked(client, params(requestState=None)))[0]) == ["question-1"]


async def test_a_state_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(request_state, "wall_clock", lambda: now[0])
    app, _ = house(ServerSettings(question_timeout=60))
    async with running(app) as home:
        client = await talk(home, modern=True)
        _, state = await asked(client, params())
        now[0] += 59
        await asked(client, params(requestState=state))
        now[0] += 1
        assert "has expired" in await refused(client, "tools/call", params(requestState=state))


async def test_answers_that_are_too_big_to_be_carried_are_refused() -> None:
    app, _ = house()
    async with running(app) as home:
        client = await talk(home, modern=True)
        _, state = await asked(client, params())
        long = {"question-1": accept(name="a" * request_state.MAX_STATE)}
        answer = await client.attempt("tools/call", params(inputResponses=long, requestState=state))
        assert answer["error"]["data"]["reason"] == "result_too_large"  # type: ignore[index]


async def test_nothing_but_a_tool_a_read_or_a_prompt_asks() -> None:
    app, _ = house()
    async with running(app) as home:
        client = await talk(home, modern=True)
        for method in (
            "tools/list",
            "prompts/list",
            "resources/list",
            "resources/templates/list",
            "server/discover",
        ):
            answer = await client.attempt(method, {"inputResponses": {"a": 1}, "requestState": "x"})
            assert answer["result"]["resultType"] == "complete"  # type: ignore[index]


async def test_nothing_that_a_handler_puts_around_a_question_gets_in_its_way() -> None:
    app = App("asking")
    ended: list[str] = []

    @app.tool(timeout=5, concurrency=1)
    async def ask(context: Context) -> str:
        async def child() -> None:
            try:
                found.append((await context.elicit("Who?", Name)).value.name)
            except Exception as error:
                raise AssertionError("must not be seen as a failure") from error
            finally:
                ended.append("child")

        found: list[str] = []
        try:
            async with trio.open_nursery() as outer, trio.open_nursery() as inner:
                outer.start_soon(child)
                inner.start_soon(trio.sleep, 0.1)
        except* ValueError:
            raise AssertionError("must not be seen") from None
        return found[0]

    async with running(app) as home:
        client = await talk(home, modern=True)
        assert await client.text("ask", {"Who?": accept(name="Ann")}) == "Ann"
        assert ended == ["child", "child"]
        assert await client.text("ask", {"Who?": accept(name="Eve")}) == "Eve"


async def test_what_a_handler_makes_of_being_ended_is_not_told() -> None:
    app = App("asking")

    @app.tool
    async def swallows(context: Context) -> str:
        try:
            return (await context.elicit("Who?", Name)).value.name
        except trio.Cancelled:  # noqa: ASYNC103
            return "nobody"  # noqa: ASYNC104

    @app.tool
    async def fails(context: Context) -> str:
        try:
            return (await context.elicit("Who?", Name)).value.name
        finally:
            raise ToolError("in the cleanup")

    @app.resource("x:y")
    async def reading(context: Context) -> str:
        try:
            return (await context.elicit("Who?", Name)).value.name
        finally:
            await context.log("error", "unheard")  # noqa: ASYNC102  the fault under test

    async with running(app) as home:
        client = await talk(home, modern=True)
        assert await client.text("swallows", {"Who?": accept(name="Ann")}) == "Ann"
        assert await client.failure("fails", {"Who?": accept(name="Ann")}) == "in the cleanup"
        assert client.asked == ["Who?", "Who?"]
        answer = await client.request("resources/read", {"uri": "x:y"}, {"Who?": accept(name="Ann")})
        assert answer["result"]["contents"][0]["text"] == "Ann"  # type: ignore[index]


async def test_an_unexpected_failure_beside_a_question_is_logged_and_not_told() -> None:
    app = App("asking")

    @app.resource("x:y")
    async def reading(context: Context) -> str:
        try:
            return (await context.elicit("Who?", Name)).value.name
        except trio.Cancelled:
            raise KeyError("a bug in the cleanup") from None  # noqa: ASYNC104  the fault under test

    with captured_logs() as logs:
        async with running(app) as home:
            client = await talk(home, modern=True)
            answer = await client.request("resources/read", {"uri": "x:y"}, {"Who?": accept(name="Ann")})
            assert answer["result"]["contents"][0]["text"] == "Ann"  # type: ignore[index]
    assert [entry["event"] for entry in logs] == ["handler failed"]


async def test_a_question_behind_a_shield_is_refused_there_and_asked_all_the_same() -> None:
    app = App("asking")
    refusals: list[str] = []

    @app.tool
    async def ask(context: Context) -> str:
        with trio.move_on_after(1, shield=True):
            try:
                return (await context.elicit("Who?", Name)).value.name
            except QuestionFailed as error:
                refusals.append(str(error))
        return "nobody"

    async with running(app) as home:
        client = await talk(home, modern=True)
        assert await client.text("ask", {"Who?": accept(name="Ann")}) == "Ann"
        assert len(refusals) == 1
        assert "shield" in refusals[0]


async def test_tasks_that_ask_in_another_order_lose_no_answer() -> None:
    app = App("asking")
    order = ["one", "two"]

    @app.tool
    async def ask(context: Context) -> str:
        async def one(who: str) -> None:
            if who != order[0]:
                await trio.sleep(1)
            names[who] = (await context.elicit(f"{who}?", Name, key=who)).value.name

        names: dict[str, str] = {}
        async with trio.open_nursery() as nursery:
            for who in ("one", "two"):
                nursery.start_soon(one, who)
        return f"{names['one']} {names['two']}"

    async with running(app) as home:
        client = await talk(home, modern=True)
        request: Json = {"name": "ask"}
        questions, state = await asked(client, request)
        assert list(questions) == ["one"]
        order.reverse()
        more: Json = {"inputResponses": {"one": accept(name="1")}, "requestState": state}
        questions, state = await asked(client, {**request, **more})
        assert list(questions) == ["two"], "and this run did not come to the other"
        more = {"inputResponses": {"two": accept(name="2")}, "requestState": state}
        answer = await client.attempt("tools/call", {**request, **more})
        assert said_by(answer["result"]) == "1 2"  # type: ignore[arg-type]


def test_a_short_key_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="at least 32 are needed"):
        App("asking", settings=ServerSettings(state_key=b"short"))
