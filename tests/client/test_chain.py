"""The chain of one watch: what is new, known, missing. Against a server that is modelled, without Trio."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.client.chain import MOST_EARLY, Chain, Delivered, Honoured
from mcptrio.client.watch_event import WatchEvent

ABOUT = "about:it"


class Told:
    """A chain, and what it has given."""

    def __init__(self, since: str | None = None) -> None:
        self.events: list[WatchEvent] = []
        self.chain = Chain(ABOUT, since, lambda event, size: self.events.append(event))

    def begin(self, cursor: str, recovered: bool | None = None) -> str | None:
        since = self.chain.begin()
        self.chain.acknowledged(Honoured(label="x", cursor=cursor, recovered=recovered))
        return since

    def tell(self, offset: int, prev: int, kind: str = "updated", reason: str | None = None) -> None:
        told = Delivered(label="x", kind=kind, offset=offset, prev=prev, reason=reason)
        self.chain.delivered("a", told, 1)

    @property
    def offsets(self) -> list[tuple[str, int | None]]:
        return [(each.reason or each.kind, each.offset) for each in self.events]


def test_it_begins_where_the_server_says() -> None:
    told = Told()
    assert told.begin("e.5") is None
    assert told.chain.cursor == "e.5"
    told.tell(7, 5)
    assert told.chain.cursor == "e.7"
    assert told.begin("e.7", True) == "e.7"
    told.tell(8, 7)
    assert told.offsets == [("updated", 7), ("updated", 8)]


def test_a_hole_is_told_once_and_what_is_known_never() -> None:
    told = Told()
    told.begin("e.5")
    for offset, prev in ((6, 5), (6, 5), (9, 8), (8, 6), (9, 8), (10, 7)):
        told.tell(offset, prev)
    assert told.offsets == [("updated", 6), ("lost", 8), ("updated", 9), ("updated", 10)]


def test_numbers_that_begin_anew_behind_a_bridge_are_followed_from_the_gap_on() -> None:
    told = Told()
    told.begin("e.5")
    told.tell(11, 5)
    told.tell(0, 0, "gap", "restarted")
    for offset, prev in ((1, 0), (1, 0), (4, 1)):
        told.tell(offset, prev)
    assert told.offsets == [("updated", 11), ("restarted", 0), ("updated", 1), ("updated", 4)]
    told.tell(3, 0, "gap", "history")
    assert len(told.events) == 4, "any other gap of before is known"


def test_a_gap_needs_no_other_before_it_and_may_end_where_it_begins() -> None:
    told = Told("e.2")
    told.begin("f.9", False)
    assert told.chain.cursor == "e.2", "until the gap is there"
    told.tell(9, 9, "gap", "restarted")
    told.tell(30, 20, "gap", "pending")
    told.tell(8, 3, "gap", "pending")
    told.tell(30, 30, "gap", "a reason of tomorrow")
    assert told.offsets == [("restarted", 9), ("pending", 30), ("a reason of tomorrow", 30)]
    assert all(each.is_gap for each in told.events)
    assert told.chain.cursor == "f.30"


def test_a_change_whose_kind_is_gap_is_a_change() -> None:
    told = Told()
    told.begin("e.5")
    told.tell(6, 5, "gap")
    told.tell(6, 5, "gap")
    told.tell(9, 8, "gap")
    assert told.offsets == [("gap", 6), ("lost", 8), ("gap", 9)]
    assert [each.is_gap for each in told.events] == [False, True, False]


@pytest.mark.parametrize(("cursor", "recovered"), [("f.1", None), ("f.1", True), ("e.7", None)])
def test_a_server_that_begins_elsewhere_and_does_not_say_so_is_a_gap(
    cursor: str, recovered: bool | None
) -> None:
    told = Told("e.2")
    told.begin(cursor, recovered)
    assert told.offsets == [("lost", int(cursor[2:]))]
    assert told.chain.cursor == cursor


def test_what_comes_before_the_answer_waits_for_it() -> None:
    told = Told("e.5")
    told.chain.begin()
    told.tell(6, 5)
    told.tell(7, 6)
    assert told.events == []
    told.chain.acknowledged(Honoured(label="x", cursor="e.5", recovered=True))
    told.chain.acknowledged(Honoured(label="x", cursor="e.900"))
    told.tell(8, 7)
    assert told.offsets == [("updated", 6), ("updated", 7), ("updated", 8)]


def test_too_much_before_the_answer_is_a_gap() -> None:
    told = Told()
    told.chain.begin()
    for offset in range(6, 6 + MOST_EARLY + 3):
        told.tell(offset, offset - 1)
    told.chain.acknowledged(Honoured(label="x", cursor="e.5"))
    last = 5 + MOST_EARLY + 3
    assert told.offsets == [("pending", last - 2), ("updated", last - 1), ("updated", last)]


@pytest.mark.parametrize("cursor", ["", "5", "e.", "e.x", "e.-1", "e.²"])
def test_a_cursor_that_is_none_is_refused(cursor: str) -> None:
    told = Told()
    with pytest.raises(ValueError, match="is no cursor"):
        told.begin(cursor)


steps = st.lists(
    st.one_of(
        st.just("change"),  # it happens, and arrives if connected
        st.just("lost"),  # it happens, and is told, but does not arrive
        st.just("again"),  # the last one is sent once more
        st.just("away"),  # the connection is lost
        st.just("back"),
        st.just("forget"),  # history is emptied
        st.just("restart"),  # numbers begin anew
    ),
    max_size=50,
)


@given(steps)
def test_everything_arrives_once_or_is_within_a_gap(program: list[str]) -> None:
    told = Told()
    epoch, number, kept, sent = 0, 10, 0, 10
    connected = True
    told.begin("0.10")
    missing = False  # whether something has been lost that no gap has told yet
    for step in [*program, "back", "change"]:
        before = len(told.events)
        if step in ("change", "lost"):
            number += 1
            if connected:
                if step == "change":
                    told.tell(number, sent)
                    got = told.events[before:]
                    assert [each.is_gap for each in got] == [True] * missing + [False]
                    assert got[-1].cursor == f"{epoch}.{number}" == told.chain.cursor
                    missing = False
                else:
                    missing = True
                sent = number
        elif step == "again" and connected:
            told.tell(sent, sent - 1)
            # It is new only if it did not arrive the first time.
            assert len(told.events) - before <= 2 * missing
            missing = False
        elif step == "away":
            connected = False
            missing = False  # what did not arrive is asked for
        elif step == "forget":
            kept = number
        elif step == "restart":
            connected, missing = False, False
            epoch, number, kept = epoch + 1, 3, 3
        elif step == "back" and not connected:
            connected = True
            since = told.chain.cursor
            assert since is not None
            life, _, at = since.partition(".")
            if int(life) == epoch and int(at) >= kept:
                assert told.begin(since, True) == since
                for sent in range(int(at) + 1, number + 1):
                    told.tell(sent, sent - 1)
                got = [each.offset for each in told.events[before:]]
                assert got == list(range(int(at) + 1, number + 1))
            else:
                same = int(life) == epoch
                told.begin(since if same else f"{epoch}.{number}", False)
                told.tell(number, int(at) if same else number, "gap", "history")
                assert [each.is_gap for each in told.events[before:]] == [True]
            sent = number
    numbers = [each.cursor for each in told.events]
    assert len(set(numbers)) == len(numbers), "nothing twice"
