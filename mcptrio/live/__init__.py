"""The live engine: what changed, who asked, and what each of them is still owed.

The `Hub` owns the index of subscriptions and the numbering of changes; it decides synchronously and never
waits. Each subscriber has one `Outbox`, which the hub fills and somebody else drains. Sources reach the hub
through a `Feed`, over the bounded memory channel of the `Pump`. This room knows resource URIs and changes;
it knows no wire, no protocol and no kind of subscriber.

What docs/extension.md promises is decided here too: the hub's `Selections` are the subscriptions by `Terms`. A
`SelectorIndex` finds whose pattern a URI fits, a `Filter` judges a change, `History` keeps what was published, `Deliveries` is
what waits for one subscription under its policy, within the `Allowance` of its client, and a `Replay` is the way of those who
come back through history into the present.
"""

from mcptrio.live.allowance import Allowance
from mcptrio.live.change import Change, Entry
from mcptrio.live.changes import Changes
from mcptrio.live.cursor import InvalidCursor
from mcptrio.live.deliveries import Gap, Told
from mcptrio.live.feed import Feed, SourceState
from mcptrio.live.hub import MEMBERSHIP, Hub, HubStatistics
from mcptrio.live.outbox import Delivery, Outbox, OutboxStatistics
from mcptrio.live.pump import Pump
from mcptrio.live.recent import RecentChanges
from mcptrio.live.replay import Replay
from mcptrio.live.selections import Selections
from mcptrio.live.selector import Selector
from mcptrio.live.subscription import Subscription
from mcptrio.live.terms import Terms
from mcptrio.live.uri import InvalidUri, check_uri

__all__ = [
    "MEMBERSHIP",
    "Allowance",
    "Change",
    "Changes",
    "Delivery",
    "Entry",
    "Feed",
    "Gap",
    "Hub",
    "HubStatistics",
    "InvalidCursor",
    "InvalidUri",
    "Outbox",
    "OutboxStatistics",
    "Pump",
    "RecentChanges",
    "Replay",
    "Selections",
    "Selector",
    "SourceState",
    "Subscription",
    "Terms",
    "Told",
    "check_uri",
]
