"""`mcptrio watch`: a subscriber that writes a line for each change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import NoReturn

import msgspec

from mcptrio.cli.exits import Exit, UserError, say
from mcptrio.cli.output import Output
from mcptrio.cli.remote import Remote
from mcptrio.client import Update
from mcptrio.masking import printable

GAP = "gap"
UPDATED = "updated"


def now_utc() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


async def watch(
    remote: Remote,
    uris: Sequence[str],
    output: Output,
    *,
    as_json: bool = False,
    now: Callable[[], datetime] = now_utc,
) -> int:
    """Subscribe, and write each change until cancelled; after a lost connection go on with the next one.

    Each line is written whole and at once. A line of kind `gap` says that the connection was lost meanwhile,
    so changes of this resource may have been missed.

    Raises:
        UserError: the server cannot be reached at first, or refuses a subscription, also a later time.
        NobodyReads: the reader of the output has gone.
    """

    async def write(update: Update) -> None:
        await output.line(json_line(update, now()) if as_json else text_line(update, now()))

    return await follow(remote, uris, write)


async def follow(
    remote: Remote, uris: Sequence[str], on_update: Callable[[Update], Awaitable[None]]
) -> NoReturn:
    """Subscribe, and have each change handled, one after the other, until cancelled.

    Changes that come while one is handled are merged, by resource.

    Raises:
        UserError: as `watch`.
        Exception: what `on_update` raises.
    """
    async with remote.client(reconnect=True) as client:
        async with client.subscribe(*uris) as changes:
            say(f"watching {len(changes.uris)} resource{'' if len(changes.uris) == 1 else 's'}")
            connections = client.statistics().connections
            async for update in changes:
                if client.statistics().connections != connections:
                    connections = client.statistics().connections
                    say("connected again; changes meanwhile are marked as gaps")
                await on_update(update)
    raise UserError("the server ended the subscription", Exit.REFUSED)


def kind_of(update: Update) -> str:
    """What is known of a change: MCP itself says no more than that there was one."""
    return GAP if update.gap else UPDATED


def text_line(update: Update, at: datetime) -> str:
    """For people: local time, kind, URI."""
    return f"{at.astimezone():%H:%M:%S}  {kind_of(update):<8} {printable(update.uri)}"


def json_line(update: Update, at: datetime) -> str:
    """For programs: an object with `time` (ISO 8601), `uri`, `kind`, `gap`, and `meta` where the server sent any."""
    line: dict[str, object] = {
        "time": at.isoformat(),
        "uri": update.uri,
        "kind": kind_of(update),
        "gap": update.gap,
    }
    if update.meta:
        line["meta"] = update.meta
    return msgspec.json.encode(line).decode()
