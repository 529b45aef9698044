"""The line of a setting is found, however it is written."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.config.lines import LONGEST, Lines
from mcptrio.config.path import Path, dotted, from_msgspec, value_at

TEXT = '''\
# a comment
title = "t"

[server]
port = 1
text = """
port = 2
[x]
"""
limits.depth = 3
many = [
  1,
  2,
]

[[source]]
name = "a"  # [[source]]
[[source]]
name = "b"
inline = { here = 1, there = { env = "X" } }
"quoted key" = 1'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("server",), 4),
        (("server", "port"), 5),
        (("server", "text"), 6),
        (("server", "limits", "depth"), 10),
        (("server", "many"), 11),
        (("server", "many", 1), 11),
        (("source",), 16),
        (("source", 0), 16),
        (("source", 0, "name"), 17),
        (("source", 1), 18),
        (("source", 1, "name"), 19),
        (("source", 1, "inline", "there", "env"), 20),
        (("source", 1, "quoted key"), 21),
        (("source", 2), None),
        (("server", "x"), None),
        ((), None),
    ],
)
def test_the_statement_that_brought_a_value_is_found(path: Path, line: int | None) -> None:
    assert Lines(TEXT).find(path) == line


def test_a_separator_that_is_no_line_end_of_toml_counts_for_nothing() -> None:
    assert Lines("a = 'x\u2028y'\n# \u2028\nb = 1").find(("b",)) == 3


def test_a_very_long_file_is_not_searched() -> None:
    assert Lines("\n" * LONGEST + "a = 1").find(("a",)) is None


def test_an_empty_or_broken_text_has_no_lines() -> None:
    assert Lines("").find(("a",)) is None
    assert Lines("a = ").find(("a",)) is None


@given(
    st.lists(
        st.sampled_from(["", "# c", "[t{}]", "[[s]]", "k{} = 1", "k{} = [\n1,\n]", "k{} = '''\nk = 1\n'''"])
    )
)
def test_every_key_is_found_where_it_stands(kinds: list[str]) -> None:
    text = "\n".join(kind.format(number) for number, kind in enumerate(kinds))
    lines = Lines(text)
    document = tomllib.loads(text)
    for number, kind in enumerate(kinds):
        if kind.startswith("k"):
            [path] = [path for path in paths(document) if path[-1] == f"k{number}"]
            found = lines.find(path)
            assert found is not None
            assert text.split("\n")[found - 1].startswith(f"k{number} =")


def paths(value: object, path: Path = ()) -> list[Path]:
    items: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [found for key, each in items for found in [(*path, key), *paths(each, (*path, key))]]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("server", "port"), "server.port"),
        (("source", 0, "a"), "source[0].a"),
        (("a", "b c", "d.e"), 'a."b c"."d.e"'),
    ],
)
def test_a_path_is_written_as_in_toml(path: Path, text: str) -> None:
    assert dotted(path) == text


def test_the_path_of_a_msgspec_message_is_read() -> None:
    assert from_msgspec("$.a[0].b_c[...]") == ("a", 0, "b_c")
    assert from_msgspec("$") == ()


def test_a_value_is_found_or_not() -> None:
    assert value_at({"a": [1, {"b": None}]}, ("a", 1, "b")) == (True, None)
    assert value_at({"a": [1]}, ("a", 1)) == (False, None)
    assert value_at({"a": 1}, ("a", "b")) == (False, None)
