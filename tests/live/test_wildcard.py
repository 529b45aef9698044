"""Text patterns, against a naive model, and what they cost at worst."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcptrio.live.wildcard import MOST, Wildcard


def model(pattern: str, text: str) -> bool:
    """By the table of all beginnings of both: nothing is left out, and nothing is clever."""
    row = [True] + [False] * len(text)
    for character in pattern:
        if character == "*":
            row = [any(row[: end + 1]) for end in range(len(text) + 1)]
        else:
            row = [False, *(row[end] and character in ("?", text[end]) for end in range(len(text)))]
    return row[-1]


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("", "", True),
        ("", "a", False),
        ("*", "", True),
        ("*", "any\nlines", True),
        ("?", "", False),
        ("?", "é", True),
        ("?", "\n", True),
        ("src/*.py", "src/a/b.py", True),
        ("src/*.py", "src/.py", True),
        ("src/*.py", "src.py", False),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*ab*ab*", "ab-ab", True),
        ("*ab*ab*", "aba", False),
        ("*aa*aa*", "aaa", False),
        ("*ab*b", "ab", False),
        ("a*ab*", "ab", False),
        ("a*?", "a", False),
        ("a*?", "ab", True),
        ("[a]", "a", False),
        ("[a]", "[a]", True),
        ("a.c", "abc", False),
        ("\\*", "*", False),
        ("\\*", "\\anything", True),
        ("fi?ter.*", "filter.py", True),
    ],
)
def test_a_star_is_anything_a_question_mark_is_one_character_and_nothing_else_is_special(
    pattern: str, text: str, expected: bool
) -> None:
    assert Wildcard(pattern).matches(text) is expected
    assert model(pattern, text) is expected


@settings(max_examples=600)
@given(st.text("ab*?", max_size=10), st.text("ab?", max_size=14))
def test_it_matches_what_the_model_matches(pattern: str, text: str) -> None:
    wildcard = Wildcard(pattern)
    assert wildcard.matches(text) is model(pattern, text)
    assert repr(wildcard) == f"Wildcard({wildcard.text!r})"


@settings(max_examples=200)
@given(st.text("a*?", max_size=10), st.text("a*?", max_size=10), st.text("ab", max_size=12))
def test_patterns_with_the_same_text_match_the_same(one: str, other: str, text: str) -> None:
    wildcard = Wildcard(one)
    assert model(wildcard.text, text) is model(one, text)
    assert Wildcard(wildcard.text).text == wildcard.text
    if wildcard.text == Wildcard(other).text:
        assert wildcard.matches(text) is Wildcard(other).matches(text)


@pytest.mark.parametrize(
    ("pattern", "spelling"), [("a**b", "a*b"), ("*?*?*", "??*"), ("**", "*"), ("?*?", "??*"), ("a?b", "a?b")]
)
def test_a_pattern_has_one_spelling(pattern: str, spelling: str) -> None:
    assert Wildcard(pattern).text == spelling


class CountedText(str):
    """Counts how many of its characters were looked at by iterating, and how often it was searched."""

    steps: int
    searches: int

    def __iter__(self):  # type: ignore[no-untyped-def]
        for character in str(self):
            self.steps += 1
            yield character

    def find(self, *args: object) -> int:
        self.searches += 1
        return super().find(*args)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("a*" * 512 + "b", "a" * 20_000),
        ("*" * 1023 + "b", "a" * 20_000),
        ("*a" * 511 + "*ab", "a" * 20_000 + "b" * 2),
        ("*" + "a?" * 500 + "b", "a" * 1_000 + "b" * 24),
        ("*a?" * 300 + "b", "a" * 1_000 + "c" * 22 + "b" * 2),
        ("*a?c", "ac" * 512),
    ],
    ids=range(6),
)
def test_a_text_is_gone_through_once_however_nasty_the_pattern_is(pattern: str, text: str) -> None:
    counted = CountedText(text)
    counted.steps = counted.searches = 0
    assert not Wildcard(pattern).matches(counted)
    assert counted.steps <= len(text)
    assert counted.searches <= len(pattern)


def test_what_is_decided_is_not_read_on() -> None:
    for pattern, text, expected in (
        ("b?*", "a" * 1_000 + "bb", False),
        ("a?*", "a" * 1_000, True),
        ("*b?c*", "a" * 1_000, False),
    ):
        counted = CountedText(text)
        counted.steps = counted.searches = 0
        assert Wildcard(pattern).matches(counted) is expected
        assert counted.steps <= 3


def test_a_long_text_matches_nothing_with_a_question_mark_and_is_not_looked_at() -> None:
    for pattern in ("?*", "*a?", "*?*"):
        assert Wildcard(pattern).matches("a" * MOST)
        counted = CountedText("a" * (MOST + 1))
        counted.steps = counted.searches = 0
        assert not Wildcard(pattern).matches(counted)
        assert counted.steps == counted.searches == 0
    assert Wildcard("a*").matches("a" * (MOST + 1))
