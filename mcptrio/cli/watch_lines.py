"""How `mcptrio watch` tells a change: as a line for people, as a line of JSON, and in a command's environment."""

from __future__ import annotations

from datetime import datetime

import msgspec

from mcptrio.client import Update, WatchEvent
from mcptrio.masking import printable
from mcptrio.protocol.extension import GAP

UPDATED = "updated"

_MOST = 4096  # characters of a variable: what a server says has no end, an environment has


def kind_of(update: Update | WatchEvent) -> str:
    """What is known of a change: MCP itself says no more than that there was one."""
    if isinstance(update, WatchEvent):
        return update.kind
    return GAP if update.gap else UPDATED


def text_line(update: Update | WatchEvent, at: datetime, pattern: str | None = None) -> str:
    """For people: local time, kind, URI. A gap of a pattern names that, and every gap its reason."""
    name = update.uri
    if isinstance(update, WatchEvent) and update.is_gap:
        name = f"{pattern or name}  ({update.reason})"
    return f"{at.astimezone():%H:%M:%S}  {printable(kind_of(update)):<8} {printable(name)}"


def json_line(update: Update | WatchEvent, at: datetime, pattern: str | None = None) -> str:
    """For programs: an object with `time` (ISO 8601), `uri`, `kind`, `gap`, and `meta` where the server sent any.

    By the extension there are also, where there is one, `offset`, `at`, `eventId`, `data`, `metadata`, `omitted`, `reason`,
    `cursor`, and the `pattern` (or URI) that was watched, to which the cursor belongs.
    """
    kind = kind_of(update)
    is_gap = update.is_gap if isinstance(update, WatchEvent) else update.gap
    line: dict[str, object] = {"time": at.isoformat(), "uri": update.uri, "kind": kind, "gap": is_gap}
    if isinstance(update, WatchEvent):
        more = {
            "offset": update.offset,
            "at": update.at,
            "eventId": update.event_id,
            "data": update.data,
            "metadata": update.metadata,
            "omitted": update.omitted or None,
            "reason": update.reason,
            "cursor": update.cursor,
            "pattern": pattern,
        }
        line |= {name: value for name, value in more.items() if value is not None}
    elif update.meta:
        line["meta"] = update.meta
    return msgspec.json.encode(line).decode()


def variables(update: Update | WatchEvent) -> dict[str, str]:
    """A command's environment. What no variable can hold is left out, or said without what it cannot hold."""
    given: dict[str, str | None] = {"MCPTRIO_URI": update.uri, "MCPTRIO_KIND": kind_of(update)}
    if isinstance(update, WatchEvent):
        given |= {"MCPTRIO_EVENT_ID": update.event_id, "MCPTRIO_CURSOR": update.cursor}
    return {
        name: value.replace("\0", "")
        for name, value in given.items()
        if value is not None and len(value) <= _MOST
    }
