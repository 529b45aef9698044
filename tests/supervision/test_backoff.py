"""The one backoff of the project."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.supervision import Backoff


@st.composite
def backoffs(draw: st.DrawFn) -> Backoff:
    maximum = draw(st.floats(0, 1e6))
    return Backoff(
        initial=draw(st.floats(0, maximum)),
        maximum=maximum,
        factor=draw(st.floats(1, 1e300)),
        jitter=draw(st.booleans()),
        reset_after=draw(st.floats(0, math.inf)),
    )


def test_without_jitter_the_delays_are_the_curve_up_to_the_maximum() -> None:
    backoff = Backoff(initial=0.5, maximum=3.0, factor=2.0, jitter=False)
    assert [backoff.delay(n, Random(0)) for n in range(6)] == [0.0, 0.5, 1.0, 2.0, 3.0, 3.0]


def test_full_jitter_draws_evenly_between_zero_and_the_curve() -> None:
    backoff = Backoff(initial=0.5, maximum=3.0, factor=2.0)
    drawn, expected = Random(7), Random(7)
    for failures, bound in enumerate([0.5, 1.0, 2.0, 3.0, 3.0], start=1):
        assert backoff.delay(failures, drawn) == expected.uniform(0.0, bound)


def test_jitter_really_spreads_over_the_whole_range() -> None:
    random = Random(1)
    delays = sorted(Backoff(initial=1.0).delay(1, random) for _ in range(1000))
    assert delays[0] < 0.02
    assert delays[-1] > 0.98
    assert 0.45 < delays[500] < 0.55


def test_a_stable_period_forgets_the_failures_before_it() -> None:
    backoff = Backoff(reset_after=60.0)
    assert backoff.failures(5, 59.999) == 6
    assert backoff.failures(5, 60.0) == 1
    assert backoff.failures(0, 0.0) == 1


def test_an_infinite_stable_period_never_forgets() -> None:
    assert Backoff(reset_after=math.inf).failures(5, 1e12) == 6


def test_more_failures_than_a_float_can_hold_wait_for_the_maximum() -> None:
    assert Backoff(jitter=False).delay(1_000_000, Random(0)) == 30.0
    assert Backoff(initial=0.0, jitter=False).delay(1_000_000, Random(0)) == 0.0


@given(backoffs(), st.integers(0, 5000), st.integers())
def test_every_delay_lies_between_zero_and_a_bound_that_never_falls(
    backoff: Backoff, failures: int, seed: int
) -> None:
    bound = backoff.bound(failures)
    assert 0 <= backoff.delay(failures, Random(seed)) <= bound <= backoff.maximum
    assert bound <= backoff.bound(failures + 1)


@given(backoffs(), st.integers(0, 1000), st.integers())
def test_the_same_seed_gives_the_same_delay(backoff: Backoff, failures: int, seed: int) -> None:
    assert backoff.delay(failures, Random(seed)) == backoff.delay(failures, Random(seed))


@pytest.mark.parametrize(
    "wrong",
    [
        {"initial": -0.1},
        {"initial": 31.0},
        {"initial": math.nan},
        {"maximum": math.inf},
        {"factor": 0.5},
        {"factor": math.inf},
        {"factor": math.nan},
        {"reset_after": -1.0},
        {"reset_after": math.nan},
    ],
    ids=str,
)
def test_values_that_give_no_curve_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="backoff needs"):
        Backoff(**wrong)  # type: ignore[arg-type]
