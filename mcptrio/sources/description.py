"""What can be told about a source while it runs."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from mcptrio.live import SourceState


class PartDescription(Struct, frozen=True):
    """The part of a source that watches one URI: a task of its own. `since` is when the state began (UTC)."""

    uri: str
    state: SourceState
    reason: str
    since: datetime


class SourceDescription(Struct, frozen=True):
    """A source. `since` is when the state began (UTC); `wanted` counts URIs, `restarts` and `last_error` all its tasks,
    `counts` what the source itself counts.

    `demand`: it runs while somebody wants it; otherwise always. `parts` are those that are wanted or run, at most 1,001:
    who shows 1,000 of them knows whether there are more.
    """

    name: str
    state: SourceState
    reason: str
    since: datetime
    demand: bool
    wanted: int
    restarts: int
    last_error: str
    counts: dict[str, int] = {}
    parts: tuple[PartDescription, ...] = ()
