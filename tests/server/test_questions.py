"""Handlers that ask their client are written once, and work in both revisions."""

from __future__ import annotations

import enum
from typing import Annotated, Literal

import pytest
import trio
from msgspec import Meta, Struct, field

from mcptrio import (
    App,
    Ask,
    Context,
    Elicited,
    MissingCapability,
    QuestionFailed,
    Root,
    Roots,
    Sample,
    Sampled,
    ServerSettings,
    ToolError,
)
from tests.server.asked import ROOTS, Name, accept, said, said_by, talk
from tests.server.rig import Json, running
from tests.server.work import BOTH

pytestmark = BOTH


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Order(Struct):
    name: Annotated[str, Meta(description="Who is it for?", max_length=20)]
    amount: Annotated[int, Meta(ge=1, le=9)]
    colour: Colour
    extras: list[Literal["bow", "card"]] = field(default_factory=list)
    gift: bool = False
    weight: float = 1.5
    note: str | None = None


async def test_a_form_comes_back_as_its_type(modern: bool) -> None:
    app = App("asking")

    got: list[Order] = []

    @app.tool
    async def order(context: Context) -> str:
        got.append((await context.elicit("Your order?", Order)).value)
        return "ordered"

    async with running(app) as home:
        client = await talk(home, modern)
        answer = accept(name="Ann", amount=3.0, colour="blue", extras=["bow"])
        assert await client.text("order", {"Your order?": answer}) == "ordered"
        assert got == [Order("Ann", 3, Colour.BLUE, ["bow"])]
        ((question,),) = [list(each.values()) for each in client.rounds]
        params = question["params"]
        assert isinstance(params, dict)
        assert params["requestedSchema"] == {
            "type": "object",
            "properties": {
                "name": {"type": "string", "description": "Who is it for?", "maxLength": 20},
                "amount": {"type": "integer", "minimum": 1, "maximum": 9},
                "colour": {"type": "string", "enum": ["red", "blue"]},
                "extras": {
                    "type": "array",
                    "items": {"type": "string", "enum": ["bow", "card"]},
                    "default": [],
                },
                "gift": {"type": "boolean", "default": False},
                "weight": {"type": "number", "default": 1.5},
                "note": {"type": "string"},
            },
            "required": ["name", "amount", "colour"],
        }


async def test_a_schema_is_sent_as_it_is(modern: bool) -> None:
    app = App("asking")
    schema: Json = {
        "type": "object",
        "properties": {"size": {"type": "string", "enum": ["s", "l"], "enumNames": ["small", "large"]}},
        "required": [],
    }

    @app.tool
    async def size(context: Context) -> str:
        return str((await context.elicit("Which?", schema)).value)

    async with running(app) as home:
        client = await talk(home, modern)
        assert await client.text("size", {"Which?": accept(size="s", other=1)}) == "{'size': 's'}"
        ((question,),) = [list(each.values()) for each in client.rounds]
        params = question["params"]
        assert isinstance(params, dict)
        assert params["requestedSchema"] == schema


async def test_a_page_to_open_has_an_id_in_the_older_revision_only(modern: bool) -> None:
    app = App("asking")

    @app.tool
    async def pay(context: Context) -> str:
        answer = await context.elicit_url("Please pay", "https://pay.example/7")
        return f"{answer.action} {answer.value}"

    async with running(app) as home:
        client = await talk(home, modern)
        assert await client.text("pay", {"Please pay": {"action": "accept"}}) == "accept None"
        ((question,),) = [list(each.values()) for each in client.rounds]
        params = question["params"]
        assert isinstance(params, dict)
        assert ("elicitationId" in params) is not modern
        assert params["mode"] == "url"
        assert params["url"] == "https://pay.example/7"


async def test_the_model_and_the_roots_are_asked(modern: bool) -> None:
    app = App("asking")

    @app.tool
    async def look(context: Context) -> str:
        heard = await context.sample("Say hi", max_tokens=5, system_prompt="Be brief", temperature=0.5)
        roots = await context.roots()
        return f"{heard.text} {heard.stop_reason} {[root.uri for root in roots]} {roots[0].name}"

    async with running(app) as home:
        client = await talk(home, modern)
        text = await client.text("look", {"Say hi": said("hi"), "roots/list": ROOTS})
        assert text == "hi endTurn ['file:///home', 'file:///tmp'] home"
        question = next(iter(client.rounds[0].values()))
        assert question["params"] == {
            "messages": [{"role": "user", "content": {"type": "text", "text": "Say hi"}}],
            "maxTokens": 5,
            "systemPrompt": "Be brief",
            "temperature": 0.5,
        }


async def test_declared_questions_are_asked_before_the_handler_starts(modern: bool) -> None:
    app = App("asking")
    starts: list[str] = []

    @app.tool
    async def greet(
        times: int,
        user: Annotated[Name, Ask("Who?")],
        greeting: Annotated[Sampled, Sample("Greet", max_tokens=9)],
        places: Annotated[list[Root], Roots()],
    ) -> str:
        starts.append(user.name)
        return f"{greeting.text} {user.name} {len(places)}" * times

    async with running(app) as home:
        client = await talk(home, modern)
        answers = {"Who?": accept(name="Ann"), "Greet": said("Hello"), "roots/list": ROOTS}
        assert await client.text("greet", answers, times=2) == "Hello Ann 2Hello Ann 2"
        assert starts == ["Ann"]
        assert client.asked == ["Who?", "Greet", "roots/list"]
        if modern:
            (only,) = client.rounds
            assert list(only) == ["user", "greeting", "places"]
        listed = await client.wire.result("tools/list", modern=modern)
        assert listed["tools"][0]["inputSchema"]["properties"] == {"times": {"type": "integer"}}  # type: ignore[index]


@pytest.mark.parametrize(
    ("action", "words"), [("decline", "The user declined to answer"), ("cancel", "The user gave no answer")]
)
async def test_a_question_that_is_not_answered_fails_the_call_in_words_unless_it_is_taken_whole(
    action: str, words: str, modern: bool
) -> None:
    app = App("asking")

    @app.tool
    async def strict(user: Annotated[Name, Ask("Who?")]) -> str:
        return user.name

    @app.tool
    async def strict_too(context: Context) -> str:
        return (await context.elicit("Who?", Name)).value.name

    @app.tool
    async def easy(user: Annotated[Elicited[Name], Ask("Who?")]) -> str:
        return user.value.name if user.accepted else f"somebody ({user.action})"

    async with running(app) as home:
        client = await talk(home, modern)
        assert await client.failure("strict", {"Who?": {"action": action}}) == words
        assert await client.failure("strict_too", {"Who?": {"action": action}}) == words
        assert await client.text("easy", {"Who?": {"action": action}}) == f"somebody ({action})"
        assert await client.text("easy", {"Who?": accept(name="Ann")}) == "Ann"


async def test_resources_templates_and_prompts_ask_too(modern: bool) -> None:
    app = App("asking")

    @app.resource("x:fixed")
    async def fixed(user: Annotated[Name, Ask("Who?")]) -> str:
        return user.name

    @app.resource("x:of/{place}")
    async def of(place: str, context: Context) -> str:
        return f"{(await context.elicit('Who?', Name)).value.name} of {place}"

    @app.prompt
    async def prompt(user: Annotated[Name, Ask("Who?")], word: str) -> str:
        return f"{word} {user.name}"

    answers = {"Who?": accept(name="Ann")}
    async with running(app) as home:
        client = await talk(home, modern)
        for uri, text in (("x:fixed", "Ann"), ("x:of/oz", "Ann of oz")):
            answer = await client.request("resources/read", {"uri": uri}, answers)
            result = answer["result"]
            assert isinstance(result, dict)
            assert result["contents"][0]["text"] == text
            if modern:
                assert (result["ttlMs"], result["cacheScope"]) == (0, "private")
        answer = await client.request("prompts/get", {"name": "prompt", "arguments": {"word": "hi"}}, answers)
        assert answer["result"]["messages"][0]["content"]["text"] == "hi Ann"  # type: ignore[index]
        refused = await client.request("resources/read", {"uri": "x:fixed"}, {"Who?": {"action": "decline"}})
        assert refused["error"] == {
            "code": -32603,
            "message": "The user declined to answer",
            "data": {"reason": "unanswered"},
        }


async def test_a_client_is_asked_nothing_that_it_has_not_declared(modern: bool) -> None:
    app = App("asking")

    @app.tool
    async def several(user: Annotated[Name, Ask("Who?")], heard: Annotated[Sampled, Sample("Speak")]) -> str:
        raise AssertionError("must not be called")

    @app.tool
    async def page(context: Context) -> str:
        await context.elicit_url("Go", "https://there.example")
        raise AssertionError("must not be reached")

    @app.tool
    async def careful(context: Context) -> str:
        context.require("elicitation")
        context.require("sampling", "elicitation.url")
        raise AssertionError("must not be reached")

    @app.tool
    async def caught(context: Context) -> str:
        try:
            await context.roots()
        except MissingCapability as error:
            return str(error.required)
        raise AssertionError("must not be reached")

    @app.resource("x:y")
    async def resource(places: Annotated[list[Root], Roots()]) -> str:
        raise AssertionError("must not be called")

    lacking: dict[str, Json] = {
        "several": {"sampling": {}},
        "page": {"elicitation": {"url": {}}},
        "careful": {"sampling": {}, "elicitation": {"url": {}}},
    }
    async with running(app) as home:
        client = await talk(home, modern, {"elicitation": {}})
        for tool, required in lacking.items():
            answer = await client.request("tools/call", {"name": tool}, {})
            if modern:
                error = answer["error"]
                assert isinstance(error, dict)
                assert (error["code"], error["data"]) == (-32021, {"requiredCapabilities": required})
            else:
                result = answer["result"]
                assert isinstance(result, dict)
                assert result["isError"] is True
                assert said_by(result).startswith("The client cannot be asked: it has not declared `")
        assert await client.text("caught", {}) == "{'roots': {}}"
        answer = await client.request("resources/read", {"uri": "x:y"}, {})
        error = answer["error"]
        assert isinstance(error, dict)
        assert (error["code"], error["data"]) == (-32021, {"requiredCapabilities": {"roots": {}}})
        assert client.rounds == []


async def test_a_handler_knows_what_its_client_can_be_asked(modern: bool) -> None:
    app = App("asking")

    @app.tool
    async def known(context: Context) -> str:
        return ",".join(sorted(context.client_capabilities))

    async with running(app) as home:
        assert await (await talk(home, modern)).text("known", {}) == "elicitation,roots,sampling"
        assert await (await talk(home, modern, {})).text("known", {}) == ""


async def test_several_questions_are_asked_at_once_by_key(modern: bool) -> None:
    app = App("asking")

    @app.tool
    async def both(context: Context) -> str:
        async def ask(who: str) -> None:
            answers[who] = (await context.elicit(f"{who}?", Name, key=who)).value.name

        answers: dict[str, str] = {}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "one")
            nursery.start_soon(ask, "two")
        return f"{answers['one']} {answers['two']}"

    async with running(app) as home:
        client = await talk(home, modern)
        assert await client.text("both", {"one?": accept(name="1"), "two?": accept(name="2")}) == "1 2"
        assert sorted(client.asked) == ["one?", "two?"]
        assert len(client.rounds) == (1 if modern else 2)


async def test_a_key_is_used_once_in_a_run(modern: bool) -> None:
    app = App("asking")

    @app.tool
    async def twice(context: Context) -> str:
        await context.roots(key="places")
        try:
            await context.roots(key="places")
        except ValueError as error:
            return str(error)
        raise AssertionError("must not be reached")

    async with running(app) as home:
        client = await talk(home, modern)
        assert "'places' of a question was used before" in await client.text("twice", {"roots/list": ROOTS})


async def test_only_while_it_runs_may_a_request_ask_and_a_list_may_never(modern: bool) -> None:
    app = App("asking", settings=ServerSettings(introspection=False))
    kept: list[Context] = []
    refused: list[str] = []

    @app.tool
    async def keep(context: Context) -> str:
        kept.append(context)
        return "kept"

    @app.resource("x:{name}")
    async def each(name: str) -> str:
        return name

    @each.list
    async def names(context: Context) -> list[str]:
        try:
            await context.roots()
        except QuestionFailed as error:
            refused.append(str(error))
        return ["a"]

    async with running(app) as home:
        client = await talk(home, modern)
        await client.text("keep", {})
        with pytest.raises(QuestionFailed, match="only while they run"):
            await kept[0].elicit("Late?", Name)
        await kept[0].log("error", "late")
        params: Json = {"_meta": client.meta()} if modern else {}
        listed = await client.wire.result("resources/list", params, modern=modern)
        assert [resource["uri"] for resource in listed["resources"]] == ["x:a"]  # type: ignore[attr-defined]
        assert len(refused) == 1
        assert await client.wire.rest() == []


async def test_what_cannot_be_a_form_is_the_handlers_error(modern: bool) -> None:
    app = App("asking")

    @app.tool
    async def nested(context: Context) -> str:
        class Outer(Struct):
            inner: Name

        try:
            await context.elicit("What?", Outer)
        except ValueError as error:
            raise ToolError(str(error)) from None
        raise AssertionError("must not be reached")

    async with running(app) as home:
        assert "`Outer.inner` cannot be in a form" in await (await talk(home, modern)).failure("nested", {})
