"""What is no filter, and where the message says the fault is."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcptrio.live.filter import (
    MOST_BYTES,
    MOST_CHARACTERS,
    MOST_DEPTH,
    MOST_NODES,
    MOST_VALUES,
    InvalidFilter,
    parse_filter,
)

LEAF = {"exists": "/a"}


def refusal(value: object, where: str = "filter") -> str:
    with pytest.raises(InvalidFilter) as caught:
        parse_filter(value, where)
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "filter: a filter is an object, not null"),
        ([LEAF], "filter: a filter is an object, not a list of 1"),
        ({}, "filter: a filter has exactly one member, not 0: join filters by 'and'"),
        (
            {"kind": "a", "exists": ""},
            "filter: a filter has exactly one member, not 2: join filters by 'and'",
        ),
        (
            {"regex": {"/a": "(a+)+b"}},
            "filter: 'regex' is no filter: kind, eq, in, lt, le, gt, ge, prefix, suffix, contains, glob, exists,"
            " and, or, not are",
        ),
        ({"and": []}, "filter.and: a list of at least one filter, not an empty list"),
        ({"or": LEAF}, "filter.or: a list of at least one filter, not an object with 'exists'"),
        ({"not": [LEAF]}, "filter.not: a filter is an object, not a list of 1"),
        ({"and": [LEAF, 7]}, "filter.and[1]: a filter is an object, not 7"),
        (
            {"and": [LEAF, {"or": [{"not": {"eq": "/a"}}]}]},
            "filter.and[1].or[0].not.eq: an object of one pointer and its value, not '/a'",
        ),
        ({"eq": {}}, "filter.eq: an object of one pointer and its value, not an empty object"),
        (
            {"lt": {"/a": 1, "/b": 1}},
            "filter.lt: an object of one pointer and its value, not an object with '/a', '/b'",
        ),
        ({"eq": {"a": 1}}, "filter.eq: 'a' is no JSON pointer: it must be empty or begin with '/'"),
        (
            {"exists": "/a~"},
            "filter.exists: '/a~' is no JSON pointer: '~' is written '~0' there, and '/' '~1'",
        ),
        ({"exists": ["/a"]}, "filter.exists: a string, not a list of 1"),
        ({"kind": []}, "filter.kind: a list of at least one value, not an empty list"),
        ({"kind": ["created", None]}, "filter.kind: a string, not null"),
        ({"in": {"/a": []}}, "filter.in: a list of at least one value, not an empty list"),
        ({"in": {"/a": "open"}}, "filter.in: a list of at least one value, not 'open'"),
        ({"lt": {"/a": True}}, "filter.lt: a number or a string to compare with, not true"),
        ({"ge": {"/a": [1]}}, "filter.ge: a number or a string to compare with, not a list of 1"),
        ({"prefix": {"/a": 1}}, "filter.prefix: a string, not 1"),
        ({"suffix": {"/a": None}}, "filter.suffix: a string, not null"),
        ({"glob": {"/a": {}}}, "filter.glob: a string, not an empty object"),
    ],
)
def test_a_refusal_names_the_part_and_what_would_do(value: object, message: str) -> None:
    assert refusal(value) == message


def test_a_refusal_begins_with_the_place_that_the_caller_gives() -> None:
    where = "io.mcptrio/subscriptions[0].filter"
    assert refusal({"and": [LEAF, {"eq": 1}]}, where).startswith(f"{where}.and[1].eq: ")
    assert refusal(object(), where).startswith(f"{where}: ")


def nested(levels: int) -> object:
    filter_: object = LEAF
    for _ in range(levels - 1):
        filter_ = {"and": [filter_]}
    return filter_


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels - 1):
        value = [value]
    return value


def distinct(count: int) -> list[object]:
    return [{"exists": f"/{number}"} for number in range(count)]


@pytest.mark.parametrize(
    ("make", "most", "message"),
    [
        (lambda most: {"or": distinct(most - 1)}, MOST_NODES, "more than 64 filters in one"),
        (nested, MOST_DEPTH, "nested more than 8 deep"),
        (lambda most: {"in": {"/a": list(range(most))}}, MOST_VALUES, "257 values, at most 256 are allowed"),
        (lambda most: {"eq": {"/a": list(range(most - 1))}}, MOST_VALUES, "257 values, at most 256"),
        (lambda most: {"contains": {"/a": list(range(most - 1))}}, MOST_VALUES, "257 values, at most 256"),
        (lambda most: {"kind": list(map(str, range(most)))}, MOST_VALUES, "257 values, at most 256"),
        (lambda most: {"eq": {"/a": deep(most)}}, MOST_DEPTH, "a value nested more than 8 deep"),
        (lambda most: {"contains": {"/a": deep(most)}}, MOST_DEPTH, "a value nested more than 8 deep"),
        (lambda most: {"eq": {"/a": "é" * most}}, MOST_CHARACTERS, "1025 characters, at most 1024"),
        (lambda most: {"eq": {"/a": {"x" * most: 1}}}, MOST_CHARACTERS, "1025 characters, at most 1024"),
        (lambda most: {"glob": {"/a": "*" * most}}, MOST_CHARACTERS, "1025 characters, at most 1024"),
        (lambda most: {"lt": {"/a": "x" * most}}, MOST_CHARACTERS, "1025 characters, at most 1024"),
        (lambda most: {"kind": "x" * most}, MOST_CHARACTERS, "1025 characters, at most 1024"),
        (lambda most: {"exists": "/" * most}, MOST_CHARACTERS, "1025 characters, at most 1024"),
        (
            lambda most: {"in": {"/a": ["x" * 1000] * 16 + ["x" * (most - 16 * 1003 - 18)]}},
            MOST_BYTES,
            "16385 bytes as JSON, at most 16384 are allowed",
        ),
    ],
)  # fmt: skip
def test_what_a_filter_may_be_made_of_is_bounded(
    make: Callable[[int], object], most: int, message: str
) -> None:
    parse_filter(make(most))
    assert message in refusal(make(most + 1))


def cyclic() -> object:
    ring: dict[str, object] = {}
    ring["not"] = ring
    return ring


@pytest.mark.parametrize(
    "value",
    [object(), cyclic(), {"eq": {"/a": "\ud800"}}, {"eq": {"/a": 10**5000}}, {1: {}, (2,): 3}, 1j],
    ids=range(6),
)
def test_what_is_not_json_is_no_filter(value: object) -> None:
    assert refusal(value) == "filter: this cannot be written as JSON, and a filter can"


@pytest.mark.parametrize("levels", [100, 900, sys.getrecursionlimit() * 50])
def test_depth_alone_breaks_nothing(levels: int) -> None:
    for make in (deep, nested, lambda levels: {"eq": {"/a": deep(levels)}}):
        assert refusal(make(levels)).startswith("filter")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["/a", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["and", "or", "not", "eq", "in", "kind", "exists", "lt", "glob", "/a"]), inner, max_size=2)
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=300)
@given(
    JSON
    | st.dictionaries(st.sampled_from(["and", "or", "not", "eq", "in", "kind"]), JSON, min_size=1, max_size=1)
)
def test_anything_is_a_filter_or_refused_with_its_place(value: object) -> None:
    try:
        parse_filter(value, "here")
    except InvalidFilter as error:
        assert str(error).startswith("here")
        assert len(str(error)) < 400
