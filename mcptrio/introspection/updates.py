"""The updates of the `mcptrio://` resources: one source, which runs by demand and looks at stamps, never at documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import trio

from mcptrio.catalog.catalog import OWN
from mcptrio.introspection.document import MOST
from mcptrio.live import Feed, Hub, Selector
from mcptrio.live.index import SelectorIndex

INTERVAL = 0.5
"""Seconds between two looks, so at least between two updates of one resource."""

_BATCH = 100
"""URIs that are looked at between two checkpoints: there are few, but a client decides how they are spelled."""

_BEGINNINGS = (OWN[:2], OWN[0] + "{", "{")
"""With what a pattern begins that may select one of ours: as they do, or with a wildcard instead."""

_NEW: object = object()
"""In the place of a stamp: of this resource nobody was told yet."""


class Updates:
    """Remembers of each subscribed URI how it was when it was last told of, and tells when it is otherwise.

    `stamp` gives something small that is different when the resource is, and None for a URI that is none. The first
    stamp is taken in the step of the subscription, so nothing that changes after it is lost, and nothing is announced that
    did not change. What is remembered outlives the task.

    A URI may be subscribed plainly, by the extension, or both. For patterns that may select resources of ours, those that
    are `listed` are looked at, the first 1,000 of them, from the first such pattern to the end of the last one; what
    none of them selects is not announced.
    """

    def __init__(self, hub: Hub, stamp: Callable[[str], object], listed: Callable[[], Iterable[str]]) -> None:
        self._stamp = stamp
        self._listed = listed
        self._asked: dict[str, int] = {}
        """The URIs that are subscribed one by one, by how many of the two ways."""
        self._patterns: SelectorIndex[str] = SelectorIndex()
        self._below_patterns: set[str] = set()
        """What was listed while there were patterns."""
        self._told: dict[str, object] = {}
        self._lot = trio.lowlevel.ParkingLot()
        hub.watch_interest(self._interest)
        hub.watch_selections(self._selection)

    def _interest(self, uri: str, wanted: bool) -> None:
        if not uri.startswith(OWN):
            return
        count = self._asked.pop(uri, 0) + (1 if wanted else -1)
        if count > 0:
            self._asked[uri] = count
            self._look_at(uri)
        elif uri not in self._below_patterns:
            self._told.pop(uri, None)

    def _selection(self, selectors: Sequence[Selector], wanted: bool) -> None:
        # Hardly any, and there may be thousands.
        for selector in [each for each in selectors if each.pattern.startswith(_BEGINNINGS)]:
            beginning = selector.beginning
            if beginning.startswith(OWN) or (OWN.startswith(beginning) and not selector.is_exact):
                self._select(selector, wanted)

    def _select(self, selector: Selector, wanted: bool) -> None:
        if selector.is_exact:
            self._interest(selector.pattern, wanted)
        elif wanted:
            self._patterns.add(selector, selector.pattern)
            if len(self._patterns) == 1:
                self._look_at_listed()
        else:
            self._patterns.remove(selector, selector.pattern)
            if not len(self._patterns):
                for uri in self._below_patterns - self._asked.keys():
                    self._told.pop(uri, None)
                self._below_patterns.clear()

    def _look_at_listed(self, told: object = None) -> None:
        for uri in islice(self._listed(), MOST):
            if uri not in self._below_patterns:
                self._below_patterns.add(uri)
                self._look_at(uri, told)

    def _look_at(self, uri: str, told: object = None) -> None:
        """Remember how a resource is, or `told` instead, unless it is remembered how it was."""
        if uri not in self._told and (stamp := self._stamp(uri)) is not None:
            self._told[uri] = stamp if told is None else told
            self._lot.unpark_all()

    def appeared(self) -> None:
        """There is a resource that was not there before: who has subscribed to it already is told."""
        for uri in self._asked:
            self._look_at(uri, _NEW)
        if len(self._patterns):
            self._look_at_listed(_NEW)

    async def run(self, feed: Feed) -> None:
        """Report what changes, for ever: each resource at most once an `INTERVAL`. Nothing while nobody is subscribed."""
        feed.polling()
        while True:
            while not self._told:
                await self._lot.park()
            await trio.sleep(INTERVAL)
            for number, (uri, told) in enumerate(tuple(self._told.items()), 1):
                stamp = self._stamp(uri)
                if stamp != told:
                    if uri in self._asked or self._patterns.matching(uri):
                        await feed.updated(uri)
                    if self._told.get(uri) == told:  # nobody has left and come again meanwhile
                        self._told[uri] = stamp
                if number % _BATCH == 0:
                    await trio.lowlevel.checkpoint()
