"""Sound HTTP with something unsound in it: a status and perhaps an error, the connection kept, and nobody else notices."""

from __future__ import annotations

import base64
import json

import pytest
from trio.testing import MockClock

from mcptrio.protocol.envelope import CAPABILITIES_KEY, VERSION_KEY
from tests.adversary.posts import (
    ECHO,
    INITIALIZE_POST,
    LIST,
    LIST_BODY,
    VERSION,
    call,
    fields,
    get,
    head,
    in_session,
    post,
)
from tests.adversary.rows import Fault, Row, Status
from tests.adversary.world import META, modern, open_world, rpc

PARSE, INVALID, PARAMS, MISMATCH, UNSUPPORTED, NO_METHOD, NO_ENVELOPE = (
    -32700,
    -32600,
    -32602,
    -32020,
    -32022,
    -32601,
    -32602,
)

LISTS = fields("tools/list")


def _says(*lines: str) -> bytes:
    """A sound call of `echo` with these fields instead of its own."""
    return post(modern("tools/call", 1, name="echo", arguments={"text": "hello"}), *lines)


def _named(name: str) -> bytes:
    return _says(VERSION, "Mcp-Method: tools/call", f"Mcp-Name: {name}")


def _meta(**meta: object) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}})
    return post(body.encode(), *LISTS)


def _with(line: str, sound: bytes = LIST) -> bytes:
    return sound.replace(b"\r\n", f"\r\n{line}\r\n".encode("latin-1"), 1)


def _origin(origin: str, method: str = "POST") -> bytes:
    return _with(f"Origin: {origin}", LIST if method == "POST" else PREFLIGHT)


def _at(target: str, host: str = "Host: localhost") -> bytes:
    return post(LIST_BODY, *LISTS, first=f"POST {target} HTTP/1.1", host=host)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


PREFLIGHT = head(
    "OPTIONS /mcp HTTP/1.1",
    "Access-Control-Request-Method: POST",
    "Access-Control-Request-Headers: mcp-param-x",
)
KEPT = Status(200, kept=True)
DEEP = b"[" * 30_000

MESSAGES = {
    "no message": Row(post(b"", *LISTS), Fault(400, PARSE, None)),
    "no JSON": Row(post(b"hello", *LISTS), Fault(400, PARSE, None)),
    "NUL": Row(post(b"\0" * 1000, *LISTS), Fault(400, PARSE, None)),
    "half a message": Row(post(LIST_BODY[:-3], *LISTS), Fault(400, PARSE, None)),
    "two messages": Row(post(LIST_BODY * 2, *LISTS), Fault(400, PARSE, None)),
    "bytes that are no UTF-8": Row(
        post(LIST_BODY.replace(b"tools/list", b"tools/\xff\xfe"), *LISTS), Fault(400, PARSE, None)
    ),
    "UTF-16": Row(post(LIST_BODY.decode().encode("utf-16"), *LISTS), Fault(400, PARSE, None)),
    "a byte order mark": Row(post(b"\xef\xbb\xbf" + LIST_BODY, *LISTS), Fault(400, PARSE, None)),
    "deep JSON": Row(post(DEEP, *LISTS), Fault(400, INVALID, None)),
    "deep JSON that ends": Row(post(DEEP + b"]" * len(DEEP), *LISTS), Fault(400, INVALID, None)),
    "deep params": Row(
        post(LIST_BODY.replace(b'"_meta"', b'"x": ' + DEEP + b"]" * len(DEEP) + b', "_meta"'), *LISTS),
        Fault(400, PARSE, None),
    ),
    "a batch of nothing": Row(post(b"[]", *LISTS), Fault(400, INVALID, None)),
    "a batch": Row(post(b"[" + LIST_BODY + b"," + LIST_BODY + b"]", *LISTS), Fault(400, INVALID, None)),
    "a number": Row(post(b"1", *LISTS), Fault(400, INVALID, None)),
    "null": Row(post(b"null", *LISTS), Fault(400, INVALID, None)),
    "an object of nothing": Row(post(b"{}", *LISTS), Fault(400, INVALID, None)),
    "another version of JSON-RPC": Row(
        post(LIST_BODY.replace(b'"2.0"', b'"1.0"'), *LISTS), Fault(400, INVALID)
    ),
    **{
        f"the id {id!r}": Row(post(modern("tools/list", id, x=1), *LISTS), Fault(400, INVALID, None))
        for id in (1.5, True, {"x": 1}, [1])
    },
    "the id null": Row(post(LIST_BODY.replace(b'"id": 1', b'"id": null'), *LISTS), Fault(400, INVALID, None)),
    "a huge id": Row(post(modern("tools/list", "x" * 60_000), *LISTS), Fault(400, INVALID, "x" * 60_000)),
    "a huge number as id": Row(
        post(LIST_BODY.replace(b'"id": 1', b'"id": ' + b"9" * 5000), *LISTS), Fault(400, INVALID, None)
    ),
    "no method": Row(post(b'{"jsonrpc": "2.0", "id": 1}', *LISTS), Fault(400, INVALID)),
    "params that are a list": Row(
        post(b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": [1]}', *LISTS),
        Fault(400, PARAMS),
    ),
    "a method that is not there": Row(
        post(modern("no/method", 1), *fields("no/method")), Fault(404, NO_METHOD)
    ),
    "a method of the other revision": Row(
        post(modern("resources/subscribe", 1, uri="hot://1"), *fields("resources/subscribe")),
        Fault(404, NO_METHOD),
    ),
    "a notification": Row(post(rpc("notifications/cancelled", requestId=1), VERSION), Status(202, kept=True)),
    "a notification with an envelope": Row(
        post(rpc("notifications/cancelled", requestId=1, _meta=META), VERSION), Status(202, kept=True)
    ),
    "a response to nothing": Row(
        post(b'{"jsonrpc": "2.0", "id": 1, "result": {}}', VERSION), Fault(400, INVALID, None)
    ),
    "an error to nothing": Row(
        post(b'{"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": ""}}', VERSION),
        Fault(400, INVALID, None),
    ),
    "a response to nothing, of no session": Row(
        post(b'{"jsonrpc": "2.0", "id": 1, "result": {}}'), Status(400, kept=True)
    ),
    "a tool that is not there": Row(call("nothing"), Status(200, kept=True)),
    "arguments that are none": Row(call("echo", text=5), KEPT),
    "a huge tool's name": Row(call("x" * 1500), KEPT),
}

HEADERS = {
    "no envelope": Row(post(rpc("tools/list", 1), *LISTS), Fault(400, NO_ENVELOPE)),
    "half an envelope": Row(_meta(**{VERSION_KEY: "2026-07-28"}), Fault(400, PARAMS)),
    "an envelope of other types": Row(_meta(**{VERSION_KEY: 5, CAPABILITIES_KEY: "all"}), Fault(400, PARAMS)),
    "an envelope that is none": Row(post(rpc("tools/list", 1, _meta=5), *LISTS), Fault(400, PARAMS)),
    "a version that is not served": Row(
        _meta(**META | {VERSION_KEY: "2099-01-01"}).replace(
            b"MCP-Protocol-Version: 2026-07-28", b"MCP-Protocol-Version: 2099-01-01"
        ),
        Fault(400, UNSUPPORTED),
    ),
    "no fields": Row(_says(), Fault(400, MISMATCH)),
    "no version": Row(_says(*fields("tools/call", "echo")[1:]), Fault(400, MISMATCH)),
    "another version": Row(
        _says("MCP-Protocol-Version: 2025-11-25", *fields("tools/call", "echo")[1:]), Fault(400, MISMATCH)
    ),
    "two versions": Row(_says(VERSION, *fields("tools/call", "echo")), Fault(400, MISMATCH)),
    "no method's field": Row(_says(VERSION, "Mcp-Name: echo"), Fault(400, MISMATCH)),
    "another method": Row(_says(*fields("tools/list", "echo")), Fault(400, MISMATCH)),
    "a method in capitals": Row(_says(*fields("TOOLS/CALL", "echo")), Fault(400, MISMATCH)),
    "two methods": Row(_says(*fields("tools/call", "echo"), "Mcp-Method: tools/call"), Fault(400, MISMATCH)),
    "no name": Row(_says(*fields("tools/call")), Fault(400, MISMATCH)),
    "an empty name": Row(_named(""), Fault(400, MISMATCH)),
    "two names": Row(_says(*fields("tools/call", "echo"), "Mcp-Name: echo"), Fault(400, MISMATCH)),
    **{
        f"the name {name!r}": Row(_named(name), Fault(400, MISMATCH))
        for name in (
            *("hold", "ECHO", "echo, echo", "echo\x01", "echo\xa0", "%65cho"),
            *("=?base64?!!!!?=", "=?base64?/w==?=", "=?base64?ZWNobw?=", "=?base64??=", "=?base64?ZWNobw=="),
            *(
                "=?BASE64?ZWNobw==?=",
                "=?base64?ZWNo\tbw==?=",
                "=?base64?\xff?=",
                f"=?base64?{_base64('hold')}?=",
            ),
            *(f"=?base64?{_base64('=?base64?ZWNobw==?=')}?=", f"=?base64?{'A' * 1500}?="),
        )
    },
    "the name in base64": Row(_named(f"=?base64?{_base64('echo')}?="), KEPT),
    "a name of 100 KB": Row(_named("x" * 100_000), Status(431)),
    "a name of 100 KB in base64": Row(_named(f"=?base64?{_base64('x' * 75_000)}?="), Status(431)),
    "a parameter that no tool has": Row(
        _says(*fields("tools/call", "echo"), "Mcp-Param-Text: \x01", "Mcp-Param-: x"), KEPT
    ),
    "a uri that is not the name": Row(
        post(modern("resources/read", 1, uri="hot://1"), *fields("resources/read", "hot://2")),
        Fault(400, MISMATCH),
    ),
    "another type of body": Row(LIST.replace(b"application/json", b"text/plain"), Status(415, kept=True)),
    "another type that begins well": Row(
        LIST.replace(b"application/json", b"application/json-x"), Status(415, kept=True)
    ),
    "two types of body": Row(_with("Content-Type: text/plain"), Status(415, kept=True)),
    "a form": Row(
        LIST.replace(b"application/json", b"application/x-www-form-urlencoded"), Status(415, kept=True)
    ),
    "no acceptable form": Row(_with("Accept: text/html"), Status(406, kept=True)),
    "one acceptable form": Row(_with("Accept: application/json"), Status(406, kept=True)),
    "thousands of forms": Row(_with("Accept: " + "," * 1500), Status(406, kept=True)),
    "a compressed body": Row(_with("Content-Encoding: gzip"), KEPT),
    "many fields": Row(post(LIST_BODY, *LISTS, *(f"X{n}: y" for n in range(200))), KEPT),
    "too many fields": Row(post(LIST_BODY, *LISTS, *(f"X{n}: y" for n in range(2000))), Status(431)),
    **{
        f"control characters in {name}": Row(_with(f"{name}: \x01\x1b\x7f\x80\xff", sound), gets)
        for name, sound, gets in (
            ("Accept", LIST, Status(406, kept=True)),
            ("Content-Type", LIST, Status(415, kept=True)),
            ("Mcp-Session-Id", LIST, KEPT),
            ("Mcp-Session-Id", INITIALIZE_POST, Status(404, kept=True)),
            ("MCP-Protocol-Version", INITIALIZE_POST, Status(400, kept=True)),
            ("Authorization", LIST, KEPT),
            ("Expect", LIST, KEPT),
            ("X-Forwarded-For", LIST, KEPT),
            ("Last-Event-ID", get("x"), Status(404, kept=True)),
            ("Access-Control-Request-Headers", PREFLIGHT, Status(204, kept=True)),
            ("Origin", LIST, Status(400)),
        )
    },
    "a field that ends with a carriage return": Row(_with("X: y\r"), Status(400)),
    "a field with a carriage return": Row(_with("X: y\rz"), Status(400)),
}

DOORS = {
    "an absolute target": Row(_at("http://localhost/mcp"), KEPT),
    "an absolute target of another scheme": Row(_at("ftp://localhost/mcp"), Status(400)),
    "an absolute target without a host": Row(_at("http:///mcp"), Status(400)),
    "an absolute target with a user": Row(_at("http://localhost@evil.example/mcp"), Status(403)),
    "an absolute target of an evil host": Row(_at("http://evil.example/mcp"), Status(403)),
    "an absolute target and an evil host": Row(
        _at("http://localhost/mcp", "Host: evil.example"), Status(403)
    ),
    "an absolute target without path": Row(_at("http://localhost"), Status(404)),
    **{
        f"the target {target!r}": Row(_at(target), Status(404))
        for target in (
            "//mcp",
            "/mcp/",
            "/MCP",
            "/mcp%00",
            "/mcp;x",
            "/./mcp",
            "/x/../mcp",
            "/mcp#x",
            "//evil/mcp",
        )
    },
    **{
        f"the target {target!r}": Row(_at(target), Status(400))
        for target in ("*", "mcp", "?x", "localhost:80")
    },
    "a query": Row(_at("/mcp?access_token=x&" + "y" * 1000), KEPT),
    **{
        f"the host {host!r}": Row(_at("/mcp", f"Host: {host}"), Status(403))
        for host in (
            *(
                "evil.example",
                "localhost, evil.example",
                "localhost:",
                "localhost:80:80",
                "localhost:x",
                "127.1",
            ),
            *(
                "[::1",
                "::1",
                "[::1%25lo]",
                "localhost.",
                "localhost/",
                "*",
                "null",
                "0.0.0.0",
                "localhost\\x",
            ),
        )
    },
    "two hosts": Row(_at("/mcp", "Host: localhost\r\nHost: localhost"), Status(400)),
    "a host with a control character": Row(_at("/mcp", "Host: local\x01host"), Status(400)),
    **{
        f"{method} of the origin {origin!r}": Row(_origin(origin, method), Status(403))
        for method in ("POST", "OPTIONS")
        for origin in ("https://evil.example", "null", "", "*", "http://localhost@evil.example", "file://")
    },
    "two origins": Row(_with("Origin: http://localhost\r\nOrigin: https://evil.example"), Status(403)),
    "a preflight request": Row(PREFLIGHT, Status(204, kept=True)),
    "a preflight request with a body": Row(
        _with("Content-Length: 5", PREFLIGHT) + b"hello", Status(204, kept=True)
    ),
    "a preflight request with thousands of names": Row(
        PREFLIGHT.replace(b"mcp-param-x", b"mcp-param-x," * 140), Status(204, kept=True)
    ),
    "a GET of no session": Row(head("GET /mcp HTTP/1.1"), Status(405, kept=True)),
    "a DELETE of no session": Row(head("DELETE /mcp HTTP/1.1"), Status(405, kept=True)),
    "a GET of a session that is not there": Row(get("x" * 1500), Status(404, kept=True)),
    "a POST in two sessions": Row(
        in_session("a", rpc("ping", 1), "Mcp-Session-Id: b"), Status(404, kept=True)
    ),
    "a request of no session": Row(post(rpc("tools/list", 1)), Status(400, kept=True)),
    **{
        f"the method {method}": Row(LIST.replace(b"POST", method.encode(), 1), Status(405, kept=True))
        for method in ("PUT", "PATCH", "TRACE", "post", "M-SEARCH", "A" * 1500)
    },
    "HEAD": Row(head("HEAD /mcp HTTP/1.1") + b"?\r\n\r\n", Status(405, kept=None)),
    "a POST of what is only read": Row(_at("/healthz") + ECHO, Status(200, kept=True, times=2)),
}
ROWS = MESSAGES | HEADERS | DOORS
assert len(ROWS) == len(MESSAGES) + len(HEADERS) + len(DOORS)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
async def test_a_peer_of_a_socket_that_says_what_is_unsound_gets_its_status(row: Row) -> None:
    async with open_world(sockets=True) as world:
        await row.play(world)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
async def test_a_peer_in_memory_that_says_what_is_unsound_gets_its_status(
    row: Row, autojump_clock: MockClock
) -> None:
    async with open_world(sockets=False) as world:
        await row.play(world)
