"""A handler asks its client, over every transport: as a request of the server, or as a result that wants input."""

from __future__ import annotations

import pytest
import trio.testing
from trio.testing import MockClock

from tests.server.asked import accept, said
from tests.server.rig import Json
from tests.transports.clients import Way, everywhere, legacy, modern, world
from tests.transports.conversation import Conversation, text_of
from tests.transports.rooms import Rooms

ASKING = {
    "greet": ("elicitation/create", accept(name="Ann"), "Hello Ann"),
    "think": ("sampling/createMessage", said("so"), "I think: so"),
}
asking = pytest.mark.parametrize(("tool", "method", "answer", "told"), [(k, *v) for k, v in ASKING.items()])


async def answered(client: Conversation, id: object, tool: str, method: str, answer: Json) -> str:
    """Call a tool, answer its one question, return its text."""
    params: Json = {"name": tool, "arguments": {}}
    if not client.modern:
        await client.send(id, "tools/call", params)
        question = await client.questions.next()
        assert question["method"] == method
        await client.notify({"jsonrpc": "2.0", "id": question["id"], "result": answer})
        return text_of(await client.answer(id))
    asked = (await client.call("tools/call", params, id))["result"]
    assert isinstance(asked, dict)
    assert asked["resultType"] == "input_required"
    ((key, question),) = asked["inputRequests"].items()
    assert question["method"] == method
    more = {"requestState": asked["requestState"], "inputResponses": {key: answer}}
    return text_of(await client.call("tools/call", {**params, **more}, id))


@everywhere
@asking
async def test_a_question_is_answered_and_the_handler_goes_on(
    way: Way, tool: str, method: str, answer: Json, told: str, autojump_clock: MockClock
) -> None:
    async with world(Rooms().app) as here:
        client = await here.open(way)
        for id in (1, "1"):
            assert await answered(client, id, tool, method, answer) == told
        assert client.questions.rest() == []


@legacy
async def test_the_answer_of_another_client_under_the_same_id_is_no_answer(
    way: Way, autojump_clock: MockClock
) -> None:
    async with world(Rooms().app) as here:
        ann, bob = await here.open(way), await here.open(Way("http", False))
        questions = []
        for client in (ann, bob):
            await client.send(1, "tools/call", {"name": "greet", "arguments": {}})
            questions.append(await client.questions.next())
        hers = questions[0]["id"]
        if hers != questions[1]["id"]:
            await bob.notify({"jsonrpc": "2.0", "id": hers, "result": accept(name="Mallory")})
        await bob.notify({"jsonrpc": "2.0", "id": questions[1]["id"], "result": accept(name="Bob")})
        assert text_of(await bob.answer(1)) == "Hello Bob"
        await trio.testing.wait_all_tasks_blocked()
        assert ann.answers[int, 1].rest() == []
        await ann.notify({"jsonrpc": "2.0", "id": hers, "result": accept(name="Ann")})
        assert text_of(await ann.answer(1)) == "Hello Ann"


@legacy
async def test_a_call_that_is_cancelled_while_it_asks_takes_its_question_back(
    way: Way, autojump_clock: MockClock
) -> None:
    async with world(Rooms().app) as here:
        client = await here.open(way)
        await client.send(1, "tools/call", {"name": "greet", "arguments": {}})
        question = await client.questions.next()
        await client.cancel(1)
        await trio.testing.wait_all_tasks_blocked()
        await client.notify({"jsonrpc": "2.0", "id": question["id"], "result": accept(name="late")})
        await client.answers[int, 1].nothing()
        assert await client.call_tool("echo", text="on") == "on"


@modern
async def test_the_state_of_one_call_is_good_over_any_transport_and_for_that_call_only(
    way: Way, autojump_clock: MockClock
) -> None:
    async with world(Rooms().app) as here:
        client, other = await here.open(way), await here.open(Way("http", True))
        params: Json = {"name": "greet", "arguments": {}}
        asked = (await client.call("tools/call", params))["result"]
        assert isinstance(asked, dict)
        (key,) = asked["inputRequests"]
        more: Json = {"requestState": asked["requestState"], "inputResponses": {key: accept(name="Ann")}}
        assert text_of(await other.call("tools/call", {**params, **more})) == "Hello Ann"
        refused = await client.call("tools/call", {**params, **more, "name": "think"})
        assert refused["error"]["code"] == -32602  # type: ignore[index]
