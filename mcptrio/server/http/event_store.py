"""What a session's streams have sent and may be asked for again. Sans-IO.

Specification: 2025-11-25 basic/transports, "Resumability and Redelivery". An event's id names its stream, so that a
client which comes back with the last id it has seen is told what followed on that stream, and nothing of another.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

STANDING = 0
"""The stream of what belongs to no request: the one that GET opens."""


@dataclass(frozen=True, slots=True)
class Event:
    """One message that was sent on a stream. Its number is the session's, so ids never repeat in it."""

    stream: int
    number: int
    payload: bytes

    @property
    def id(self) -> str:
        """Its id on the wire."""
        return f"{self.stream}-{self.number}"


@dataclass(frozen=True, slots=True)
class Replay:
    """What followed an event on its stream; `whole` if nothing of it had to be forgotten."""

    stream: int
    events: list[Event]
    whole: bool


class EventStore:
    """The last events of one session, over all its streams, bounded by number and bytes; the oldest go first.

    The newest event is kept whatever its size: it may be an answer that nobody has got yet.
    """

    __slots__ = ("_bytes", "_events", "_forgotten", "_last", "_most", "_most_bytes", "_seen", "_streams")

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._events: deque[Event] = deque()
        self._bytes = 0
        self._last = 0
        self._streams = STANDING
        # Of the standing stream: the newest event that is gone, and the newest that the client has shown to know.
        self._forgotten = 0
        self._seen = 0

    def open_stream(self) -> int:
        """The number of a new stream."""
        self._streams += 1
        return self._streams

    def mark(self, stream: int) -> str:
        """The id of an event without a message: a place in the stream to come back to."""
        self._last += 1
        return Event(stream, self._last, b"").id

    def append(self, stream: int, payload: bytes) -> Event:
        """Keep a message that is sent on a stream."""
        self._last += 1
        event = Event(stream, self._last, payload)
        self._events.append(event)
        self._bytes += len(payload)
        while len(self._events) > 1 and (len(self._events) > self._most or self._bytes > self._most_bytes):
            gone = self._events.popleft()
            self._bytes -= len(gone.payload)
            self._forget(gone)
        return event

    def after(self, id: str) -> Replay | None:
        """What followed the event of this id on its stream; None if this session has never sent one.

        What the client has seen by then is forgotten.
        """
        stream, number = _parse(id)
        if not STANDING <= stream <= self._streams or not 0 < number <= self._last:
            return None
        whole = stream != STANDING or number >= self._forgotten
        kept = []
        for event in self._events:
            if event.stream != stream or event.number > number:
                kept.append(event)
            else:
                self._forget(event)
        if stream == STANDING:
            self._seen = max(self._seen, number)
        self._events = deque(kept)
        self._bytes = sum(len(event.payload) for event in kept)
        return Replay(stream, [event for event in kept if event.stream == stream], whole)

    def unseen(self) -> bool:
        """Whether messages went by the standing stream of which the client has not shown that it knows them."""
        return self._forgotten > self._seen or any(event.stream == STANDING for event in self._events)

    def _forget(self, gone: Event) -> None:
        if gone.stream == STANDING:
            self._forgotten = max(self._forgotten, gone.number)

    @property
    def pending_bytes(self) -> int:
        """Bytes of messages kept."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._events)


def _parse(id: str) -> tuple[int, int]:
    """Stream and number of an id; (-1, -1) for what is none."""
    stream, dash, number = id.partition("-")
    if not dash or not (_is_number(stream) and _is_number(number)):
        return -1, -1
    return int(stream), int(number)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18
