"""Everything that is wrong with a document is said, each fault at its exact path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from mcptrio.config.path import dotted
from mcptrio.config.shape import faults


class Inner(Struct, forbid_unknown_fields=True):
    depth: Annotated[int, Meta(ge=1)] = 1
    where: str | None = None


class Place(Struct, forbid_unknown_fields=True):
    env: str | None = None


class Outer(Struct, forbid_unknown_fields=True, tag_field="kind", tag="outer"):
    name: str
    size: float = 1.0
    level: Literal["low", "high"] = "low"
    inner: Inner = msgspec.field(default_factory=Inner)
    tags: list[Annotated[str, Meta(min_length=1)]] = []
    headers: dict[str, str | Place] = {}
    loose: Mapping[str, list[Inner]] = {}

    def __post_init__(self) -> None:
        if self.size > 100:
            raise ValueError("`size` is too much: at most 100")
        if self.size == 99:
            raise ValueError("`size` must be anything else")
        if self.name == "bad":
            raise ValueError("`name` and `size` contradict each other")
        if self.name == "uri":
            raise ValueError("URI template expected")
        if self.name == "plain":
            raise ValueError("A text that is plain")


def said(document: object) -> list[str]:
    return [f"{dotted(each.path)}: {each.message}" for each in faults(document, Outer, ("it",))]


@pytest.mark.parametrize(
    "document",
    [
        {"name": "a"},
        {"kind": "outer", "name": "a", "size": 2, "inner": {"where": "x"}},
        {
            "name": "a",
            "headers": {"X": "1", "Y": {"env": "Z"}},
            "tags": ["t"],
            "loose": {"k": [{"depth": 2}]},
        },
    ],
)
def test_what_can_be_converted_has_no_faults(document: object) -> None:
    assert said(document) == []


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, ["it.name: is missing and has no default"]),
        ({"name": 1}, ["it.name: expected text, got a whole number"]),
        ({"name": "a", "size": "big"}, ["it.size: expected a number, got text"]),
        ({"name": "a", "sise": 1}, ["it.sise: unknown key; did you mean `size`?"]),
        ({"name": "a", "depth": 1}, ["it.depth: unknown key; did you mean `inner.depth`?"]),
        (
            {"name": "a", "qqqq": 1},
            ["it.qqqq: unknown key; known are `headers`, `inner`, `level`, `loose`, `name`, `size`, `tags`"],
        ),
        ({"name": "a", "inner": {"depth": 0}}, ["it.inner.depth: expected a whole number >= 1"]),
        ({"name": "a", "inner": 3}, ["it.inner: expected a table, got a whole number"]),
        ({"name": "a", "level": "hihg"}, ["it.level: `hihg` is none of its values; did you mean `high`?"]),
        ({"name": "a", "level": "x"}, ["it.level: `x` is none of its values; known are `high`, `low`"]),
        ({"name": "a", "level": 3}, ["it.level: expected text, got a whole number"]),
        ({"name": "a", "tags": ["t", ""]}, ["it.tags[1]: expected text of length >= 1"]),
        ({"name": "a", "tags": "t"}, ["it.tags: expected a list, got text"]),
        (
            {"name": "a", "headers": {"X Y": 1}},
            ['it.headers."X Y": expected text or a table, got a whole number'],
        ),
        (
            {"name": "a", "headers": {"X": {"enf": "Z"}}},
            ["it.headers.X.enf: unknown key; did you mean `env`?"],
        ),
        (
            {"name": "a", "loose": {"k": [{}, {"depth": "x"}]}},
            ["it.loose.k[1].depth: expected a whole number, got text"],
        ),
        ({"name": "a", "size": 101}, ["it.size: is too much: at most 100"]),
        ({"name": "a", "size": 99}, ["it.size: must be anything else"]),
        ({"name": "bad"}, ["it: `name` and `size` contradict each other"]),
        ({"name": "uri"}, ["it: URI template expected"]),
        ({"name": "plain"}, ["it: a text that is plain"]),
        ({"kind": "other", "name": "a"}, ["it.kind: invalid value 'other'"]),
        (3, ["it: expected a table, got a whole number"]),
    ],
)
def test_a_fault_is_said_at_its_path(document: object, expected: list[str]) -> None:
    assert said(document) == expected


def test_all_faults_are_said_at_once() -> None:
    document = {"size": "x", "inner": {"depth": 0, "where": 1}, "more": 1}
    assert [fault.split(":")[0] for fault in said(document)] == [
        "it.size",
        "it.inner.depth",
        "it.inner.where",
        "it.more",
        "it.name",
    ]


toml_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "size", "inner", "tags", "headers", "loose", "x"]), inner)
    ),
    max_leaves=12,
)


@given(toml_values)
def test_there_are_faults_exactly_where_msgspec_refuses(document: object) -> None:
    try:
        msgspec.convert(document, Outer)
    except msgspec.ValidationError:
        assert said(document)
    else:
        assert not said(document)
