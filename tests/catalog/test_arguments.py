"""Arguments from outside: validated, converted, and named when they are wrong."""

from __future__ import annotations

import enum
import json
import uuid
from collections.abc import Callable
from datetime import date
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from mcptrio.catalog import DeclarationError, InvalidArgument
from mcptrio.catalog.arguments import JsonArguments, StringArguments
from mcptrio.catalog.signature import read_signature
from mcptrio.protocol import Failure, RpcError


class Filter(Struct):
    field: str
    limit: int = 10


class Checked(Struct):
    low: int

    def __post_init__(self) -> None:
        if self.low < 0:
            raise ValueError("low must not be negative")


class Colour(enum.Enum):
    RED = "red"


NOTHING = object()


def search(
    city: str,
    days: Annotated[int, Meta(ge=1, le=7)] = 1,
    filters: list[Filter] = [],  # noqa: B006
    ratio: float = 0.5,
    either: int | str | None = None,
    colour: Colour = Colour.RED,
    checked: Checked = Checked(0),  # noqa: B008
    anything: object = NOTHING,
) -> None: ...


ARGUMENTS = JsonArguments(read_signature(search))


def nothing() -> None: ...


def test_arguments_are_converted_and_defaults_filled_in() -> None:
    read = ARGUMENTS.read(b'{"city": "oslo", "filters": [{"field": "x"}], "ratio": 1}')
    assert read == {
        "city": "oslo",
        "days": 1,
        "filters": [Filter("x")],
        "ratio": 1.0,
        "either": None,
        "colour": Colour.RED,
        "checked": Checked(0),
        "anything": NOTHING,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (b"{}", "Missing argument `city`"),
        (None, "Missing argument `city`"),
        (b"null", "Missing argument `city`"),
        (b'{"city": 1}', "Invalid argument `city`: Expected `str`, got `int`"),
        (b'{"city": "a", "days": 8}', "Invalid argument `days`: Expected `int` <= 7"),
        (b'{"city": "a", "days": 8.0}', "Invalid argument `days`: Expected `int` <= 7"),
        (b'{"city": "a", "days": 7.0, "x`y": 1}', "Invalid arguments: Object contains unknown field `x`y`"),
        (b'{"city": "a", "days": 1.5}', "Invalid argument `days`: Expected `int`, got `float`"),
        (b'{"city": "a", "colour": "blue"}', "Invalid argument `colour`: Invalid enum value 'blue'"),
        (b'{"city": "a", "checked": {"low": -1}}', "Invalid argument `checked`: low must not be negative"),
        (
            b'{"city": "a", "filters": [{"field": "x"}, {"field": 2}]}',
            "Invalid argument `filters[1].field`: Expected `str`, got `int`",
        ),
        (
            b'{"city": "a", "filters": [{}]}',
            "Invalid argument `filters[0]`: Object missing required field `field`",
        ),
        (
            b'{"city": "a", "day": 1}',
            "Unknown argument `day` (known: city, days, filters, ratio, either, colour, checked, anything)",
        ),
    ],
)
def test_a_wrong_argument_is_named(arguments: bytes | None, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        ARGUMENTS.read(arguments)
    assert str(caught.value) == message


def test_a_tool_without_arguments_says_so() -> None:
    arguments = JsonArguments(read_signature(nothing))
    assert arguments.read(None) == {}
    assert arguments.read(b"null") == {}
    with pytest.raises(InvalidArgument, match=r"^Unknown argument `a` \(none is known\)$"):
        arguments.read(b'{"a": 1}')


@pytest.mark.parametrize(
    "arguments",
    [
        b"[]",
        b'"x"',
        b"3.0",
        b' {"city": "\\ud800"}',
        b'{"city": ',
        b'{"city": "\xff"}',
        b'{"anything": "\xff"}',
        b"",
    ],
)
def test_what_is_no_json_object_is_malformed(arguments: bytes) -> None:
    with pytest.raises(RpcError) as caught:
        ARGUMENTS.read(arguments)
    assert caught.value.failure is Failure.INVALID_PARAMS


@pytest.mark.parametrize("text", ["3.0", "3e0", "30e-1"])
def test_an_integral_float_is_an_integer(text: str) -> None:
    read = ARGUMENTS.read(b'{"city": "a", "filters": [{"field": "x", "limit": %s}]}' % text.encode())
    assert read["filters"] == [Filter("x", 3)]


def test_an_integral_float_too_large_to_be_exact_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="got `float`"):
        ARGUMENTS.read(b'{"city": "a", "filters": [{"field": "x", "limit": 1e300}]}')


def test_deep_nesting_is_an_invalid_argument() -> None:
    deep = b'{"city": "a", "anything": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    with pytest.raises(InvalidArgument, match="nested too deeply"):
        ARGUMENTS.read(deep)


def test_deep_nesting_beside_an_integral_float_tells_the_first_error() -> None:
    def odd(count: int, rest: msgspec.Raw) -> None: ...

    deep = b'{"count": 1.0, "rest": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    with pytest.raises(InvalidArgument, match="`count`"):
        JsonArguments(read_signature(odd, [])).read(deep)


def test_a_long_message_is_cut() -> None:
    with pytest.raises(InvalidArgument) as caught:
        ARGUMENTS.read(json.dumps({"city": "a", "x" * 10_000: 1}).encode())
    assert len(str(caught.value)) < 700


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)
NAMED = st.dictionaries(
    st.sampled_from(["city", "days", "filters", "ratio", "either", "colour", "checked", "anything", "x"]),
    JSON,
)


@given(JSON | NAMED)
def test_any_json_is_read_or_refused_by_name(value: object) -> None:
    raw = json.dumps(value).encode()
    try:
        read = ARGUMENTS.read(raw)
    except InvalidArgument as error:
        assert "argument" in str(error)
        assert value is None or isinstance(value, dict)
    except RpcError:
        assert not isinstance(value, dict) or "\\ud" in raw.decode()
    else:
        assert isinstance(value, dict)
        assert read["city"] == value["city"]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        ARGUMENTS.read(raw)
    except (InvalidArgument, RpcError):
        pass


class Pool: ...


def with_pool(pool: Pool) -> None: ...


def with_complex(z: complex) -> None: ...


def with_callback(f: Callable[[], None]) -> None: ...


class Other(Struct):
    a: int


def with_union(either: Filter | Other) -> None: ...


def with_sets(tags: set[str] = {"a"}) -> None: ...  # noqa: B006


@pytest.mark.parametrize(
    ("function", "name", "kind"),
    [
        (with_pool, "pool", "Pool"),
        (with_complex, "z", "complex"),
        (with_callback, "f", "Callable"),
        (with_union, "either", "Filter"),
    ],
)
def test_an_annotation_without_a_json_form_is_refused_with_the_fix(
    function: Callable[..., object], name: str, kind: str
) -> None:
    with pytest.raises(DeclarationError) as caught:
        JsonArguments(read_signature(function))
    message = str(caught.value)
    assert function.__name__ in message
    assert f"`{name}`" in message
    assert kind in message
    assert "lifespan" in message


def test_a_mutable_default_is_shown_and_used() -> None:
    arguments = JsonArguments(read_signature(with_sets))
    properties = arguments.schema["properties"]
    assert isinstance(properties, dict)
    assert properties["tags"]["default"] == ["a"]
    assert arguments.read(b"{}") == {"tags": {"a"}}


def ask(
    topic: str,
    days: int = 1,
    ratio: float | None = None,
    loud: bool = False,
    mode: Literal["a", "b"] = "a",
    colour: Annotated[Colour, Meta(description="which")] = Colour.RED,
    day: date | None = None,
    id: uuid.UUID | None = None,
) -> None: ...


STRINGS = StringArguments(read_signature(ask))


def test_strings_become_what_the_parameters_are_annotated_with() -> None:
    read = STRINGS.read({"topic": "3", "days": "3", "loud": "true", "mode": "b", "day": "2026-07-28"})
    assert read["topic"] == "3"
    assert read["days"] == 3
    assert read["ratio"] is None
    assert read["loud"] is True
    assert read["mode"] == "b"
    assert read["day"] == date(2026, 7, 28)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "Missing argument `topic`"),
        ({"topic": "a", "days": "many"}, "Invalid argument `days`: Expected `int`, got `str`"),
        ({"topic": "a", "tone": "b"}, r"Unknown argument `tone`"),
    ],
)
def test_a_wrong_string_is_named(values: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        STRINGS.read(values)


@given(
    st.dictionaries(st.sampled_from(["topic", "days", "ratio", "loud", "mode", "day", "id", "x"]), st.text())
)
def test_any_strings_are_read_or_refused(values: dict[str, str]) -> None:
    try:
        read = STRINGS.read(values)
    except InvalidArgument as error:
        assert "argument" in str(error)
    else:
        assert read["topic"] == values["topic"]


def with_list(tags: list[str]) -> None: ...


def with_maybe_struct(filter: Filter | None = None) -> None: ...


@pytest.mark.parametrize("function", [with_list, with_maybe_struct])
def test_a_parameter_that_no_string_can_fill_is_refused(function: Callable[..., object]) -> None:
    with pytest.raises(DeclarationError, match="arrives as a string; annotate it with str"):
        StringArguments(read_signature(function))
