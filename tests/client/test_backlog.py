"""What waits for a program: merged by URI or not, bounded, in order. Without Trio."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mcptrio.client.backlog import Backlog
from mcptrio.client.watch_event import WatchEvent

ABOUT = "about:it"


def change(uri: str, offset: int, kind: str = "updated") -> WatchEvent:
    reason = "history" if kind == "gap" else None
    return WatchEvent(uri=uri, kind=kind, offset=offset, reason=reason, cursor=f"e.{offset}")


def drained(backlog: Backlog) -> list[WatchEvent]:
    return [backlog.pop_nowait() for _ in range(len(backlog))]


def test_the_newest_change_of_a_uri_waits_in_its_own_turn() -> None:
    backlog = Backlog(ABOUT, merges=True)
    for offset, uri in enumerate("aba", 1):
        backlog.put_nowait(change(uri, offset), 1)
    assert drained(backlog) == [change("b", 2), change("a", 3)]


def test_a_uri_that_changes_all_the_time_is_put_off_once() -> None:
    backlog = Backlog(ABOUT, merges=True)
    for offset, uri in enumerate("abaaaaa", 1):
        backlog.put_nowait(change(uri, offset), 1)
    assert drained(backlog) == [change("b", 2), change("a", 3), change("a", 7)]


def test_a_gap_is_merged_with_nothing() -> None:
    backlog = Backlog(ABOUT, merges=True)
    for offset, kind in enumerate(["updated", "gap", "gap", "updated"], 1):
        backlog.put_nowait(change("a", offset, kind), 1)
    assert [each.offset for each in drained(backlog)] == [2, 3, 4]


def test_a_sources_own_word_gap_is_merged_as_any_change() -> None:
    backlog = Backlog(ABOUT, merges=True)
    for offset in (1, 2):
        backlog.put_nowait(WatchEvent(uri="a", kind="gap", offset=offset), 1)
    assert [each.offset for each in drained(backlog)] == [2]


def test_what_is_too_many_or_too_much_becomes_one_gap() -> None:
    for most, most_bytes in ((3, 1000), (1000, 30)):
        backlog = Backlog(ABOUT, merges=False, most=most, most_bytes=most_bytes)
        for offset in range(1, 5):
            backlog.put_nowait(change("a", offset), 10)
        gap = WatchEvent(uri=ABOUT, kind="gap", offset=4, reason="pending", cursor="e.4")
        assert drained(backlog) == [gap]
        backlog.put_nowait(change("a", 5), 10)
        assert drained(backlog) == [change("a", 5)]


def test_a_single_event_is_never_too_much() -> None:
    backlog = Backlog(ABOUT, merges=False, most_bytes=5)
    backlog.put_nowait(change("a", 1), 10)
    assert drained(backlog) == [change("a", 1)]


def test_nothing_comes_in_when_it_is_over() -> None:
    backlog = Backlog(ABOUT, merges=True)
    backlog.put_nowait(change("a", 1), 1)
    backlog.end(StopAsyncIteration())
    backlog.put_nowait(change("b", 2), 1)
    assert drained(backlog) == [change("a", 1)]
    backlog.close()
    assert len(backlog) == 0


programs = st.lists(st.sampled_from("abcd") | st.none() | st.just("gap"), max_size=60)
"""What is put in, by URI or as a gap; None takes one out."""


@given(programs, st.booleans(), st.integers(min_value=1, max_value=8))
def test_offsets_rise_and_nothing_is_lost_silently(
    program: list[str | None], merges: bool, most: int
) -> None:
    backlog = Backlog(ABOUT, merges=merges, most=most, most_bytes=most * 7)
    put: list[WatchEvent] = []
    taken: list[WatchEvent] = []
    for step in program:
        if step is not None:
            kind = "gap" if step == "gap" else "updated"
            put.append(change(ABOUT if kind == "gap" else step, len(put) + 1, kind))
            backlog.put_nowait(put[-1], 10)
            assert len(backlog) <= most
        elif len(backlog):
            taken.append(backlog.pop_nowait())
    taken += drained(backlog)
    offsets = [each.offset or 0 for each in taken]
    assert offsets == sorted(set(offsets)), "they rise"
    if put:
        assert taken[-1].offset == len(put), "the last one taken is where to go on"
    before = 0
    for each in taken:
        between = put[before : each.offset]
        if each.reason != "pending":
            assert each == between[-1]
            missed = between[:-1]
            assert merges or not missed
            for one in missed:  # a newer change of its URI has been taken since, or is covered by a gap
                assert not one.is_gap
                later = [other for other in taken if (other.offset or 0) > (one.offset or 0)]
                assert any(other.uri == one.uri or other.reason == "pending" for other in later)
        before = each.offset or 0
    if merges:
        # Nobody is put off for ever: at most two of one URI wait.
        assert max((sum(each.uri == uri for each in drained(full(put))) for uri in "abcd"), default=0) <= 2


def full(events: list[WatchEvent]) -> Backlog:
    backlog = Backlog(ABOUT, merges=True)
    for each in events:
        backlog.put_nowait(each, 10)
    return backlog
