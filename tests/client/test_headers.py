"""What a message's HTTP headers repeat of it, judged by the server's own check."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.client.carrier.headers import MAX_TOOLS, Mirror, Seen, header_value, look, marked
from mcptrio.protocol import Notification, Request, decode
from mcptrio.server.http.request_headers import decoded

VERSION = "io.modelcontextprotocol/protocolVersion"


def seen(method: str, params: object) -> Seen:
    message = decode(msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    assert isinstance(message, Request)
    return look(message)


@given(st.text())
def test_any_text_survives_the_way_through_a_header(text: str) -> None:
    value = header_value(text)
    assert value.isascii()
    assert value.decode().isprintable()
    assert value == value.strip()
    assert decoded(value.decode()) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain name-1", b"plain name-1"),
        ("caf\u00e9", b"=?base64?Y2Fmw6k=?="),
        (" padded", b"=?base64?IHBhZGRlZA==?="),
        ("a\nb", b"=?base64?YQpi?="),
        ("=?base64?x?=", b"=?base64?PT9iYXNlNjQ/eD89?="),
    ],
)
def test_what_is_not_plain_is_written_in_base64(text: str, value: bytes) -> None:
    assert header_value(text) == value


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("tools/call", {"name": "t", "uri": "u"}, "t"),
        ("prompts/get", {"name": "p"}, "p"),
        ("resources/read", {"name": "n", "uri": "u"}, "u"),
        ("tools/list", {"name": "n"}, None),
        ("tools/call", {"name": 5}, None),
        ("tools/call", {}, None),
    ],
)
def test_the_name_is_what_the_method_is_about(method: str, params: object, name: str | None) -> None:
    assert seen(method, params).name == name


@given(st.recursive(st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["_meta", "name", VERSION, "requestId"]), inner, max_size=4), max_leaves=8))  # fmt: skip
def test_any_params_can_be_looked_at(params: object) -> None:
    found = seen("tools/call", {"_meta": params, "name": params, "requestId": params})
    assert found.version is None or isinstance(found.version, str)
    assert found.name is None or isinstance(found.name, str)
    assert not isinstance(found.request_id, bool)


def test_a_version_is_taken_from_the_envelope_only_if_a_header_can_hold_it() -> None:
    assert seen("x", {"_meta": {VERSION: "2026-07-28"}}).version == "2026-07-28"
    for wrong in ("a\r\nb: c", "", 5, None, "\u00e9"):
        assert seen("x", {"_meta": {VERSION: wrong}}).version is None
    assert look(Notification("x")) == Seen()


SCHEMA = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "plain": {"type": "string"},
        "deep": {
            "type": "object",
            "properties": {
                "count": {"type": "integer", "x-mcp-header": "Count"},
                "flag": {"type": "boolean", "x-mcp-header": "flag"},
            },
        },
        "list": {"type": "array", "items": {"properties": {"no": {"x-mcp-header": "No"}}}},
    },
}


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def mirror(*tools: object) -> Mirror:
    found = Mirror()
    found.learn(msgspec.Raw(msgspec.json.encode({"tools": [*tools]})))
    return found


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        ({"region": "eu", "plain": "x"}, [("Mcp-Param-Region", b"eu")]),
        ({"region": "\u00e9"}, [("Mcp-Param-Region", b"=?base64?w6k=?=")]),
        ({"deep": {"count": 7, "flag": False}}, [("Mcp-Param-Count", b"7"), ("Mcp-Param-flag", b"false")]),
        ({"deep": {"count": 7.0, "flag": True}}, [("Mcp-Param-Count", b"7"), ("Mcp-Param-flag", b"true")]),
        ({"region": None, "deep": {"count": 2**60}}, []),
        ({"deep": [1], "region": {}}, []),
        (None, []),
        ("text", []),
    ],
)
def test_marked_arguments_are_mirrored(arguments: object, headers: object) -> None:
    found = mirror({"name": "t", "inputSchema": SCHEMA})
    assert found.headers("t", raw(arguments)) == headers
    assert found.headers("other", raw(arguments)) == []


@pytest.mark.parametrize("arguments", [b'{"region": 1e999}', b"[" * 5000 + b"]" * 5000])
def test_arguments_that_cannot_be_read_are_not_mirrored(arguments: bytes) -> None:
    assert mirror({"name": "t", "inputSchema": SCHEMA}).headers("t", msgspec.Raw(arguments)) == []


def test_a_newer_list_counts() -> None:
    found = mirror({"name": "t", "inputSchema": SCHEMA})
    found.learn(msgspec.Raw(b'{"tools": [{"name": "t", "inputSchema": {}}]}'))
    assert found.headers("t", raw({"region": "eu"})) == []


@pytest.mark.parametrize("result", [b"{}", b'{"tools": 5}', b"[]", b'{"tools": [{}]}', b"[" * 5000])
def test_a_result_that_is_no_list_of_tools_teaches_nothing(result: bytes) -> None:
    found = mirror({"name": "t", "inputSchema": SCHEMA})
    found.learn(msgspec.Raw(result))
    assert len(found.headers("t", raw({"region": "eu"}))) == 1


def test_how_much_is_learned_is_bounded() -> None:
    found = mirror(*({"name": f"t{number}", "inputSchema": SCHEMA} for number in range(MAX_TOOLS + 5)))
    assert found.headers(f"t{MAX_TOOLS - 1}", raw({"region": "eu"})) != []
    assert found.headers(f"t{MAX_TOOLS}", raw({"region": "eu"})) == []


@pytest.mark.parametrize(
    "properties",
    [
        {"a": {"type": "string", "x-mcp-header": ""}},
        {"a": {"type": "string", "x-mcp-header": "a b"}},
        {"a": {"type": "string", "x-mcp-header": 5}},
        {"a": {"type": "number", "x-mcp-header": "A"}},
        {"a": {"type": "object", "x-mcp-header": "A"}},
        {"a": {"type": "string", "x-mcp-header": "A"}, "b": {"type": "string", "x-mcp-header": "a"}},
    ],
)
def test_marks_that_are_none_make_the_whole_schema_useless(properties: object) -> None:
    with pytest.raises(ValueError, match="x-mcp-header"):
        marked({"properties": properties})
    assert (
        mirror({"name": "t", "inputSchema": {"properties": properties}}).headers("t", raw({"a": "x"})) == []
    )


@pytest.mark.parametrize("schema", [None, 5, {}, {"properties": 5}, {"properties": {"a": 5}}])
def test_schemas_without_marks_have_none(schema: object) -> None:
    assert marked(schema) == []
