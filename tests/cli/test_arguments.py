"""`key=value` becomes what the tool's schema asks for."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.cli.arguments import tool_arguments, types_of
from mcptrio.cli.exits import UserError

SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "share": {"type": "number"},
        "flag": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "place": {"$ref": "#/$defs/a~1b"},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "either": {"type": ["integer", "string"]},
        "choice": {"enum": ["1", "2"]},
        "fixed": {"const": 5},
        "any": {},
        "odd": {"type": 3},
        "lost": {"$ref": "#/$defs/nowhere/at/all"},
        "round": {"$ref": "#/properties/round"},
        "open": {"anyOf": [{"type": "integer"}, {}]},
    },
    "$defs": {"a/b": {"type": "object"}},
}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("text=oslo", "oslo"),
        ("text=5", "5"),
        ('text="quoted"', '"quoted"'),
        ("text=", ""),
        ("text=a=b", "a=b"),
        ("count=5", 5),
        ("count=-5", -5),
        ("count=5.0", 5),
        ("share=5", 5),
        ("share=0.5", 0.5),
        ("flag=true", True),
        ('tags=["a"]', ["a"]),
        ('place={"x": 1}', {"x": 1}),
        ("maybe=null", None),
        ("maybe=5", "5"),
        ("maybe=oslo", "oslo"),
        ("either=5", 5),
        ("either=five", "five"),
        ("choice=1", "1"),
        ("fixed=5", 5),
        ("any=5", 5),
        ("any=five", "five"),
        ("any=[1", "[1"),
        ("odd=5", 5),
        ("lost=5", 5),
        ("round=x", "x"),
        ("open=x", "x"),
        ("unknown=5", 5),
        ("unknown=x", "x"),
    ],
)
def test_a_value_becomes_what_the_schema_asks_for(word: str, expected: object) -> None:
    [value] = tool_arguments([word], SCHEMA).values()
    assert (value, type(value)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["text"], "'text' is no argument: write it as name=value"),
        (["=x"], "'=x' is no argument: write it as name=value"),
        (["text=a", "text=b"], "text is given twice"),
        (["count=five"], "count must be JSON of type integer, not 'five'"),
        (["count=5.5"], "count must be JSON of type integer, not number: 5.5"),
        (["flag=1"], "flag must be JSON of type boolean, not integer: 1"),
        (["tags=a"], "tags must be JSON of type array, not 'a'"),
        (["place=[]"], "place must be JSON of type object, not array: []"),
    ],
)
def test_what_cannot_be_an_argument_is_said(words: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        tool_arguments(words, SCHEMA)
    assert str(caught.value) == message


def test_a_missing_argument_is_named_with_what_was_perhaps_meant() -> None:
    schema = {"properties": {"city": {"type": "string"}, "days": {}}, "required": ["city", "days"]}
    with pytest.raises(UserError, match=r"^missing: city=\.\.\. \(is citty meant to be city\?\)$"):
        tool_arguments(["citty=oslo", "days=1"], schema)
    with pytest.raises(UserError, match=r"^missing: city=\.\.\. days=\.\.\.$"):
        tool_arguments(["zzz=1"], schema)


@pytest.mark.parametrize("schema", [{}, {"properties": 3, "required": 3}, {"properties": {"a": True}}])
def test_a_schema_that_says_nothing_takes_json_or_text(schema: dict[str, object]) -> None:
    assert tool_arguments(["a=1", "b=x"], schema) == {"a": 1, "b": "x"}


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists))
def test_any_json_is_taken_as_it_is_where_anything_goes(value: object) -> None:
    assert tool_arguments([f"any={json.dumps(value)}"], SCHEMA) == {"any": value}


schemas = st.recursive(
    st.none() | st.sampled_from(["string", "#/properties/a", "integer"]) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "anyOf", "oneOf", "enum", "const", "$ref"]), inner)
    ),
)


@given(schemas)
def test_any_schema_of_a_server_is_borne(schema: object) -> None:
    assert all(isinstance(each, str) for each in types_of(schema, {"properties": {"a": schema}}))
