"""The five resources: how each is read, and the stamp by which it is known whether it has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import trio

from mcptrio.catalog import Catalog, ResourceNotFound, UriTemplate
from mcptrio.catalog.catalog import OWN
from mcptrio.introspection.alerts_document import AlertsDocument, alerts_document
from mcptrio.introspection.observer import Observer
from mcptrio.introspection.sessions_document import SessionsDocument, sessions_document
from mcptrio.introspection.source_document import SourceDocument, source_document
from mcptrio.introspection.subscriptions_document import SubscriptionsDocument, subscriptions_document
from mcptrio.introspection.supervision_document import Supervised, supervision_document
from mcptrio.live import Hub, Outbox
from mcptrio.server import Server
from mcptrio.server.peer import Peer
from mcptrio.sources import SourceTree
from mcptrio.supervision import Supervisor, supervisors

SUPERVISION = f"{OWN}supervision"
SOURCE = f"{OWN}sources/{{name}}"
SUBSCRIPTIONS = f"{OWN}subscriptions"
SESSIONS = f"{OWN}sessions"
ALERTS = f"{OWN}alerts"

PATTERNS = (SUPERVISION, SOURCE, SUBSCRIPTIONS, SESSIONS, ALERTS)


class OwnResources:
    """Reads and stamps. A document is built when somebody reads it, a stamp takes microseconds however many clients there are."""

    def __init__(self, server: Server, hub: Hub, sources: SourceTree, observer: Observer) -> None:
        self._server = server
        self._hub = hub
        self._sources = sources
        self._observer = observer
        self._source_template = UriTemplate(SOURCE)
        self._supervisors: Sequence[Supervisor] = ()
        self._supervision: tuple[int, ...] = ()
        self._stamps: dict[str, Callable[[], object]] = {
            SUPERVISION: self._supervision_stamp,
            SUBSCRIPTIONS: lambda: (hub.changes, hub.selections.changes),
            SESSIONS: lambda: (server.traffic.peer_changes, hub.changes, hub.selections.changes),
            ALERTS: lambda: observer.look().changes,
        }

    def offer(self, catalog: Catalog) -> None:
        """Put them into a catalog."""
        catalog.add_resource(
            SUPERVISION,
            self.read_supervision,
            name="supervision",
            title="Tree of tasks",
            description="What runs, supervised: state, restarts and last error of each task.",
        )
        catalog.add_template(
            SOURCE,
            self.read_source,
            name="sources",
            title="Source",
            description="How a source is doing, since when and why.",
            list=self.list_sources,
        )
        catalog.add_resource(
            SUBSCRIPTIONS,
            self.read_subscriptions,
            name="subscriptions",
            title="Subscriptions",
            description="Which resources and patterns are subscribed, and how often.",
        )
        catalog.add_resource(
            SESSIONS,
            self.read_sessions,
            name="sessions",
            title="Sessions",
            description=(
                "Who is connected: client, revision, subscriptions, and what is pending as of the read. Updated when "
                "clients, sessions, listens or subscriptions come and go."
            ),
        )
        catalog.add_resource(
            ALERTS,
            self.read_alerts,
            name="alerts",
            title="Alerts",
            description="What is wrong now, and the last things that were.",
        )

    # Reading.

    async def read_supervision(self) -> Supervised:
        """`mcptrio://supervision`."""
        await trio.lowlevel.checkpoint()
        return supervision_document(self._server.root, self._server.since)

    async def read_source(self, name: str) -> SourceDocument:
        """`mcptrio://sources/{name}`.

        Raises:
            ResourceNotFound: there is no such source.
        """
        await trio.lowlevel.checkpoint()
        source = self._sources.describe(name)
        if source is None:
            raise ResourceNotFound(self._source_template.expand({"name": name}))
        return source_document(source)

    async def list_sources(self) -> list[str]:
        """The URIs of all sources."""
        await trio.lowlevel.checkpoint()
        return [*self._source_uris()]

    async def read_subscriptions(self) -> SubscriptionsDocument:
        """`mcptrio://subscriptions`."""
        await trio.lowlevel.checkpoint()
        hub, selections = self._hub, self._hub.selections
        total = hub.statistics().subscriptions + len(selections)
        return subscriptions_document(total, hub.audiences(), selections.wanted())

    async def read_sessions(self) -> SessionsDocument:
        """`mcptrio://sessions`."""
        await trio.lowlevel.checkpoint()
        peers = (peer for endpoint in self._server.endpoints for peer in endpoint.peers.values())
        return sessions_document(peers, self._subscriptions_of, self._selections_of)

    def _subscriptions_of(self, peer: Peer) -> int:
        return sum(map(self._hub.count, _outboxes(peer))) + self._selections_of(peer)

    def _selections_of(self, peer: Peer) -> int:
        return sum(map(self._hub.selections.count, _outboxes(peer)))

    async def read_alerts(self) -> AlertsDocument:
        """`mcptrio://alerts`."""
        await trio.lowlevel.checkpoint()
        return alerts_document(self._observer.look())

    # Stamps.

    def listed(self) -> Iterator[str]:
        """The URIs of all of them, as they are listed."""
        yield from self._stamps
        yield from self._source_uris()

    def _source_uris(self) -> Iterator[str]:
        return (self._source_template.expand({"name": name}) for name in self._sources.names())

    def stamp(self, uri: str) -> object:
        """Something that is different when the resource is; None for a URI that is none of them."""
        stamp = self._stamps.get(uri)
        if stamp is not None:
            return stamp()
        source = self._source_template.match(uri)
        return None if source is None else self._sources.stamp(source["name"])

    def _supervision_stamp(self) -> tuple[int, ...]:
        # A supervisor that comes or goes changes the one above it: so the known ones tell whether to look anew.
        stamp = tuple(supervisor.changes for supervisor in self._supervisors)
        if stamp != self._supervision or not stamp:
            self._supervisors = supervisors(self._server.root)
            stamp = self._supervision = tuple(supervisor.changes for supervisor in self._supervisors)
        return stamp


def _outboxes(peer: Peer) -> Iterator[Outbox]:
    if peer.session is not None:
        yield peer.session.outbox
    yield from (listen.outbox for listen in peer.listens.values())
