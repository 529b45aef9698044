"""What has been received: the last of each resource, the ids of the last events, and counts. Sans-IO."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct

from mcptrio.live import Change
from mcptrio.live.change import CREATED, DELETED, UPDATED
from mcptrio.sources.json_data import MOST_DATA, json_data
from mcptrio.sources.websocket.route import OTHERS
from mcptrio.sources.websocket.router import BadMessage, Event, Fact

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

    Every method is synchronous and complete. What is given out is to be reported in order. A change has the resource's JSON
    as data, unless that is too long, and as metadata its size, and the event's type as a tag if a route names it; that of a
    resource deleted has what was held of it.
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
            held = self._drop(fact.uri)
            kind = (CREATED if held is None else UPDATED) if fact.change == "auto" else fact.change
            if kind == DELETED:
                content = b"" if held is None else held.content
                data = json_data(content)
            else:
                content = fact.content
                data = fact.value if len(content) <= MOST_DATA else None
            change = Change(
                uri=fact.uri,
                kind=kind,
                data=data,
                metadata=_metadata(content, fact),
                event_id=event.id,
                source=source,
            )
            changes.append(change)
            if kind != DELETED:
                self._held[fact.uri] = Held(fact.template, fact.name, fact.content, change.at)
                self._bytes += len(fact.content)
                changes.extend(self._evicted(source))
        return changes

    def _evicted(self, source: str) -> Iterator[Change]:
        while len(self._held) > self._keep or (self._bytes > self._keep_bytes and len(self._held) > 1):
            uri, held = next(iter(self._held.items()))
            self._drop(uri)
            self._count("evicted")
            data, metadata = json_data(held.content), _metadata(held.content)
            yield Change(uri=uri, kind=DELETED, data=data, metadata=metadata, source=source)

    def _drop(self, uri: str) -> Held | None:
        held = self._held.pop(uri, None)
        if held is not None:
            self._bytes -= len(held.content)
        return held

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


def _metadata(content: bytes, fact: Fact | None = None) -> dict[str, object] | None:
    metadata: dict[str, object] = {}
    if content:
        metadata["size"] = len(content)
    # A type that no route names is the service's word, and may be anything.
    if fact is not None and fact.type != OTHERS:
        metadata["tags"] = [fact.type]
    return metadata or None
