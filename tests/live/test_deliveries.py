"""What one subscription is told, by hand-made cases: the chain, gaps, and its end."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from mcptrio.live import Change, Entry
from mcptrio.live.allowance import Allowance
from mcptrio.live.deliveries import Deliveries, Gap, Told
from mcptrio.live.policy import CONFLATE, EVERY, Policy, batch
from mcptrio.live.weight import Weighed

AT = datetime(2026, 11, 20, tzinfo=UTC)


def entry(offset: int, uri: str = "a:1") -> Entry:
    return Entry(offset, Change(uri=uri, at=AT))


def item(offset: int, uri: str = "a:1") -> Weighed:
    return Weighed.of(entry(offset, uri))


def told(deliveries: Deliveries, now: float = 0) -> list[Told | Gap]:
    """All that is due, taken."""
    taken: list[Told | Gap] = []
    while (each := deliveries.take(now)) is not None:
        taken.append(each)
    return taken


@pytest.mark.parametrize("policy", [CONFLATE, EVERY, batch(0, 0)])
def test_each_names_what_was_told_before_it_and_the_first_where_it_began(policy: Policy) -> None:
    allowance = Allowance()
    deliveries = Deliveries(policy, 7, allowance)
    assert deliveries.due() == math.inf
    for number, uri in ((9, "a:1"), (12, "a:2"), (13, "a:3")):
        deliveries.put(item(number, uri), 0)
    assert (len(deliveries), allowance.count) == (3, 3)
    assert allowance.bytes == sum(item(number, "a:1").weight for number in (9, 12, 13))
    assert told(deliveries) == [
        Told(entry(9, "a:1"), 7),
        Told(entry(12, "a:2"), 9),
        Told(entry(13, "a:3"), 12),
    ]
    assert (allowance.count, allowance.bytes) == (0, 0)


def test_merging_is_no_hole_in_the_chain() -> None:
    allowance = Allowance()
    deliveries = Deliveries(CONFLATE, 0, allowance)
    for number in range(1, 6):
        deliveries.put(item(number), 0)
    assert (allowance.count, len(deliveries), allowance.tally.waiting, allowance.tally.merged) == (1, 1, 1, 4)
    assert told(deliveries) == [Told(entry(5), 0)]


def test_whoever_waits_is_told_when_it_is_worth_looking_again() -> None:
    deliveries = Deliveries(batch(1, 3), 0, Allowance(2))
    assert deliveries.put(item(1), 0) is True
    assert deliveries.put(item(2), 0.5) is False
    assert deliveries.due() == 1.5
    assert deliveries.take(1) is None
    assert deliveries.take(1.5) == Told(entry(2), 0)
    assert deliveries.put(item(3, "a:1"), 2) is True
    assert deliveries.put(item(4, "a:2"), 2) is False
    assert deliveries.put(item(5, "a:3"), 2) is True  # a gap waits for no batch
    assert told(deliveries, 2) == [Gap(5, 2, "pending")]


@pytest.mark.parametrize("policy", [CONFLATE, EVERY, batch(10, 100)])
def test_beyond_the_bound_all_that_waits_is_one_gap_and_then_it_goes_on(policy: Policy) -> None:
    allowance = Allowance(3)
    deliveries = Deliveries(policy, 0, allowance)
    for number in range(1, 4):
        deliveries.put(item(number, f"a:{number}"), 0)
    assert deliveries.take(100) == Told(entry(1, "a:1"), 0)
    deliveries.put(item(4, "a:4"), 100)
    deliveries.put(item(5, "a:5"), 100)
    assert (allowance.count, allowance.tally.given_up, allowance.tally.gaps) == (0, 4, {"pending": 1})
    deliveries.put(item(6, "a:6"), 100)
    assert told(deliveries, 200) == [Gap(5, 1, "pending"), Told(entry(6, "a:6"), 5)]


def test_a_gap_that_is_not_told_yet_grows() -> None:
    allowance = Allowance(2)
    deliveries = Deliveries(EVERY, 0, allowance)
    for number in range(1, 9):
        deliveries.put(item(number), 0)
    assert told(deliveries) == [Gap(6, 0, "pending"), Told(entry(7), 6), Told(entry(8), 7)]
    deliveries.give_up(10, "history")
    for number in range(11, 14):
        deliveries.put(item(number), 0)
    assert told(deliveries) == [Gap(13, 8, "history")]
    tally = allowance.tally
    assert (tally.waiting, tally.merged, tally.given_up, tally.gaps) == (
        0,
        0,
        9,
        {"pending": 1, "history": 1},
    )


@pytest.mark.parametrize("policy", [CONFLATE, EVERY, batch(1, 3)])
def test_what_was_told_and_is_in_doubt_is_a_gap_that_leaves_what_waits(policy: Policy) -> None:
    allowance = Allowance()
    deliveries = Deliveries(policy, 5, allowance)
    deliveries.put(item(6), 0)
    assert deliveries.doubt("history") is False  # nothing has been told
    assert told(deliveries, 9) == [Told(entry(6), 5)]
    assert deliveries.doubt("history") is True
    assert deliveries.doubt("history") is False
    assert (deliveries.put(item(7), 9), deliveries.due()) == (False, -math.inf)
    assert told(deliveries, 99) == [Gap(6, 6, "history"), Told(entry(7), 6)]
    deliveries.put(item(8), 99)
    assert deliveries.doubt("history") is policy.merges  # else it was due before all times
    assert told(deliveries, 999) == [Gap(7, 7, "history"), Told(entry(8), 7)]
    assert (allowance.tally.gaps, allowance.count) == ({"history": 2}, 0)


def test_a_doubt_adds_nothing_to_a_gap_that_waits_and_grows_as_any() -> None:
    deliveries = Deliveries(EVERY, 0, Allowance(1))
    for number in (1, 2):
        deliveries.put(item(number), 0)
    deliveries.doubt("history")
    assert told(deliveries) == [Gap(2, 0, "pending")]
    deliveries.doubt("history")  # a gap was told, which may not have arrived either
    for number in (3, 4):
        deliveries.put(item(number), 0)
    assert told(deliveries) == [Gap(4, 2, "history")]
    deliveries.close()
    assert deliveries.doubt("history") is False
    assert told(deliveries) == []


def test_the_bound_is_in_bytes_too() -> None:
    allowance = Allowance(most_bytes=2 * item(1).weight)
    deliveries = Deliveries(EVERY, 0, allowance)
    for number in range(1, 4):
        deliveries.put(item(number), 0)
    assert told(deliveries) == [Gap(3, 0, "pending")]
    assert (allowance.count, allowance.bytes) == (0, 0)


def test_the_allowance_is_that_of_the_client_and_who_exceeds_it_gives_up_its_own() -> None:
    allowance = Allowance(3)
    one, other = Deliveries(EVERY, 0, allowance), Deliveries(EVERY, 0, allowance)
    for number in (1, 2, 3):
        one.put(item(number), 0)
    other.put(item(3), 0)
    assert told(other) == [Gap(3, 0, "pending")]
    assert [each.entry.offset for each in told(one) if isinstance(each, Told)] == [1, 2, 3]
    assert allowance.count == 0


def test_a_newer_one_that_takes_an_older_ones_place_exceeds_nothing() -> None:
    deliveries = Deliveries(CONFLATE, 0, Allowance(1))
    for number in range(1, 10):
        deliveries.put(item(number), 0)
    assert told(deliveries) == [Told(entry(9), 0)]


def test_what_is_not_newer_is_known() -> None:
    deliveries = Deliveries(EVERY, 5, Allowance())
    for number in (3, 5, 6, 6, 4):
        deliveries.put(item(number), 0)
    assert told(deliveries) == [Told(entry(6), 5)]
    deliveries.put(item(6), 0)
    assert told(deliveries) == []


def test_a_gap_of_history_comes_before_what_is_left_of_it() -> None:
    deliveries = Deliveries(EVERY, 3, Allowance())
    assert deliveries.give_up(6, "history") is True
    deliveries.put(item(6), 0)  # is within the gap
    deliveries.put(item(7), 0)
    assert told(deliveries) == [Gap(6, 3, "history"), Told(entry(7), 6)]


def test_a_gap_that_ends_before_what_waits_takes_it_along() -> None:
    allowance = Allowance()
    deliveries = Deliveries(EVERY, 3, allowance)
    deliveries.put(item(8), 0)
    deliveries.give_up(6, "history")
    assert (allowance.count, told(deliveries)) == (0, [Gap(8, 3, "history")])


@pytest.mark.parametrize("policy", [CONFLATE, EVERY, batch(10, 100)])
def test_when_the_numbers_begin_anew_all_that_waits_is_one_gap_down_to_there(policy: Policy) -> None:
    allowance = Allowance(3)
    deliveries = Deliveries(policy, 40, allowance)
    for number in range(41, 46):
        deliveries.put(item(number, f"a:{number}"), 0)  # a gap, and one that waits behind it
    assert allowance.count == 1
    deliveries.restart(0)
    assert allowance.count == 0
    deliveries.put(item(1), 0)
    assert told(deliveries, 100) == [Gap(0, 40, "restarted"), Told(entry(1), 0)]


def test_who_is_in_a_hurry_waits_for_no_batch() -> None:
    deliveries = Deliveries(batch(10, 100), 0, Allowance())
    deliveries.put(item(1, "a:1"), 0)
    deliveries.put(item(2, "a:2"), 1)
    assert told(deliveries, 1) == []
    deliveries.hurry()
    assert deliveries.due() <= 1
    assert told(deliveries, 1) == [Told(entry(1, "a:1"), 0), Told(entry(2, "a:2"), 1)]
    deliveries.put(item(3), 2)
    assert told(deliveries, 2) == [Told(entry(3), 2)]


def test_a_gap_where_the_numbers_have_begun_anew_begins_and_ends_there() -> None:
    deliveries = Deliveries(EVERY, 6, Allowance())
    deliveries.give_up(6, "restarted")
    deliveries.put(item(7), 0)
    assert told(deliveries) == [Gap(6, 6, "restarted"), Told(entry(7), 6)]


@pytest.mark.parametrize("policy", [CONFLATE, EVERY, batch(1, 1)])
def test_after_its_end_nothing_is_told_and_nothing_counts(policy: Policy) -> None:
    allowance = Allowance(5)
    other = Deliveries(EVERY, 0, allowance)
    other.put(item(1), 0)
    deliveries = Deliveries(policy, 0, allowance)
    deliveries.give_up(1, "history")
    deliveries.put(item(2, "a:2"), 0)
    deliveries.put(item(3), 0)
    assert allowance.count == 3
    for _ in range(2):
        deliveries.close()
        assert allowance.count == 1
        assert deliveries.put(item(4), 0) is False
        assert deliveries.give_up(5, "pending") is False
        assert deliveries.restart(0) is False
        deliveries.put(item(6), 0)
        assert (len(deliveries), deliveries.due(), deliveries.take(1000)) == (0, math.inf, None)
