"""The queues behind the policies: what is merged, in which order, and when it is due."""

from __future__ import annotations

import math

import pytest

from mcptrio.live import Change, Entry
from mcptrio.live.policy import CONFLATE, Policy, batch
from mcptrio.live.waiting import InOrder, Newest, Waiting
from mcptrio.live.weight import Weighed


def item(offset: int, uri: str = "a:1") -> Weighed:
    return Weighed(Entry(offset, Change(uri=uri)), 1)


def offsets(waiting: Waiting, now: float, most: int = 100) -> list[int]:
    """What is due, taken out."""
    taken = []
    while len(taken) < most and (each := waiting.pop(now)) is not None:
        taken.append(each.entry.offset)
    return taken


def test_in_order_keeps_everything() -> None:
    waiting = InOrder()
    assert waiting.due() == math.inf
    for number in range(1, 5):
        waiting.add(item(number), 0)
    assert (len(waiting), waiting.due()) == (4, -math.inf)
    assert offsets(waiting, 0, 2) == [1, 2]
    assert [each.entry.offset for each in waiting.clear()] == [3, 4]
    assert (waiting.pop(0), len(waiting)) == (None, 0)


def test_the_newest_takes_the_place_of_the_older_and_the_order_is_that_of_offsets() -> None:
    waiting = Newest(CONFLATE)
    old = item(1, "a:1")
    assert waiting.add(old, 0) is None
    assert waiting.add(item(2, "a:2"), 0) is None
    assert waiting.add(item(3, "a:1"), 0) is old
    assert len(waiting) == 2
    assert offsets(waiting, 0) == [2, 3]
    assert waiting.due() == math.inf


def test_what_changes_all_the_time_is_put_off_once_and_not_for_ever() -> None:
    waiting = Newest(CONFLATE)
    waiting.add(item(1, "a:1"), 0)
    waiting.add(item(2, "a:hot"), 0)
    told: list[str] = []
    for number in range(3, 203):
        # Before each taking, the one URI changes again, and another for the first time.
        waiting.add(item(2 * number, "a:hot"), 0)
        waiting.add(item(2 * number + 1, f"a:{number}"), 0)
        taken = waiting.pop(0)
        assert taken is not None
        told.append(taken.entry.change.uri)
    # A round is about twice as long as the one before it, since two come for one that goes.
    assert told.count("a:hot") >= 5
    assert len(waiting.clear()) <= 202 + 2


def test_an_item_that_is_left_in_its_round_does_not_keep_the_newer_one_from_following() -> None:
    waiting = Newest(CONFLATE)
    for number, uri in enumerate(["a:1", "a:2"], 1):
        waiting.add(item(number, uri), 0)
    assert offsets(waiting, 0, 1) == [1]
    assert waiting.add(item(3, "a:2"), 0) is not None  # put off
    waiting.add(item(4, "a:3"), 0)
    waiting.add(item(5, "a:2"), 0)  # still waits for its round
    waiting.add(item(6, "a:4"), 0)
    assert offsets(waiting, 0, 1) == [4]
    assert waiting.add(item(7, "a:2"), 0) is None  # not again
    assert waiting.add(item(8, "a:2"), 0) is not None
    assert offsets(waiting, 0) == [5, 6, 8]


@pytest.mark.parametrize(
    ("policy", "due"),
    [
        (CONFLATE, [10.0, 10.0, 10.0, 10.0]),
        (batch(0.2, 1.0), [10.2, 10.3, 10.4, 10.9]),
        (batch(0.2, 0.25), [10.2, 10.25, 10.25, 10.25]),
        (batch(0.2, 0.0), [10.0, 10.0, 10.0, 10.0]),
    ],
)
def test_a_batch_is_due_after_a_pause_and_at_the_latest_after_its_wait(
    policy: Policy, due: list[float]
) -> None:
    waiting = Newest(policy)
    assert waiting.due() == math.inf
    for number, (now, expected) in enumerate(zip([10.0, 10.1, 10.2, 10.7], due, strict=True), 1):
        waiting.add(item(number, f"a:{number % 2}"), now)
        assert waiting.due() == pytest.approx(expected)
    assert waiting.pop(math.nextafter(waiting.due(), 0)) is None
    assert offsets(waiting, waiting.due()) == [3, 4]


def test_a_steady_stream_postpones_no_batch() -> None:
    waiting = Newest(batch(2.0, 5.0))
    told = []
    for now in range(30):
        told += [(now, offset) for offset in offsets(waiting, now)]
        waiting.add(item(now), now)
    assert told == [(now, now - 1) for now in (5, 10, 15, 20, 25)]


def test_what_comes_while_a_batch_is_told_is_in_the_next() -> None:
    waiting = Newest(batch(1.0, 5.0))
    for number in (1, 2, 3):
        waiting.add(item(number, f"a:{number}"), 0)
    assert offsets(waiting, 1, 1) == [1]
    waiting.add(item(4, "a:1"), 1)
    waiting.add(item(5, "a:2"), 1)
    assert waiting.due() == -math.inf
    assert offsets(waiting, 1) == [3]
    assert waiting.due() == 2
    assert offsets(waiting, 2) == [4, 5]


def test_what_was_put_off_and_told_can_be_put_off_again() -> None:
    waiting = Newest(CONFLATE)
    number = 0
    for _ in range(3):
        for uri in ("a:1", "a:2"):
            number += 1
            waiting.add(item(number, uri), 0)
        assert offsets(waiting, 0, 1) == [number - 1]
        number += 1
        assert waiting.add(item(number, "a:2"), 0) is not None
        assert offsets(waiting, 0) == [number]


def test_in_a_hurry_a_batch_is_due_when_it_has_something() -> None:
    waiting = Newest(batch(2.0, 5.0))
    waiting.add(item(1), 0)
    assert waiting.due() == 2
    waiting.hurry()
    assert waiting.due() == 0
    assert offsets(waiting, 0) == [1]
    waiting.add(item(2), 3)
    assert offsets(waiting, 3) == [2]
    in_order = InOrder()
    in_order.add(item(1), 0)
    in_order.hurry()  # waits for no time
    assert offsets(in_order, 0) == [1]
