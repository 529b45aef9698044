"""What a watch gives: a change, or the word that some are missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEvent:
    """A resource changed; or, if `is_gap`, changes up to this point could not be told.

    `kind` is `created`, `updated`, `deleted`, `gap`, or a source's own word. `offset` rises from event to event, over
    the whole server. `at` is when the source reported it, in UTC, and `event_id` the source's own id of it. `data` and
    `metadata` are what the watch asked for of what the source gave, None where there is none; `omitted` says that they
    were left out because they are too big. What the server does not say is None: one without the extension says `uri`
    and nothing else.

    A gap, and nothing else, has a `reason`: the server's (`pending`, `history`, `restarted` and maybe others), `pending`
    also when more waited for this program than may, or `lost`: nobody can say what came between. After it, read what
    matters. Its `uri` is the watched one, or `mcptrio://subscriptions/` and a name for a template or a glob. A source
    may have the word `gap` for a change: that one is no gap.

    `cursor` is what to give as `since` to go on after this event.
    """

    uri: str
    kind: str = "updated"
    offset: int | None = None
    at: datetime | None = None
    event_id: str | None = None
    data: object = None
    metadata: Mapping[str, object] | None = None
    omitted: bool = False
    reason: str | None = None
    cursor: str | None = None

    @property
    def is_gap(self) -> bool:
        """Whether it says that changes are missing. Its kind is `gap` then, which alone says nothing."""
        return self.reason is not None
