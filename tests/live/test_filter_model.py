"""Any filter over any data, against a model that is naive about everything."""

from __future__ import annotations

import fnmatch
import json
from typing import cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcptrio.live import Change
from mcptrio.live.filter import parse_filter
from mcptrio.live.view import View

NOTHING = object()
POINTERS = st.sampled_from(["/a", "/a", "/a", "", "/b", "/a/0", "/a/1", "/a/b", "/~1"])
KINDS = st.sampled_from(["created", "updated", "deleted"])
TEXTS: list[object] = ["", "a", "b", "ab", "ba", "abab", "a*", "*b", "?", "*a?"]
NUMBERS: list[object] = [0, 1, 0.0, 1.0, 1.5, 2**64]
SCALARS: list[object] = [None, True, False, *NUMBERS, *TEXTS]
# Few and alike, so that what a filter asks for is often there, or nearly.
LISTS: list[object] = [
    [],
    ["a"],
    [True],
    [0],
    ["ab", 1],
    [True, 1.0],
    [1, True],
    [["a"]],
    [{"b": 1}],
    [None, "b"],
]
ALL_VALUES = [*SCALARS, *LISTS, {}, {"b": 1}, {"b": True}, {"b": 1.0, "0": "a"}, {"b": ["a"]}]
VALUES = st.sampled_from(ALL_VALUES)
DOCUMENTS = VALUES | st.fixed_dictionaries({"a": VALUES}, optional={"b": VALUES, "/": VALUES})


def one_member(name: str, operands: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return operands.map(lambda operand: {name: operand})


def on_pointer(name: str, values: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return one_member(name, st.tuples(POINTERS, values).map(lambda pair: {pair[0]: pair[1]}))


LEAVES = st.one_of(
    one_member("kind", KINDS | st.lists(KINDS, min_size=1, max_size=2)),
    one_member("exists", POINTERS),
    on_pointer("eq", VALUES),
    on_pointer("in", st.lists(VALUES, min_size=1, max_size=4)),
    on_pointer("contains", VALUES),
    *(on_pointer(name, st.sampled_from(NUMBERS + TEXTS)) for name in ("lt", "le", "gt", "ge")),
    *(on_pointer(name, st.sampled_from(TEXTS)) for name in ("prefix", "suffix", "glob")),
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        *(one_member(name, st.lists(inner, min_size=1, max_size=3)) for name in ("and", "or")),
        one_member("not", inner),
    ),
    max_leaves=4,
)


def found_at(pointer: str, document: object) -> object:
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(document, list) and name in map(str, range(len(document))):
            document = document[int(name)]
        elif isinstance(document, dict) and name in document:
            document = document[name]
        else:
            return NOTHING
    return document


def is_number(value: object) -> bool:
    return type(value) in (int, float)


def equal(one: object, other: object) -> bool:
    if is_number(one) and is_number(other):
        return one == other
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return json.dumps(normal(one)) == json.dumps(normal(other))
    if isinstance(one, dict):
        return json.dumps(normal(one), sort_keys=True) == json.dumps(normal(other), sort_keys=True)
    return one == other


def normal(value: object) -> object:
    if isinstance(value, list):
        return [normal(one) for one in value]
    if isinstance(value, dict):
        return {name: normal(value[name]) for name in sorted(value)}
    return int(value) if isinstance(value, float) and value == int(value) else value


def model(filter_: object, kind: str, data: object) -> bool:
    ((name, operand),) = cast("dict[str, object]", filter_).items()
    if name in ("and", "or"):
        judgements = [model(one, kind, data) for one in cast("list[object]", operand)]
        return all(judgements) if name == "and" else any(judgements)
    if name == "not":
        return not model(operand, kind, data)
    if name == "kind":
        return kind == operand or (isinstance(operand, list) and kind in operand)
    if name == "exists":
        return found_at(cast(str, operand), data) is not NOTHING
    ((pointer, value),) = cast("dict[str, object]", operand).items()
    found = found_at(pointer, data)
    if name in ("eq", "in"):
        return any(equal(found, one) for one in ([value] if name == "eq" else cast("list[object]", value)))
    if name == "contains":
        if isinstance(found, list):
            return any(equal(one, value) for one in found)
        return isinstance(found, str) and isinstance(value, str) and found.find(value) >= 0
    if name in ("lt", "le", "gt", "ge"):
        if not (
            (is_number(found) and is_number(value)) or (isinstance(found, str) and isinstance(value, str))
        ):
            return False
        first, second = (list(map(ord, each)) if isinstance(each, str) else [each] for each in (found, value))
        return {"lt": first < second, "le": first <= second, "gt": first > second, "ge": first >= second}[
            name
        ]  # type: ignore[operator]
    if not (isinstance(found, str) and isinstance(value, str)):
        return False
    if name == "glob":
        return fnmatch.fnmatchcase(found, value)
    return (
        found[: len(value)] == value
        if name == "prefix"
        else found[len(found) - len(value) :] == value and len(value) <= len(found)
    )


OPERANDS: dict[str, list[object]] = {
    "eq": ALL_VALUES,
    "in": [*([one] for one in ALL_VALUES), SCALARS, LISTS, [1, "a", {"b": 1}], [True, None]],
    "contains": ALL_VALUES,
    **{name: [*NUMBERS, *TEXTS] for name in ("lt", "le", "gt", "ge")},
    **{name: TEXTS for name in ("prefix", "suffix", "glob")},
}


@pytest.mark.parametrize("name", OPERANDS)
def test_every_comparison_with_every_value_is_as_in_the_model(name: str) -> None:
    changes = [Change(uri="a:b", data={"a": value}) for value in ALL_VALUES] + [Change(uri="a:b", data={})]
    answers = set()
    for operand in OPERANDS[name]:
        filter_ = {name: {"/a": operand}}
        parsed = parse_filter(filter_)
        for change in changes:
            answers.add(answer := parsed.matches(change))
            assert answer is model(filter_, "updated", change.data), (filter_, change.data)
    assert answers == {True, False}


@settings(max_examples=300)
@given(FILTERS, KINDS, DOCUMENTS)
def test_a_filter_matches_what_the_model_matches(filter_: object, kind: str, data: object) -> None:
    expected = model(filter_, kind, NOTHING if data is None else data)
    assert parse_filter(filter_).matches(Change(uri="a:b", kind=kind, data=data)) is expected


@settings(max_examples=200)
@given(FILTERS, FILTERS, KINDS, VALUES)
def test_filters_of_one_key_are_of_one_mind(one: object, other: object, kind: str, data: object) -> None:
    view = View(Change(uri="a:b", kind=kind, data=data))
    first, second = parse_filter(one), parse_filter(other)
    if first.key == second.key:
        assert first.judge(view) is second.judge(view)
    both = parse_filter({"and": [one, other]})
    assert both.key == parse_filter({"and": [{"and": [other]}, one, other]}).key
    assert both.judge(view) is (first.judge(view) and second.judge(view))
    assert parse_filter({"not": {"not": one}}).key == first.key
    assert parse_filter(msgspec.json.decode(msgspec.json.encode(one, order="sorted"))).key == first.key


@settings(max_examples=200)
@given(
    FILTERS,
    st.sampled_from([object(), b"\xff", float("nan"), 10**5000, "\ud800", {(1,): 2}, {1: 2}, (1, "a"), {1, 2}, 1j, int])
    | st.floats()
    | st.dictionaries(st.integers() | st.floats(), st.binary(max_size=3), max_size=3),
)  # fmt: skip
def test_no_data_whatever_makes_a_filter_fail(filter_: object, data: object) -> None:
    assert isinstance(parse_filter(filter_).matches(Change(uri="a:b", data=data)), bool)
