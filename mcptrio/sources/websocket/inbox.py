"""What has been received: the last of each resource, the ids of the last events, and counts. Sans-IO."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct

from mcptrio.live import Change
from mcptrio.live.change import CREATED, DELETED, UPDATED
from mcptrio.sources.websocket.router import BadMessage, Event

WINDOW = 100
"""Messages that are looked back on to say how well the service is understood."""

MANY = 10
"""Messages of those that could not be used, from which on it is said, until they are fewer than half as many."""


class Held(Struct, frozen=True):
    """A resource as last received. `template` is the URI in the settings of the route that led to it."""

    template: str
    name: str
    content: bytes
    at: datetime


class Counts(Struct, frozen=True):
    """How many messages came, and what became of them: each is counted in `messages` and once more below it."""

    messages: int
    taken: int
    repeated: int
    """Events whose id had been taken already."""
    unknown: int
    """Events of types that no route is for."""
    unusable: int
    binary: int
    evicted: int
    """Resources, not messages."""


class Inbox:
    """Takes events, each id once while it is among the last `remember` ones; holds at most `keep` resources.

    Every method is synchronous and complete. What is given out is to be reported in order.
    """

    def __init__(self, *, keep: int, keep_bytes: int, remember: int) -> None:
        self._keep = keep
        self._keep_bytes = keep_bytes
        self._remember = remember
        self._held: dict[str, Held] = {}  # the longest resting first
        self._bytes = 0
        self._ids: dict[str, None] = {}  # the longest unheard one first
        self._counts = dict.fromkeys(Counts.__struct_fields__, 0)
        self._recent: deque[bool] = deque(maxlen=WINDOW)
        self._problem = ""
        self._worded = 0

    def take(self, event: Event, source: str) -> list[Change]:
        """Take an event in; returns the changes that it makes, those of evicted resources among them."""
        self._count("messages")
        self._noted(False)
        if not event.facts:
            self._count("unknown")
            return []
        if event.id is not None:
            repeated = event.id in self._ids
            self._ids.pop(event.id, None)
            self._ids[event.id] = None
            if repeated:
                self._count("repeated")
                return []
            if len(self._ids) > self._remember:
                del self._ids[next(iter(self._ids))]
        self._count("taken")
        changes: list[Change] = []
        for fact in event.facts:
            known = fact.uri in self._held
            kind = (UPDATED if known else CREATED) if fact.change == "auto" else fact.change
            change = Change(uri=fact.uri, kind=kind, data=fact.value, event_id=event.id, source=source)
            changes.append(change)
            self._drop(fact.uri)
            if kind != DELETED:
                self._held[fact.uri] = Held(fact.template, fact.name, fact.content, change.at)
                self._bytes += len(fact.content)
                changes.extend(self._evicted(source))
        return changes

    def _evicted(self, source: str) -> Iterator[Change]:
        while len(self._held) > self._keep or (self._bytes > self._keep_bytes and len(self._held) > 1):
            uri = next(iter(self._held))
            self._drop(uri)
            self._count("evicted")
            yield Change(uri=uri, kind=DELETED, source=source)

    def _drop(self, uri: str) -> None:
        held = self._held.pop(uri, None)
        if held is not None:
            self._bytes -= len(held.content)

    def unusable(self, why: BadMessage) -> None:
        """A message came that could not be used."""
        self._count("messages")
        self._count("unusable")
        self._noted(True, str(why))

    def binary(self) -> None:
        """A binary message came, which is ignored."""
        self._count("messages")
        self._count("binary")

    @property
    def problem(self) -> str:
        """In words that many of the last messages could not be used; empty if it was not many."""
        return self._problem

    def get(self, uri: str) -> Held | None:
        """A resource as last received; None if there is none, or none any more."""
        return self._held.get(uri)

    def of(self, template: str) -> list[tuple[str, Held]]:
        """The resources with their URIs that came by routes with this URI template, the latest first."""
        return [(uri, held) for uri, held in reversed(self._held.items()) if held.template == template]

    def counts(self) -> Counts:
        """A snapshot of the counts."""
        return Counts(**self._counts)

    def _noted(self, unusable: bool, why: str = "") -> None:
        self._recent.append(unusable)
        bad = sum(self._recent)
        if bad < MANY // 2:
            self._problem = ""
        # In other words now and then only: with each message they would be a line in the log for each.
        elif (
            unusable
            and bad >= MANY
            and (not self._problem or self._counts["unusable"] >= self._worded + WINDOW)
        ):
            self._worded = self._counts["unusable"]
            self._problem = (
                f"at least {MANY} of the last {WINDOW} messages could not be used, such as one that {why}"
            )

    def _count(self, what: str) -> None:
        self._counts[what] += 1
