"""Durations as people write them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.sources.duration import seconds, seconds_between


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("30s", 30.0),
        ("500ms", 0.5),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("1d", 86_400.0),
        ("1.5 s", 1.5),
        (7, 7.0),
        (0.25, 0.25),
        (0, 0.0),
    ],
)
def test_a_duration_is_a_number_with_a_unit_or_plain_seconds(written: str | float, expected: float) -> None:
    assert seconds(written) == pytest.approx(expected)


@pytest.mark.parametrize(
    "written", ["", "s", "30", "-1s", "1e3s", "30 sec", "1s ", "٣s", -1, math.inf, math.nan]
)
def test_what_is_no_duration_is_refused_with_an_example(written: str | float) -> None:
    with pytest.raises(ValueError, match=r"is no duration: .*'30s'"):
        seconds(written)


@given(st.text())
def test_any_text_is_a_duration_or_a_value_error(written: str) -> None:
    try:
        found = seconds(written)
    except ValueError:
        return
    assert 0 <= found < math.inf


def test_a_setting_out_of_bounds_is_named_with_its_bounds() -> None:
    assert seconds_between("every", "1m", 0.1, 100) == 60
    with pytest.raises(ValueError, match=r"`every` is 0\.05 s, but must be between 0\.1 s and 100 s"):
        seconds_between("every", "50ms", 0.1, 100)
    with pytest.raises(ValueError, match=r"`every`: 'soon' is no duration"):
        seconds_between("every", "soon", 0.1, 100)
