"""A bucket holds what it may, fills at its rate, and is known only while that means something."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mcptrio.access import RateLimit, per_second


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("100/s", 100.0),
        ("600/m", 10.0),
        ("36 / H", 0.01),
        ("864/d", 0.01),
        ("2.5", 2.5),
        (7, 7.0),
        (0.5, 0.5),
    ],
)
def test_a_rate_is_a_number_in_a_time_or_a_second(written: str | float, expected: float) -> None:
    assert per_second(written) == pytest.approx(expected)


@pytest.mark.parametrize("written", ["", "s", "x/s", "1/", "1/y", "-1/s", "1/2s", "٣/s", "1e3/s"])
def test_what_is_no_rate_is_refused_with_an_example(written: str) -> None:
    with pytest.raises(ValueError, match=r"is no rate: .*'100/s'"):
        per_second(written)


@pytest.mark.parametrize("written", ["0/s", 0, -1.0, math.inf, math.nan, 1e9, "999999999/s"])
def test_a_rate_out_of_bounds_is_refused(written: str | float) -> None:
    with pytest.raises(ValueError, match="a rate is between"):
        per_second(written)


@given(st.text(max_size=30))
def test_any_text_is_a_rate_or_a_value_error(written: str) -> None:
    try:
        found = per_second(written)
    except ValueError:
        return
    RateLimit(found, 1)


@pytest.mark.parametrize(("rate", "burst", "most"), [(0.0, 1, 1), (math.inf, 1, 1), (1.0, 0, 1), (1.0, 1, 0)])
def test_numbers_out_of_bounds_are_refused(rate: float, burst: int, most: int) -> None:
    with pytest.raises(ValueError):
        RateLimit(rate, burst, most)


def test_a_burst_is_granted_and_then_the_rate() -> None:
    limit = RateLimit(rate=2.0, burst=3)
    assert [limit.take("a", 10.0) for _ in range(5)] == [0.0, 0.0, 0.0, 0.5, 0.5]
    assert limit.take("b", 10.0) == 0.0
    assert limit.take("a", 10.25) == 0.25
    assert limit.take("a", 10.5) == 0.0
    assert limit.take("a", 10.5) == 0.5
    assert [limit.take("a", 100.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


@given(
    st.floats(1e-6, 1e6),
    st.integers(1, 50),
    st.floats(0, 1e6),
)
def test_whoever_waits_as_long_as_told_is_granted_one_and_no_more(
    rate: float, burst: int, now: float
) -> None:
    limit = RateLimit(rate, burst)
    assert [limit.take("a", now) for _ in range(burst)] == [0.0] * burst
    for _ in range(3):
        wait = limit.take("a", now)
        assert 0.0 < wait <= 1.1 / rate
        now += wait
        assert limit.take("a", now) == 0.0
        assert limit.take("a", now) > 0.0


def test_full_buckets_are_forgotten_first() -> None:
    limit = RateLimit(rate=1.0, burst=5, most=4)
    for _ in range(5):
        limit.take("busy", 0.0)
    for key in "abc":
        limit.take(key, 0.0)
    limit.take("new", 2.0)
    assert len(limit) == 2
    assert limit.take("busy", 2.0) == 0.0
    assert limit.take("busy", 2.0) == 0.0
    assert limit.take("busy", 2.0) > 0.0


def test_many_new_keys_take_no_more_room_and_do_not_free_who_took_most() -> None:
    limit = RateLimit(rate=1.0, burst=5, most=100)
    for _ in range(5):
        limit.take("busy", 0.0)
    for number in range(10_000):
        assert limit.take(f"k{number}", 0.0) == 0.0
        assert len(limit) <= 100
    assert limit.take("busy", 0.0) > 0.0


MOST = 4
RATE = 4.0
BURST = 3


class Buckets(RuleBasedStateMachine):
    """Beside buckets that are counted in quarters of a second, without any being forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = RateLimit(RATE, BURST, MOST)
        self.now = 0
        self.held: dict[str, tuple[int, int]] = {}

    def in_bucket(self, key: str) -> int:
        held, at = self.held.get(key, (BURST, self.now))
        return min(BURST, held + self.now - at)

    @rule(quarters=st.integers(0, 4))
    def time_passes(self, quarters: int) -> None:
        self.now += quarters

    @rule(key=st.sampled_from("abcdefgh"))
    @precondition(lambda self: sum(self.in_bucket(key) < BURST for key in self.held) < MOST)
    def take(self, key: str) -> None:
        held = self.in_bucket(key)
        wait = self.limit.take(key, self.now / 4)
        if held:
            assert wait == 0.0
            self.held[key] = (held - 1, self.now)
        else:
            assert wait == pytest.approx(1 / RATE)

    @invariant()
    def no_more_are_known_than_may_be(self) -> None:
        assert len(self.limit) <= MOST


TestBuckets = Buckets.TestCase
TestBuckets.settings = settings(max_examples=60, stateful_step_count=40)
