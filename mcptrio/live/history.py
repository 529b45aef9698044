"""History: the last changes, kept in memory for who missed them."""

from __future__ import annotations

from collections import OrderedDict, deque
from itertools import islice

from msgspec import Struct

from mcptrio.live.cursor import Cursor, InvalidCursor
from mcptrio.live.deliveries import HISTORY, RESTARTED
from mcptrio.live.selector import Selector
from mcptrio.live.weight import Weighed

MOST = 10_000
"""How many changes are kept."""

MOST_BYTES = 64 * 1024 * 1024
"""How much they may take together, by `weight.weigh`."""

MAX_AGE = 3600.0
"""How long each is kept, in seconds."""

LOOKS = 4_096
"""How long forgotten URIs are looked through before it is said that something may be missing: one look at each."""

_MATCHING = 32
"""What holding a pattern against a URI costs, in looks."""


class Missed(Struct, frozen=True):
    """Where somebody goes on who comes back with a cursor.

    `offset` is where the numbers that they are told go on from. Everything after `position` is kept, and to be looked
    through. Where something before it is missing, `reason` says why.
    """

    offset: int
    position: int
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
        self._forgotten: OrderedDict[str, int] = OrderedDict()
        """The last change of each URI among those that are not kept any more, as many as may be kept."""
        self.restart(epoch, offset)

    def restart(self, epoch: str, offset: int = 0) -> None:
        """Forget everything: the hub's numbers have begun anew, or the history is to. Idempotent."""
        self.epoch = epoch
        self.floor = offset
        """Everything after this offset is kept."""
        self.bytes = 0
        """What is kept takes so much."""
        self._known = offset
        """Every URI that has changed after this offset is kept, or among the forgotten."""
        self._kept.clear()
        self._forgotten.clear()

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
        item = self._kept.popleft().item
        self.bytes -= item.weight
        self.floor += 1
        uri = item.entry.change.uri
        self._forgotten[uri] = item.entry.offset
        self._forgotten.move_to_end(uri)
        if len(self._forgotten) > self._most:
            self._known = self._forgotten.popitem(last=False)[1]

    def after(self, offset: int, most: int) -> list[Weighed]:
        """The first changes after an offset, in order, at most so many. There is none for one that is before `floor`."""
        if offset < self.floor:
            return []
        start = offset - self.floor
        if start < len(self._kept) // 2:
            return [kept.item for kept in islice(self._kept, start, start + most)]
        newest_first = islice(reversed(self._kept), max(0, self.offset - offset))
        return [kept.item for kept in newest_first][-most:][::-1]

    def missed(self, cursor: Cursor, selector: Selector, now: float, looks: int = LOOKS) -> Missed:
        """Where somebody goes on who had all changes up to a cursor, and wants those that a selector selects.

        Of what is not kept any more it is known for a while which URIs have changed, so that who cares for others has
        missed nothing. `looks` bounds how long that is looked for.

        Raises:
            InvalidCursor: it is one that was not given out yet.
        """
        if cursor.epoch != self.epoch:
            return Missed(self.offset, self.offset, RESTARTED)
        if cursor.offset > self.offset:
            raise InvalidCursor(str(cursor))
        self.expire(now)
        if cursor.offset >= self.floor:
            return Missed(cursor.offset, cursor.offset)
        reason = HISTORY if self.is_lost(cursor.offset, selector, looks) else ""
        return Missed(cursor.offset, self.floor, reason)

    def is_lost(self, offset: int, selector: Selector, looks: int = LOOKS) -> bool:
        """Whether a change after an offset that a selector selects may be among those that are not kept any more."""
        if offset < self._known:
            return True
        if selector.is_exact:
            return self._forgotten.get(selector.pattern, 0) > offset
        # The last forgotten ones first, and not too many: this is one step.
        for uri, last in reversed(self._forgotten.items()):
            if last <= offset:
                return False
            fits = uri.startswith(selector.beginning)
            looks -= _MATCHING if fits else 1
            if looks < 0 or (fits and selector.matches(uri)):
                return True
        return False
