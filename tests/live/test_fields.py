"""How much of a change is told."""

from __future__ import annotations

import json
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.live import Change
from mcptrio.live.fields import MOST_BYTES, MOST_CHARACTERS, MOST_POINTERS, InvalidFields, parse_fields

DATA: dict[str, object] = {"subject": "Hello", "from": {"name": "Ada"}, "tags": ["a", None], "": 0, "a/b": 1}
METADATA: dict[str, object] = {"version": "3", "size": 512}


def told(fields: object, data: object = None, metadata: dict[str, object] | None = None) -> dict[str, object]:
    """The members, as a client decodes them."""
    members = parse_fields(fields).of(Change(uri="a:1", data=data, metadata=metadata))
    decoded: dict[str, object] = json.loads(msgspec.json.encode(members))
    return decoded


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("none", {}),
        ("metadata", {"metadata": METADATA}),
        ("all", {"data": DATA, "metadata": METADATA}),
        (["/subject"], {"data": {"/subject": "Hello"}, "metadata": METADATA}),
        (
            ["/tags/1", "/from/name", "/none", "/tags/2", "/", "/a~1b"],
            {"data": {"/tags/1": None, "/from/name": "Ada", "/": 0, "/a~1b": 1}, "metadata": METADATA},
        ),
        ([""], {"data": {"": DATA}, "metadata": METADATA}),
        (["/none"], {"data": {}, "metadata": METADATA}),
    ],
)
def test_what_was_asked_for_is_told_as_far_as_there_is_any(
    fields: object, expected: dict[str, object]
) -> None:
    assert told(fields, DATA, METADATA) == expected
    assert told(fields) == {}


def test_what_is_used_tells_what_has_to_be_kept() -> None:
    used = {
        word: (parse_fields(word).uses_data, parse_fields(word).uses_metadata)
        for word in ("none", "metadata", "all")
    }
    assert used == {"none": (False, False), "metadata": (False, True), "all": (True, True)}
    assert (parse_fields(["/a"]).uses_data, parse_fields(["/a"]).uses_metadata) == (True, True)


def test_those_of_an_equal_key_tell_the_same() -> None:
    assert parse_fields(["/a", "/b", "/a"]).key == parse_fields(["/a", "/b"]).key
    keys = [parse_fields(each).key for each in ("none", "metadata", "all", [""], ["/all"], ["/a", "/b"])]
    assert len(set(keys)) == len(keys)


@dataclass
class Ticket:
    number: int


class Silent:
    pass


def nested(depth: int) -> list[object]:
    inner: list[object] = []
    for _ in range(depth):
        inner = [inner]
    return inner


CYCLE: list[object] = []
CYCLE.append(CYCLE)
WITHOUT_JSON = [
    CYCLE,
    nested(100_000),
    Silent(),
    "\ud800",
    {"a": 1j},
    10**5000,
    msgspec.Raw(b"no json"),
    msgspec.Raw(b'{"a": "\xff"}'),
]


@pytest.mark.parametrize("fields", ["all", "metadata", ["/a"], [""]])
@pytest.mark.parametrize("value", WITHOUT_JSON, ids=lambda value: type(value).__name__)
def test_what_has_no_json_form_is_not_there(fields: object, value: object) -> None:
    assert told(fields, value, {"a": value}) == {}
    assert told(fields, {"b": value}, METADATA) == {"metadata": METADATA}


def test_data_is_told_as_json_has_it() -> None:
    assert told("all", Ticket(7)) == {"data": {"number": 7}}
    assert told(["/number"], Ticket(7)) == {"data": {"/number": 7}}
    assert told("all", {"a": float("nan")}) == {"data": {"a": None}}
    assert told("all", msgspec.Raw(b'{\n "a": [1,\n 2]\n}')) == {"data": {"a": [1, 2]}}
    assert told([""], msgspec.Raw(b"1" * 10_000)) == {}  # Python would not read it


def test_no_member_breaks_the_line_that_a_message_is_on_some_wires() -> None:
    members = parse_fields("all").of(Change(uri="a:1", data=msgspec.Raw(b'{\n "a": "b\\n"\r\n}')))
    assert b"\n" not in msgspec.json.encode(members)
    assert b"\r" not in msgspec.json.encode(members)


@pytest.mark.parametrize("fields", ["all", [""]])
def test_more_than_a_million_bytes_is_omitted_and_said_to_be(fields: object) -> None:
    around = len(b'""') if fields == "all" else len(b'{"":""}')
    just = "x" * (MOST_BYTES - around)
    assert "data" in told(fields, just)
    assert told(fields, just + "x") == {"omitted": True}
    assert told(fields, just, {"a": 1}) == {"omitted": True}
    assert told("metadata", just + "x", {"a": 1}) == {"metadata": {"a": 1}}
    assert told(["/a"], {"a": 1, "b": just + "x"}) == {"data": {"/a": 1}}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("some", r"""here: "none", "metadata", "all", or a list of 1 to 64 JSON pointers, not 'some'$"""),
        ([], r"here: .* not an empty list"),
        (None, r"here: .* not null"),
        ({}, r"here: .* not an empty object"),
        (["/a"] * (MOST_POINTERS + 1), r"here: .* a list of 1 to 64 JSON pointers, not a list of 65"),
        (["/a", 1], r"here\[1\]: a JSON pointer of at most 1024 characters, not 1"),
        (
            ["/" * (MOST_CHARACTERS + 1)],
            r"here\[0\]: a JSON pointer of at most 1024 characters, not '/{40}'\.\.\. \(1025 characters\)",
        ),
        (["/a", "b"], r"here\[1\]: 'b' is no JSON pointer: it must be empty or begin with '/'"),
        (["/~2"], r"here\[0\]: '/~2' is no JSON pointer"),
    ],
)
def test_what_names_no_fields_is_refused_with_its_place(fields: object, message: str) -> None:
    with pytest.raises(InvalidFields, match=f"^{message}"):
        parse_fields(fields, "here")
    parse_fields(["/a"] * MOST_POINTERS)
    parse_fields(["/" * MOST_CHARACTERS])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", ""]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(data=JSON, fields=st.sampled_from(["all", "metadata", "none", ["/a", "/0/b", ""]]))
def test_whatever_data_is_it_is_told_or_left_out(data: object, fields: object) -> None:
    members = parse_fields(fields).of(Change(uri="a:1", data=data))
    assert members.keys() <= {"data"}
    if fields == "all" and data is not None and "data" in members:
        assert msgspec.json.decode(msgspec.json.encode(members)) == msgspec.json.decode(
            msgspec.json.encode({"data": data})
        )
