"""Parameters that clients repeat in an HTTP header."""

from __future__ import annotations

import enum
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from mcptrio.catalog import Catalog, DeclarationError, Header
from mcptrio.protocol import Revision

from .calls import call, text_of


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


async def measure(
    region: Annotated[str, Header("Region"), Meta(description="Where")],
    plain: str,
    count: Annotated[int, Header("x-Count")] = 1,
    really: Annotated[bool, Header("Really")] = False,
    kind: Annotated[Literal["a", "b"], Header("Kind")] = "a",
    size: Annotated[Size, Header("Size")] = Size.SMALL,
    level: Annotated[Literal[1, 2], Header("Level")] = 1,
) -> str:
    return f"{region} {count} {size.value}"


async def test_a_marked_parameter_says_so_in_the_schema_and_is_otherwise_as_ever() -> None:
    catalog = Catalog()
    tool = catalog.add_tool(measure)
    properties = catalog.tools(Revision.MODERN)[0].input_schema["properties"]
    assert isinstance(properties, dict)
    assert properties["region"] == {"type": "string", "description": "Where", "x-mcp-header": "Region"}
    assert "x-mcp-header" not in properties["plain"]
    assert {name: (each.get("type"), each.get("x-mcp-header")) for name, each in properties.items()} == {
        "region": ("string", "Region"),
        "plain": ("string", None),
        "count": ("integer", "x-Count"),
        "really": ("boolean", "Really"),
        "kind": ("string", "Kind"),
        "size": ("string", "Size"),
        "level": ("integer", "Level"),
    }
    assert tool.headers == catalog.header_parameters("measure")
    assert tool.headers == {
        "Region": ("region",),
        "x-Count": ("count",),
        "Really": ("really",),
        "Kind": ("kind",),
        "Size": ("size",),
        "Level": ("level",),
    }
    assert catalog.header_parameters("nothing") == {}
    result = await call(catalog, "measure", b'{"region": "eu", "plain": "x", "size": "l"}')
    assert text_of(result) == "eu 1 l"


async def of_a_float(a: Annotated[float, Header("A")]) -> None: ...
async def of_a_list(a: Annotated[list[str], Header("A")]) -> None: ...
async def of_none(a: Annotated[str | None, Header("A")] = None) -> None: ...
async def of_anything(a: Annotated[object, Header("A")]) -> None: ...
async def of_several(a: Annotated[str, Header("A"), Header("B")]) -> None: ...
async def of_mixed(a: Annotated[Literal["a", 1], Header("A")]) -> None: ...
async def without_name(a: Annotated[str, Header("")]) -> None: ...
async def with_a_space(a: Annotated[str, Header("My Region")]) -> None: ...
async def with_a_line(a: Annotated[str, Header("A\r\nB")]) -> None: ...
async def in_two(a: Annotated[str, Header("Region")], b: Annotated[str, Header("REGION")]) -> None: ...


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (of_a_float, "parameter `a` cannot be a header"),
        (of_a_list, "parameter `a` cannot be a header"),
        (of_none, "not with `| None`"),
        (of_anything, "parameter `a` cannot be a header"),
        (of_several, "one Header"),
        (of_mixed, "parameter `a` cannot be a header"),
        (without_name, "'' cannot be the name"),
        (with_a_space, "'My Region' cannot be the name"),
        (with_a_line, "cannot be the name of a header"),
        (in_two, "two parameters have the header 'REGION'"),
    ],
)
def test_what_clients_would_drop_a_tool_for_is_refused(function: object, text: str) -> None:
    assert callable(function)
    with pytest.raises(DeclarationError, match=text.replace("|", r"\|")):
        Catalog().add_tool(function)


def test_only_a_tools_own_parameter_can_be_marked() -> None:
    def prompt(a: Annotated[str, Header("A")]) -> str:
        return a

    def tool(a: Annotated[dict[str, object], Header("A")]) -> None: ...

    for add in (
        lambda: Catalog().add_prompt(prompt),
        lambda: Catalog().add_template("a:{a}", prompt),
        lambda: Catalog().add_tool(tool, input_schema={"type": "object"}),
    ):
        with pytest.raises(DeclarationError, match="parameter `a` cannot be a header: only a tool's"):
            add()


async def given_arguments(arguments: dict[str, object]) -> None: ...


def headers_of(schema: dict[str, object]) -> object:
    return dict(Catalog().add_tool(given_arguments, input_schema={"type": "object", **schema}).headers)


def test_a_given_schema_may_mark_properties_at_any_depth() -> None:
    assert headers_of(
        {
            "properties": {
                "region": {"type": "string", "x-mcp-header": "Region"},
                "place": {
                    "type": "object",
                    "properties": {"zone": {"type": "integer", "x-mcp-header": "Zone"}},
                },
                "x-mcp-header": {"type": "string"},
                "other": {"type": "object", "default": {"x-mcp-header": 7}, "enum": [{"x-mcp-header": 7}]},
            }
        }
    ) == {"Region": ("region",), "Zone": ("place", "zone")}


MARKED: dict[str, object] = {"type": "string", "x-mcp-header": "Region"}


@pytest.mark.parametrize(
    "schema",
    [
        {"x-mcp-header": "Region"},
        {"properties": {"a": {"x-mcp-header": "Region"}}},
        {"properties": {"a": {"type": "number", "x-mcp-header": "Region"}}},
        {"properties": {"a": {"type": ["string", "null"], "x-mcp-header": "Region"}}},
        {"properties": {"a": {"type": "array", "items": MARKED}}},
        {"properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": MARKED}},
        {"properties": {"a": {"anyOf": [{"type": "object", "properties": {"b": MARKED}}]}}},
        {"patternProperties": {"a": MARKED}},
        {"additionalProperties": MARKED},
        {"then": {"properties": {"a": MARKED}}, "if": True},
        {"dependentSchemas": {"a": {"properties": {"a": MARKED}}}},
    ],
)
def test_a_given_schema_that_marks_another_place_is_refused(schema: dict[str, object]) -> None:
    with pytest.raises(DeclarationError, match="`x-mcp-header` 'Region' must stand on a property of type"):
        headers_of(schema)


@pytest.mark.parametrize("name", [7, None, "", "a b", "é", {"a": 1}])
def test_a_given_schema_with_a_name_that_is_no_token_is_refused(name: object) -> None:
    with pytest.raises(DeclarationError, match="cannot be the name of a header"):
        headers_of({"properties": {"a": {"type": "string", "x-mcp-header": name}}})


@given(st.text(max_size=4) | st.sampled_from(["Region", "x-a", "a_b", "!#$"]))
def test_every_name_is_a_token_or_is_refused(name: str) -> None:
    is_token = name != "" and all(
        each.isascii() and (each.isalnum() or each in "!#$%&'*+-.^_`|~") for each in name
    )
    schema: dict[str, object] = {"properties": {"a": {"type": "string", "x-mcp-header": name}}}
    if is_token:
        assert headers_of(schema) == {name: ("a",)}
    else:
        with pytest.raises(DeclarationError):
            headers_of(schema)
