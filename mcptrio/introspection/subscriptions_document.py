"""`mcptrio://subscriptions`: which URIs and selectors are subscribed, and how often."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from mcptrio.introspection.document import MOST, Document
from mcptrio.introspection.redaction import shown
from mcptrio.live import Selector


class Subscribed(Document, frozen=True, kw_only=True):
    """One URI that is subscribed plainly. A session counts once, and so does each listen."""

    uri: str
    subscribers: int


class Selected(Document, frozen=True, kw_only=True):
    """One selector of the extension, as one of those who subscribed it wrote it; `kind` is uri, template or glob.

    Selectors that select the same are one. A session or a listen counts once for each label.
    """

    selector: str
    kind: str
    subscriptions: int


class SubscriptionsDocument(Document, frozen=True, kw_only=True):
    """All subscriptions, plain ones and those by the extension; the program's own (`app.changes`) count too.

    Of both lists what is subscribed most comes first; `truncated` says that one of them is longer.
    """

    total: int
    total_uris: int
    uris: list[Subscribed]
    total_selectors: int
    selectors: list[Selected]
    truncated: bool


def subscriptions_document(
    total: int, audiences: Iterable[tuple[str, int]], wanted: Iterable[tuple[Selector, int]]
) -> SubscriptionsDocument:
    """From the number of subscriptions, each URI with that of its subscribers, and each selector with that of its own."""
    uris, selectors = list(audiences), list(wanted)
    most_uris = heapq.nsmallest(MOST, uris, key=lambda item: (-item[1], item[0]))
    most_selectors = heapq.nsmallest(MOST, selectors, key=lambda item: (-item[1], item[0].pattern))
    return SubscriptionsDocument(
        total=total,
        total_uris=len(uris),
        uris=[Subscribed(uri=shown(uri), subscribers=count) for uri, count in most_uris],
        total_selectors=len(selectors),
        selectors=[
            Selected(selector=shown(selector.text), kind=selector.kind, subscriptions=count)
            for selector, count in most_selectors
        ],
        truncated=max(len(uris), len(selectors)) > MOST,
    )
