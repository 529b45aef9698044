"""`mcptrio://subscriptions`: which URIs are subscribed, and by how many."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from mcptrio.introspection.document import MOST, Document
from mcptrio.introspection.redaction import shown


class Subscribed(Document, frozen=True, kw_only=True):
    """One URI. A session counts once, and so does each listen."""

    uri: str
    subscribers: int


class SubscriptionsDocument(Document, frozen=True, kw_only=True):
    """All subscriptions, the URIs with most of them first; the program's own (`app.changes`) count too."""

    total: int
    total_uris: int
    uris: list[Subscribed]
    truncated: bool


def subscriptions_document(total: int, audiences: Iterable[tuple[str, int]]) -> SubscriptionsDocument:
    """From the number of subscriptions, and each URI with that of its subscribers."""
    everything = list(audiences)
    most = heapq.nsmallest(MOST, everything, key=lambda item: (-item[1], item[0]))
    return SubscriptionsDocument(
        total=total,
        total_uris=len(everything),
        uris=[Subscribed(uri=shown(uri), subscribers=count) for uri, count in most],
        truncated=len(everything) > MOST,
    )
