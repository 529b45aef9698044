"""Schemas of types: the root inlined, everything else under it."""

from __future__ import annotations

import dataclasses
import enum
import json
from pathlib import Path
from typing import Annotated, Literal, TypedDict

import jsonschema_rs
import pytest
from msgspec import Meta, Struct

from mcptrio.catalog import Catalog
from mcptrio.catalog.schema import is_object, schema_of, wrapped
from mcptrio.protocol import Revision
from mcptrio.protocol.results import ListToolsResult
from mcptrio.protocol.types import ToolAnnotations

DATA = Path(__file__).parent.parent / "data"


class Place(Struct):
    """Where it is."""

    name: str
    near: list[Place] = []


class Report(Struct):
    place: Place
    celsius: float


@dataclasses.dataclass
class Wind:
    knots: int
    gusts: bool = False


class Sky(enum.Enum):
    CLEAR = "clear"
    GREY = "grey"


class Station(TypedDict):
    id: str


def test_the_root_is_inlined_and_the_rest_stays_under_it() -> None:
    schema = schema_of(Report)
    assert schema["type"] == "object"
    assert "$ref" not in schema
    assert schema["properties"] == {"place": {"$ref": "#/$defs/Place"}, "celsius": {"type": "number"}}
    assert list(schema["$defs"]) == ["Place"]  # type: ignore[call-overload]


def test_a_type_that_contains_itself_is_inlined_and_kept() -> None:
    schema = schema_of(Place)
    assert schema["type"] == "object"
    assert schema["description"] == "Where it is."
    assert "Place" in schema["$defs"]  # type: ignore[operator]
    jsonschema_rs.validator_for(schema).validate({"name": "a", "near": [{"name": "b", "near": []}]})
    assert not jsonschema_rs.is_valid(schema, {"name": "a", "near": [{"name": 1}]})


def test_a_wrapped_schema_keeps_its_definitions_at_the_root() -> None:
    schema = wrapped(schema_of(list[Report]))
    assert is_object(schema)
    assert not is_object(schema_of(list[Report]))
    good = {"result": [{"place": {"name": "a"}, "celsius": 1.5}]}
    jsonschema_rs.validator_for(schema).validate(good)
    assert not jsonschema_rs.is_valid(schema, {"result": [{"place": {}, "celsius": 1.5}]})
    assert not jsonschema_rs.is_valid(schema, {})
    assert wrapped({"type": "integer"}) == {
        "type": "object",
        "properties": {"result": {"type": "integer"}},
        "required": ["result"],
    }


def test_a_type_without_a_json_form_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        schema_of(complex)


async def everything(
    city: str,
    days: Annotated[int, Meta(ge=1, le=7, description="How many")],
    place: Place,
    wind: Wind,
    sky: Sky,
    mode: Literal["fast", "slow"],
    station: Station,
    extra: dict[str, object],
    maybe: float | None = None,
    anything: object = None,
    tags: list[str] = ["a"],  # noqa: B006
    origin: Place = Place("here"),  # noqa: B008
) -> list[Report]:
    """Everything at once."""
    return []


def test_a_tools_input_schema_is_what_its_annotations_say() -> None:
    catalog = Catalog()
    catalog.add_tool(everything)
    tool = catalog.tools(Revision.MODERN)[0]
    schema = tool.input_schema
    assert tool.description == "Everything at once."
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert "title" not in schema
    assert schema["required"] == ["city", "days", "place", "wind", "sky", "mode", "station", "extra"]
    properties = schema["properties"]
    assert isinstance(properties, dict)
    assert properties["days"] == {"type": "integer", "minimum": 1, "maximum": 7, "description": "How many"}
    assert properties["mode"] == {"enum": ["fast", "slow"]}
    assert properties["maybe"] == {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None}
    assert properties["tags"]["default"] == ["a"]
    assert properties["origin"] == {"$ref": "#/$defs/Place", "default": {"name": "here", "near": []}}
    assert set(schema["$defs"]) == {"Place", "Wind", "Sky", "Station"}  # type: ignore[call-overload]
    jsonschema_rs.meta.validate(schema)


def test_a_tool_without_arguments_takes_an_empty_object() -> None:
    def now() -> str:
        return "now"

    catalog = Catalog()
    catalog.add_tool(now)
    assert catalog.tools(Revision.LEGACY)[0].input_schema == {
        "type": "object",
        "additionalProperties": False,
    }


@pytest.mark.parametrize("revision", list(Revision))
def test_listed_tools_are_valid_in_the_official_schema(revision: Revision) -> None:
    import msgspec

    catalog = Catalog()
    catalog.add_tool(everything, title="Everything", annotations=ToolAnnotations(read_only_hint=True))
    catalog.add_tool(lambda: "x", name="x")
    document = json.loads((DATA / f"schema-{revision.value}.json").read_text())
    document["$ref"] = "#/$defs/Tool"
    validator = jsonschema_rs.validator_for(document)
    listed = json.loads(msgspec.json.encode(ListToolsResult(tools=list(catalog.tools(revision)))))
    for tool in listed["tools"]:
        validator.validate(tool)
    output = listed["tools"][0]["outputSchema"]
    assert output["type"] == ("object" if revision is Revision.LEGACY else "array")
