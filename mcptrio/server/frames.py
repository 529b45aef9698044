"""Frames: messages about changes, ready to be sent; what several are told alike is made once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import UTC

from mcptrio.live import Change, Gap, Subscription, Told
from mcptrio.protocol.types import Object
from mcptrio.server.extension import called
from mcptrio.server.subscriber import Subscriber

_MOST = 4096
_MOST_BYTES = 8 * 1024 * 1024
_MOST_MEMBERS = 8
"""Those who are told of one change are told at about the same time; and data may be large."""

_Frame = Callable[[bytes], bytes]


class Frames:
    """Makes frames, and keeps the last ones: nothing is masked or compressed for one of those who are told the same.

    A key of the hub is always told alike. What is told of a change by the extension stands with its number, which begins
    anew with a hub that was rebuilt: then call `clear`.
    """

    def __init__(self) -> None:
        self._frames: dict[Hashable, bytes] = {}
        self._bytes = 0
        self._members: dict[Hashable, Object] = {}

    def clear(self) -> None:
        """Keep nothing."""
        self._frames.clear()
        self._members.clear()
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
            gap: Object = {
                "label": label,
                "kind": "gap",
                "offset": told.offset,
                "prev": told.prev,
                "reason": told.reason,
            }
            return frame(subscriber.encode_change(called(label, subscription.selector), gap))
        fields = subscription.fields
        place = label, told.entry.offset, told.prev, fields.key, subscriber.tag, frame
        known = self._frames.get(place)
        if known is not None:
            return known
        change = told.entry.change
        members = self._members.get((told.entry.offset, fields.key))
        if members is None:
            if len(self._members) >= _MOST_MEMBERS:
                self._members.clear()
            members = self._members[told.entry.offset, fields.key] = {**_of(change), **fields.of(change)}
        payload = subscriber.encode_change(
            change.uri, {"label": label, "offset": told.entry.offset, "prev": told.prev, **members}
        )
        return self._keep(place, frame(payload))

    def _keep(self, place: Hashable, made: bytes) -> bytes:
        if len(self._frames) >= _MOST or self._bytes + len(made) > _MOST_BYTES:
            self._frames.clear()
            self._bytes = 0
        self._frames[place] = made
        self._bytes += len(made)
        return made


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
