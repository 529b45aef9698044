"""History, against a model that forgets nothing."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcptrio.live import Change, Entry, InvalidCursor
from mcptrio.live.cursor import Cursor
from mcptrio.live.history import History, Missed
from mcptrio.live.weight import Weighed

EPOCH, OTHER = "0" * 16, "1" * 16


@functools.cache
def item(offset: int, size: int = 0) -> Weighed:
    return Weighed.of(Entry(offset, Change(uri="a:b", data="x" * size)))


SMALL = item(1).weight


def filled(count: int, **bounds: float) -> History:
    history = History(EPOCH, **bounds)  # type: ignore[arg-type]
    for offset in range(1, count + 1):
        history.append(item(offset), float(offset))
    return history


def test_what_came_after_an_offset_is_there_in_order() -> None:
    history = filled(5)
    assert history.since(2, 5) == (True, [item(3), item(4), item(5)])
    assert history.since(0, 5) == (True, [item(number) for number in range(1, 6)])
    assert history.since(5, 5) == (True, [])
    assert (history.floor, history.offset, len(history), history.bytes) == (0, 5, 5, 5 * SMALL)


@pytest.mark.parametrize("bounds", [{"most": 3}, {"most_bytes": 3 * SMALL + 1}, {"max_age": 2}])
def test_beyond_a_bound_the_oldest_are_forgotten_and_said_to_be(bounds: dict[str, float]) -> None:
    history = filled(8, **bounds)
    assert (history.floor, len(history), history.bytes) == (5, 3, 3 * SMALL)
    assert history.since(5, 8) == (True, [item(6), item(7), item(8)])
    assert history.since(4, 8) == (False, [item(6), item(7), item(8)])
    assert history.missed(Cursor(EPOCH, 5), 8) == Missed(5, [item(6), item(7), item(8)])
    assert history.missed(Cursor(EPOCH, 4), 8) == Missed(4, [item(6), item(7), item(8)], 5, "history")


def test_what_is_too_old_is_not_given_out_even_where_nothing_is_added() -> None:
    history = filled(3, max_age=10)
    assert history.since(0, 11) == (True, [item(1), item(2), item(3)])
    assert history.since(0, 11.5) == (False, [item(2), item(3)])
    history.expire(100)
    assert (len(history), history.bytes, history.floor, history.offset) == (0, 0, 3, 3)
    assert history.since(3, 100) == (True, [])
    history.append(item(4), 101)
    assert history.since(3, 101) == (True, [item(4)])


def test_a_change_that_is_too_much_alone_takes_all_along_and_hides_nothing() -> None:
    history = filled(3, most_bytes=10 * SMALL)
    history.append(item(4, 20 * SMALL), 4)
    assert (len(history), history.bytes, history.floor) == (0, 0, 4)
    assert history.since(3, 4) == (False, [])
    assert history.since(4, 4) == (True, [])


def test_a_change_that_never_came_is_a_beginning_and_not_a_hole() -> None:
    history = filled(3)
    history.append(item(5), 5)
    assert history.since(3, 5) == (False, [item(5)])
    assert history.since(4, 5) == (True, [item(5)])


def test_a_change_that_is_not_newer_is_the_mistake_of_who_forgot_to_restart() -> None:
    history = filled(3)
    with pytest.raises(ValueError, match="change 3 cannot follow change 3: call restart first"):
        history.append(item(3), 3)
    history.restart(OTHER)
    history.append(item(1), 4)
    assert history.since(0, 4) == (True, [item(1)])


def test_a_cursor_of_another_life_is_a_gap_up_to_now() -> None:
    history = filled(3)
    assert history.missed(Cursor(OTHER, 1000), 3) == Missed(3, [], 3, "restarted")
    assert History(OTHER, 7).missed(Cursor(EPOCH, 3), 3) == Missed(7, [], 7, "restarted")


def test_what_is_yet_to_come_has_no_cursor() -> None:
    with pytest.raises(InvalidCursor, match=rf"{EPOCH}\.4"):
        filled(3).missed(Cursor(EPOCH, 4), 3)


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["append", "look", "jump", "restart"]), st.integers(0, 6)), max_size=50
    ),
    most=st.integers(1, 6),
    most_bytes=st.integers(0, 8).map(lambda count: count * (SMALL + 100)),
    max_age=st.integers(0, 20),
    first=st.integers(0, 3),
)
def test_all_that_is_kept_is_told_and_nothing_is_claimed_that_is_not(
    steps: list[tuple[str, int]], most: int, most_bytes: int, max_age: int, first: int
) -> None:
    history = History(EPOCH, first, most=most, most_bytes=most_bytes, max_age=max_age)
    everything: list[tuple[Weighed, int]] = []
    offset, begun, now = first, first, 0
    for step, number in steps:
        now += number
        if step == "append":
            offset += 1
            everything.append((item(offset, 100 * number), now))
            history.append(everything[-1][0], now)
        elif step == "jump":
            # So many changes never come here.
            offset += number + 1
            if number:
                everything.clear()
                begun = offset - 1
            everything.append((item(offset), now))
            history.append(everything[-1][0], now)
        elif step == "restart":
            offset = begun = number
            everything.clear()
            history.restart(OTHER, number)
        kept: list[Weighed] = []
        for each, at in reversed(everything):
            if (
                len(kept) == most
                or sum(one.weight for one in kept) + each.weight > most_bytes
                or now - at > max_age
            ):
                break
            kept.insert(0, each)
        history.expire(now)
        assert (history.offset, history.floor) == (offset, offset - len(kept))
        assert (len(history), history.bytes) == (len(kept), sum(one.weight for one in kept))
        for asked in range(max(0, begun - 2), offset + 1):
            expected = [each for each in kept if each.entry.offset > asked]
            assert history.since(asked, now) == (asked >= offset - len(kept), expected)
