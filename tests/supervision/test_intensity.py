"""The sliding window over restarts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.supervision import Intensity


def test_as_many_as_allowed_are_allowed_and_one_more_is_too_many() -> None:
    intensity = Intensity(3, 5.0)
    assert [intensity.record(0.0) for _ in range(4)] == [True, True, True, False]


def test_a_restart_at_the_far_edge_of_the_window_still_counts() -> None:
    intensity = Intensity(1, 5.0)
    assert intensity.record(10.0)
    assert not intensity.record(15.0)


def test_a_restart_beyond_the_edge_is_forgotten() -> None:
    intensity = Intensity(1, 5.0)
    assert intensity.record(10.0)
    assert intensity.record(15.001)
    assert intensity.count == 1


def test_none_allowed_means_the_first_is_too_many() -> None:
    assert not Intensity(0, 5.0).record(0.0)


def test_a_slow_steady_rate_is_never_too_many() -> None:
    intensity = Intensity(3, 5.0)
    assert all(intensity.record(n * 2.0) for n in range(1000))


@given(
    st.integers(0, 5),
    st.integers(1, 20),
    st.lists(st.integers(0, 8), max_size=60),
)
def test_it_agrees_with_counting_all_restarts_in_the_window(
    max_restarts: int, within: int, gaps: list[int]
) -> None:
    intensity = Intensity(max_restarts, within)
    now, past = 0, list[int]()
    for gap in gaps:
        now += gap
        past.append(now)
        in_window = sum(now - within <= then for then in past)
        assert intensity.record(now) == (in_window <= max_restarts)
        assert intensity.count == min(in_window, max_restarts + 1)


@pytest.mark.parametrize(("max_restarts", "within"), [(-1, 5.0), (3, 0.0), (3, -1.0), (3, math.nan)])
def test_a_window_that_makes_no_sense_is_refused(max_restarts: int, within: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        Intensity(max_restarts, within)
