"""What has changed lately: for whoever asks again and again instead of being told."""

from __future__ import annotations

from collections.abc import Iterable

from mcptrio.live.change import Entry
from mcptrio.live.cursor import Cursor, InvalidCursor
from mcptrio.live.hub import Hub

MOST = 10_000
"""Of how many URIs the last change is known at least: those that changed last."""


class RecentChanges:
    """The offset of the last change of each URI that changed lately, and cursors that stand for "all until here".

    It knows the changes from its construction on; of `most` URIs at least, and of twice as many at most. What it cannot
    know any more it does not hide: such a cursor is a gap.
    """

    def __init__(self, hub: Hub, most: int = MOST) -> None:
        self._hub = hub
        self._most = most
        self._offsets: dict[str, int] = {}
        self._begin()
        hub.watch_changes(self._changed)

    def _begin(self) -> None:
        self._epoch = self._hub.epoch
        self._floor = self._hub.offset
        """Every URI that has changed after this offset is in the table."""
        self._offsets.clear()

    def _changed(self, entry: Entry) -> None:
        # As hot as publishing, so the table has no order: it is sorted when it has doubled.
        self._offsets[entry.change.uri] = entry.offset
        if len(self._offsets) > 2 * self._most:
            self._forget()

    def _forget(self) -> None:
        newest = sorted(self._offsets.values(), reverse=True)
        self._floor = newest[self._most]
        self._offsets = {uri: offset for uri, offset in self._offsets.items() if offset > self._floor}

    def _catch_up(self) -> None:
        # After a rebuild of the hub no cursor of its new epoch is out before this, so the table may begin here.
        if self._epoch is not self._hub.epoch:
            self._begin()

    def cursor(self) -> str:
        """Stands for all that has been published until now; opaque to whoever is given it."""
        self._catch_up()
        return str(Cursor(self._hub.epoch, self._hub.offset))

    def changed_since(self, cursor: str, uris: Iterable[str]) -> list[str] | None:
        """Those of the URIs that have changed after a cursor, in their order; None when that is not known any more.

        It is not after a restart of the server, after the hub was rebuilt, and for a cursor that is too old.

        Raises:
            InvalidCursor: this is none of `cursor()`.
        """
        self._catch_up()
        asked = Cursor.parse(cursor)
        if asked.epoch != self._epoch or asked.offset < self._floor:
            return None
        if asked.offset > self._hub.offset:
            raise InvalidCursor(cursor)
        return [uri for uri in uris if self._offsets.get(uri, 0) > asked.offset]
