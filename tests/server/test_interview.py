"""Asking in 2025-11-25: the server sends requests, which belong to the client's own."""

from __future__ import annotations

from typing import Annotated

import pytest
import trio

from mcptrio import App, Ask, Context, Roots, Sample, Sampled, ServerSettings
from mcptrio.protocol.questions import Root
from mcptrio.wire import Limits
from tests.server.asked import CAPABLE, ROOTS, Name, Talk, accept, said, said_by, talk
from tests.server.rig import Json, cancelled, expect_nothing_left, notification, request, running
from tests.server.work import call


def house(settings: ServerSettings | None = None) -> App:
    app = App("asking", settings=settings)

    @app.tool
    async def ask(context: Context) -> str:
        return (await context.elicit("Who?", Name)).value.name

    @app.tool(timeout=3)
    async def hurried(user: Annotated[Name, Ask("Who?")]) -> str:
        return user.name

    return app


async def question(client: Talk, id: object, tool: str = "ask") -> Json:
    """Call a tool, and wait for what it asks."""
    await client.wire.send(call(id, tool))
    asked = await client.wire.receive()
    assert asked["method"] == "elicitation/create"
    return asked


async def failure(client: Talk) -> str:
    result = (await client.wire.receive())["result"]
    assert isinstance(result, dict)
    assert result["isError"] is True
    return said_by(result)


async def test_the_handler_waits_for_the_answer_to_its_own_question() -> None:
    async with running(house()) as home:
        client = await talk(home, modern=False)
        first, second = await question(client, 1), await question(client, 2)
        assert first["id"] != second["id"]
        await client.answer(second["id"], accept(name="two"))
        answer = await client.wire.receive()
        assert (answer["id"], said_by(answer["result"])) == (2, "two")  # type: ignore[arg-type]
        await client.answer(first["id"], accept(name="one"))
        answer = await client.wire.receive()
        assert (answer["id"], said_by(answer["result"])) == (1, "one")  # type: ignore[arg-type]
        assert len(client.wire.peer.outstanding) == 0


async def test_declared_questions_are_all_asked_before_the_first_is_answered() -> None:
    app = App("asking")

    @app.tool
    async def greet(
        user: Annotated[Name, Ask("Who?")],
        heard: Annotated[Sampled, Sample("Speak")],
        places: Annotated[list[Root], Roots()],
    ) -> str:
        return f"{heard.text} {user.name} {len(places)}"

    async with running(app) as home:
        client = await talk(home, modern=False)
        await client.wire.send(call(1, "greet"))
        asked = [await client.wire.receive() for _ in range(3)]
        methods = ["elicitation/create", "sampling/createMessage", "roots/list"]
        assert [each["method"] for each in asked] == methods
        for each, answer in zip(reversed(asked), (ROOTS, said("Hi"), accept(name="Ann")), strict=True):
            assert await client.wire.rest() == []
            await client.answer(each["id"], answer)
        assert said_by((await client.wire.receive())["result"]) == "Hi Ann 2"  # type: ignore[arg-type]


async def test_answers_to_nothing_are_ignored() -> None:
    async with running(house()) as home:
        client = await talk(home, modern=False)
        asked = await question(client, 1)
        other = await talk(home, modern=False)
        for stray in (99, str(asked["id"]), "nonsense"):
            await client.answer(stray, accept(name="Eve"))
            await client.wire.send({"jsonrpc": "2.0", "id": stray, "error": {"code": 1, "message": "no"}})
        await client.wire.send({"jsonrpc": "2.0", "error": {"code": 1, "message": "no"}})
        await other.answer(asked["id"], accept(name="Mallory"))
        await client.wire.send(notification("notifications/roots/list_changed"))
        assert await client.wire.rest() == []
        await client.wire.send_at_once(
            *({"jsonrpc": "2.0", "id": asked["id"], "result": accept(name=name)} for name in ("Ann", "Bob"))
        )
        assert said_by((await client.wire.receive())["result"]) == "Ann"  # type: ignore[arg-type]
        assert await client.wire.rest() == []
        assert await other.wire.rest() == []


@pytest.mark.parametrize("answer", [{}, {"action": "accept"}, accept(name=1), said("hi"), {"action": "no"}])
async def test_a_malformed_answer_fails_the_question(answer: Json) -> None:
    async with running(house()) as home:
        client = await talk(home, modern=False)
        await client.answer((await question(client, 1))["id"], answer)
        assert "answer to elicitation/create is malformed: " in await failure(client)
        assert await client.text("ask", {"Who?": accept(name="Ann")}) == "Ann"


async def test_an_error_fails_the_question_with_the_clients_words() -> None:
    async with running(house()) as home:
        client = await talk(home, modern=False)
        asked = await question(client, 1)
        error = {"code": -1, "message": "User rejected " + "x" * 2000}
        await client.wire.send({"jsonrpc": "2.0", "id": asked["id"], "error": error})
        words = await failure(client)
        assert words.startswith("The client refused elicitation/create: User rejected")
        assert words.endswith("x (-1)")
        assert len(words) < 600


async def test_a_cancelled_request_takes_its_question_back() -> None:
    async with running(house()) as home:
        client = await talk(home, modern=False)
        asked = await question(client, 1)
        await client.wire.send(cancelled(1))
        assert await client.wire.rest() == [
            notification("notifications/cancelled", {"requestId": asked["id"]})
        ]
        assert len(client.wire.peer.outstanding) == 0
        await client.answer(asked["id"], accept(name="late"))
        assert await client.wire.rest() == []


async def test_a_tool_that_times_out_takes_its_question_back() -> None:
    async with running(house()) as home:
        client = await talk(home, modern=False)
        asked = await question(client, 1, "hurried")
        taken_back = await client.wire.receive()
        assert taken_back == notification("notifications/cancelled", {"requestId": asked["id"]})
        assert await failure(client) == "hurried timed out after 3 s"
        assert len(client.wire.peer.outstanding) == 0


async def test_a_question_is_not_waited_for_for_ever() -> None:
    async with running(house(ServerSettings(question_timeout=60))) as home:
        client = await talk(home, modern=False)
        before = trio.current_time()
        asked = await question(client, 1)
        taken_back = await client.wire.receive()
        assert taken_back == notification("notifications/cancelled", {"requestId": asked["id"]})
        assert await failure(client) == "The client did not answer within 60 s"
        assert 60 <= trio.current_time() - before < 61


async def test_a_client_has_a_bounded_number_of_questions_to_answer() -> None:
    async with running(house(ServerSettings(max_questions=2))) as home:
        client = await talk(home, modern=False)
        asked = [await question(client, 1), await question(client, 2)]
        await client.wire.send(call(3, "ask"))
        assert "at most 2 at once" in await failure(client)
        await client.answer(asked[0]["id"], accept(name="Ann"))
        assert (await client.wire.receive())["id"] == 1
        await question(client, 3)


async def test_a_client_that_leaves_ends_what_was_asked_of_it() -> None:
    app = house()
    async with running(app) as home:
        client = await talk(home, modern=False)
        await question(client, 1)
        client.wire.vanish()
        await trio.testing.wait_all_tasks_blocked(0.01)
        expect_nothing_left(app)
        assert len(client.wire.peer.outstanding) == 0


async def test_a_question_that_cannot_be_sent_fails() -> None:
    app = App("asking", settings=ServerSettings(limits=Limits(max_pending=8192)))

    @app.tool
    async def long(context: Context) -> str:
        return (await context.sample("a" * 8192)).text

    async with running(app) as home:
        client = await talk(home, modern=False)
        assert "at most 7680 can be sent" in await client.failure("long", {})
        assert len(client.wire.peer.outstanding) == 0


async def test_a_stateless_request_beside_a_session_is_not_asked_by_requests() -> None:
    async with running(house()) as home:
        client = await talk(home, modern=False)
        beside = Talk(client.wire, modern=True, capabilities=CAPABLE)
        asked = await question(client, 1)
        assert await beside.text("ask", {"Who?": accept(name="Bob")}) == "Bob"
        await client.answer(asked["id"], accept(name="Ann"))
        assert said_by((await client.wire.receive())["result"]) == "Ann"  # type: ignore[arg-type]


async def test_a_response_without_a_session_is_ignored() -> None:
    async with running(house()) as home:
        wire = await home.connect()
        await wire.send({"jsonrpc": "2.0", "id": 1, "result": {}}, request(2, "ping"))
        assert (await wire.receive())["id"] == 2
