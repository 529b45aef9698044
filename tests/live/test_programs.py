"""Any program of subscribing, publishing, taking, breaking off and coming back: what clients know, against all that was published."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.live.programs import STEPS, judge, run

pytestmark = pytest.mark.unmeasured

EACH = 1000
WHAT_HAPPENS = (
    "told",
    "pending",
    "history",
    "restarted",
    "paused",
    "recovered True",
    "recovered False",
    "recovered None",
)


@pytest.mark.parametrize("first", range(0, 10 * EACH, EACH))
def test_whatever_happens_each_client_knows_all_or_knows_what_it_does_not(first: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(first, first + EACH):
        seen += run(seed)
    assert min(seen[what] for what in WHAT_HAPPENS) >= EACH // 20, "some of it has hardly been tried"


SEEDS = st.integers(0, 10_000)
STEP = st.tuples(st.sampled_from([step for step in STEPS for _ in range(int(STEPS[step]) + 1)]), SEEDS)
# One list of lists, because hypothesis makes its lists short.
PROGRAMS = st.lists(st.lists(STEP, max_size=20), max_size=20).map(lambda parts: [*chain.from_iterable(parts)])


@settings(max_examples=300)
@given(first=SEEDS, steps=PROGRAMS)
def test_whatever_happens_in_programs_that_shrink(first: int, steps: list[tuple[str, int]]) -> None:
    judge(Random(first), [(step, Random(seed)) for step, seed in steps], f"first {first}, then {steps}")
