"""What a stream and polls bring: events, and answers."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from mcptrio.live import Change
from mcptrio.live.change import UPDATED, check_metadata

Key = tuple[str, str, int | None]
"""What tells one fact from another: URI, id, version."""


class Event(Struct, frozen=True, kw_only=True):
    """What the service says has happened to a resource. Immutable.

    `version` rises with each state of the URI; `sequence` is the next number of its `series`. See the room's text.
    `data` and `metadata` go with the change; a version is told in the metadata too.
    """

    uri: str
    id: str
    kind: str = UPDATED
    data: object = None
    metadata: dict[str, object] | None = None
    version: int | None = None
    sequence: int | None = None
    series: str = ""

    def __post_init__(self) -> None:
        # A URI that names no resource is the service's fault and set aside later; another type is the source's.
        for name in ("uri", "id", "kind", "series"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"an event's {name} is a string, not {type(getattr(self, name)).__name__}")
        for name in ("version", "sequence"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
                raise TypeError(f"an event's {name} is an int or None, not {type(value).__name__}")
        if self.metadata is not None:
            check_metadata(self.metadata)

    @property
    def key(self) -> Key:
        """Which fact it is."""
        return (self.uri, self.id, self.version)

    def change(self, source: str) -> Change:
        """The event as it is reported.

        Its `event_id` holds the version too: `id#version`. Without a version it is the id; one with a `#` in it
        gets another at its end, so that no two facts have the same.
        """
        if self.version is not None:
            event_id = f"{self.id}#{self.version}"
        else:
            event_id = f"{self.id}#" if "#" in self.id else self.id
        metadata = self.metadata
        if self.version is not None:
            metadata = {"version": str(self.version), **(metadata or {})}
        return Change(
            uri=self.uri,
            kind=self.kind,
            data=self.data,
            metadata=metadata,
            event_id=event_id,
            source=source,
        )


class Answer(Struct, frozen=True):
    """What a poll found behind its cursor, oldest first, and the cursor behind it.

    `more`: the service has more to tell, which is asked for at once with this cursor.
    """

    cursor: object
    events: Sequence[Event] = ()
    more: bool = False
