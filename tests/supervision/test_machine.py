from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcptrio.supervision import Strategy
from tests.supervision.programs import programs
from tests.supervision.world import World


@pytest.mark.parametrize("strategy", Strategy)
@given(data=st.data())
@settings(max_examples=500, deadline=None, print_blob=True)
def test_random(strategy: Strategy, data: st.DataObject) -> None:
    World(data.draw(programs(strategy))).run()
