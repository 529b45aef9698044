"""HTTP with servers that are old, odd or wrong."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import trio

from mcptrio.client import ConnectionLost, Limits, RpcError, open_client
from tests.client.conftest import TOKEN, Start
from tests.client.origin import INITIALIZED, LEGACY, MODERN, SSE, Asked, Handle, new, old


def answers(status: int, body: object = b"", *headers: tuple[str, str]) -> Handle:
    async def handle(asked: Asked) -> None:
        await asked.answer(status, body, *headers)

    return handle


# -- which revision ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 405, 406, 415, 422])
@pytest.mark.parametrize(
    "body", [b"", b"<html>" * 20_000, {"jsonrpc": "2.0", "error": {"code": -32000, "message": "No session"}}]
)
async def test_an_older_server_refuses_the_probe_in_its_own_way(
    opening_http: Start, status: int, body: object
) -> None:
    origin, opened = opening_http(old(discover=answers(status, body)))
    async with opened() as client:
        assert client.revision == LEGACY
    assert origin.said() == ["server/discover", "initialize", "notifications/initialized", "GET", "DELETE"]


async def test_a_newer_server_that_refuses_the_version_stays_newer(opening_http: Start) -> None:
    error = {"code": -32022, "message": "no", "data": {"supported": ["2031-01-01"]}}
    origin, opened = opening_http(new(discover=answers(400, {"jsonrpc": "2.0", "id": 1, "error": error})))
    with pytest.raises(RpcError, match="no") as refused:
        async with opened():
            raise AssertionError
    assert refused.value.code == -32022
    assert origin.said() == ["server/discover"]


@pytest.mark.parametrize("revision", ["auto", LEGACY, MODERN])
@pytest.mark.parametrize(
    ("status", "body", "headers", "said"),
    [
        (401, b"who?", (), "HTTP 401: a token is missing or wrong"),
        (403, b"origin not allowed", (), "HTTP 403: origin not allowed"),
        (500, b"", (), "the server answered HTTP 500$"),
        (503, b"busy", (), "HTTP 503: busy"),
        (302, b"", (("Location", "https://h/?token=x"),), "HTTP 302: .*redirects are not followed"),
        (200, b"<html>", (("Content-Type", "text/html"),), "HTTP 200 with text/html: no answer of MCP"),
        (202, b"", (), "HTTP 202 with nothing"),
        (410, {"jsonrpc": "2.0", "id": "x", "result": {}}, (), "HTTP 410"),
    ],
)
async def test_an_answer_of_no_mcp_server_is_connection_lost_with_the_status(
    opening_http: Start,
    revision: str,
    status: int,
    body: object,
    headers: tuple[tuple[str, str], ...],
    said: str,
) -> None:
    origin, opened = opening_http(answers(status, body, *headers))
    with pytest.raises(ConnectionLost, match=f"^http://localhost/mcp: .*{said}") as lost:
        async with opened(revision=revision):
            raise AssertionError
    assert lost.value.status == status
    assert TOKEN not in str(lost.value)
    assert len(origin.asked) == 1


# -- what is sent --------------------------------------------------------------------------------------


async def test_the_token_goes_with_every_request(opening_http: Start) -> None:
    origin, opened = opening_http(old())
    async with opened() as client:
        await client.ping()
    assert "DELETE" in origin.said()
    assert {each.headers["authorization"] for each in origin.asked} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("token", ["", "two words", "line\n", "t\u00fclip"])
async def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ValueError, match="one word of visible ASCII") as refused:
        async with open_client("http://localhost/mcp", token=token):
            raise AssertionError
    assert not token or token not in str(refused.value)


async def test_after_the_handshake_every_request_names_session_and_version(opening_http: Start) -> None:
    origin, opened = opening_http(old())
    async with opened(revision=LEGACY) as client:
        await client.ping()
    first, *others = origin.asked
    assert "mcp-session-id" not in first.headers
    assert [each.message.get("method", each.method) for each in others] == [
        "notifications/initialized",
        "GET",
        "ping",
        "DELETE",
    ]
    for each in others:
        assert (each.headers["mcp-session-id"], each.headers["mcp-protocol-version"]) == ("s1", LEGACY)


async def test_a_server_without_sessions_is_not_asked_to_end_one(opening_http: Start) -> None:
    async def initialize(asked: Asked) -> None:
        await asked.result(INITIALIZED)

    origin, opened = opening_http(old(initialize=initialize))
    async with opened(revision=LEGACY) as client:
        await client.ping()
    assert origin.said()[-1] == "ping"


async def test_requests_of_the_newer_revision_repeat_method_and_name_in_headers(opening_http: Start) -> None:
    async def tools(asked: Asked) -> None:
        schema = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
        listed = {
            "tools": [{"name": "caf\u00e9", "inputSchema": schema}],
            "ttlMs": 0,
            "cacheScope": "private",
        }
        await asked.result({"resultType": "complete", **listed})

    async def call(asked: Asked) -> None:
        await asked.result({"resultType": "complete", "content": []})

    origin, opened = opening_http(new(list=tools, call=call))
    async with opened() as client:
        await client.call_tool("caf\u00e9", {"region": "eu"})
        await client.list_tools()
        await client.call_tool("caf\u00e9", {"region": "eu"})
    before, listing, after = origin.asked[1:]
    assert listing.headers["mcp-method"] == "tools/list"
    assert "mcp-name" not in listing.headers
    assert after.headers["mcp-method"] == "tools/call"
    assert after.headers["mcp-name"] == "=?base64?Y2Fmw6k=?="
    assert after.headers["mcp-protocol-version"] == MODERN
    assert (before.headers.get("mcp-param-region"), after.headers["mcp-param-region"]) == (None, "eu")


@pytest.mark.parametrize(("kind", "names"), [(new, ["right"]), (old, ["right", "wrong"])])
async def test_a_tool_that_nobody_could_call_is_not_listed(
    opening_http: Start, kind: Callable[..., Handle], names: list[str]
) -> None:
    async def tools(asked: Asked) -> None:
        marked = {"type": "object", "properties": {"a": {"type": "number", "x-mcp-header": "A"}}}
        listed = [{"name": "right", "inputSchema": {}}, {"name": "wrong", "inputSchema": marked}]
        await asked.result({"resultType": "complete", "tools": listed, "ttlMs": 0, "cacheScope": "private"})

    _origin, opened = opening_http(kind(list=tools))
    async with opened() as client:
        assert [tool.name for tool in await client.list_tools()] == names


# -- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 429, 500])
@pytest.mark.parametrize("id", [{"id": 2}, {}])
async def test_an_error_with_a_status_is_the_servers_refusal(
    opening_http: Start, status: int, id: dict[str, object]
) -> None:
    error = {"code": -32602, "message": "wrong", "data": {"a": 1}}
    _origin, opened = opening_http(new(call=answers(status, {"jsonrpc": "2.0", **id, "error": error})))
    async with opened(reconnect=False) as client:
        with pytest.raises(RpcError, match="wrong") as refused:
            await client.call_tool("x")
        assert (refused.value.code, refused.value.data) == (-32602, {"a": 1})
        await client.ping()


@pytest.mark.parametrize(("header", "data"), [("7", {"retryAfter": 7}), ("soon", {}), ("", {})])
async def test_too_many_requests_is_a_refusal_with_the_wait(
    opening_http: Start, header: str, data: dict[str, object]
) -> None:
    _origin, opened = opening_http(new(call=answers(429, b"slow down", ("Retry-After", header))))
    async with opened(reconnect=False) as client:
        with pytest.raises(RpcError, match="try again") as refused:
            await client.call_tool("x")
        assert refused.value.data == {"reason": "rate_limited", **data}
        await client.ping()


@pytest.mark.parametrize(
    ("status", "body", "said"), [(413, b"too large", "HTTP 413: too large"), (431, b"", "HTTP 431")]
)
async def test_a_status_that_is_about_one_request_refuses_that_one(
    opening_http: Start, status: int, body: bytes, said: str
) -> None:
    _origin, opened = opening_http(new(call=answers(status, body)))
    async with opened(reconnect=False) as client:
        with pytest.raises(RpcError, match=said) as refused:
            await client.call_tool("x" * 20_000)
        assert refused.value.data == {"status": status}
        await client.ping()


# -- answers -------------------------------------------------------------------------------------------


async def test_an_answer_may_be_written_over_several_lines(opening_http: Start) -> None:
    async def call(asked: Asked) -> None:
        message = {
            "jsonrpc": "2.0",
            "id": asked.message["id"],
            "result": {"resultType": "complete", "content": []},
        }
        text = json.dumps(message, indent=2)
        if asked.message["params"]["name"] == "json":
            await asked.answer(200, text.encode(), ("Content-Type", "application/json; charset=utf-8"))
        else:
            await asked.begin(200, SSE)
            await asked.send(("".join(f"data: {line}\r\n" for line in text.splitlines()) + "\r\n").encode())
            await asked.end()

    origin, opened = opening_http(new(call=call))
    async with opened() as client:
        for name in ("json", "events"):
            assert (await client.call_tool(name)).content == []
    assert origin.dials == 1  # what is read to its end leaves a connection that can be used again


@pytest.mark.parametrize("kind", ["json", "events", "line"])
async def test_an_answer_beyond_the_bound_ends_the_connection(opening_http: Start, kind: str) -> None:
    async def call(asked: Asked) -> None:
        message = {"id": asked.message["id"], "result": {"content": [], "x": "x" * 2000}}
        if kind == "json":
            await asked.result(message["result"])
        else:
            await asked.begin(200, SSE)
            await (asked.event(message) if kind == "events" else asked.send(b"data: " + b"x" * 2000))
            await trio.sleep_forever()

    _origin, opened = opening_http(new(call=call))
    async with opened(reconnect=False, limits=Limits(max_message=1000)) as client:
        with pytest.raises(ConnectionLost, match="larger than 1000 bytes"):
            await client.call_tool("x")


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
async def test_an_answer_that_is_no_message_ends_the_connection(opening_http: Start, body: bytes) -> None:
    _origin, opened = opening_http(new(call=answers(200, body, ("Content-Type", "application/json"))))
    async with opened(reconnect=False) as client:
        with pytest.raises(ConnectionLost) as lost:
            await client.call_tool("x")
        assert lost.value.code == 1007


async def _broken_off(asked: Asked) -> None:
    await asked.begin(200, SSE)
    await asked.send(b": hello\n\n")
    await asked.cut()


async def _ended(asked: Asked) -> None:
    await asked.begin(200, SSE)
    await asked.end()


async def _of_another(asked: Asked) -> None:
    await asked.answer(200, {"jsonrpc": "2.0", "id": 999, "result": {}})


@pytest.mark.parametrize("handle", [_broken_off, _ended, _of_another])
@pytest.mark.parametrize("kind", [old, new])
async def test_an_answer_that_ends_before_it_is_complete_loses_the_connection_which_is_made_again(
    opening_http: Start, handle: Handle, kind: Callable[..., Handle]
) -> None:
    _origin, opened = opening_http(kind(call=handle))
    async with opened() as client:
        with pytest.raises(ConnectionLost):
            await client.call_tool("x")
        await client.ping()
        assert client.statistics().connections == 2
