"""Reads `text/event-stream`, as clients do. Sans-IO. Specification: WHATWG HTML, server-sent events."""

from __future__ import annotations

import re

__all__ = ["EventDecoder", "EventTooBig"]

_END_OF_LINE = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class EventTooBig(ValueError):
    """An event is larger than its bound."""


class EventDecoder:
    """Bytes in, the data of each `message` event out. Comments, other events and those without data are passed
    over.

    `last_id` is the id to resume after (None until there is one), `retry` the pause in seconds that the server
    asks for (None likewise). Both are as of the last event given out or passed over.
    """

    def __init__(self, max_size: int) -> None:
        """`max_size`: bytes of one event, unfinished lines and comments included."""
        self.last_id: bytes | None = None
        self.retry: float | None = None
        self._max_size = max_size
        self._rest = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._type = b""
        self._id: bytes | None = None
        self._first = True
        self._after_cr = False

    def feed(self, data: bytes | bytearray) -> list[bytes]:
        """The data of the events that are complete now.

        Raises:
            EventTooBig: do not go on then.
        """
        events: list[bytes] = []
        if self._after_cr and data:
            data = data[1:] if data[:1] == b"\n" else data
            self._after_cr = False
        start, searched = 0, len(self._rest)
        self._rest += data
        if self._first:
            if len(self._rest) < len(_BOM) and _BOM.startswith(self._rest):
                return events  # it may be one
            self._first = False
            searched = 0
            if self._rest.startswith(_BOM):
                del self._rest[: len(_BOM)]
        for end in _END_OF_LINE.finditer(self._rest, searched):
            self._line(bytes(self._rest[start : end.start()]), events)
            start = end.end()
            self._after_cr = end[0] == b"\r" and start == len(self._rest)
        del self._rest[:start]
        if len(self._rest) + self._size > self._max_size:
            raise EventTooBig(f"an event is larger than {self._max_size} bytes")
        return events

    def _line(self, line: bytes, events: list[bytes]) -> None:
        if not line:
            self._finish(events)
            return
        name, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if name == b"data":
            self._size += len(value) + 1
            if self._size > self._max_size:
                raise EventTooBig(f"an event is larger than {self._max_size} bytes")
            self._data.append(value)
        elif name == b"event":
            self._type = value
        elif name == b"id" and b"\0" not in value:
            self._id = value
        elif name == b"retry" and value.isdigit() and len(value) < 10:
            self.retry = int(value) / 1000

    def _finish(self, events: list[bytes]) -> None:
        if self._id is not None:
            self.last_id = self._id or None
            self._id = None
        data = b"\n".join(self._data)
        if data and self._type in (b"", b"message"):
            events.append(data)
        self._data.clear()
        self._size = 0
        self._type = b""
