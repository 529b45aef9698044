"""What one subscription is told, by hand-made cases: the chain, gaps, holding, and its end."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from mcptrio.live import Change, Entry
from mcptrio.live.allowance import Allowance
from mcptrio.live.deliveries import Deliveries, DeliveriesStatistics, Gap, Told
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
    assert (allowance.count, deliveries.statistics()) == (1, DeliveriesStatistics(1, 4, 0, 0))
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
    assert (allowance.count, deliveries.statistics()) == (0, DeliveriesStatistics(0, 0, 4, 1))
    deliveries.put(item(6, "a:6"), 100)
    assert told(deliveries, 200) == [Gap(5, 1, "pending"), Told(entry(6, "a:6"), 5)]


def test_a_gap_that_is_not_told_yet_grows() -> None:
    deliveries = Deliveries(EVERY, 0, Allowance(2))
    for number in range(1, 9):
        deliveries.put(item(number), 0)
    assert told(deliveries) == [Gap(6, 0, "pending"), Told(entry(7), 6), Told(entry(8), 7)]
    deliveries.give_up(10, "history")
    for number in range(11, 14):
        deliveries.put(item(number), 0)
    assert told(deliveries) == [Gap(13, 8, "history")]
    assert deliveries.statistics() == DeliveriesStatistics(0, 0, 9, 2)


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


def test_what_happens_while_history_is_replayed_waits_behind_it() -> None:
    allowance = Allowance()
    deliveries = Deliveries(EVERY, 2, allowance)
    deliveries.hold()
    assert deliveries.replay(item(3), 0) is True
    assert deliveries.put(item(6), 0) is False
    deliveries.hold()
    assert told(deliveries) == [Told(entry(3), 2)]
    deliveries.put(item(7), 0)
    deliveries.put(item(7), 0)
    assert (deliveries.due(), len(deliveries), allowance.count) == (math.inf, 2, 2)
    deliveries.replay(item(5), 0)
    deliveries.replay(item(6), 0)  # history goes on meanwhile
    assert told(deliveries) == [Told(entry(5), 3), Told(entry(6), 5)]
    assert deliveries.release(0) is True
    assert deliveries.release(0) is False
    assert told(deliveries) == [Told(entry(7), 6)]
    assert allowance.count == 0
    deliveries.put(item(8), 0)
    assert told(deliveries) == [Told(entry(8), 7)]


@pytest.mark.parametrize("last", ["live", "replayed"])
def test_the_bound_holds_while_replaying_and_the_gap_is_up_to_now(last: str) -> None:
    allowance = Allowance(3)
    deliveries = Deliveries(EVERY, 0, allowance)
    deliveries.hold()
    deliveries.replay(item(1), 0)
    deliveries.put(item(8), 0)
    deliveries.put(item(9), 0)
    if last == "live":
        deliveries.put(item(10), 0)
    else:
        deliveries.replay(item(2), 0)
    end = 10 if last == "live" else 9
    assert allowance.count == 0
    deliveries.replay(item(3), 0)  # is within the gap
    deliveries.put(item(11), 0)
    assert told(deliveries) == [Gap(end, 0, "pending")]
    deliveries.release(0)
    assert told(deliveries) == [Told(entry(11), end)]


def test_a_gap_of_history_comes_before_what_is_left_of_it() -> None:
    deliveries = Deliveries(EVERY, 3, Allowance())
    deliveries.hold()
    assert deliveries.give_up(6, "history") is True
    deliveries.replay(item(6), 0)
    deliveries.replay(item(7), 0)
    deliveries.release(0)
    assert told(deliveries) == [Gap(6, 3, "history"), Told(entry(7), 6)]


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
    deliveries.hold()
    deliveries.replay(item(2), 0)
    deliveries.put(item(3), 0)
    assert allowance.count == 3
    for _ in range(2):
        deliveries.close()
        assert allowance.count == 1
        assert deliveries.put(item(4), 0) is False
        assert deliveries.replay(item(4), 0) is False
        assert deliveries.give_up(5, "pending") is False
        assert deliveries.release(0) is False
        deliveries.put(item(6), 0)
        assert (len(deliveries), deliveries.due(), deliveries.take(1000)) == (0, math.inf, None)
