"""Messages to oneself."""

from __future__ import annotations

import gc
import math
import weakref

from hypothesis import given
from hypothesis import strategies as st

from mcptrio.timers import Timer, Timers


def due(timers: Timers[str], now: float) -> list[str]:
    popped = []
    while (message := timers.pop_due(now)) is not None:
        popped.append(message)
    return popped


def test_messages_come_out_when_they_are_due_earliest_first() -> None:
    timers = Timers[str]()
    for at, message in [(3.0, "c"), (1.0, "a"), (2.0, "b")]:
        timers.set(at, message)
    assert timers.next_due() == 1.0
    assert due(timers, 0.999) == []
    assert due(timers, 2.0) == ["a", "b"]
    assert due(timers, 9.0) == ["c"]
    assert timers.next_due() == math.inf


def test_messages_of_one_time_come_out_in_the_order_they_were_set() -> None:
    timers = Timers[str]()
    for message in "dacb":
        timers.set(1.0, message)
    assert due(timers, 1.0) == list("dacb")


def test_a_cancelled_timer_is_never_due_and_cancelling_is_idempotent() -> None:
    timers = Timers[str]()
    first, second = timers.set(1.0, "first"), timers.set(2.0, "second")
    timers.cancel(first)
    timers.cancel(first)
    assert len(timers) == 1
    assert timers.next_due() == 2.0
    assert due(timers, 5.0) == ["second"]
    timers.cancel(second)
    assert len(timers) == 0


def test_a_cancelled_timer_lets_go_of_its_message_at_once() -> None:
    class Peer:
        pass

    timers = Timers[Peer]()
    peer = Peer()
    timer, gone = timers.set(1.0, peer), weakref.ref(peer)
    timers.cancel(timer)
    del peer
    gc.collect()
    assert gone() is None


def test_setting_and_cancelling_for_ever_takes_no_memory() -> None:
    timers = Timers[str]()
    for n in range(10_000):
        timers.cancel(timers.set(float(n), "x"))
    assert len(timers._heap) < 100
    assert len(timers) == 0


@given(st.lists(st.tuples(st.sampled_from(["set", "cancel", "pop"]), st.integers(0, 50)), max_size=300))
def test_it_agrees_with_a_sorted_list(program: list[tuple[str, int]]) -> None:
    timers, kept = Timers[int](), list[Timer[int]]()
    model: list[tuple[int, int]] = []  # (at, serial number)
    for serial, (operation, number) in enumerate(program):
        if operation == "set":
            kept.append(timers.set(number, serial))
            model.append((number, serial))
        elif operation == "cancel" and kept:
            timer = kept.pop(number % len(kept))
            if timer.message is not None:
                model.remove((int(timer.at), timer.message))
            timers.cancel(timer)
        elif operation == "pop":
            expected = min(model, default=None)
            if expected is None or expected[0] > number:
                assert timers.pop_due(number) is None
            else:
                assert timers.pop_due(number) == expected[1]
                model.remove(expected)
        assert len(timers) == len(model)
        assert timers.next_due() == min(model, default=(math.inf, 0))[0]
