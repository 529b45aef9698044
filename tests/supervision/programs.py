"""Random programs: what children do, what is asked of their supervisor, and when. All times are multiples of 1/8 s."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from hypothesis import strategies as st

from mcptrio.supervision import AutoShutdown, Backoff, Event, Restart, Strategy

T = TypeVar("T")


class Choose(Protocol):
    def __call__(self, options: Sequence[T], /) -> T: ...


NAMES = "abcd"
AT_ONCE = Backoff(initial=0.0, maximum=0.0, jitter=False)


@dataclass(frozen=True)
class Life:
    """What one body does, in seconds from its start; `lingers` from when it is told to stop."""

    ready: float | None = 0.0  # None: never
    lasts: float = math.inf
    ends: str = "returns"  # returns, raises, fatal
    lingers: float = 0.0
    last_words: str = "obeys"  # obeys, returns, raises, fatal


@dataclass(frozen=True)
class Plan:
    """A child: its spec, and what its first body does, its second, and all from the last one on."""

    name: str
    restart: Restart = Restart.PERMANENT
    shutdown: float = 1.0
    backoff: Backoff = AT_ONCE
    significant: bool = False
    start_timeout: float | None = None
    lives: tuple[Life, ...] = (Life(),)


@dataclass(frozen=True)
class Step:
    """After `wait` seconds something is done, mostly to a child."""

    what: str
    name: str = ""
    other: str = ""
    wait: float = 0.0
    plan: Plan | None = None


@dataclass(frozen=True)
class Program:
    strategy: Strategy
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    max_restarts: int = 3
    within: float = 5.0
    initial: tuple[Plan, ...] = ()
    steps: tuple[Step, ...] = ()
    # What is done when the first such report is heard, by whoever hears it, before he returns.
    reactions: tuple[tuple[Event, Step], ...] = ()
    seed: int = 0  # of the order of what happens at the same time


BACKOFFS = (
    Backoff(initial=0.5, maximum=4.0, factor=2.0, jitter=False, reset_after=8.0),
    AT_ONCE,
    Backoff(initial=1.0, maximum=2.0, factor=1.5, jitter=False, reset_after=1.0),
    Backoff(initial=0.125, maximum=64.0, factor=8.0, jitter=False, reset_after=math.inf),
)

SYNCHRONOUS = ["start_nowait", "stop_nowait", "exit", "delete", "link", "monitor", "close", "unlink", "raise"]
OPERATIONS = [
    *["crash"] * 6,
    *["exit", "restart", "start"] * 3,
    *["start_nowait", "stop", "stop_nowait", "monitor", "link"] * 2,
    *["finish", "wait", "delete", "unlink", "close", "abandon"],
]
ENDINGS = ["cancel", "fatal"]


def plan(choose: Choose, name: str, significant: bool) -> Plan:
    """A child; `significant`: it may be."""
    start_timeout = choose([None, None, 0.5, 2.0, math.inf])
    restart = choose([Restart.PERMANENT, Restart.TRANSIENT, Restart.PERMANENT, Restart.TEMPORARY])
    sound = choose([True, True, True, True, True, False])  # its first body, that is
    unsound = tuple(life(choose, start_timeout) for _ in range(choose([1, 2, 3, 0])))
    return Plan(
        name,
        restart,
        choose([1.0, 4.0, 0.125, 0.0, math.inf]),
        choose(BACKOFFS),
        significant and restart is not Restart.PERMANENT and choose([True, False]),
        start_timeout,
        (Life(choose([0.25, 0.0]), lingers=choose(LINGERS)), *unsound) if sound else (*unsound, Life()),
    )


LINGERS = [0.0, 0.0, 0.125, 0.5, 1.0, 6.0]


def life(choose: Choose, start_timeout: float | None) -> Life:
    lasts = choose([math.inf, 0.0, 0.125, 2.0, math.inf, 0.5, math.inf, math.inf])
    fatal = choose([False] * 11 + [True])
    return Life(
        0.0 if start_timeout is None else choose([0.0, 0.25, 0.5, 0.25, 1.0, None]),
        lasts,
        "returns" if lasts == math.inf else "fatal" if fatal else choose(["raises", "returns", "raises"]),
        choose(LINGERS),
        "fatal" if fatal and lasts == math.inf else choose(["obeys", "obeys", "returns", "raises"]),
    )


def step(choose: Choose, operations: Sequence[str], significant: bool) -> Step:
    what = choose(operations)
    name = choose(NAMES)
    return Step(
        what,
        name,
        choose(NAMES) if what in ("link", "unlink") else "",
        choose([0.0, 0.125, 0.25, 0.5, 1.0, 3.0]),
        plan(choose, name, significant) if what.startswith("start") else None,
    )


def program(choose: Choose, strategy: Strategy) -> Program:
    """Any program at all, as `choose` will have it: the first of what it can choose from is the simplest."""
    auto_shutdown = choose([AutoShutdown.NEVER, *AutoShutdown])
    significant = auto_shutdown is not AutoShutdown.NEVER
    simple = strategy is Strategy.SIMPLE_ONE_FOR_ONE
    initial = [plan(choose, name, significant) for name in NAMES[: 0 if simple else choose([3, 4, 2, 0])]]
    steps = [step(choose, OPERATIONS, significant) for _ in range(choose(range(48)))]
    if simple:  # somebody must be there
        steps[:0] = [Step("start", each, plan=plan(choose, each, significant)) for each in NAMES[:3]]
    if choose([False, False, False, True]):
        steps.insert(choose(range(len(steps) + 1)), step(choose, ENDINGS, significant))
    return Program(
        strategy,
        auto_shutdown,
        choose([8, 20, 3, 1, 0]),
        choose([1.0, 5.0]),
        tuple(initial),
        tuple(steps),
        tuple(
            (choose(list(Event)), step(choose, SYNCHRONOUS, significant)) for _ in range(choose([0, 0, 1, 2]))
        ),
        choose(range(8)),
    )


def programs(strategy: Strategy) -> st.SearchStrategy[Program]:
    """Drawn at one go, as bytes: many times faster than choice by choice, and all zeros is the simplest."""
    size = 400

    def read(data: bytes) -> Program:
        left = iter(data)

        def choose(options: Sequence[T], /) -> T:
            return options[next(left, 0) % len(options)]

        return program(choose, strategy)

    return st.binary(min_size=size, max_size=size).map(read)
