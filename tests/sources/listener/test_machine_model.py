"""The listener's machine against a model: drops, repeats, reorderings, lags, gaps and kills, in virtual time."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sources.listener.model import Model
from tests.sources.listener.service import Shape

SHAPES = {
    "nothing": Shape(),
    "versions": Shape(versioned=True),
    "numbers": Shape(numbered=True),
    "three-series": Shape(numbered=True, series=3),
    "both": Shape(versioned=True, numbered=True),
    "unnumbered-polls": Shape(numbered=True, numbered_polls=False),
    "versions-unnumbered-polls": Shape(versioned=True, numbered=True, numbered_polls=False),
}
CASES = [(shape, False) for shape in SHAPES]
# With polls that lag only versions and numbers tell the order.
CASES += [
    (shape, True) for shape in ("versions", "numbers", "three-series", "both", "versions-unnumbered-polls")
]
each_case = pytest.mark.parametrize(("shape", "lagging"), CASES)


@each_case
def test_each_fact_is_announced_once_and_in_order_in_long_programs(shape: str, lagging: bool) -> None:
    kills = announced = late = filled = given_up = 0
    for seed in range(60):
        model = Model(SHAPES[shape], Random(seed), lagging=lagging)
        try:
            model.run(300)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        kills += model.kills
        announced += len(model.announced)
        late += model.statistics.late
        filled += model.statistics.filled
        given_up += model.statistics.given_up
    assert kills > 20
    assert announced > 1000
    if shape in ("nothing", "versions"):
        assert late > 10
    assert filled > 20
    assert given_up > 3


@each_case
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(random=st.randoms(use_true_random=False), steps=st.integers(1, 80))
def test_each_fact_is_announced_once_and_in_order(
    shape: str, lagging: bool, random: Random, steps: int
) -> None:
    Model(SHAPES[shape], random, lagging=lagging).run(steps)
