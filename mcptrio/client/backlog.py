"""What a watch has received and its program has not taken yet."""

from __future__ import annotations

from mcptrio.client.inbox import Inbox
from mcptrio.client.watch_event import WatchEvent
from mcptrio.protocol.extension import GAP

MOST_EVENTS = 10_000
"""How many events may wait for one program and watch."""

MOST_BYTES = 16 * 1024 * 1024
"""How many bytes they may have been on the wire."""

PENDING = "pending"
"""A gap because more waited than may."""


class Backlog(Inbox[WatchEvent]):
    """Events in the order in which they came, so their offsets rise.

    With `merges` a newer change takes the place of an older one of its URI, and waits in its own turn. One that has done
    so is left in its turn when one newer still comes: no URI is put off for ever, and at most two of one wait. When
    more waits than may, all of it, the newest included, becomes one gap, of which `about` is the URI.
    """

    def __init__(
        self, about: str, *, merges: bool, most: int = MOST_EVENTS, most_bytes: int = MOST_BYTES
    ) -> None:
        super().__init__()
        self._about = about
        self._merges = merges
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._count = 0
        self._events: dict[int, tuple[WatchEvent, int]] = {}
        """Each with its size, by a number that rises."""
        self._turns: dict[str, list[int]] = {}
        """Where the changes of a URI wait; kept only where they are merged."""
        self._put_off: set[str] = set()
        """URIs of which one that waits has taken the place of an older one."""

    def __len__(self) -> int:
        return len(self._events)

    def put_nowait(self, event: WatchEvent, size: int) -> None:
        """Take an event of so many bytes; ignored once over."""
        if self.is_over:
            return
        if self._merges and not event.is_gap:
            self._make_old(event.uri)
            self._turns.setdefault(event.uri, []).append(self._count)
        self._add(event, size)
        if len(self._events) > self._most or (self._bytes > self._most_bytes and len(self._events) > 1):
            self.clear()
            self._add(
                WatchEvent(
                    uri=self._about, kind=GAP, offset=event.offset, reason=PENDING, cursor=event.cursor
                ),
                0,
            )
        self._takers.unpark()

    def _add(self, event: WatchEvent, size: int) -> None:
        self._events[self._count] = event, size
        self._count += 1
        self._bytes += size

    def _make_old(self, uri: str) -> None:
        turns = self._turns.get(uri)
        if turns and (len(turns) > 1 or uri not in self._put_off):
            self._bytes -= self._events.pop(turns.pop())[1]
            self._put_off.add(uri)

    def pop_nowait(self) -> WatchEvent:
        number = next(iter(self._events))
        event, size = self._events.pop(number)
        self._bytes -= size
        turns = self._turns.get(event.uri, [])
        if turns and turns[0] == number:
            del turns[0]
            if not turns:
                del self._turns[event.uri]
                self._put_off.discard(event.uri)
        return event

    def clear(self) -> None:
        self._events.clear()
        self._turns.clear()
        self._put_off.clear()
        self._bytes = 0
