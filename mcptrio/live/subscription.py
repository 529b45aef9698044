"""A subscription of the extension, while it lasts."""

from __future__ import annotations

from mcptrio.live.allowance import Allowance
from mcptrio.live.deliveries import Deliveries
from mcptrio.live.fields import Fields
from mcptrio.live.filter import Filter
from mcptrio.live.outbox import Outbox
from mcptrio.live.policy import EVERY
from mcptrio.live.replay import Replay
from mcptrio.live.selector import Selector
from mcptrio.live.terms import Terms
from mcptrio.timers import Timer

_CLOSED = Deliveries(EVERY, 0, Allowance())
"""Those of all that end before anything has waited for them."""
_CLOSED.close()


class Subscription:
    """What one subscriber has asked for under one label, and what it is still to be told of that.

    In its subscriber's outbox it is the key that says that there is something to take from `deliveries`.
    """

    __slots__ = (
        "_deliveries",
        "_offset",
        "_policy",
        "allowance",
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
        self._policy = terms.policy
        self._offset = offset
        self._deliveries: Deliveries | None = None
        self.replay: Replay[Subscription] | None = None
        """What it has yet to go through of history; None when it is told of what happens."""
        self.timer: Timer[Subscription] | None = None
        """Set while what waits is not due yet."""

    @property
    def deliveries(self) -> Deliveries:
        """What it is still to be told. Made when it is first asked for: most are subscribed and never told anything."""
        if self._deliveries is None:
            self._deliveries = Deliveries(self._policy, self._offset, self.allowance)
        return self._deliveries

    def close(self) -> None:
        """Forget what waits; nothing is taken in or told from now on. Synchronous and idempotent."""
        if self._deliveries is None:
            self._deliveries = _CLOSED
        else:
            self._deliveries.close()
