"""The read cache's tables: what is kept, and which reads run. Sans-IO: times are passed in."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Hashable

import msgspec
from msgspec import UNSET

from mcptrio.protocol.types import ResourceContents

PUBLIC: Hashable = object()
"""The scope of what everybody may be given. Every other scope is a principal, or None for all who are nobody."""

_PER_ENTRY = 1024
"""Bytes for what holds an entry: itself and its places in the tables."""

_PER_BYTE = 8
"""What a small object takes in memory for each byte of its JSON, at most."""


class Kept:
    """Contents that may be given until a time (Trio's clock, seconds). Never changed once it is made."""

    __slots__ = ("contents", "offered", "scope", "until", "uri", "weight")

    def __init__(self, run: Run, contents: list[ResourceContents], until: float) -> None:
        self.uri = run.uri
        self.scope = run.scope
        self.offered = run.offered
        self.contents = contents
        self.until = until
        self.weight = _PER_ENTRY + sum(map(_weight, contents))


class Run:
    """One run of a handler, for all who want the same until it ends.

    `current` until the resource changes or the run has ended: what one gives that is not may be given to those who have
    waited for it, and to nobody else.
    """

    __slots__ = ("current", "offered", "scope", "uri")

    def __init__(self, uri: str, scope: Hashable, offered: object) -> None:
        self.uri = uri
        self.scope = scope
        self.offered = offered
        self.current = True


class KeptReads:
    """At most one of the two for each URI and scope: what is kept, or the run that is to give it.

    `offered` is what serves the URI. What another one gave is never given: so a resource that is replaced begins
    anew. What was used least recently goes first when there is more than `limit` bytes; what alone is more is not
    kept at all.
    """

    def __init__(self, limit: int) -> None:
        self.bytes = 0
        self.dropped = 0
        """Entries that ended because their resource changed."""
        self._limit = limit
        self._slots: dict[str, dict[Hashable, Kept | Run]] = {}
        # The one used least recently first. A plain dict grows slow at its beginning where that is taken away.
        self._kept: OrderedDict[Kept, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def running(self) -> int:
        """Runs that others may join."""
        return sum(isinstance(slot, Run) for slots in self._slots.values() for slot in slots.values())

    def find(self, uri: str, scope: Hashable, offered: object, now: float) -> Kept | Run | None:
        """What is kept and still good, or the run to wait for; None if there is neither."""
        slot = self._slots.get(uri, {}).get(scope)
        if slot is None:
            return None
        if slot.offered is not offered or (isinstance(slot, Kept) and slot.until <= now):
            self._take_out(slot)
            return None
        if isinstance(slot, Kept):
            self._kept.move_to_end(slot)
        return slot

    def begin(self, uri: str, scope: Hashable, offered: object) -> Run:
        """A run begins, where `find` found nothing. It is to be ended, by `keep` or `end`."""
        run = Run(uri, scope, offered)
        self._slots.setdefault(uri, {})[scope] = run
        return run

    def keep(self, run: Run, contents: list[ResourceContents], until: float) -> bool:
        """End a run with what it gave. False if the resource has changed since the run began: then nothing is kept."""
        if not run.current:
            return False
        self._take_out(run)
        kept = Kept(run, contents, until)
        if kept.weight <= self._limit:
            self._slots.setdefault(run.uri, {})[run.scope] = kept
            self._kept[kept] = None
            self.bytes += kept.weight
            while self.bytes > self._limit:
                self._take_out(next(iter(self._kept)))
        return True

    def end(self, run: Run) -> None:
        """End a run that gave nothing. Idempotent, also after `keep`."""
        if run.current:
            self._take_out(run)

    def drop(self, uri: str) -> None:
        """The resource changes: nothing that was read, or is being read, is given to who comes from now on."""
        if uri in self._slots:
            for slot in tuple(self._slots[uri].values()):
                self.dropped += isinstance(slot, Kept)
                self._take_out(slot)

    def clear(self) -> None:
        """Everything may have changed."""
        for uri in tuple(self._slots):
            self.drop(uri)

    def _take_out(self, slot: Kept | Run) -> None:
        slots = self._slots[slot.uri]
        del slots[slot.scope]
        if not slots:
            del self._slots[slot.uri]
        if isinstance(slot, Run):
            slot.current = False
        else:
            del self._kept[slot]
            self.bytes -= slot.weight


def _weight(contents: ResourceContents) -> int:
    """About how many bytes of memory contents take, rather more than less."""
    large = contents.text if contents.text is not UNSET else contents.blob
    small = msgspec.structs.replace(contents, text=UNSET, blob=UNSET)
    return sys.getsizeof(large) + _PER_BYTE * len(msgspec.json.encode(small))
