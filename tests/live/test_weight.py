"""What an entry weighs: near enough to what it takes, and found in any data."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Struct, UnsetType

from mcptrio.live import Change, Entry
from mcptrio.live.weight import ENTRY_BYTES, Weighed, weigh

KILOBYTE = "x" * 1024


def weight_of(data: object) -> int:
    return weigh(Entry(1, Change(uri="a:b", data=data)))


class Mail(Struct):
    subject: str
    body: object
    folder: str | UnsetType = UNSET


@dataclass
class Plain:
    text: object


class Slotted:
    __slots__ = ("unset",)


@pytest.mark.parametrize(
    "data",
    [
        KILOBYTE,
        KILOBYTE.encode(),
        {"a": [1, {"b": KILOBYTE}]},
        {KILOBYTE: None},
        [(KILOBYTE, 1)],
        {KILOBYTE},
        Mail("s", [KILOBYTE]),
        Plain({"a": KILOBYTE}),
        10**2500,
    ],
)
def test_what_is_large_is_found_wherever_it_is_in_the_data(data: object) -> None:
    assert weight_of(None) + 1024 < weight_of(data) < weight_of(None) + 2048


def test_what_is_there_twice_counts_once_and_a_circle_ends() -> None:
    assert weight_of([KILOBYTE, KILOBYTE]) < weight_of([KILOBYTE]) + 100
    circle: list[object] = [KILOBYTE]
    circle.append({"again": circle})
    assert weight_of(circle) < 3000
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert weight_of(deep) > 100_000 * 50


@pytest.mark.parametrize(
    "data", [float("nan"), object(), type, len, Slotted(), Mail("s", None), UNSET, range(3)]
)
def test_whatever_data_is_it_has_a_weight(data: object) -> None:
    assert weight_of(None) < weight_of(data) < weight_of(None) + 5000


def test_metadata_counts_with_the_data_and_what_both_hold_once() -> None:
    def weight(data: object, metadata: dict[str, object]) -> int:
        return weigh(Entry(1, Change(uri="a:b", data=data, metadata=metadata)))

    assert weight(None, {}) + 1024 < weight(None, {"tags": [KILOBYTE]}) < weight(None, {}) + 2048
    assert weight(None, {KILOBYTE: 1}) > weight(None, {}) + 1024
    assert weight([KILOBYTE], {"tags": [KILOBYTE]}) < weight([KILOBYTE], {}) + 500
    assert weight_of(None) < weight(None, {}) < weight_of(None) + 500


def test_uri_and_event_id_count_too() -> None:
    assert weigh(Entry(1, Change(uri="a:" + KILOBYTE))) > ENTRY_BYTES + 1024
    assert weigh(Entry(1, Change(uri="a:b", event_id=KILOBYTE))) > ENTRY_BYTES + 1024


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_data_weighs_at_least_its_text(data: object) -> None:
    def longest(value: object) -> int:
        """Each text once: what is there twice may be one object."""
        if isinstance(value, dict):
            return max(map(longest, (*value, *value.values())), default=0)
        if isinstance(value, list):
            return max(map(longest, value), default=0)
        return len(value) if isinstance(value, str) else 0

    assert weight_of(data) >= weight_of(None) + longest(data)


def test_the_estimate_is_near_what_entries_take() -> None:
    text = json.dumps(
        {"subject": "Hello", "from": "ada@example.org", "tags": ["urgent", "new"], "size": 51200}
    )
    weighed = 0
    entries = []
    tracemalloc.start()
    try:
        for number in range(1000):
            change = Change(
                uri=f"mail://inbox/{number}", event_id=f"<{number}@example.org>", data=json.loads(text)
            )
            entries.append(Entry(number + 1000, change))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    weighed = sum(map(weigh, entries))
    assert taken <= weighed <= 2 * taken


def test_an_entry_is_weighed_with_what_it_weighs() -> None:
    entry = Entry(1, Change(uri="a:b", data=KILOBYTE))
    assert Weighed.of(entry) == Weighed(entry, weigh(entry))
