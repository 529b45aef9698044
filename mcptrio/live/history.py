"""History: the last changes, kept in memory for who missed them."""

from __future__ import annotations

from collections import deque
from itertools import islice

from msgspec import Struct

from mcptrio.live.cursor import Cursor, InvalidCursor
from mcptrio.live.deliveries import HISTORY, RESTARTED
from mcptrio.live.weight import Weighed

MOST = 10_000
"""How many changes are kept."""

MOST_BYTES = 64 * 1024 * 1024
"""How much they may take together, by `weight.weigh`."""

MAX_AGE = 3600.0
"""How long each is kept, in seconds."""


class Missed(Struct, frozen=True):
    """What somebody has missed who comes back with a cursor.

    `offset` is where the numbers that they are told go on from, `entries` what follows, in order. Where something is not kept
    any more, `reason` says why, and the gap goes from `offset` to `gap`.
    """

    offset: int
    entries: list[Weighed]
    gap: int | None = None
    reason: str = ""


class _Kept(Struct, frozen=True):
    item: Weighed
    at: float


class History:
    """The last changes in order, without a hole, bounded by number, bytes and age; the oldest go first.

    Nothing that is forgotten is hidden: everything after `floor` is here, and who asks for more is told so. A change that
    alone is more than the bytes may be takes all before it along. Ages are told by the `now` that callers give, in
    seconds, which never goes back.
    """

    def __init__(
        self,
        epoch: str,
        offset: int = 0,
        *,
        most: int = MOST,
        most_bytes: int = MOST_BYTES,
        max_age: float = MAX_AGE,
    ) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._max_age = max_age
        self._kept: deque[_Kept] = deque()
        self.restart(epoch, offset)

    def restart(self, epoch: str, offset: int = 0) -> None:
        """Forget everything: the hub's numbers have begun anew, or the history is to. Idempotent."""
        self.epoch = epoch
        self.floor = offset
        """Everything after this offset is kept."""
        self.bytes = 0
        """What is kept takes so much."""
        self._kept.clear()

    @property
    def offset(self) -> int:
        """The offset of the newest change."""
        return self.floor + len(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def append(self, item: Weighed, now: float) -> None:
        """Keep a change, and forget what is beyond the bounds.

        If changes before it have never come here, the history begins anew with it: what it cannot know it does not claim.

        Raises:
            ValueError: the entry is not newer than the newest. After a new beginning of the hub's numbers comes `restart`.
        """
        offset = item.entry.offset
        if offset != self.offset + 1:
            if offset <= self.offset:
                raise ValueError(f"change {offset} cannot follow change {self.offset}: call restart first")
            self.restart(self.epoch, offset - 1)
        self._kept.append(_Kept(item, now))
        self.bytes += item.weight
        while len(self._kept) > self._most or self.bytes > self._most_bytes:
            self._forget_oldest()
        self.expire(now)

    def expire(self, now: float) -> None:
        """Forget what is too old: for a history that nothing is added to."""
        kept = self._kept
        while kept and now - kept[0].at > self._max_age:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        self.bytes -= self._kept.popleft().item.weight
        self.floor += 1

    def since(self, offset: int, now: float) -> tuple[bool, list[Weighed]]:
        """Whether everything after an offset is still kept, and what of it is, in order. Its cost is that of the answer.

        Raises:
            InvalidCursor: there is no change of that offset yet.
        """
        if offset > self.offset:
            raise InvalidCursor(str(Cursor(self.epoch, offset)))
        self.expire(now)
        newest_first = islice(reversed(self._kept), min(self.offset - offset, len(self._kept)))
        entries = [kept.item for kept in newest_first]
        entries.reverse()
        return offset >= self.floor, entries

    def missed(self, cursor: Cursor, now: float) -> Missed:
        """What has changed after a cursor, and what of that is not known any more.

        Raises:
            InvalidCursor: it is one that was not given out yet.
        """
        if cursor.epoch != self.epoch:
            return Missed(self.offset, [], self.offset, RESTARTED)
        complete, entries = self.since(cursor.offset, now)
        if complete:
            return Missed(cursor.offset, entries)
        return Missed(cursor.offset, entries, self.floor, HISTORY)
