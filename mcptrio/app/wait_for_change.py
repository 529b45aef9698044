"""`wait_for_change`: a tool for hosts that do not act on updates. A long poll on the hub's own subscriptions."""

from __future__ import annotations

from typing import Annotated

import trio
from msgspec import Meta, Struct

from mcptrio.catalog import Catalog, InvalidArgument
from mcptrio.live import Changes, Hub, InvalidCursor, InvalidUri, RecentChanges, check_uri
from mcptrio.protocol.types import ToolAnnotations

_SHOWN = 5

Uris = Annotated[list[str], Meta(min_length=1, max_length=100, description="The resources to watch, by URI.")]
Since = Annotated[
    str | None,
    Meta(
        description="The `cursor` of your previous call, so that no change between the two calls is missed."
    ),
]
Timeout = Annotated[
    float, Meta(ge=0, le=300, description="Seconds to wait at most; 0 answers at once with a cursor.")
]


class Waited(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What the tool answers."""

    changed: list[str]
    """Those of the URIs that have changed, in the order in which they were asked for."""
    cursor: str
    timed_out: bool
    gap: bool = False
    """It is not known what has changed since the cursor, so all URIs count as changed."""


class WaitForChange:
    """Waits for changes of some URIs. Keeps nothing for a caller between two calls: what was is the hub's to know."""

    def __init__(self, hub: Hub, catalog: Catalog) -> None:
        self._hub = hub
        self._catalog = catalog
        self._recent = RecentChanges(hub)

    def offer(self) -> None:
        """Put the tool into the catalog.

        Raises:
            DeclarationError: there is a tool of this name.
        """
        self._catalog.add_tool(
            self.wait_for_change,
            title="Wait for a change",
            annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
        )

    async def wait_for_change(self, uris: Uris, since: Since = None, timeout: Timeout = 30.0) -> Waited:
        """Wait until one of these resources changes, instead of reading them again and again.

        Returns as soon as there is a change, else when `timeout` seconds are over. `changed` lists the URIs that
        changed: read them again to see what is new. It is empty if nothing changed, and then `timedOut` is true. To go
        on watching, call again with `since` set to the `cursor` you got: what changed in between is then reported at
        once, so nothing is missed. Without `since`, only changes from now on count: to miss nothing from the beginning,
        first call with `timeout` 0 to get a cursor, then read the resources, then call with that cursor as `since`.
        `gap` means that the cursor was too old, so read all of the resources again.
        """
        await trio.lowlevel.checkpoint()
        asked = tuple(dict.fromkeys(uris))
        self._check(asked)
        epoch = self._hub.epoch
        # Subscribed before it is looked at what has been: so nothing can come between, and the sources are wanted.
        with Changes(self._hub, asked) as changes:
            found = self._found(since, asked)
            if found == []:
                with trio.move_on_after(timeout):
                    found.append((await changes.receive()).change.uri)
                found += _pending(changes)
            # In one step with the last look: what comes after it has an offset beyond this cursor.
            cursor = self._recent.cursor()
        if found is None or epoch != self._hub.epoch:
            return Waited(changed=list(asked), cursor=cursor, timed_out=False, gap=True)
        return Waited(changed=[uri for uri in asked if uri in found], cursor=cursor, timed_out=not found)

    def _check(self, uris: tuple[str, ...]) -> None:
        for uri in uris:
            try:
                check_uri(uri)
            except InvalidUri as error:
                raise InvalidArgument(f"{error}: {uri[:100]!a}", "uris") from None
        unknown = [uri[:200] for uri in uris if not self._catalog.could_serve(uri)]
        if unknown:
            more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
            raise InvalidArgument(f"there is no such resource: {', '.join(unknown[:_SHOWN])}{more}", "uris")

    def _found(self, since: str | None, uris: tuple[str, ...]) -> list[str] | None:
        if since is None:
            return []
        try:
            return self._recent.changed_since(since, uris)
        except InvalidCursor as error:
            raise InvalidArgument(f"{error}; leave it out to begin anew", "since") from None


def _pending(changes: Changes) -> list[str]:
    uris = []
    try:
        while True:
            uris.append(changes.receive_nowait().change.uri)
    except trio.WouldBlock:
        return uris
