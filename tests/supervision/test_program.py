"""Random programs, played by a real supervisor on virtual time, beside the model."""

from __future__ import annotations

import pytest
import trio
from hypothesis import event, given, settings
from hypothesis import strategies as st
from trio._core._run import _r as scheduling
from trio.testing import MockClock

from mcptrio.supervision import Strategy
from tests.supervision.programs import programs
from tests.supervision.stage import Stage

pytestmark = pytest.mark.unmeasured


@pytest.mark.parametrize("strategy", Strategy)
@given(data=st.data())
@settings(max_examples=100, deadline=None, print_blob=True)
def test_a_supervisor_agrees_with_the_model(strategy: Strategy, data: st.DataObject) -> None:
    program = data.draw(programs(strategy), label="program")
    stage = Stage(program)
    scheduling.seed(program.seed)  # which of several tasks takes its step first
    trio.run(stage.play, clock=MockClock(autojump_threshold=0))
    for outcome in stage.machine.outcomes:
        event(type(outcome).__name__)
