"""A subscription of the extension, while it lasts."""

from __future__ import annotations

from mcptrio.live.allowance import Allowance
from mcptrio.live.deliveries import Deliveries
from mcptrio.live.fields import Fields
from mcptrio.live.filter import Filter
from mcptrio.live.outbox import Outbox
from mcptrio.live.replay import Replay
from mcptrio.live.selector import Selector
from mcptrio.live.terms import Terms
from mcptrio.timers import Timer


class Subscription:
    """What one subscriber has asked for under one label, and what it is still to be told of that.

    In its subscriber's outbox it is the key that says that there is something to take from `deliveries`.
    """

    __slots__ = (
        "allowance",
        "deliveries",
        "fields",
        "filter",
        "is_uri",
        "label",
        "nodes",
        "outbox",
        "replay",
        "selector",
        "timer",
    )

    def __init__(
        self, terms: Terms, filter: Filter | None, outbox: Outbox, offset: int, allowance: Allowance
    ) -> None:
        self.label = terms.label
        self.selector: Selector = terms.selector
        self.filter = filter
        self.nodes = terms.nodes
        """How many filters that is made of, as it was given."""
        self.is_uri = terms.selector.kind == "uri"
        self.fields: Fields = terms.fields
        self.outbox = outbox
        self.allowance = allowance
        self.deliveries = Deliveries(terms.policy, offset, allowance)
        self.replay: Replay[Subscription] | None = None
        """What it has yet to go through of history; None when it is told of what happens."""
        self.timer: Timer[Subscription] | None = None
        """Set while what waits is not due yet."""
