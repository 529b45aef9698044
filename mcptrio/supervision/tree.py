"""The tree of supervisors."""

from __future__ import annotations

from mcptrio.supervision.strategy import Strategy
from mcptrio.supervision.supervisor import Supervisor


def supervisors(root: Supervisor) -> tuple[Supervisor, ...]:
    """A supervisor and all that are under it now, each before those below it.

    Below a `simple_one_for_one` supervisor nothing is looked for: its children are many, and alike.
    """
    found = [root]
    for supervisor in found:
        if supervisor.strategy is not Strategy.SIMPLE_ONE_FOR_ONE:
            found += [child.supervisor for child in supervisor.children() if child.supervisor is not None]
    return tuple(found)
