"""The live engine: what changed, who asked, and what each of them is still owed.

The `Hub` owns the index of subscriptions and the numbering of changes; it decides synchronously and never
waits. Each subscriber has one `Outbox`, which the hub fills and somebody else drains. Sources reach the hub
through a `Feed`, over the bounded memory channel of the `Pump`. This room knows resource URIs and changes;
it knows no wire, no protocol and no kind of subscriber.

What docs/extension.md promises is decided here too, and the hub does not use it yet: `SelectorIndex` finds whose
pattern a URI fits, a `Filter` judges a change, `History` keeps what was published, and `Deliveries` is what waits for one
subscription under its policy.
"""

from mcptrio.live.change import Change, Entry
from mcptrio.live.changes import Changes
from mcptrio.live.cursor import InvalidCursor
from mcptrio.live.feed import Feed, SourceState
from mcptrio.live.hub import MEMBERSHIP, Hub, HubStatistics
from mcptrio.live.outbox import Delivery, Outbox, OutboxStatistics
from mcptrio.live.pump import Pump
from mcptrio.live.recent import RecentChanges
from mcptrio.live.uri import InvalidUri, check_uri

__all__ = [
    "MEMBERSHIP",
    "Change",
    "Changes",
    "Delivery",
    "Entry",
    "Feed",
    "Hub",
    "HubStatistics",
    "InvalidCursor",
    "InvalidUri",
    "Outbox",
    "OutboxStatistics",
    "Pump",
    "RecentChanges",
    "SourceState",
    "check_uri",
]
