"""How much memory an entry takes: an estimate, for bounds in bytes."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable

from msgspec import Struct

from mcptrio.live.change import Entry

ENTRY_BYTES = 512
"""What every entry takes beside its URI, event id, data and metadata: itself, its change, time and number, its place in a queue."""

MOST = 1 << 30
"""The weight at which counting ends, in bytes: whatever data is, weighing it ends."""


_LEAVES = frozenset({str, int, float, bool, bytes, type(None)})


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, list | tuple | set | frozenset | deque):
        return value
    if isinstance(value, Struct):
        # A field may be unset.
        return [getattr(value, name, None) for name in value.__struct_fields__]
    return getattr(value, "__dict__", {}).values()


def weigh(entry: Entry) -> int:
    """About how many bytes an entry keeps in memory: a constant, and what Python says that its URI, event id, data and metadata take.

    Of the last two, what is in dicts, lists, tuples, sets, structs and attributes counts, each object once, however they
    are nested and whether or not others hold it too; so it is rather too much than too little. Time is linear in the number
    of those objects, not in the length of strings. At `MOST` it ends.
    """
    change = entry.change
    total = ENTRY_BYTES + sys.getsizeof(change.uri)
    if change.event_id is not None:
        total += sys.getsizeof(change.event_id)
    waiting = [value for value in (change.data, change.metadata) if value is not None]
    if not waiting:
        return total
    seen = set()
    while waiting and total < MOST:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        total += sys.getsizeof(value)
        if type(value) in _LEAVES:
            continue
        if isinstance(value, dict):
            waiting.extend(value)
            waiting.extend(value.values())
        else:
            waiting.extend(_parts(value))
    return total


class Weighed(Struct, frozen=True):
    """An entry and its weight: found out once, and shared by all who keep the entry."""

    entry: Entry
    weight: int

    @classmethod
    def of(cls, entry: Entry) -> Weighed:
        """Weigh an entry."""
        return cls(entry, weigh(entry))
