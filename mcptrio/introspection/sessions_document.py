"""`mcptrio://sessions`: who is connected, as far as may be told."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from datetime import datetime

from mcptrio.introspection.document import MOST, Document, utc
from mcptrio.introspection.redaction import LONGEST_NAME, shown
from mcptrio.protocol.types import ClientInfo
from mcptrio.server.peer import Peer


class SessionClient(Document, frozen=True, kw_only=True):
    """Who a client says it is."""

    name: str
    version: str


class SessionEntry(Document, frozen=True, kw_only=True):
    """One peer. `id` is its number, by which the log calls it too; its address is shown to nobody.

    `revision` is that of its session, without one that of its requests, null before the first. `requests` are those
    that run now, `pending_bytes` what it has not accepted yet. `selections` are those of its subscriptions that are the
    extension's, `waiting` the changes that they have yet to be told, which take `waiting_bytes`.
    """

    id: str
    revision: str | None
    client: SessionClient | None
    since: datetime
    subscriptions: int
    selections: int
    listens: int
    requests: int
    pending_bytes: int
    waiting: int
    waiting_bytes: int


class SessionsDocument(Document, frozen=True, kw_only=True):
    """All peers: those that are behind first, then by age.

    What changes with every request or change (`requests`, `pendingBytes`, `waiting`, `waitingBytes`) is as of the read, and
    announces no update: a client that reads after each update would otherwise be told of its own reads for ever.
    """

    total: int
    sessions: list[SessionEntry]
    truncated: bool


def sessions_document(
    peers: Iterable[Peer], subscriptions: Callable[[Peer], int], selections: Callable[[Peer], int]
) -> SessionsDocument:
    """From the peers, and functions that say how many subscriptions one has, and how many of them by the extension."""
    everyone = list(peers)
    first = heapq.nsmallest(MOST, everyone, key=lambda peer: (-peer.wire.pending_bytes, peer.since))
    return SessionsDocument(
        total=len(everyone),
        sessions=[_entry(peer, subscriptions(peer), selections(peer)) for peer in first],
        truncated=len(everyone) > MOST,
    )


def _entry(peer: Peer, subscriptions: int, selections: int) -> SessionEntry:
    allowance = peer.allowance
    return SessionEntry(
        id=peer.name.rpartition(" ")[2],
        revision=None if peer.revision is None else peer.revision.value,
        client=None if peer.client is None else _client(peer.client),
        since=utc(peer.since),
        subscriptions=subscriptions,
        selections=selections,
        listens=len(peer.listens),
        requests=len(peer.requests),
        pending_bytes=peer.wire.pending_bytes,
        waiting=0 if allowance is None else allowance.count,
        waiting_bytes=0 if allowance is None else allowance.bytes,
    )


def _client(client: ClientInfo) -> SessionClient:
    return SessionClient(name=shown(client.name, LONGEST_NAME), version=shown(client.version, LONGEST_NAME))
