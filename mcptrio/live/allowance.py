"""How much may wait for one client, over all its subscriptions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from mcptrio.live.weight import Weighed

MOST = 10_000
"""How many changes may wait for one client."""

MOST_BYTES = 16 * 1024 * 1024
"""How much they may take together, by `weight.weigh`; a change that waits for many clients is there once, and counts for each."""


class Tally:
    """What became of changes that waited, over all clients."""

    __slots__ = ("gaps", "given_up", "merged", "waiting")

    def __init__(self) -> None:
        self.waiting = 0
        """How many wait now."""
        self.merged = 0
        """How many were made old by newer ones of their URI."""
        self.given_up = 0
        """How many are in gaps, because more waited than may, or something else was missing before them."""
        self.gaps: Counter[str] = Counter()
        """How many gaps there were, by reason."""


class Allowance:
    """Counts what waits, against bounds. What to do beyond them is for whoever counts here to decide, at once."""

    __slots__ = ("_most", "_most_bytes", "bytes", "count", "paused", "tally")

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES, tally: Tally | None = None) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self.tally = Tally() if tally is None else tally
        self.count = 0
        """How many changes wait."""
        self.bytes = 0
        """What they take together."""
        self.paused: dict[object, Callable[[], object]] = {}
        """What is to be called, and taken out, when it is no longer half full."""

    def take(self, item: Weighed) -> None:
        """Count an entry that is to wait."""
        self.count += 1
        self.bytes += item.weight
        self.tally.waiting += 1

    def give_back(self, item: Weighed) -> None:
        """Count an entry no longer."""
        self.count -= 1
        self.bytes -= item.weight
        self.tally.waiting -= 1

    def give_back_all(self, items: Sequence[Weighed]) -> None:
        """Count several entries no longer, ten thousand perhaps, and that for many clients in one step."""
        self.count -= len(items)
        self.bytes -= sum([item.weight for item in items])
        self.tally.waiting -= len(items)

    def merged(self, item: Weighed) -> None:
        """Count an entry no longer that a newer one has made old."""
        self.give_back(item)
        self.tally.merged += 1

    def given_up(self, items: Sequence[Weighed]) -> None:
        """Count entries no longer for which there is a gap."""
        self.give_back_all(items)
        self.tally.given_up += len(items)

    @property
    def is_half_full(self) -> bool:
        """Whether so much waits that more is not to be looked for."""
        return self.count > self._most // 2 or self.bytes > self._most_bytes // 2

    @property
    def is_exceeded(self) -> bool:
        """Whether more waits than may."""
        return self.count > self._most or self.bytes > self._most_bytes
