"""What others made up is shown as one bounded line of printable characters, without secrets."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.introspection.redaction import (
    LONGEST,
    child_name,
    error_line,
    error_text,
    error_type,
    shown,
)

SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no route to host", "no route to host"),
        (f"GET https://me:{SECRET}@example.org/ failed", "GET https://***@example.org/ failed"),
        (f"db://example.org/a?password={SECRET}&b=1", "db://example.org/a?password=***&b=1"),
        (f"Authorization: Bearer {SECRET}", "Authorization: ***"),
        ("two\nlines\tand \r a tab", "two lines and a tab"),
        ("\x1b[31mred\u202e", "\\x1b[31mred\\u202e"),
        ("a lone \ud800 surrogate", "a lone \\ud800 surrogate"),
        ("x" * 600, "x" * 497 + "..."),
    ],
)
def test_a_text_is_one_printable_line_without_secrets(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_a_secret_is_masked_before_the_text_is_cut() -> None:
    assert SECRET[:5] not in shown(f"{'x' * 480} password={SECRET}{'y' * 100}")


@given(st.text())
def test_any_text_can_be_shown(text: str) -> None:
    line = shown(text)
    assert len(line) <= LONGEST
    assert not set(line) & set("\n\r\t\x00\x1b\u2028")
    msgspec.json.encode(line)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("connection 203.0.113.7:40122 #12", "connection #12"),
        ("connection [2001:db8::1]:40122 #12", "connection #12"),
        ("memory client #3", "connection #3"),
        ("worker #3", "worker #3"),
        ("list changes", "list changes"),
        ("issue://tracker/7#12", "issue://tracker/7#12"),
        (f"api://me:{SECRET}@example.org/x", "api://***@example.org/x"),
    ],
)
def test_of_a_connection_the_number_is_shown_and_never_the_address(name: str, expected: str) -> None:
    assert child_name(name) == expected


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError(f"token={SECRET}"), "ValueError: token=***"),
        (ValueError(), "ValueError"),
        (
            ExceptionGroup("of a nursery", [ExceptionGroup("and one more", [OSError("gone")])]),
            "OSError: gone",
        ),
        (
            ExceptionGroup("two", [OSError("gone"), ValueError("x")]),
            "ExceptionGroup: two (2 sub-exceptions)",
        ),
        (UnspeakableError(), "UnspeakableError"),
    ],
)
def test_an_error_is_its_type_and_what_it_says(error: Exception, expected: str) -> None:
    assert error_line(error) == expected
    assert expected == f"{error_type(error)}: {error_text(error)}".removesuffix(": ")
