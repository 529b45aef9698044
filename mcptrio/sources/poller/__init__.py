"""The HTTP JSON poller (`kind = "poller"`).

A `Poller` owns what it has seen; its task asks, compares and reports. Asking is in `fetch`, with the traps of
conditional requests in `conditional`; the way from a document to resources and changes is pure, in `items`.
"""

from mcptrio.sources.poller.poller import Poller, install
from mcptrio.sources.poller.settings import PollerSettings

__all__ = ["Poller", "PollerSettings", "install"]
