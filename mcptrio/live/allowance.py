"""How much may wait for one client, over all its subscriptions."""

from __future__ import annotations

from mcptrio.live.weight import Weighed

MOST = 10_000
"""How many changes may wait for one client."""

MOST_BYTES = 16 * 1024 * 1024
"""How much they may take together, by `weight.weigh`; a change that waits for many clients is there once, and counts for each."""


class Allowance:
    """Counts what waits, against bounds. What to do beyond them is for whoever counts here to decide, at once."""

    __slots__ = ("_most", "_most_bytes", "bytes", "count")

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self.count = 0
        """How many changes wait."""
        self.bytes = 0
        """What they take together."""

    def take(self, item: Weighed) -> None:
        """Count an entry that is to wait."""
        self.count += 1
        self.bytes += item.weight

    def give_back(self, item: Weighed) -> None:
        """Count an entry no longer."""
        self.count -= 1
        self.bytes -= item.weight

    @property
    def is_exceeded(self) -> bool:
        """Whether more waits than may."""
        return self.count > self._most or self.bytes > self._most_bytes
