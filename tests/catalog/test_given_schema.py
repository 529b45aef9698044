"""Tools whose schemas are given, not made from type hints."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from mcptrio.catalog import Catalog, DeclarationError
from mcptrio.protocol import Failure, Revision, RpcError
from mcptrio.protocol.results import CallToolResult
from mcptrio.protocol.types import TextContent

from .calls import call, text_of
from .captured_logs import captured_logs
from .fake_context import FakeContext

PERSON: dict[str, object] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {"$anchor": "addressDef", "type": "object", "properties": {"zip": {"type": "string"}}}
    },
    "properties": {
        "name": {"type": "string"},
        "addresses": {"type": "array", "items": {"$ref": "#/$defs/address"}},
        "home": {"$ref": "#addressDef"},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"required": ["phone"]},
    "then": {"properties": {"phone": {"pattern": "^[0-9]+$"}}},
    "unevaluatedProperties": False,
}


async def greet(person: dict[str, object]) -> str:
    return msgspec.json.encode(person).decode()


def with_schema(schema: Mapping[str, object] = PERSON) -> Catalog:
    catalog = Catalog()
    catalog.add_tool(greet, input_schema=schema)
    return catalog


@pytest.mark.parametrize("revision", Revision)
def test_the_schema_is_listed_verbatim(revision: Revision) -> None:
    [listed] = with_schema().tools(revision)
    assert listed.input_schema == PERSON
    assert list(listed.input_schema) == list(PERSON)


async def test_what_conforms_arrives_as_it_is() -> None:
    arguments = b'{"name": "ann", "phone": "12", "addresses": [{"zip": "1", "more": 1.0}]}'
    result = await call(with_schema(), "greet", arguments)
    assert msgspec.json.decode(text_of(result)) == msgspec.json.decode(arguments)


@pytest.mark.parametrize("arguments", [None, b"{}", b" null"])
async def test_no_arguments_are_an_empty_object(arguments: bytes | None) -> None:
    assert text_of(await call(with_schema({"type": "object"}), "greet", arguments)) == "{}"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (b'{"phone": "1", "name": 7}', 'Invalid argument `name`: 7 is not of type "string"'),
        (b'{"phone": "1", "addresses": [{}, {"zip": 7}]}', "Invalid argument `addresses[1].zip`: 7 is not"),
        (b'{"phone": "1", "home": {"zip": 7}}', "Invalid argument `home.zip`: 7 is not"),
        (b'{"phone": "x"}', "Invalid argument `phone`:"),
        (b'{"name": "ann"}', "Invalid arguments: "),
        (b'{"email": "a", "town": 1}', "Invalid arguments: Unevaluated properties"),
    ],
)
async def test_what_does_not_conform_is_a_result_that_names_it_by_its_path(
    arguments: bytes, text: str
) -> None:
    result = await call(with_schema(), "greet", arguments)
    assert result.is_error is True
    assert text_of(result).startswith(text)


@pytest.mark.parametrize("arguments", [b"[]", b"7", b"{", b'{"a": \xff}', b'"x"'])
async def test_arguments_that_are_no_object_are_an_error(arguments: bytes) -> None:
    with pytest.raises(RpcError) as caught:
        await call(with_schema(), "greet", arguments)
    assert caught.value.failure is Failure.INVALID_PARAMS


@pytest.mark.parametrize("number", [b"1" + b"0" * 400, b"-9e307", b"18446744073709551616", b"1.0", b"-0"])
async def test_any_number_that_json_has_is_read(number: bytes) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "number"}}}
    result = await call(with_schema(schema), "greet", b'{"a": %b}' % number)
    assert result.is_error is UNSET, result


@pytest.mark.parametrize("depth", [300, 100_000])
async def test_arguments_nested_too_deeply_are_a_result_that_says_so(depth: int) -> None:
    schema = {"type": "object", "properties": {"a": {"const": 1}}}
    arguments = b'{"a": ' + b"[" * depth + b"]" * depth + b"}"
    result = await call(with_schema(schema), "greet", arguments)
    assert result.is_error is True
    assert "nested too deeply" in text_of(result)


async def test_a_pattern_cannot_be_made_to_run_for_long() -> None:
    # A number of steps is what bounds it: with backtracking alone this would take years.
    schema = {"type": "object", "properties": {"a": {"pattern": "^(?=(a+)+$)"}}}
    result = await call(with_schema(schema), "greet", b'{"a": "%b!"}' % (b"a" * 5000))
    assert result.is_error is True
    assert len(text_of(result)) < 700


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}},
            r"\$ref that leads nowhere .*\$defs",
        ),
        ({"type": "object", "properties": {"a": {"$ref": "#b"}}}, r"\$ref that leads nowhere"),
        ({"type": "object", "properties": {"a": {"$ref": "other.json"}}}, r"\$ref that leads nowhere"),
        ({"type": "object", "properties": {"a": {"$ref": "https://x.example/s"}}}, "nothing is fetched"),
        ({"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}}, "nothing is fetched"),
        ({"type": "object", "$schema": "https://x.example/dialect"}, "no valid JSON schema: Unknown meta"),
        ({"type": "array"}, '"type": "object" at its root'),
        ({}, '"type": "object" at its root'),
        ({"type": "objekt"}, "no valid JSON schema: .*objekt.* at `type`"),
        ({"type": "object", "properties": {"a": {"pattern": "["}}}, "properties.a.pattern"),
        ({"type": "object", "default": object()}, "input_schema is no JSON schema"),
        ([], "input_schema must be a dict"),
        (True, "input_schema must be a dict"),
    ],
)
def test_a_schema_that_clients_could_not_use_is_refused(schema: Mapping[str, object], text: str) -> None:
    with pytest.raises(DeclarationError, match=rf"greet: .*{text}"):
        with_schema(schema)


def test_a_schema_that_is_nested_too_deeply_is_refused() -> None:
    schema: dict[str, object] = {"type": "object"}
    for _ in range(2000):
        schema = {"type": "object", "properties": {"a": schema}}
    with pytest.raises(DeclarationError, match="input_schema is no JSON schema"):
        with_schema(schema)


def none() -> None: ...


def two(a: dict[str, object], b: dict[str, object]) -> None: ...


def text(a: str) -> None: ...


@pytest.mark.parametrize("function", [none, two, text])
def test_the_arguments_need_one_dict_to_come_in(function: Callable[..., object]) -> None:
    with pytest.raises(DeclarationError, match=r"write `arguments: dict\[str, object\]` instead of"):
        Catalog().add_tool(function, input_schema={"type": "object"})


async def test_a_mapping_is_a_dict_too() -> None:
    def tool(given: Mapping[str, object]) -> int:
        return len(given)

    catalog = Catalog()
    catalog.add_tool(tool, input_schema={"type": "object"})
    assert text_of(await call(catalog, "tool", b'{"a": 1, "b": 2}')) == "2"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_whatever_is_sent_is_answered(value: object) -> None:
    import trio

    catalog = with_schema()
    raw = msgspec.json.encode({"phone": "1", "name": value})
    result = trio.run(call, catalog, "greet", raw)
    assert (result.is_error is True) is not isinstance(value, str)


# Results


def returning(value: object) -> Callable[[], object]:
    def tool() -> object:
        return value

    return tool


async def result_of(value: object, schema: dict[str, object], revision: Revision) -> CallToolResult:
    catalog = Catalog()
    catalog.add_tool(returning(value), name="tool", output_schema=schema)
    return await catalog.call_tool("tool", None, FakeContext(), revision)


OBJECT: dict[str, object] = {"type": "object", "required": ["a"]}
NUMBERS: dict[str, object] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$defs": {"number": {"type": "number"}},
    "type": "array",
    "items": {"$ref": "#/$defs/number"},
}


@pytest.mark.parametrize("revision", Revision)
async def test_a_result_that_conforms_is_structured(revision: Revision) -> None:
    result = await result_of({"a": 1}, OBJECT, revision)
    assert text_of(result) == '{"a":1}'
    assert msgspec.json.encode(result.structured_content) == b'{"a":1}'


async def test_a_result_that_is_no_object_is_wrapped_for_the_older_revision() -> None:
    catalog = Catalog()
    catalog.add_tool(returning([1]), name="tool", output_schema=NUMBERS)
    assert catalog.tools(Revision.MODERN)[0].output_schema == NUMBERS
    legacy = catalog.tools(Revision.LEGACY)[0].output_schema
    assert legacy == {
        "$schema": NUMBERS["$schema"],
        "$defs": NUMBERS["$defs"],
        "type": "object",
        "properties": {"result": {"type": "array", "items": {"$ref": "#/$defs/number"}}},
        "required": ["result"],
    }
    for revision, expected in ((Revision.MODERN, b"[1]"), (Revision.LEGACY, b'{"result":[1]}')):
        result = await catalog.call_tool("tool", None, FakeContext(), revision)
        assert msgspec.json.encode(result.structured_content) == expected


@pytest.mark.parametrize(
    "value",
    [
        {"b": 1},
        None,
        "text",
        [1],
        CallToolResult(content=[]),
        CallToolResult(content=[], structured_content={}),
    ],
)
async def test_a_result_that_does_not_conform_tells_a_correlation_id_only(value: object) -> None:
    with captured_logs() as logs:
        result = await result_of(value, OBJECT, Revision.MODERN)
    assert result.is_error is True
    assert result.structured_content is UNSET
    assert text_of(result) == f"Internal error (correlation id {logs[0]['correlation_id']})"


async def test_a_whole_result_may_be_returned_if_its_structured_content_conforms() -> None:
    whole = CallToolResult(content=[TextContent(text="see below")], structured_content={"a": 1})
    assert await result_of(whole, OBJECT, Revision.MODERN) == whole
    failed = CallToolResult(content=[TextContent(text="no")], is_error=True)
    assert await result_of(failed, OBJECT, Revision.MODERN) == failed
    wrapped = await result_of(CallToolResult(content=[], structured_content=[1]), NUMBERS, Revision.LEGACY)
    assert msgspec.json.encode(wrapped.structured_content) == b'{"result":[1]}'


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "array", "items": {"$ref": "#"}}, r"\$ref can only begin with #/\$defs/"),
        ({"type": "objekt"}, "output_schema is no valid JSON schema"),
    ],
)
def test_an_output_schema_that_clients_could_not_use_is_refused(schema: dict[str, object], text: str) -> None:
    with pytest.raises(DeclarationError, match=text):
        Catalog().add_tool(returning(1), name="tool", output_schema=schema)


def test_the_validator_is_loaded_only_for_given_schemas() -> None:
    program = "import sys, mcptrio.catalog, mcptrio.app; sys.exit('jsonschema_rs' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
