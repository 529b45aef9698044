"""Any program of subscribing, publishing, taking, breaking off and coming back: what clients know, against all that was published."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.live.programs import judge, run

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


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(choose=st.randoms(use_true_random=False))
def test_whatever_happens_in_a_short_program(choose: Random) -> None:
    judge(choose, "a program of hypothesis")
