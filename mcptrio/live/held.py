"""What one subscriber has subscribed by the extension."""

from __future__ import annotations

from mcptrio.live.allowance import Allowance
from mcptrio.live.subscription import Subscription


class Held:
    """What one subscriber has subscribed."""

    __slots__ = ("allowances", "labels", "nodes", "uris")

    def __init__(self) -> None:
        self.labels: dict[str, Subscription] = {}
        self.uris: dict[str, tuple[str, ...]] = {}
        """The labels of those with an exact URI. Most often one, and a tuple of one is small."""
        self.allowances: set[Allowance] = set()
        """What they have counted against: one, as a rule."""
        self.nodes = 0
        """How many filters their filters are made of."""

    def add(self, subscription: Subscription) -> None:
        """Take one in whose label is free."""
        self.labels[subscription.label] = subscription
        self.allowances.add(subscription.allowance)
        self.nodes += subscription.nodes
        if subscription.is_uri:
            uri = subscription.selector.text
            self.uris[uri] = (*self.uris.get(uri, ()), subscription.label)

    def pop(self, label: str) -> Subscription | None:
        """Take one out, if there is one of that label."""
        subscription = self.labels.pop(label, None)
        if subscription is not None:
            self.nodes -= subscription.nodes
            if subscription.is_uri:
                uri = subscription.selector.text
                rest = tuple(each for each in self.uris[uri] if each != label)
                if rest:
                    self.uris[uri] = rest
                else:
                    del self.uris[uri]
        return subscription
