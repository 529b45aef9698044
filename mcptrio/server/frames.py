"""Frames: messages about changes, ready to be sent; what several are told alike is made once."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import UTC

import msgspec

from mcptrio.live import Change, Gap, Subscription, Told
from mcptrio.protocol.extension import GAP
from mcptrio.protocol.types import Object
from mcptrio.server.extension import called
from mcptrio.server.subscriber import Subscriber

_MOST = 4096
_MOST_BYTES = 8 * 1024 * 1024
_MOST_PARTS = 8
"""Those who are told of one change are told at about the same time; and data may be large."""


class Frames:
    """Makes frames, and keeps the last ones: nothing is masked or compressed for one of those who are told the same.

    A key of the hub is always told alike. What is told of a change by the extension stands with its number, which begins
    anew with a hub that was rebuilt: then call `clear`.
    """

    def __init__(self) -> None:
        self._frames: dict[Hashable, bytes] = {}
        self._bytes = 0
        self._parts: dict[Hashable, tuple[bytes, bytes]] = {}
        """What is told of a change to everybody who wants the same fields, as JSON."""

    def clear(self) -> None:
        """Keep nothing."""
        self._frames.clear()
        self._parts.clear()
        self._bytes = 0

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._frames)

    def of_key(self, subscriber: Subscriber, key: Hashable) -> bytes:
        """What tells a subscriber of a key: a resource's URI, or a list that changed."""
        frame = subscriber.recipient.frame
        place = key, subscriber.tag, frame
        return self._frames.get(place) or self._keep(place, frame(subscriber.encode(key)))

    def of_delivery(self, subscriber: Subscriber, subscription: Subscription, told: Told | Gap) -> bytes:
        """What tells a subscriber of a change, or of a gap, by one of its subscriptions."""
        frame = subscriber.recipient.frame
        label = subscription.label
        if isinstance(told, Gap):
            uri = msgspec.json.encode(called(label, subscription.selector))
            rest = msgspec.json.encode({"kind": GAP, "offset": told.offset, "reason": told.reason})
            return frame(subscriber.encode_change(uri, _joined(label, told.prev, rest)))
        fields = subscription.fields
        offset = told.entry.offset
        place = label, offset, told.prev, fields.key, subscriber.tag, frame
        known = self._frames.get(place)
        if known is not None:
            return known
        parts = self._parts.get((offset, fields.key))
        if parts is None:
            if len(self._parts) >= _MOST_PARTS:
                self._parts.clear()
            change = told.entry.change
            rest = msgspec.json.encode({**_of(change), "offset": offset, **fields.of(change)})
            parts = self._parts[offset, fields.key] = msgspec.json.encode(change.uri), rest
        uri, rest = parts
        return self._keep(place, frame(subscriber.encode_change(uri, _joined(label, told.prev, rest))))

    def _keep(self, place: Hashable, made: bytes) -> bytes:
        if len(self._frames) >= _MOST or self._bytes + len(made) > _MOST_BYTES:
            self._frames.clear()
            self._bytes = 0
        self._frames[place] = made
        self._bytes += len(made)
        return made


def _joined(label: str, prev: int, rest: bytes) -> bytes:
    # A label has no characters that JSON would escape.
    return f'{{"label":"{label}","prev":{prev},'.encode() + rest[1:]


def _of(change: Change) -> Object:
    try:
        at = change.at.astimezone(UTC)
    except (OverflowError, ValueError):  # at one of the ends of time
        at = change.at.replace(tzinfo=UTC)
    told: Object = {
        "kind": _sound(change.kind),
        "at": at.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z",
    }
    if change.event_id is not None:
        told["eventId"] = _sound(change.event_id)
    return told


def _sound(text: str) -> str:
    # Half a surrogate pair, which mail and JSON can bring, has no form on the wire; and all are told by one task.
    return text.encode("utf-8", "replace").decode()
