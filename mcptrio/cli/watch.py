"""`mcptrio watch`: a subscriber that writes a line for each change."""

from __future__ import annotations

import re
import shlex
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import NoReturn

import trio

from mcptrio.cli.exits import Exit, UserError, say
from mcptrio.cli.output import Output
from mcptrio.cli.remote import Remote, rpc_message
from mcptrio.cli.watch_flags import Wanted
from mcptrio.cli.watch_lines import json_line, text_line
from mcptrio.client import ExtensionMissing, Update, WatchEvent
from mcptrio.masking import mask_text
from mcptrio.protocol import Failure, RpcError

_PLACE = re.compile(
    r"(?:notifications\.io\.mcptrio/subscriptions\[\d+\]|_meta\.io\.mcptrio/subscriptions)"
    r"\.(?=(?:uri|template|glob|filter|policy|fields|since)\b)"
)


def now_utc() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


async def watch(
    remote: Remote,
    uris: Sequence[str],
    output: Output,
    *,
    wanted: Sequence[Wanted] = (),
    as_json: bool = False,
    now: Callable[[], datetime] = now_utc,
) -> int:
    """Subscribe, and write each change until cancelled; after a lost connection go on with the next one.

    With `wanted`, that is watched by the extension, instead of `uris`. Each line is written whole and at once. A line of kind
    `gap` says that changes may have been missed, plainly because the connection was lost meanwhile.

    Raises:
        UserError: the server cannot be reached at first, or refuses a subscription, also a later time.
        NobodyReads: the reader of the output has gone.
    """

    told = json_line if as_json else text_line

    async def write(update: Update | WatchEvent, pattern: str | None = None) -> None:
        await output.line(told(update, now(), pattern))

    if wanted:
        return await follow_live(remote, wanted, write)
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
        try:
            async with client.subscribe(*uris) as changes:
                say(f"watching {len(changes.uris)} resource{'' if len(changes.uris) == 1 else 's'}")
                connections = client.statistics().connections
                async for update in changes:
                    if client.statistics().connections != connections:
                        connections = client.statistics().connections
                        say("connected again; changes meanwhile are marked as gaps")
                    await on_update(update)
        except RpcError as error:
            raise refused(remote.url, error) from None
    raise UserError("the server ended the subscription", Exit.REFUSED)


async def follow_live(
    remote: Remote,
    wanted: Sequence[Wanted],
    on_event: Callable[[WatchEvent, str], Awaitable[None]],
) -> NoReturn:
    """Watch by the extension, and have each event handled, one after the other, with what it was watched by.

    Raises:
        UserError: as `watch`, and where the server does not have the extension.
        Exception: what `on_event` raises.
    """
    failure: Exception | None = None
    connections = 0
    one_at_a_time = trio.Lock()
    async with remote.client(reconnect=True) as client:

        async def go_on(each: Wanted, entered: trio.Event) -> None:
            nonlocal connections
            async with client.watch(**each.arguments) as events:  # type: ignore[arg-type]
                entered.set()
                async for event in events:
                    async with one_at_a_time:
                        if client.statistics().connections != connections:
                            connections = client.statistics().connections
                            say("connected again; what cannot be told of meanwhile is a gap")
                        await on_event(event, each.text)
            raise UserError("the server ended the subscription", Exit.REFUSED)

        async def guarded(each: Wanted, entered: trio.Event) -> None:
            # Raised again outside, so that no exception group of this nursery reaches the caller.
            nonlocal failure
            try:
                await go_on(each, entered)
            except Exception as error:
                failure = failure or error
                nursery.cancel_scope.cancel(reason="one of several watches has failed")

        connections = client.statistics().connections
        async with trio.open_nursery() as nursery:
            for each in wanted:
                entered = trio.Event()
                nursery.start_soon(guarded, each, entered)
                await entered.wait()
            connections = client.statistics().connections
            say(f"watching {', '.join(each.text for each in wanted)}")
        assert failure is not None, "a watch goes on until it fails"
        if isinstance(failure, ExtensionMissing):
            raise UserError(mask_text(str(failure)), Exit.REFUSED)
        if isinstance(failure, RpcError):
            raise refused(remote.url, failure)
        raise failure


def refused(url: str, error: RpcError) -> UserError:
    """What a server said instead of letting something be watched, in words of the command line, and what to do."""
    told = _PLACE.sub("--", rpc_message(error)).replace("--uri", "URI")
    if error.code == Failure.METHOD_NOT_FOUND.legacy:
        told += ": it has no subscriptions, so nothing of it can be watched"
    elif error.failure is Failure.RESOURCE_NOT_FOUND or error.code == Failure.RESOURCE_NOT_FOUND.legacy:
        told += f": `mcptrio inspect {shlex.quote(url)}` shows what there is"
    return UserError(mask_text(told), Exit.REFUSED)
