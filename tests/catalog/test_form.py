"""Forms: what a type looks like to the user, and what comes back as that type."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct, field

from mcptrio.catalog.errors import DeclarationError
from mcptrio.catalog.form import form_of, form_of_schema
from mcptrio.protocol.types import Object


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


@dataclasses.dataclass
class Trip:
    place: str
    when: datetime.date
    at: datetime.datetime | None = None
    sizes: list[Size] = dataclasses.field(default_factory=list)
    bags: Annotated[int, Meta(title="Bags", ge=0, le=5, examples=[2])] = 1


class Everything(Struct, rename="camel"):
    plain: str
    mail: Annotated[str, Meta(extra_json_schema={"format": "email"})]
    some_number: float = 0.5
    sure: bool = True
    choice: Literal["z", "b", "a"] = "b"
    maybe: Literal["z", "a"] | None = None
    many: Annotated[list[Literal["y", "x"]], Meta(min_length=1, max_length=2)] = field(
        default_factory=lambda: ["x"]
    )
    size: Size | None = None


def test_a_dataclass_is_a_form() -> None:
    assert form_of(Trip).schema == {
        "type": "object",
        "properties": {
            "place": {"type": "string"},
            "when": {"type": "string", "format": "date"},
            "at": {"type": "string", "format": "date-time"},
            "sizes": {"type": "array", "items": {"type": "string", "enum": ["small", "large"]}},
            "bags": {"type": "integer", "title": "Bags", "minimum": 0, "maximum": 5, "default": 1},
        },
        "required": ["place", "when"],
    }


def test_a_struct_is_a_form_with_its_choices_in_order() -> None:
    assert form_of(Everything).schema == {
        "type": "object",
        "properties": {
            "plain": {"type": "string"},
            "mail": {"type": "string", "format": "email"},
            "someNumber": {"type": "number", "default": 0.5},
            "sure": {"type": "boolean", "default": True},
            "choice": {"type": "string", "enum": ["z", "b", "a"], "default": "b"},
            "maybe": {"type": "string", "enum": ["z", "a"]},
            "many": {
                "type": "array",
                "items": {"type": "string", "enum": ["y", "x"]},
                "minItems": 1,
                "maxItems": 2,
            },
            "size": {"type": "string", "enum": ["small", "large"]},
        },
        "required": ["plain", "mail"],
    }


def test_what_is_filled_in_comes_back_as_the_type_with_defaults_for_the_rest() -> None:
    content = {"plain": "p", "mail": "m", "someNumber": 3, "many": ["y"], "size": "large", "more": [1]}
    assert form_of(Everything).read(content) == Everything(
        plain="p", mail="m", some_number=3.0, many=["y"], size=Size.LARGE
    )
    trip = form_of(Trip).read({"place": "oz", "when": "2026-02-03", "sizes": ["small"], "bags": 2.0})
    assert trip == Trip("oz", datetime.date(2026, 2, 3), None, [Size.SMALL], 2)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"plain": 1, "mail": "m"},
        {"plain": "p", "mail": "m", "someNumber": "3"},
        {"plain": "p", "mail": "m", "sure": "true"},
        {"plain": "p", "mail": "m", "choice": "q"},
        {"plain": "p", "mail": "m", "many": []},
        {"plain": "p", "mail": "m", "many": ["x", "y", "x"]},
        {"plain": "p", "mail": "m", "many": "x"},
    ],
)
def test_what_does_not_fit_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        form_of(Everything).read(content)


class Inner(Struct):
    name: str


class Nested(Struct):
    inner: Inner


class Strings(Struct):
    names: list[str]


class Numbered(Struct):
    number: Literal[1, 2]


class Patterned(Struct):
    code: Annotated[str, Meta(pattern="^x")]


class Above(Struct):
    number: Annotated[int, Meta(gt=0)]


class Timed(Struct):
    at: datetime.time


class Either(Struct):
    either: int | str


class Bytes(Struct):
    data: bytes


@pytest.mark.parametrize(
    ("type_", "words"),
    [
        (Nested, "`Nested.inner` cannot be in a form"),
        (Strings, "`Strings.names` cannot be in a form"),
        (Numbered, "`Numbered.number` cannot be in a form"),
        (Patterned, "knows no `pattern` for a string"),
        (Above, "knows no `exclusiveMinimum` for a integer"),
        (Timed, "a format is one of email, uri, date, date-time, not 'time'"),
        (Either, "`Either.either` cannot be in a form"),
        (Bytes, "knows no `contentEncoding` for a string"),
        (str, "str cannot be asked for: make it a Struct or dataclass"),
        (dict, "dict cannot be asked for: make it a Struct or dataclass"),
        (object, "object cannot be asked for"),
        (complex, "complex cannot be asked for"),
    ],
)
def test_what_is_no_form_is_told_by_name(type_: type, words: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        form_of(type_)
    assert words in str(caught.value)


SCHEMA: Object = {
    "type": "object",
    "properties": {
        "odd name!": {"type": "string", "minLength": 2, "maxLength": 4},
        "count": {"type": "integer", "minimum": 1, "maximum": 3},
        "share": {"type": "number", "default": 0.5},
        "sure": {"type": "boolean"},
        "titled": {"type": "string", "oneOf": [{"const": "a", "title": "A"}, {"const": "b", "title": "B"}]},
        "many": {"type": "array", "items": {"anyOf": [{"const": "a", "title": "A"}]}, "minItems": 1},
    },
    "required": ["odd name!"],
}


def test_a_schema_is_a_form_as_it_is() -> None:
    form = form_of_schema(SCHEMA)
    assert form.schema == SCHEMA
    assert form.read({"odd name!": "abc", "unknown": 1}) == {"odd name!": "abc"}
    whole = {"odd name!": "ab", "count": 2.0, "share": 1, "sure": False, "titled": "b", "many": ["a"]}
    assert form.read(whole) == whole


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"odd name!": "a"},
        {"odd name!": "abcde"},
        {"odd name!": "abc", "count": 4},
        {"odd name!": "abc", "count": 1.5},
        {"odd name!": "abc", "sure": 1},
        {"odd name!": "abc", "titled": "A"},
        {"odd name!": "abc", "many": []},
        {"odd name!": "abc", "many": ["b"]},
        {"odd name!": "abc", "share": None},
    ],
)
def test_what_does_not_fit_a_schema_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        form_of_schema(SCHEMA).read(content)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": "array", "properties": {}},
        {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": {"type": "object"}}},
        {"type": "object", "properties": {"a": {"type": ["string", "null"]}}},
        {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}},
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}},
        {"type": "object", "properties": {"a": {"type": "string", "format": "ipv4"}}},
    ],
)
def test_a_schema_that_is_no_form_is_refused(schema: Object) -> None:
    with pytest.raises(DeclarationError):
        form_of_schema(schema)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["plain", "mail", "someNumber", "many", "size", "x"]), json))
def test_any_content_is_read_or_refused(content: dict[str, object]) -> None:
    try:
        assert isinstance(form_of(Everything).read(content), Everything)
    except msgspec.ValidationError:
        pass
