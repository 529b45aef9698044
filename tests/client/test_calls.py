"""Calls: results, refusals, timeouts, cancellation, progress, pages; in both revisions."""

from __future__ import annotations

import math

import msgspec
import pytest
import trio
import trio.testing

from mcptrio.client import Client, InvalidResponse, RpcError, TimedOut
from tests.client.conftest import Open
from tests.client.fake_server import MODERN, FakeServer, Message, Peer, answers, never, refuses

TEXT = {"content": [{"type": "text", "text": "hello"}]}


async def test_a_tool_is_called_with_its_arguments(client: Client, server: FakeServer) -> None:
    server.handlers["tools/call"] = answers(TEXT)
    result = await client.call_tool("greet", {"name": "you"})
    assert result.content[0].text == "hello"  # type: ignore[union-attr]
    params = server.peer.received[-1]["params"]
    assert (params["name"], params["arguments"]) == ("greet", {"name": "you"})


async def test_arguments_that_are_not_given_are_not_sent(client: Client, server: FakeServer) -> None:
    server.handlers["tools/call"] = answers(TEXT)
    server.handlers["prompts/get"] = answers({"messages": []})
    await client.call_tool("greet")
    assert "arguments" not in server.peer.received[-1]["params"]
    await client.get_prompt("p")
    assert "arguments" not in server.peer.received[-1]["params"]


async def test_resources_are_read_and_prompts_are_filled_in(client: Client, server: FakeServer) -> None:
    server.handlers["resources/read"] = answers({"contents": [{"uri": "a://b", "text": "x"}]})
    message = {"role": "user", "content": {"type": "text", "text": "x"}}
    server.handlers["prompts/get"] = answers({"messages": [message]})
    assert (await client.read_resource("a://b")).contents[0].text == "x"
    prompt = await client.get_prompt("p", {"k": "v"})
    assert prompt.messages[0].role == "user"
    assert server.peer.received[-1]["params"]["arguments"] == {"k": "v"}


async def test_each_request_of_the_newer_revision_and_only_those_carry_the_envelope(
    client: Client, server: FakeServer
) -> None:
    server.handlers["tools/call"] = answers(TEXT)
    await client.request("tools/call", {"name": "t", "_meta": {"own": 1}})
    meta = server.peer.received[-1]["params"]["_meta"]
    assert meta.pop("own") == 1
    if client.revision == MODERN:
        assert meta.pop("io.modelcontextprotocol/protocolVersion") == MODERN
        capabilities = meta.pop("io.modelcontextprotocol/clientCapabilities")
        assert capabilities == {"extensions": {"io.mcptrio/live": {}}}
        assert meta.pop("io.modelcontextprotocol/clientInfo")["name"] == "mcptrio"
    assert meta == {}


async def test_a_raw_request_gives_the_result_as_a_dict(client: Client, server: FakeServer) -> None:
    server.handlers["tools/list"] = answers({"tools": [], "more": 1, "resultType": "complete"})
    assert (await client.request("tools/list"))["more"] == 1


async def test_a_refusal_is_raised_as_it_came(client: Client, server: FakeServer) -> None:
    server.handlers["tools/call"] = refuses(-32602, "Unknown tool: x", {"tool": "x"})
    with pytest.raises(RpcError) as refused:
        await client.call_tool("x")
    assert (refused.value.code, refused.value.message) == (-32602, "Unknown tool: x")
    assert refused.value.data == {"tool": "x"}
    server.handlers["tools/call"] = refuses(-32603)
    with pytest.raises(RpcError) as refused:
        await client.call_tool("x")
    assert refused.value.data is None


@pytest.mark.parametrize("result", [{"content": 1}, {}, {"content": [], "resultType": "task"}])
async def test_a_result_that_is_none_of_the_method_is_an_invalid_response(
    client: Client, server: FakeServer, result: Message
) -> None:
    server.handlers["tools/call"] = answers(result)
    with pytest.raises(InvalidResponse, match="tools/call"):
        await client.call_tool("x")


async def test_an_unasked_result_type_is_refused_in_raw_requests_too(
    client: Client, server: FakeServer
) -> None:
    server.handlers["tools/call"] = answers({"resultType": "input_required"})
    with pytest.raises(InvalidResponse, match="input_required"):
        await client.request("tools/call", {"name": "x"})


async def test_a_raw_request_may_ask_for_any_type(client: Client, server: FakeServer) -> None:
    server.handlers["tools/list"] = answers({"tools": []})
    raw = await client.request("tools/list", result_type=msgspec.Raw)
    assert bytes(raw) == b'{"tools": []}'


async def test_a_call_that_times_out_is_cancelled_at_the_server(client: Client, server: FakeServer) -> None:
    server.handlers["tools/call"] = never
    began = trio.current_time()
    with pytest.raises(TimedOut, match="tools/call: no answer within 3 s"):
        await client.call_tool("x", timeout=3)
    assert trio.current_time() - began == pytest.approx(3)
    call = server.peer.received[-1]
    cancelled = await server.wait_for("notifications/cancelled")
    assert cancelled["params"]["requestId"] == call["id"]
    assert client.statistics().calls == 0


async def test_a_timeout_is_trios_too_slow_error_and_defaults_to_the_clients(
    server: FakeServer, opening: Open
) -> None:
    server.handlers["tools/call"] = never
    async with opening(timeout=7) as client:
        began = trio.current_time()
        with pytest.raises(trio.TooSlowError):
            await client.call_tool("x")
        assert trio.current_time() - began == pytest.approx(7)


async def test_a_cancelled_call_is_cancelled_at_the_server(client: Client, server: FakeServer) -> None:
    server.handlers["tools/call"] = never
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.call_tool, "x")
        call = await server.wait_for("tools/call")
        nursery.cancel_scope.cancel()
    cancelled = await server.wait_for("notifications/cancelled")
    assert cancelled["params"]["requestId"] == call["id"]
    assert client.statistics().calls == 0


async def test_late_and_unknown_answers_are_ignored(client: Client, server: FakeServer) -> None:
    server.handlers["tools/call"] = never
    with pytest.raises(TimedOut):
        await client.call_tool("slow", timeout=1)
    id = (await server.wait_for("tools/call"))["id"]
    for answer in ({"id": id, "result": TEXT}, {"id": str(id), "result": {}}, {"id": 999, "result": {}}):
        await server.peer.send(answer)
    for error in ({"id": 999}, {}):
        await server.peer.send({**error, "error": {"code": -32600, "message": "what?"}})
    await server.peer.notify("notifications/unheard_of")
    await server.peer.send({"method": "notifications/tools/list_changed"})
    server.handlers["tools/call"] = answers(TEXT)
    await client.call_tool("x")
    assert client.statistics().connections == 1


async def test_answers_find_their_calls_in_any_order(client: Client, server: FakeServer) -> None:
    waiting: dict[str, Message] = {}

    async def hold(peer: Peer, message: Message) -> None:
        waiting[message["params"]["name"]] = message

    server.handlers["tools/call"] = hold
    got: list[tuple[str, object]] = []

    async def call(name: str) -> None:
        result = await client.call_tool(name)
        got.append((name, result.structured_content))

    async with trio.open_nursery() as nursery:
        for name in ("a", "b", "c"):
            nursery.start_soon(call, name)
        await trio.testing.wait_all_tasks_blocked()
        assert client.statistics().calls == 3
        for name in ("c", "a", "b"):
            result = {"content": [], "structuredContent": {"of": name}}
            await server.peer.send({"id": waiting[name]["id"], "result": result})
            await trio.testing.wait_all_tasks_blocked()
    assert got == [(name, {"of": name}) for name in ("c", "a", "b")]


async def test_progress_reaches_the_callback_of_its_call(client: Client, server: FakeServer) -> None:
    async def work(peer: Peer, message: Message) -> Message:
        token = message["params"]["_meta"]["progressToken"]
        await peer.notify("notifications/progress", progressToken=token, progress=1, total=2, message="half")
        await peer.notify("notifications/progress", progressToken="another", progress=1)
        await peer.notify("notifications/progress", progressToken=token, progress=2.0)
        return TEXT

    server.handlers["tools/call"] = work
    seen: list[tuple[float, float | None, str | None]] = []
    await client.call_tool("x", on_progress=lambda *news: seen.append(news))
    assert seen == [(1, 2, "half"), (2, None, None)]


async def test_progress_is_asked_for_only_with_a_callback_and_ignored_without(
    client: Client, server: FakeServer
) -> None:
    async def work(peer: Peer, message: Message) -> Message:
        assert "progressToken" not in message["params"].get("_meta", {})
        await peer.notify("notifications/progress", progressToken=message["id"], progress=1)
        return TEXT

    server.handlers["tools/call"] = work
    await client.call_tool("x")


async def test_what_the_progress_callback_raises_ends_its_call_only(
    client: Client, server: FakeServer
) -> None:
    async def work(peer: Peer, message: Message) -> None:
        token = message["params"]["_meta"]["progressToken"]
        for step in (1, 2):
            await peer.notify("notifications/progress", progressToken=token, progress=step)

    def broken(progress: float, total: float | None, message: str | None) -> None:
        raise ZeroDivisionError("mine")

    server.handlers["tools/call"] = work
    with pytest.raises(ZeroDivisionError, match="mine"):
        await client.call_tool("x", on_progress=broken)
    await server.wait_for("notifications/cancelled")
    await client.ping()
    assert client.statistics().connections == 1


async def test_ping_is_a_round_trip_in_both_revisions(client: Client, server: FakeServer) -> None:
    await client.ping()
    expected = "server/discover" if client.revision == MODERN else "ping"
    assert server.peer.methods()[-1] == expected
    server.handlers[expected] = never
    with pytest.raises(TimedOut, match="ping"):
        await client.ping(timeout=1)


async def test_what_json_cannot_hold_is_the_callers_mistake(client: Client, server: FakeServer) -> None:
    with pytest.raises(TypeError):
        await client.call_tool("x", {"what": object()})
    await client.ping()
    assert client.statistics() == type(client.statistics())(True, 1, 0, 0)


PAGES = {
    "tools/list": ("tools", {"inputSchema": {"type": "object"}}, "list_tools"),
    "resources/list": ("resources", {"uri": "a://b"}, "list_resources"),
    "resources/templates/list": (
        "resourceTemplates",
        {"uriTemplate": "a://{b}"},
        "list_resource_templates",
    ),
    "prompts/list": ("prompts", {}, "list_prompts"),
}


@pytest.mark.parametrize("method", PAGES)
async def test_lists_are_read_to_the_last_page_also_by_an_empty_cursor(
    client: Client, server: FakeServer, method: str
) -> None:
    member, fields, call = PAGES[method]
    pages = {None: (["a", "b"], ""), "": (["c"], "next"), "next": (["d"], None)}

    async def page(peer: Peer, message: Message) -> Message:
        names, cursor = pages[message.get("params", {}).get("cursor")]
        items = [{"name": name, **fields} for name in names]
        return {member: items, **({} if cursor is None else {"nextCursor": cursor})}

    server.handlers[method] = page
    listed = await getattr(client, call)()
    assert [item.name for item in listed] == ["a", "b", "c", "d"]


async def test_a_cursor_that_comes_twice_ends_the_reading_with_an_error(
    client: Client, server: FakeServer
) -> None:
    server.handlers["tools/list"] = answers({"tools": [], "nextCursor": "again"})
    with pytest.raises(InvalidResponse, match="again"):
        await client.list_tools()


async def test_the_timeout_of_a_list_is_for_all_pages(client: Client, server: FakeServer) -> None:
    count = 0

    async def page(peer: Peer, message: Message) -> Message:
        nonlocal count
        count += 1
        await trio.sleep(1)
        return {"tools": [], "nextCursor": str(count)}

    server.handlers["tools/list"] = page
    with pytest.raises(TimedOut, match="2 pages"):
        await client.list_tools(timeout=2.5)
    with pytest.raises(TimedOut):
        await client.list_tools(timeout=0)


async def test_more_calls_than_the_outbox_holds_all_get_their_answer(
    client: Client, server: FakeServer
) -> None:
    server.handlers["tools/call"] = answers(TEXT)
    done = 0

    async def call() -> None:
        nonlocal done
        await client.call_tool("x", timeout=math.inf)
        done += 1

    async with trio.open_nursery() as nursery:
        for _ in range(300):
            nursery.start_soon(call)
    assert done == 300
