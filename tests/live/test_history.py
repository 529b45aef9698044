"""History, against a model that forgets nothing."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcptrio.live import Change, Entry, InvalidCursor
from mcptrio.live.cursor import Cursor
from mcptrio.live.history import LOOKS, History, Missed
from mcptrio.live.selector import Selector, parse_selector
from mcptrio.live.weight import Weighed

EPOCH, OTHER = "0" * 16, "1" * 16
URI = "a:b"


@functools.cache
def item(offset: int, size: int = 0, uri: str = URI) -> Weighed:
    return Weighed.of(Entry(offset, Change(uri=uri, data="x" * size)))


def items(*offsets: int) -> list[Weighed]:
    return [item(offset) for offset in offsets]


@functools.cache
def glob(text: str) -> Selector:
    return parse_selector({"glob": text})


SMALL = item(1).weight
ALL = glob("**")


def filled(count: int, **bounds: float) -> History:
    history = History(EPOCH, **bounds)  # type: ignore[arg-type]
    for offset in range(1, count + 1):
        history.append(item(offset), float(offset))
    return history


def changed(uris: list[str], most: int) -> History:
    """A history of these changes, one a second."""
    history = History(EPOCH, most=most)
    for offset, uri in enumerate(uris, 1):
        history.append(item(offset, uri=uri), offset)
    return history


def test_what_came_after_an_offset_is_there_in_order() -> None:
    history = filled(5)
    assert history.after(2, 10) == items(3, 4, 5)
    assert history.after(0, 10) == items(1, 2, 3, 4, 5)
    assert history.after(5, 10) == history.after(9, 10) == []
    assert (history.floor, history.offset, len(history), history.bytes) == (0, 5, 5, 5 * SMALL)


def test_it_can_be_gone_through_in_steps_from_either_end() -> None:
    history = filled(9, most=8)
    for most in (1, 2, 3, 7, 8, 9):
        for offset in range(1, 10):
            assert history.after(offset, most) == items(*range(offset + 1, 10))[:most]
    assert history.after(0, 5) == []  # whoever asks is told a gap first


@pytest.mark.parametrize("bounds", [{"most": 3}, {"most_bytes": 3 * SMALL + 1}, {"max_age": 2}])
def test_beyond_a_bound_the_oldest_are_forgotten_and_said_to_be(bounds: dict[str, float]) -> None:
    history = filled(8, **bounds)
    assert (history.floor, len(history), history.bytes) == (5, 3, 3 * SMALL)
    assert history.after(5, 10) == items(6, 7, 8)
    assert history.missed(Cursor(EPOCH, 5), ALL, 8) == Missed(5, 5)
    assert history.missed(Cursor(EPOCH, 4), ALL, 8) == Missed(4, 5, "history")


def test_what_is_too_old_is_not_given_out_even_where_nothing_is_added() -> None:
    history = filled(3, max_age=10)
    assert history.missed(Cursor(EPOCH, 0), ALL, 11) == Missed(0, 0)
    assert history.missed(Cursor(EPOCH, 0), ALL, 11.5) == Missed(0, 1, "history")
    history.expire(100)
    assert (len(history), history.bytes, history.floor, history.offset) == (0, 0, 3, 3)
    assert history.missed(Cursor(EPOCH, 3), ALL, 100) == Missed(3, 3)
    history.append(item(4), 101)
    assert history.after(3, 10) == items(4)


def test_a_change_that_is_too_much_alone_takes_all_along_and_hides_nothing() -> None:
    history = filled(3, most_bytes=10 * SMALL)
    history.append(item(4, 20 * SMALL), 4)
    assert (len(history), history.bytes, history.floor) == (0, 0, 4)
    assert history.missed(Cursor(EPOCH, 3), ALL, 4) == Missed(3, 4, "history")
    assert history.missed(Cursor(EPOCH, 4), ALL, 4) == Missed(4, 4)


def test_a_change_that_never_came_is_a_beginning_and_not_a_hole() -> None:
    history = filled(3)
    history.append(item(5), 5)
    assert history.missed(Cursor(EPOCH, 3), ALL, 5) == Missed(3, 4, "history")
    assert history.missed(Cursor(EPOCH, 4), ALL, 5) == Missed(4, 4)
    assert history.after(4, 10) == items(5)


def test_a_change_that_is_not_newer_is_the_mistake_of_who_forgot_to_restart() -> None:
    history = filled(3)
    with pytest.raises(ValueError, match="change 3 cannot follow change 3: call restart first"):
        history.append(item(3), 3)
    history.restart(OTHER)
    history.append(item(1), 4)
    assert history.after(0, 10) == items(1)


def test_a_cursor_of_another_life_is_a_gap_up_to_now() -> None:
    assert filled(3).missed(Cursor(OTHER, 1000), ALL, 3) == Missed(3, 3, "restarted")
    assert History(OTHER, 7).missed(Cursor(EPOCH, 3), ALL, 3) == Missed(7, 7, "restarted")


def test_what_is_yet_to_come_has_no_cursor() -> None:
    with pytest.raises(InvalidCursor, match=rf"{EPOCH}\.4"):
        filled(3).missed(Cursor(EPOCH, 4), ALL, 3)


def test_of_what_is_forgotten_it_is_known_for_a_while_which_uris_have_changed() -> None:
    history = changed(["a:1", "a:2", "a:3", "a:4"], most=2)
    quiet = Missed(0, 2)
    for selector in (parse_selector({"uri": "a:3"}), glob("a:9"), glob("a:3*"), glob("b:*"), glob("a:x/**")):
        assert history.missed(Cursor(EPOCH, 0), selector, 4) == quiet
    for selector in (parse_selector({"uri": "a:1"}), glob("a:2"), glob("a:*"), glob("**2")):
        assert history.missed(Cursor(EPOCH, 0), selector, 4) == Missed(0, 2, "history")
    assert history.missed(Cursor(EPOCH, 1), glob("a:1*"), 4) == Missed(1, 2)
    # As many of them as changes: now a:1 is not known any more.
    history.append(item(5, uri="a:5"), 5)
    assert history.missed(Cursor(EPOCH, 0), glob("b:*"), 5) == Missed(0, 3, "history")
    assert history.missed(Cursor(EPOCH, 1), glob("b:*"), 5) == Missed(1, 3)


def test_a_uri_that_changes_all_the_time_makes_others_forgotten_no_earlier() -> None:
    history = changed(["a:quiet", *["a:hot"] * 50], most=2)
    assert history.missed(Cursor(EPOCH, 1), glob("a:q*"), 51) == Missed(1, 49)
    assert history.missed(Cursor(EPOCH, 0), glob("a:q*"), 51) == Missed(0, 49, "history")


def test_how_long_a_pattern_looks_for_what_it_has_missed_is_bounded() -> None:
    history = changed([f"a:{number}" for number in range(200)], most=100)
    asked = Cursor(EPOCH, 0)
    assert history.missed(asked, glob("a:x*"), 200) == Missed(0, 100)
    assert history.missed(asked, glob("**x"), 200, looks=100 * 32) == Missed(0, 100)
    assert history.missed(asked, glob("**x"), 200, looks=99 * 32) == Missed(0, 100, "history")
    assert history.missed(asked, glob("a:x*"), 200, looks=99) == Missed(0, 100, "history")
    assert history.missed(asked, parse_selector({"uri": "a:x"}), 200, looks=0) == Missed(0, 100)
    assert LOOKS >= 100


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["append", "append", "append", "look", "jump", "restart"]),
        st.integers(0, 6),
    ),
    max_size=50,
)


@settings(max_examples=200, deadline=None)
@given(
    steps=STEPS,
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
        floor = offset - len(kept)
        history.expire(now)
        assert (history.offset, history.floor) == (offset, floor)
        assert (len(history), history.bytes) == (len(kept), sum(one.weight for one in kept))
        for asked in range(max(0, begun - 2), offset + 1):
            reason = "" if asked >= floor else "history"
            missed = history.missed(Cursor(history.epoch, asked), ALL, now)
            assert missed == Missed(asked, max(asked, floor), reason)
            assert history.after(missed.position, 100) == [each for each in kept if each.entry.offset > asked]


URIS = ["a:1", "a:2", "a:3", "b:1", "b:2"]
SELECTORS = [parse_selector({"uri": uri}) for uri in URIS] + [
    glob(text) for text in ("a:*", "b:*", "**1", "?:2", "a:1", "c:*", "**")
]


@settings(max_examples=200)
@given(
    steps=st.lists(st.sampled_from([*URIS, *URIS, "wait", "jump", "restart"]), max_size=40),
    most=st.integers(1, 5),
    looks=st.integers(0, 400),
)
def test_it_never_says_that_nothing_was_missed_where_something_was(
    steps: list[str], most: int, looks: int
) -> None:
    history = History(EPOCH, most=most, max_age=10)
    changes: dict[int, str] = {}
    unknown = offset = now = 0
    for step in steps:
        if step == "wait":
            now += 4
        elif step == "jump":
            offset += 1
            unknown = offset  # it may have been anything
        elif step == "restart":
            history.restart(OTHER, offset)
            unknown = offset
        else:
            offset += 1
            changes[offset] = step
            history.append(item(offset, uri=step), now)
    for asked in range(history.offset + 1):
        for selector in SELECTORS:
            missed = history.missed(Cursor(history.epoch, asked), selector, now, looks)
            assert missed.offset == asked
            assert missed.position == max(asked, history.floor)
            gone = [
                uri
                for number, uri in changes.items()
                if asked < number <= history.floor and selector.matches(uri)
            ]
            if gone or (asked < unknown <= history.floor):
                assert missed.reason == "history"
            elif asked >= unknown and looks >= 32 * len(URIS) and len(set(changes.values())) <= most:
                assert missed.reason == "", "as many URIs are remembered as changes"
