"""Messages that are no sound MCP: the peer gets its error, and nobody else notices."""

from __future__ import annotations

import json

import pytest
from trio.testing import MockClock

from mcptrio.protocol.envelope import CAPABILITIES_KEY, VERSION_KEY
from tests.adversary.rows import Refused, Row, Served
from tests.adversary.world import META, listen, modern, open_world, rpc, text

DEEP = 30_000


def _bare(payload: bytes, *errors: tuple[object, int]) -> Row:
    return Row(text(payload), Refused(errors) if errors else Served(), opening="websocket")


def _session(payload: bytes, *errors: tuple[object, int]) -> Row:
    return Row(text(payload), Refused(errors) if errors else Served(), opening="session")


def _request(**members: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **members}).encode()


def _nested(head: bytes, tail: bytes, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return head + opening * DEEP + closing * DEEP + tail


_PARSE, _INVALID, _METHOD, _PARAMS = -32700, -32600, -32601, -32602

ROWS = {
    # What is no JSON
    "no JSON": _bare(b"hello", (None, _PARSE)),
    "half of JSON": _bare(b'{"jsonrpc":"2.0","id":1,', (None, _PARSE)),
    "JSON and more": _bare(_request(id=1, method="ping") + b"x", (None, _PARSE)),
    "two messages in one": _bare(_request(id=1, method="ping") * 2, (None, _PARSE)),
    "NUL": _bare(b"\x00", (None, _PARSE)),
    "a byte order mark": _bare(b"\xef\xbb\xbf" + _request(id=1, method="ping"), (None, _PARSE)),
    "NaN": _bare(b'{"jsonrpc":"2.0","id":NaN,"method":"ping"}', (None, _PARSE)),
    "a comment": _bare(b'{"jsonrpc":"2.0",/**/"id":1,"method":"ping"}', (None, _PARSE)),
    "a lone surrogate in the id": _bare(b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}', (None, _PARSE)),
    "a lone low surrogate": _bare(b'{"jsonrpc":"2.0","id":"\\udc00 ","method":"ping"}', (None, _PARSE)),
    "a lone surrogate in the method": _bare(b'{"jsonrpc":"2.0","id":1,"method":"\\ud800x"}', (None, _PARSE)),
    "a lone surrogate in params": _session(
        b'{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"hot://\\udfff"}}', (None, _PARSE)
    ),
    "a raw control character in a string": _bare(
        b'{"jsonrpc":"2.0","id":"\n","method":"ping"}', (None, _PARSE)
    ),
    # What is JSON and no message
    "null": _bare(b"null", (None, _INVALID)),
    "a number": _bare(b"1e309", (None, _INVALID)),
    "a string": _bare(b'"ping"', (None, _INVALID)),
    "an empty batch": _bare(b"[]", (None, _INVALID)),
    "a batch": _bare(b"[" + _request(id=1, method="ping") + b"]", (None, _INVALID)),
    "an empty object": _bare(b"{}", (None, _INVALID)),
    "no version": _bare(json.dumps({"id": 1, "method": "ping"}).encode(), (1, _INVALID)),
    "version 1.0": _bare(json.dumps({"jsonrpc": "1.0", "id": 1, "method": "ping"}).encode(), (1, _INVALID)),
    "a version that is a number": _bare(b'{"jsonrpc":2.0,"id":1,"method":"ping"}', (1, _INVALID)),
    "no method": _bare(_request(id=1), (1, _INVALID)),
    "a method that is a number": _bare(_request(id=1, method=1), (1, _INVALID)),
    "a method that is null": _bare(_request(id=1, method=None), (1, _INVALID)),
    "an id that is null": _bare(_request(id=None, method="ping"), (None, _INVALID)),
    "an id that is a fraction": _bare(_request(id=1.5, method="ping"), (None, _INVALID)),
    "an id that is true": _bare(_request(id=True, method="ping"), (None, _INVALID)),
    "an id that is an object": _bare(_request(id={}, method="ping"), (None, _INVALID)),
    "an id that is a list": _bare(_request(id=[1], method="ping"), (None, _INVALID)),
    "an id of too many digits": _bare(
        b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"method":"ping"}', (None, _INVALID)
    ),
    "an id beyond 64 bits": _bare(_request(id=2**64, method="nope"), (2**64, _PARAMS)),
    "an id below 64 bits": _bare(_request(id=-(2**63) - 1, method="nope"), (-(2**63) - 1, _PARAMS)),
    "both a result and an error": _bare(
        _request(id=1, result={}, error={"code": 1, "message": ""}), (None, _INVALID)
    ),
    "an error of a wrong type": _bare(_request(id=1, error="x"), (None, _INVALID)),
    "a response that nobody asked for": _bare(_request(id=1, result={})),
    "an error response that nobody asked for": _bare(_request(id=1, error={"code": 1, "message": "x"})),
    "params that are a list": _bare(_request(id=1, method="ping", params=[1]), (1, _PARAMS)),
    "params that are a string": _bare(_request(id=1, method="ping", params="x"), (1, _PARAMS)),
    "params that are null": _bare(_request(id=1, method="nope", params=None), (1, _PARAMS)),
    "_meta that is a string": _bare(_request(id=1, method="ping", params={"_meta": "x"}), (1, _PARAMS)),
    # Nesting
    "deep lists": _bare(_nested(b"", b""), (None, _INVALID)),
    "deep lists without end": _bare(b"[" * 60_000, (None, _INVALID)),
    "deep objects without end": _bare(b'{"a":' * 12_000, (None, _PARSE)),
    "deep params": _bare(
        _nested(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":', b"}}"), (None, _PARSE)
    ),
    "a deep member": _bare(_nested(b'{"x":', b',"jsonrpc":"2.0","id":1,"method":"ping"}'), (None, _PARSE)),
    "a deep id": _bare(_nested(b'{"jsonrpc":"2.0","id":', b',"method":"ping"}'), (None, _INVALID)),
    # Before and around a session
    "a request before initialize": _bare(rpc("tools/list", 1), (1, _PARAMS)),
    "a bare server/discover": _bare(rpc("server/discover", 1), (1, _PARAMS)),
    "initialize without params": _bare(rpc("initialize", 1), (1, _PARAMS)),
    "initialize with wrong types": _bare(
        rpc("initialize", 1, protocolVersion=1, capabilities=[], clientInfo="x"), (1, _PARAMS)
    ),
    "initialize twice": _session(
        rpc(
            "initialize",
            1,
            protocolVersion="2025-11-25",
            capabilities={},
            clientInfo={"name": "x", "version": "1"},
        ),
        (1, _INVALID),
    ),
    "initialized before initialize": _bare(rpc("notifications/initialized")),
    "initialized again": _session(rpc("notifications/initialized")),
    "an unknown method": _session(rpc("tools/destroy", 1), (1, _METHOD)),
    "an empty method": _session(rpc("", 1), (1, _METHOD)),
    "a method of 60,000 characters": _session(rpc("x" * 60_000, 1), (1, _METHOD)),
    "a method with newlines": _session(rpc("ping\nFORGED", 1), (1, _METHOD)),
    "a method of the other revision": _session(rpc("subscriptions/listen", 1), (1, _METHOD)),
    "a method of the older revision": _bare(modern("resources/subscribe", 1, uri="hot://1"), (1, _METHOD)),
    "an unknown notification": _session(rpc("notifications/nope", uri=1)),
    "a malformed cancellation": _session(rpc("notifications/cancelled", requestId=[])),
    "a cancellation of nothing": _session(rpc("notifications/cancelled", requestId="x" * 10_000)),
    "a cancellation as a request": _session(rpc("notifications/cancelled", 1, requestId=1), (1, _METHOD)),
    # The envelope
    "an envelope without capabilities": _bare(
        rpc("tools/list", 1, _meta={VERSION_KEY: "2026-07-28"}), (1, _PARAMS)
    ),
    "an envelope of an unknown version": _bare(
        rpc("tools/list", 1, _meta={**META, VERSION_KEY: "1999-01-01"}), (1, -32022)
    ),
    "an envelope of a huge version": _bare(
        rpc("tools/list", 1, _meta={**META, VERSION_KEY: "9" * 20_000}), (1, -32022)
    ),
    "an envelope of wrong types": _bare(
        rpc("tools/list", 1, _meta={VERSION_KEY: 1, CAPABILITIES_KEY: []}), (1, _PARAMS)
    ),
    # Params
    "a cursor of a wrong type": _session(rpc("tools/list", 1, cursor=1), (1, _PARAMS)),
    "a cursor of ours that is not": _session(rpc("tools/list", 1, cursor="forged"), (1, _PARAMS)),
    "a cursor of control characters": _session(rpc("tools/list", 1, cursor="\x00\n\ud7ff"), (1, _PARAMS)),
    "a call without a name": _session(rpc("tools/call", 1), (1, _PARAMS)),
    "a call of nothing": _session(rpc("tools/call", 1, name="nope"), (1, _PARAMS)),
    "a call of a huge name": _session(rpc("tools/call", 1, name="x" * 60_000), (1, _PARAMS)),
    "a call with a list": _session(rpc("tools/call", 1, name="echo", arguments=[]), (1, _PARAMS)),
    "a prompt of nothing": _session(rpc("prompts/get", 1, name="nope"), (1, _PARAMS)),
    "a prompt with wrong arguments": _session(
        rpc("prompts/get", 1, name="greet", arguments={"name": 1}), (1, _PARAMS)
    ),
    "a read of nothing": _session(rpc("resources/read", 1, uri="cold://1"), (1, -32002)),
    "a read of nothing, enveloped": _bare(modern("resources/read", 1, uri="cold://1"), (1, _PARAMS)),
    # URIs
    **{
        f"a URI that is {name}, to {method}": _session(rpc(f"resources/{method}", 1, uri=uri), (1, _PARAMS))
        for method in ("read", "subscribe", "unsubscribe")
        for name, uri in {
            "empty": "",
            "relative": "/etc/passwd",
            "huge": "hot://" + "x" * 50_000,
            "with a newline": "hot://1\nERROR forged",
            "with a carriage return": "hot://1\rERROR forged",
            "with NUL": "hot://\x00",
            "with an escape sequence": "hot://\x1b[2J",
            "with a line separator": "hot://\u2028",
            "with a space": "hot://a b",
            "a number": 1,
            "a list": ["hot://1"],
        }.items()
    },
    "a subscription to nothing": _session(rpc("resources/subscribe", 1, uri="cold://1"), (1, -32002)),
    "an encoded newline": _session(rpc("resources/subscribe", 1, uri="hot://1%0AERROR")),
    "a listen to a malformed URI": _bare(listen(1, "hot://1", "hot://\n"), (1, _PARAMS)),
    "a listen to wrong types": _bare(modern("subscriptions/listen", 1, notifications=[]), (1, _PARAMS)),
    "a listen without a filter": _bare(modern("subscriptions/listen", 1), (1, _PARAMS)),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
async def test_a_peer_of_a_socket_that_sends_no_sound_message_gets_its_error(row: Row) -> None:
    async with open_world(sockets=True) as world:
        await row.play(world)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
async def test_a_peer_in_memory_that_sends_no_sound_message_gets_its_error(
    row: Row, autojump_clock: MockClock
) -> None:
    async with open_world(sockets=False) as world:
        await row.play(world)
