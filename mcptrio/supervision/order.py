"""The order in which children stop. Sans-IO."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")


def stop_groups(started: Iterable[Item], is_temporary: Callable[[Item], bool]) -> list[list[Item]]:
    """Groups to stop one after the other, from the order of starting; a group stops all at once.

    Reverse start order. Neighbours that are temporary make one group, since they come in thousands and do not
    build on one another; everything else is a group of its own.
    """
    groups: list[list[Item]] = []
    joining = False
    for item in reversed(tuple(started)):
        temporary = is_temporary(item)
        if temporary and joining:
            groups[-1].append(item)
        else:
            groups.append([item])
        joining = temporary
    return groups
