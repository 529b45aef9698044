"""The chain of what one watch is told: what is new, what is known already, and what is missing. Sans-IO."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from mcptrio.client.backlog import PENDING
from mcptrio.client.watch_event import WatchEvent
from mcptrio.protocol.extension import GAP
from mcptrio.protocol.types import Object, Wire

LOST = "lost"
"""A gap because something did not arrive, or was never said."""

RESTARTED = "restarted"
"""A gap because the server's numbers have begun anew."""

MOST_EARLY = 1000
"""How many deliveries may come before the answer that they belong to."""


class Delivered(Wire, kw_only=True):
    """`_meta["io.mcptrio/change"]` of an update."""

    label: str
    kind: str
    offset: int
    prev: int
    at: datetime | None = None
    event_id: str | None = None
    data: object = None
    metadata: Object | None = None
    omitted: bool | None = None
    reason: str | None = None


class Honoured(Wire, kw_only=True):
    """What is read of a subscription that a server has acknowledged."""

    label: str
    cursor: str
    recovered: bool | None = None


class Chain:
    """Gives `put` an event and its size for all that is new, in order, and a gap before it where something is missing.

    `cursor` is where to go on after what was received last. A subscription begins with `begin`; what is delivered until it is
    acknowledged waits (by HTTP an answer and what follows it come by different streams).
    """

    def __init__(self, about: str, since: str | None, put: Callable[[WatchEvent, int], None]) -> None:
        self.cursor = since
        self._about = about
        self._put = put
        self._epoch = ""
        self._told = 0
        self._asked: str | None = None
        self._early: list[tuple[str, Delivered, int]] | None = None

    def begin(self) -> str | None:
        """A subscription is asked for, anew; returns the cursor that it is to begin after."""
        self._asked = self.cursor
        self._early = []
        return self.cursor

    def acknowledged(self, honoured: Honoured) -> None:
        """It is granted. Nothing happens if that was said before.

        Raises:
            ValueError: the cursor is none.
        """
        epoch, dot, number = honoured.cursor.rpartition(".")
        if not (dot and number.isascii() and number.isdigit()):
            raise ValueError(f"{honoured.cursor[:100]!r} is no cursor")
        if self._early is None:
            return
        self._epoch, self._told = epoch, int(number)
        if self._asked is None:
            self.cursor = honoured.cursor
        elif self._asked != honoured.cursor and honoured.recovered is not False:
            # It begins elsewhere, and no gap of the server's is going to say so.
            self._gap(self._told)
        # Otherwise `cursor` stays: it is the server's gap that goes on from there.
        early, self._early = self._early, None
        for uri, told, size in early:
            self.delivered(uri, told, size)

    def delivered(self, uri: str, told: Delivered, size: int) -> None:
        """An update came."""
        if self._early is not None:
            if len(self._early) == MOST_EARLY:
                first = self._early[0][1]
                uri, size = self._about, 0
                told = Delivered(
                    label=told.label, kind=GAP, offset=told.offset, prev=first.prev, reason=PENDING
                )
                self._early.clear()
            self._early.append((uri, told, size))
            return
        # Not by its kind: `gap` may be a source's own word.
        is_gap = told.reason is not None
        # A gap may end where the subscription begins. Where the numbers have begun anew without our knowing, behind a
        # bridge, those of before say nothing.
        is_known = told.offset < self._told or (told.offset == self._told and not is_gap)
        if is_known and told.reason != RESTARTED:
            return
        if told.prev > self._told and not is_gap:
            self._gap(told.prev)
        self._told = told.offset
        self.cursor = f"{self._epoch}.{told.offset}"
        event = WatchEvent(
            uri=uri,
            kind=told.kind,
            offset=told.offset,
            at=told.at,
            event_id=told.event_id,
            data=told.data,
            metadata=told.metadata,
            omitted=told.omitted is True,
            reason=told.reason,
            cursor=self.cursor,
        )
        self._put(event, size)

    def _gap(self, offset: int) -> None:
        self.cursor = f"{self._epoch}.{offset}"
        self._put(WatchEvent(uri=self._about, kind=GAP, offset=offset, reason=LOST, cursor=self.cursor), 0)
