"""Which children go down and come up together, and in which order. Sans-IO: it looks at records and changes none."""

from __future__ import annotations

import enum
from collections.abc import Collection, Reversible

from mcptrio.supervision.child import ChildState
from mcptrio.supervision.record import ChildRecord, Then


class Strategy(enum.Enum):
    """Who is restarted when a child is; OTP's restart strategies."""

    ONE_FOR_ONE = "one_for_one"
    """The child alone."""
    REST_FOR_ONE = "rest_for_one"
    """The child and all that were started after it."""
    ONE_FOR_ALL = "one_for_all"
    """All children."""
    SIMPLE_ONE_FOR_ONE = "simple_one_for_one"
    """The child alone. Children come and go while the supervisor runs, do not build on one another, and are
    stopped all at once."""

    @property
    def grouped(self) -> bool:
        """Whether a restart may take other children with it."""
        return self in (Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL)


class AutoShutdown(enum.Enum):
    """Whether a supervisor ends, normally, when significant children have ended by themselves; as in OTP 24."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    ALL_SIGNIFICANT = "all_significant"


def check_type(name: str, value: object, type_: type[enum.Enum]) -> None:
    """Raise TypeError for what is no member of `type_`, such as its word."""
    if not isinstance(value, type_):
        raise TypeError(f"{name} is one of {type_.__name__}, not {value!r}")


_WITH_BODY = (ChildState.STARTING, ChildState.RUNNING)


def restarted_with(
    strategy: Strategy, children: Collection[ChildRecord], culprit: ChildRecord
) -> list[ChildRecord]:
    """The others that are restarted with a child, in start order."""
    others = list(children)
    if strategy is Strategy.REST_FOR_ONE:
        others = others[others.index(culprit) :]
    return [child for child in others if child is not culprit] if strategy.grouped else []


def next_to_stop(children: Reversible[ChildRecord]) -> ChildRecord | None:
    """The next child to be told to stop for a restart: the last one, once those after it are down or overdue."""
    for child in reversed(children):
        if child.then is Then.RESTART:
            if child.state in _WITH_BODY:
                return child
            if child.state is ChildState.STOPPING:
                return None
    return None


def next_to_start(strategy: Strategy, children: Collection[ChildRecord]) -> ChildRecord | None:
    """The next child to be started in a restart: in start order, each once the one before it is ready.

    None while a body of the old round still runs: what overstays holds the others up, because two bodies of one
    child, or a child beside what it was restarted for, would be worse.
    """
    waiting = [child for child in children if child.state is ChildState.RESTARTING]
    if not waiting or any(child.then is Then.RESTART for child in children):
        return None
    if strategy is Strategy.ONE_FOR_ALL and any(child.timer is not None for child in waiting):
        return None
    for child in children:
        if child.state is ChildState.STARTING or child.then is Then.FAIL:
            return None  # not ready, or about to count as crashed and take those after it with it
        if child.state is ChildState.RESTARTING:
            return child if child.timer is None else None
    return None


def all_up(children: Collection[ChildRecord]) -> bool:
    """Whether no restart is under way or about to be, and nobody is starting."""
    return not any(
        child.state in (ChildState.STARTING, ChildState.RESTARTING) or child.then in (Then.RESTART, Then.FAIL)
        for child in children
    )
