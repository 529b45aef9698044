"""A replay: subscriptions that came back together, on their way through history into the present."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from mcptrio.live.allowance import Allowance
from mcptrio.live.index import SelectorIndex
from mcptrio.live.outbox import Outbox
from mcptrio.live.selector import Selector

Item = TypeVar("Item", bound=Hashable)


class Replay(Generic[Item]):
    """How far some subscriptions of one subscriber have come in history.

    It holds a place in history and nothing of it, so whoever takes long pins no memory. In its subscriber's outbox it is
    the key that says that there is more to go through.
    """

    __slots__ = ("allowance", "index", "items", "outbox", "position")

    def __init__(
        self, items: Iterable[tuple[Selector, Item]], outbox: Outbox, allowance: Allowance, position: int
    ) -> None:
        self.items: dict[Item, Selector] = {}
        self.index: SelectorIndex[Item] = SelectorIndex()
        self.outbox = outbox
        self.allowance = allowance
        self.position = position
        """Everything up to this offset was looked through."""
        for selector, item in items:
            self.items[item] = selector
            self.index.add(selector, item)

    def drop(self, item: Item) -> None:
        """Go on without one of them. Idempotent."""
        selector = self.items.pop(item, None)
        if selector is not None:
            self.index.remove(selector, item)
        if not self.items:
            self.outbox.purge(self)
            self.allowance.paused.pop(self, None)
