"""A change's data as a client would see it."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcptrio.live import Change
from mcptrio.live.pointer import MISSING
from mcptrio.live.view import View


class Mail(msgspec.Struct, rename="camel"):
    sent_by: str
    size: int | msgspec.UnsetType = msgspec.UNSET
    sent: datetime = datetime(2026, 11, 20, tzinfo=UTC)


@dataclass
class Point:
    x: int
    tags: tuple[str, ...] = ("a", "b")


class Spoiled:
    def __getattribute__(self, name: str) -> object:
        raise RuntimeError(name)


@dataclass
class Fragile:
    x: object


def cyclic() -> list[object]:
    ring: list[object] = []
    ring.append({"ring": ring})
    return ring


def deep(levels: int) -> object:
    value: object = None
    for _ in range(levels):
        value = [value]
    return value


def seen(data: object) -> object:
    return View(Change(uri="a:b", data=data)).data


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (Mail("ada"), {"sentBy": "ada", "sent": "2026-11-20T00:00:00Z"}),
        (Point(1), {"x": 1, "tags": ["a", "b"]}),
        (
            {1: {"a": Mail("ada", 3)}},
            {"1": {"a": {"sentBy": "ada", "size": 3, "sent": "2026-11-20T00:00:00Z"}}},
        ),
        (b"\xff\x00", "/wA="),
        ([math.nan, math.inf, -math.inf, 1.5], [None, None, None, 1.5]),
        (2**200, 2**200),
        (msgspec.Raw(b'{"a": [1]}'), {"a": [1]}),
        ("", ""),
        (False, False),
        (0, 0),
    ],
)
def test_data_is_seen_in_the_form_that_json_gives_it(data: object, expected: object) -> None:
    assert seen(data) == expected
    assert type(seen(data)) is type(expected)


@pytest.mark.parametrize(
    "data",
    [
        None,
        math.nan,  # null at the very top is no data either
        object(),
        {"a": object()},
        {(1, 2): "a"},
        cyclic(),
        deep(sys.getrecursionlimit() * 50),
        "\ud800",
        {"\udfff": 1},
        10**5000,
        1j,
        msgspec.Raw(b'{"a'),
    ],
    ids=lambda data: type(data).__name__,
)
def test_what_json_cannot_say_is_missing(data: object) -> None:
    assert seen(data) is MISSING


def test_an_object_that_fails_at_every_touch_is_missing() -> None:
    assert seen(Spoiled()) is MISSING
    assert seen(Fragile(Spoiled())) is MISSING


def test_data_is_converted_once_and_only_when_it_is_asked_for() -> None:
    view = View(Change(uri="a:b", data={"a": [1]}))
    assert view.data is view.data
    given = {"a": 1}
    late = View(Change(uri="a:b", data=given))
    given["a"] = 2
    assert late.data == {"a": 2}
    assert late.data is not given


@settings(max_examples=100)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    )
)
def test_json_data_is_seen_as_it_is(data: object) -> None:
    expected = MISSING if data is None else json.loads(json.dumps(data))
    assert seen(data) == expected
