"""`mcptrio://sources/{name}`: how one source is doing."""

from __future__ import annotations

from datetime import datetime

from mcptrio.introspection.document import MOST, Document
from mcptrio.introspection.redaction import LONGEST_NAME, shown
from mcptrio.sources import PartDescription, SourceDescription


class SourcePart(Document, frozen=True, kw_only=True):
    """The task of one wanted URI, of a source that has one for each."""

    uri: str
    state: str
    reason: str
    since: datetime


class SourceDocument(Document, frozen=True, kw_only=True):
    """A source. `state` is starting, live, polling, degraded, failed or idle, since when and why.

    `demand` says whether it runs only while somebody wants it, `wanted` how many URIs are wanted, `counts` what the source
    itself counts: as of the read, they announce no update.
    """

    name: str
    state: str
    since: datetime
    reason: str
    demand: bool
    wanted: int
    restarts: int
    last_error: str | None
    counts: dict[str, int]
    parts: list[SourcePart]
    truncated: bool


def source_document(source: SourceDescription) -> SourceDocument:
    """From what the tree of sources says of one."""
    return SourceDocument(
        name=shown(source.name),
        state=source.state.value,
        since=source.since,
        reason=shown(source.reason),
        demand=source.demand,
        wanted=source.wanted,
        restarts=source.restarts,
        last_error=shown(source.last_error) or None,
        counts={shown(name, LONGEST_NAME): count for name, count in source.counts.items()},
        parts=list(map(_part, source.parts[:MOST])),
        truncated=len(source.parts) > MOST,
    )


def _part(part: PartDescription) -> SourcePart:
    return SourcePart(
        uri=shown(part.uri), state=part.state.value, reason=shown(part.reason), since=part.since
    )
