"""Header fields that repeat the body: what they must say, and how it is written."""

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.protocol import Request, RpcError
from mcptrio.server.http.request_headers import check_headers, decoded

MIRRORED = {"Region": ("region",), "Deep": ("place", "floor"), "Fast": ("fast",)}


def call(arguments: object) -> Request:
    return Request(1, "tools/call", msgspec.Raw(msgspec.json.encode({"name": "t", "arguments": arguments})))


def fields(**parameters: str) -> list[tuple[str, str]]:
    return [
        ("mcp-method", "tools/call"),
        ("mcp-name", "t"),
        *((f"mcp-param-{name}", value) for name, value in parameters.items()),
    ]


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        ({"region": "eu"}, {"region": "eu"}),
        ({"region": "é"}, {"region": "=?base64?w6k=?="}),
        ({"region": "=?base64?x"}, {"region": "=?base64?x"}),
        ({"place": {"floor": 3}}, {"deep": "3"}),
        ({"place": {"floor": 3}}, {"deep": "3.0"}),
        ({"place": {"floor": 2**53 + 1}}, {"deep": str(2**53 + 1)}),
        ({"fast": True}, {"fast": "true"}),
        ({"region": None, "fast": False}, {"fast": "false"}),
        ({}, {}),
        (None, {}),
    ],
)
def test_fields_that_say_what_the_arguments_say_are_accepted(
    arguments: object, parameters: dict[str, str]
) -> None:
    check_headers(fields(**parameters), call(arguments), MIRRORED)


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        ({"region": "eu"}, {}),
        ({"region": "eu"}, {"region": "us"}),
        ({"region": "eu"}, {"region": "EU"}),
        ({}, {"region": "eu"}),
        ({"region": None}, {"region": "eu"}),
        ({"place": {"floor": 3}}, {"deep": "4"}),
        ({"place": {"floor": 3}}, {"deep": "three"}),
        ({"place": {"floor": 10}}, {"deep": "1_0"}),
        ({"place": {"floor": 2**53}}, {"deep": str(2**53 + 1)}),
        ({"place": "floor"}, {"deep": "3"}),
        ({"fast": True}, {"fast": "True"}),
        ({"fast": True}, {"fast": "1"}),
        ({"region": "eu"}, {"region": "=?base64?ZXU?="}),
        ({"region": "eu"}, {"region": "=?base64?Z_U=?="}),
        ({"region": "eu"}, {"region": "=?base64?/w==?="}),
    ],
)
def test_fields_that_say_something_else_are_refused(arguments: object, parameters: dict[str, str]) -> None:
    with pytest.raises(RpcError) as caught:
        check_headers(fields(**parameters), call(arguments), MIRRORED)
    assert caught.value.code == -32020


def test_a_field_that_stands_twice_says_nothing() -> None:
    with pytest.raises(RpcError):
        check_headers([*fields(region="eu"), ("mcp-param-region", "eu")], call({"region": "eu"}), MIRRORED)


@given(st.text())
def test_every_text_can_be_written_in_base64(text: str) -> None:
    assume_valid = text.encode("utf-8", "surrogatepass")
    try:
        assume_valid.decode()
    except UnicodeDecodeError:
        return
    written = f"=?base64?{base64.b64encode(assume_valid).decode()}?="
    assert decoded(written) == text


@given(st.text(alphabet=st.characters(max_codepoint=255)))
def test_any_value_is_read_or_refused(value: str) -> None:
    try:
        assert isinstance(decoded(value), str)
    except RpcError as error:
        assert error.code == -32020
