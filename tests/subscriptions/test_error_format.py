"""What an error looks like on the wire: the last five of the older suite's cases (see test_resource_subscriptions.py).

| case there | what it was there | test here |
|---|---|---|
| not_found | "Resource not found" | test_what_is_not_found_is_named |
| timeout | "Operation timed out" | test_a_tool_that_takes_too_long_says_so_in_its_result |
| atom | the reason's own name | test_a_refusal_has_a_reason_that_programs_can_read |
| binary | the text itself | test_a_text_that_a_tool_fails_with_arrives_as_it_is |
| unknown | "Unknown error" | test_an_unexpected_error_is_a_correlation_id_and_nothing_else |
"""

from __future__ import annotations

import json
import logging
import re

import pytest
import trio

from mcptrio import ServerSettings
from mcptrio.protocol import RpcError

from .conftest import NOTE, OTHER, SECRET, World

Clock = trio.abc.Clock | None

CORRELATION_ID = re.compile(r"[0-9a-f]{16}")


async def test_what_is_not_found_is_named(world: World, clock: Clock) -> None:
    code = -32002 if world.legacy else -32602
    for uri in ("note://nobody", "nowhere://at/all"):
        answer = await world.ana.request("resources/read", {"uri": uri})
        assert answer["error"] == {
            "code": code,
            "message": f"Resource not found: {uri}",
            "data": {"uri": uri},
        }
        with pytest.raises(RpcError) as caught:
            await world.ben.client.read_resource(uri)
        assert (caught.value.code, caught.value.data) == (code, {"uri": uri})
    # Text that names no resource is another mistake.
    answer = await world.ana.request("resources/read", {"uri": "nobody"})
    assert (answer["error"]["code"], "not absolute" in answer["error"]["message"]) == (-32602, True)


async def test_a_tool_that_takes_too_long_says_so_in_its_result(world: World, clock: Clock) -> None:
    answer = await world.ana.request("tools/call", {"name": "wait_for_ever"})
    assert answer["result"]["isError"] is True
    assert texts(answer) == ["wait_for_ever timed out after 0.05 s"]
    result = await world.ben.client.call_tool("wait_for_ever")
    assert result.is_error is True
    # Whoever failed once is served on.
    await world.ana.round_trip()


@pytest.mark.parametrize("settings", [ServerSettings(max_subscriptions=2)], ids=[""])
async def test_a_refusal_has_a_reason_that_programs_can_read(world: World, clock: Clock) -> None:
    await world.ana.subscribe(NOTE)  # beside its barrier
    answer = await world.ana.try_subscribe(OTHER)
    assert answer["error"] == {
        "code": -32603,
        "message": "Too many subscriptions: at most 2 on one connection",
        "data": {"reason": "subscription_limit", "limit": 2},
    }
    assert world.watched() == {NOTE: 1}
    await world.ben.subscribe(OTHER)  # the limit is each client's own
    world.app.updated_nowait(OTHER)
    assert await world.ben.heard() == [OTHER]
    assert await world.ana.heard() == []
    await world.ana.unsubscribe(NOTE)
    await world.ana.subscribe(OTHER)


async def test_a_text_that_a_tool_fails_with_arrives_as_it_is(world: World, clock: Clock) -> None:
    answer = await world.ana.request("tools/call", {"name": "complain"})
    assert answer["result"]["isError"] is True
    assert texts(answer) == ["the pen is dry"]
    # What is no failure of a tool is an error of the request.
    answer = await world.ana.request("tools/call", {"name": "no_such_tool"})
    assert answer["error"]["code"] == -32602
    assert "no_such_tool" in answer["error"]["message"]


async def test_an_unexpected_error_is_a_correlation_id_and_nothing_else(
    world: World, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        called = await world.ana.request("tools/call", {"name": "crash"})
        read = await world.ana.request("resources/read", {"uri": "broken://drawer"})
    [text] = texts(called)
    assert called["result"]["isError"] is True
    told = re.fullmatch(r"Internal error \(correlation id ([0-9a-f]{16})\)", text)
    assert told is not None
    id = read["error"]["data"]["correlationId"]
    assert CORRELATION_ID.fullmatch(id)
    assert read["error"] == {"code": -32603, "message": "Internal error", "data": {"correlationId": id}}
    assert told[1] != id

    for message in (called, read):
        for word in (SECRET, "ZeroDivisionError", "Traceback"):
            assert word not in json.dumps(message)
    # The log has what the client is not told, under the same id.
    logged = {record.correlation_id: record for record in caplog.records if hasattr(record, "correlation_id")}
    for correlation_id in (told[1], id):
        assert logged[correlation_id].exc_info is not None
        assert SECRET in str(logged[correlation_id].exc_info[1])


def texts(answer: dict[str, object]) -> list[str]:
    """The texts of a tool's result."""
    return [block["text"] for block in answer["result"]["content"]]
