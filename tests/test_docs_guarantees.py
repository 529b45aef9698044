"""docs/guarantees.md promises nothing without a test: each of its rows names at least one, and all of them exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "guarantees.md").read_text()
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def _rows() -> Iterator[str]:
    for line in PAGE.splitlines():
        cells = line.strip("|").split("|")
        if line.startswith("|") and set(line) - set("|- ") and cells[-1].strip() != "test":
            yield line


@cache
def _tests(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


def test_each_section_that_promises_has_its_table() -> None:
    promises, _, rest = PAGE.partition("\n## What does not hold")
    sections = promises.split("\n## ")[1:]
    assert len(sections) >= 5
    assert all("\n|---" in section for section in sections)
    assert rest


@pytest.mark.parametrize("row", list(_rows()), ids=lambda row: row.strip("| ").split("|")[0].strip()[:60])
def test_what_is_promised_names_a_test_and_it_exists(row: str) -> None:
    named = _TEST.findall(row.rpartition("|")[0].rpartition("|")[2])
    assert named, "a row without a test"
    for path, name in named:
        assert (ROOT / path).is_file(), f"{path} is no file"
        assert name in _tests(path), f"{path} has no {name}"
    assert row.count("::") == len(named), "a test that is not named as `tests/....py::test_...`"
