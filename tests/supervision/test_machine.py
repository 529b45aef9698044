"""Random programs, beside the model, in a world without tasks: fast, and with every order of what coincides."""

from __future__ import annotations

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from mcptrio.supervision import AutoShutdown, Event, Restart, Strategy
from tests.supervision.programs import SYNCHRONOUS, Life, Plan, Program, Step, programs
from tests.supervision.world import World


@pytest.mark.parametrize("strategy", Strategy)
@given(data=st.data())
@settings(max_examples=600, deadline=None, print_blob=True)
def test_a_machine_agrees_with_the_model(strategy: Strategy, data: st.DataObject) -> None:
    world = World(data.draw(programs(strategy), label="program"))
    world.run()
    for outcome in world.machine.outcomes:
        event(type(outcome).__name__)


PLANS = [
    Plan("a", Restart.TRANSIENT, lives=(Life(lingers=0.5),)),
    Plan("b", start_timeout=1.0, lives=(Life(0.25, lingers=2.0), Life(None, last_words="raises"), Life())),
    Plan("c", Restart.TEMPORARY, significant=True, shutdown=0.0, lives=(Life(lingers=0.125),)),
]


@pytest.mark.parametrize("what", SYNCHRONOUS)
@pytest.mark.parametrize("strategy", Strategy)
def test_whoever_hears_a_report_may_do_anything_at_once(strategy: Strategy, what: str) -> None:
    """At every event that comes up in a life with one of each, to every child, and what follows from that."""
    simple = strategy is Strategy.SIMPLE_ONE_FOR_ONE
    steps = [
        Step("monitor", "b", wait=0.5),
        Step("link", "a", "b"),
        Step("crash", "b", wait=1.0),
        Step("stop", "a", wait=4.0),
        Step("restart", "a", wait=1.0),
        Step("exit", "b", wait=1.0),
        Step("finish", "c", wait=1.0),
    ]
    for told in Event:
        for name in "abc":
            for max_restarts in (0, 8):
                reaction = Step(what, name, "b", plan=Plan(name, lives=(Life(lingers=0.25),)))
                program = Program(
                    strategy,
                    AutoShutdown.ALL_SIGNIFICANT,
                    max_restarts,
                    initial=() if simple else tuple(PLANS),
                    steps=(*(Step("start", plan.name, plan=plan) for plan in PLANS if simple), *steps),
                    reactions=((told, reaction), (told, reaction)),
                )
                World(program).run()
