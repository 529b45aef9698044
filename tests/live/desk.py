"""A hub whose keys are taken by hand, for tests of its selections."""

from __future__ import annotations

import gc
import math
from collections.abc import Sequence

import trio

from mcptrio.live import Allowance, Change, Entry, Gap, Hub, Outbox, Replay, Selector, Subscription
from mcptrio.live.history import History
from mcptrio.live.selections import Selections
from mcptrio.live.terms import parse_terms


class Desk:
    """A hub, one client's allowance, and a clock."""

    def __init__(self, allowance: Allowance | None = None, history: History | None = None) -> None:
        self.now = 0.0
        self.hub = Hub(lambda: self.now)
        self.selections: Selections = self.hub.selections
        if history is not None:
            self.selections.history = history
        self.allowance = allowance or Allowance(tally=self.selections.tally)
        self.interests: list[tuple[str, bool]] = []
        self.hub.watch_selections(self._interested)

    def _interested(self, selectors: Sequence[Selector], wanted: bool) -> None:
        self.interests += [(selector.text, wanted) for selector in selectors]

    def subscribe(self, outbox: Outbox, *asked: dict[str, object]) -> list[dict[str, object]]:
        """Subscribe all of them in one step; without a label, the selector's kind is it."""
        terms = [
            parse_terms({"label": next(iter(each)), **each}, f"[{number}]")
            for number, each in enumerate(asked)
        ]
        return self.hub.select(outbox, terms, self.allowance)

    def publish(self, *uris: str, kind: str = "updated", data: object = None) -> None:
        for uri in uris:
            assert self.hub.publish(Change(uri=uri, kind=kind, data=data)) is not None

    def cursor(self, offset: int) -> str:
        return f"{self.hub.epoch}.{offset}"

    def take_key(self, outbox: Outbox) -> object:
        """One key of an outbox, and nothing done with it."""
        return outbox.receive_nowait().key

    def take(self, outbox: Outbox, most: float = math.inf) -> list[tuple[object, ...]]:
        """What is told by the next keys: label and offset, and of a gap its `prev` and reason."""
        told: list[tuple[object, ...]] = []
        while most > 0:
            most -= 1
            try:
                key = self.take_key(outbox)
            except trio.WouldBlock:
                break
            if isinstance(key, Replay):
                self.selections.advance(key)
                continue
            assert isinstance(key, Subscription)
            while (what := key.deliveries.take(self.now)) is not None:
                if isinstance(what, Gap):
                    told.append((key.label, what.offset, what.prev, what.reason))
                else:
                    told.append((key.label, what.entry.offset))
            self.selections.settle(key)
        return told

    def entries(self, outbox: Outbox) -> list[Entry]:
        """The changes that are told by the next key."""
        key = self.take_key(outbox)
        assert isinstance(key, Subscription)
        entries: list[Entry] = []
        while (what := key.deliveries.take(self.now)) is not None:
            assert not isinstance(what, Gap)
            entries.append(what.entry)
        self.selections.settle(key)
        return entries

    def expect_nothing_left(self) -> None:
        """Of anybody, looked at from inside."""
        selections = self.selections
        assert (len(selections), selections._held, list(selections.wanted())) == (0, {}, [])
        assert (len(selections._timers), selections.next_due()) == (0, math.inf)
        allowance = self.allowance
        assert (allowance.count, allowance.bytes, allowance.paused, selections.tally.waiting) == (0, 0, {}, 0)
        index = selections._index
        assert (index._exact, index._ends, index._root.literals, index._root.wildcards) == (
            {},
            {},
            None,
            None,
        )
        wanted = [text for text, is_wanted in self.interests if is_wanted]
        assert sorted(wanted) == sorted(text for text, is_wanted in self.interests if not is_wanted)
        gc.collect()
        assert len(selections._filters) == 0
