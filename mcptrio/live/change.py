"""What a source reports, and the same numbered by the hub."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct, field

CREATED = "created"
UPDATED = "updated"
DELETED = "deleted"


def _now() -> datetime:
    return datetime.now(UTC)


class Change(Struct, frozen=True, kw_only=True):
    """Something happened to a resource. Immutable.

    `kind` is `created`, `updated`, `deleted` or a source's own word. `event_id` makes a repeated report
    recognisable: the hub takes one change per source, URI and event id. `at` is wall-clock time, for people
    and messages; nothing is scheduled by it.

    `data` is what happened, and what filters look at. `metadata` is what else is known of it: free names, such as
    `version`, `size`, `author` and `tags`. Both are for clients that ask for them, so neither may hold a secret; what
    has no JSON form reaches nobody.

    Raises:
        TypeError: `uri`, `kind`, `source` or `event_id` is no string, or `metadata` is no dict with strings as names.
    """

    uri: str
    kind: str = UPDATED
    data: object = None
    metadata: dict[str, object] | None = None
    event_id: str | None = None
    source: str = ""
    at: datetime = field(default_factory=_now)

    def __post_init__(self) -> None:
        # Checked here, in the reporter's own code: the hub is everybody's, and must not stumble over it.
        for name in ("uri", "kind", "source"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"a change's {name} is a string, not {type(getattr(self, name)).__name__}")
        if not isinstance(self.at, datetime):
            raise TypeError(f"a change's at is a datetime, not {type(self.at).__name__}")
        if self.event_id is not None and not isinstance(self.event_id, str):
            raise TypeError(f"an event_id is a string, not {type(self.event_id).__name__}: use str(event_id)")
        if self.metadata is not None:
            check_metadata(self.metadata)


def check_metadata(metadata: object) -> None:
    """Refuse what cannot be a change's metadata.

    Raises:
        TypeError: it is no dict, or one of its names is no string.
    """
    if not isinstance(metadata, dict):
        raise TypeError(
            f"a change's metadata is a dict such as {{'version': 3}}, not {type(metadata).__name__}: use dict(...)"
        )
    for name in metadata:
        if not isinstance(name, str):
            raise TypeError(
                f"the names in a change's metadata are strings, not {type(name).__name__}: use str(name)"
            )


class Entry(Struct, frozen=True):
    """A change as the hub accepted it.

    Offsets rise by one over the whole hub, so one cursor is enough for any selection.
    """

    offset: int
    change: Change
