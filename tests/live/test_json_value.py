"""When two JSON values are equal, and how large one is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcptrio.live.json_value import Extent, described, extent_of, freeze, one_of, same
from mcptrio.live.pointer import MISSING

VALUES = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 0.0, -0.0, 1.0, 0.5, 2**53, 2.0**53, 2**53 + 1, "", "0", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", ""]), inner, max_size=2)
    ),
    max_leaves=5,
)


def spelled(value: object) -> str:
    """A text that is equal for equal values: the naive model of equality."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list):
        return f"[{','.join(map(spelled, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{json.dumps(name)}:{spelled(value[name])}' for name in sorted(value))}}}"
    return json.dumps(value)


@settings(max_examples=500)
@given(VALUES, VALUES)
def test_values_are_equal_when_their_canonical_texts_are(one: object, other: object) -> None:
    expected = spelled(one) == spelled(other)
    assert same(one, other) is same(other, one) is expected
    assert (freeze(one) == freeze(other)) is expected
    assert one_of([one])(other) is expected
    if expected:
        assert hash(freeze(one)) == hash(freeze(other))


@settings(max_examples=300)
@given(st.lists(VALUES, min_size=1, max_size=5), VALUES)
def test_one_of_several_is_found_by_the_same_equality(values: list[object], found: object) -> None:
    assert one_of(values)(found) is (spelled(found) in map(spelled, values))


@pytest.mark.parametrize("value", [None, True, 1, "a", [], [1], {}, {"a": 1}])
def test_what_is_missing_equals_nothing(value: object) -> None:
    assert not same(value, MISSING)
    assert not one_of([value])(MISSING)
    assert not one_of([value, "b"])(MISSING)


@pytest.mark.parametrize(
    ("value", "extent"),
    [
        (7, Extent(1, 1, 0)),
        ("abc", Extent(1, 1, 3)),
        ([], Extent(1, 1, 0)),
        ({}, Extent(1, 1, 0)),
        ({"longest": ["a", {"b": None}]}, Extent(5, 4, 7)),
    ],
)
def test_an_extent_counts_values_levels_and_characters(value: object, extent: Extent) -> None:
    assert extent_of(value, 8) == extent


def test_an_extent_looks_one_level_below_the_deepest_and_no_further() -> None:
    value: object = "bottom"
    for _ in range(100_000):
        value = [value]
    assert extent_of(value, 3) == Extent(4, 4, 0)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "an empty object"),
        ({"windowMs": {"a": 1}, "\n": None}, r"an object with 'windowMs', '\n'"),
        (dict.fromkeys("abcd"), "an object of 4 members"),
        ([], "an empty list"),
        ([1], "a list of 1"),
        ("", "''"),
        ("a b\0\u202e", r"'a b\x00\u202e'"),
        ("x" * 40, f"'{'x' * 40}'"),
        ("x" * 41, f"'{'x' * 40}'... (41 characters)"),
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-1.5, "-1.5"),
        (2**64 - 1, "18446744073709551615"),
        (2**64, "a number of very many digits"),
        pytest.param(10**5000, "a number of very many digits", id="huge"),
    ],
)
def test_every_kind_of_value_has_words(value: object, words: str) -> None:
    assert described(value) == words


@given(
    st.dictionaries(st.text(max_size=60), st.none(), max_size=5)
    | st.text(max_size=60)
    | st.lists(st.none(), max_size=3)
    | st.integers()
    | st.floats()
)
def test_the_words_for_any_value_are_printable_and_few(value: object) -> None:
    words = described(value)
    assert words.isprintable()
    assert len(words) <= 1500
