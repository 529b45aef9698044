"""Random programs, beside the model, in a world without tasks: fast, and with every order of what coincides."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from mcptrio.supervision import AutoShutdown, Event, Restart, Strategy
from tests.supervision.programs import SYNCHRONOUS, Life, Plan, Program, Step, programs
from tests.supervision.world import World

pytestmark = pytest.mark.unmeasured


@pytest.mark.parametrize("strategy", Strategy)
@given(data=st.data())
@settings(max_examples=500, deadline=None, print_blob=True)
def test_a_machine_agrees_with_the_model(strategy: Strategy, data: st.DataObject) -> None:
    world = World(data.draw(programs(strategy), label="program"))
    world.run()
    for outcome in world.machine.outcomes:
        event(type(outcome).__name__)


SLOW = Plan("a", start_timeout=math.inf, lives=(Life(ready=1.0),))

# What random programs have found. What must come of it is the model's to say.
FOUND = {
    "the name of an initial child whose turn has not come is free": Program(
        Strategy.ONE_FOR_ONE,
        initial=(SLOW, Plan("b")),
        steps=(Step("start_nowait", "b", plan=Plan("b")), Step("start", "b", plan=Plan("b"), wait=0.5)),
    ),
    "a member of a restart raises what is no exception in its cleanup, and is restarted": Program(
        Strategy.ONE_FOR_ALL,
        initial=(Plan("a"), Plan("b", lives=(Life(last_words="fatal"), Life()))),
        steps=(Step("crash", "a", wait=1.0),),
    ),
    "a member of a restart raises what is no exception by itself, and is restarted": Program(
        Strategy.REST_FOR_ONE,
        initial=(Plan("a"), Plan("b"), Plan("c", shutdown=math.inf, lives=(Life(lingers=1.0),))),
        steps=(Step("crash", "a", wait=1.0), Step("fatal", "b", wait=0.5)),
    ),
    "a supervisor that ends by itself raises StartFailed for an initial child that overstays after that": Program(
        Strategy.ONE_FOR_ONE,
        AutoShutdown.ANY_SIGNIFICANT,
        initial=(
            Plan("a", Restart.TEMPORARY, significant=True, lives=(Life(lasts=2.0),)),
            Plan("b", shutdown=1.0, start_timeout=1.5, lives=(Life(ready=None, lingers=6.0),)),
        ),
        steps=(Step("start", "c", plan=Plan("c", shutdown=4.0, lives=(Life(lingers=4.0),))),),
    ),
    "the next one is started beside one that is about to crash before it": Program(
        Strategy.ONE_FOR_ALL,
        initial=(
            Plan("a"),
            Plan("b", start_timeout=2.0, lives=(Life(), Life(ready=None, lingers=0.5))),
            Plan("c"),
        ),
        steps=(Step("crash", "a", wait=1.0), Step("exit", "b", wait=0.5)),
    ),
    "an initial child that was ready, and is restarted, fails the supervisor if it fails then": Program(
        Strategy.REST_FOR_ONE,
        initial=(
            Plan("a", lives=(Life(lasts=0.125, ends="raises"), Life())),
            Plan("b", start_timeout=1.0, lives=(Life(ready=0.25), Life(ready=None), Life())),
            Plan("c"),
        ),
        steps=(Step("start", "d", plan=Plan("d", Restart.TEMPORARY, lives=(Life(lingers=0.5),))),),
    ),
    "an initial child is started beside one that is being restarted": Program(
        Strategy.REST_FOR_ONE,
        initial=(
            Plan("a", lives=(Life(lasts=0.125, ends="raises"), Life())),
            Plan("b", start_timeout=math.inf, lives=(Life(ready=0.25), Life(ready=0.5))),
            Plan("c"),
        ),
        steps=(Step("start", "d", plan=Plan("d", Restart.TEMPORARY, lives=(Life(lingers=0.5),))),),
    ),
    "the order in which those linked to one are told to stop is any": Program(
        Strategy.SIMPLE_ONE_FOR_ONE,
        max_restarts=8,
        steps=(
            *(Step("start", name, plan=Plan(name, lives=(Life(lingers=0.5),))) for name in "abcd"),
            *(Step("link", "a", name, wait=0.5) for name in "dbc"),
            Step("crash", "a"),
        ),
    ),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("program", FOUND.values(), ids=FOUND.keys())
def test_no_more(program: Program, seed: int) -> None:
    World(replace(program, seed=seed)).run()


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
