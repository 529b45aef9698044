"""The updates of the `mcptrio://` resources: one source, which runs by demand and looks at stamps, never at documents."""

from __future__ import annotations

from collections.abc import Callable

import trio

from mcptrio.catalog.catalog import OWN
from mcptrio.live import Feed, Hub

INTERVAL = 0.5
"""Seconds between two looks, so at least between two updates of one resource."""

_BATCH = 100
"""URIs that are looked at between two checkpoints: there are few, but a client decides how they are spelled."""


class Updates:
    """Remembers of each subscribed URI how it was when it was last told of, and tells when it is otherwise.

    `stamp` gives something small that is different when the resource is, and None for a URI that is none. The first
    stamp is taken in the step of the subscription, so nothing that changes after it is lost, and nothing is announced that
    did not change. What is remembered outlives the task.
    """

    def __init__(self, hub: Hub, stamp: Callable[[str], object]) -> None:
        self._hub = hub
        self._stamp = stamp
        self._told: dict[str, object] = {}
        hub.watch_interest(self._interest)

    def _interest(self, uri: str, wanted: bool) -> None:
        if not uri.startswith(OWN):
            return
        if not wanted:
            self._told.pop(uri, None)
        elif (stamp := self._stamp(uri)) is not None:
            self._told[uri] = stamp

    def appeared(self) -> None:
        """There is a resource that was not there before: who has subscribed to it already is told."""
        for uri in self._hub.subscriptions():
            if uri.startswith(OWN) and uri not in self._told and self._stamp(uri) is not None:
                self._told[uri] = None

    async def run(self, feed: Feed) -> None:
        """Report what changes, for ever: each resource at most once an `INTERVAL`. Nothing while nobody is subscribed."""
        feed.polling()
        while True:
            if not feed.wanted:
                await feed.wanted_changed()
            await trio.sleep(INTERVAL)
            for number, (uri, told) in enumerate(tuple(self._told.items()), 1):
                stamp = self._stamp(uri)
                if stamp != told:
                    await feed.updated(uri)
                    if self._told.get(uri) == told:  # nobody has left and come again meanwhile
                        self._told[uri] = stamp
                elif number % _BATCH == 0:
                    await trio.lowlevel.checkpoint()
