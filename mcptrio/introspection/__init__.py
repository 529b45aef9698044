"""What a running server tells of itself: `mcptrio://` resources for whoever operates it, alerts, and a metric.

    mcptrio://supervision      the tree of tasks: states, restarts, last errors
    mcptrio://sources/{name}   how a source is doing, since when and why
    mcptrio://subscriptions    which resources and patterns are subscribed, and how often
    mcptrio://sessions         who is connected, and what is pending towards whom
    mcptrio://alerts           what is wrong now, and what was

They are resources like any other: read and subscribed in both revisions, and listed after all others. All of them are
redacted (secrets are masked, addresses not shown, control characters spelled out) and bounded, whatever clients do.

- The `Observer` owns the alerts. It hears of each fact in the step in which it happens; it has no task and no timer.
- A document is built from the server's own tables when somebody reads it, and nothing of it is kept.
- Updates are one source by demand. It compares a stamp for each subscribed resource twice a second: so an update says
  that something has changed, there is at most one in that time, and with nobody subscribed nothing is computed.

Nothing here is needed to serve: the rooms below know nothing of this one.
"""

from mcptrio.introspection.alerts import Alert, Alerts, Severity
from mcptrio.introspection.install import install
from mcptrio.introspection.observer import Observer
from mcptrio.introspection.updates import INTERVAL

__all__ = ["INTERVAL", "Alert", "Alerts", "Observer", "Severity", "install"]
