"""A service with a log of facts: what its stream and its polls would say of them."""

from __future__ import annotations

from msgspec import Struct

from mcptrio.sources.listener import Answer, Event


class Shape(Struct, frozen=True):
    """What the service tells of its facts."""

    versioned: bool = False
    numbered: bool = False
    numbered_polls: bool = True
    series: int = 1
    """How many series there are; a URI is in one of them."""


class Service:
    """Facts in the order in which they happened; a cursor is a word for a place in it, and no number."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.log: list[Event] = []
        self._versions: dict[str, int] = {}
        self._numbers: dict[str, int] = {}

    def happen(self, name: int) -> Event:
        """A fact about one of the URIs."""
        uri = f"s:{name}"
        series = f"n{name % self.shape.series}" if self.shape.series > 1 else ""
        version = self._versions[uri] = self._versions.get(uri, 100) + 3
        number = self._numbers[series] = self._numbers.get(series, -1) + 1
        event = Event(
            uri=uri,
            id=f"e{len(self.log)}",
            version=version if self.shape.versioned else None,
            sequence=number if self.shape.numbered else None,
            series=series,
        )
        self.log.append(event)
        return event

    def place(self, event: Event) -> int:
        """When it happened, among the others."""
        return int(event.id[1:])

    def answer(
        self, cursor: object | None, *, page: int = 1_000_000, lag: int = 0, overlap: int = 0
    ) -> Answer:
        """What happened behind the cursor; all there was, without one."""
        begin = 0 if cursor is None else self.at(cursor)
        seen = max(begin, len(self.log) - lag)
        end = min(seen, begin + page)
        events = self.log[max(0, begin - overlap) : end]
        if not self.shape.numbered_polls:
            events = [
                Event(uri=each.uri, id=each.id, version=each.version, series=each.series) for each in events
            ]
        return Answer(f"2001-01-01T{end}", tuple(events), more=end < seen)

    @staticmethod
    def at(cursor: object) -> int:
        """The place in the log that a cursor means."""
        assert isinstance(cursor, str)
        return int(cursor.partition("T")[2])
