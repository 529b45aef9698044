"""Subscribing: `resources/subscribe` and `unsubscribe` in one revision, `subscriptions/listen` in the other.

Everything here is synchronous. A subscription is registered before its answer is pushed and the answer is pushed before the flusher
runs, so the answer comes first and nothing is lost between; unsubscribing purges the outbox before its answer is pushed, so nothing
follows it.
"""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from mcptrio.catalog import Catalog, ListKind
from mcptrio.live import Hub, InvalidUri, check_uri
from mcptrio.protocol import Failure, ModernCodec, Refusal, RequestId, RpcError
from mcptrio.protocol.params import ListenParams, ResourceParams, SubscriptionFilter
from mcptrio.protocol.results import Result
from mcptrio.server.flusher import Flusher
from mcptrio.server.list_changes import ListChanges
from mcptrio.server.peer import Peer
from mcptrio.server.settings import ServerSettings
from mcptrio.server.subscriber import Listen, Session, Subscriber
from mcptrio.server.wanted import Sources


def checked_uri(uri: str, member: str = "uri") -> str:
    """The URI of a request, from a member of its params.

    Raises:
        RpcError: -32602 when it can name no resource, saying why.
    """
    try:
        check_uri(uri)
    except InvalidUri as error:
        raise RpcError.of(
            Failure.INVALID_PARAMS, f"Invalid params: `{member}`: {error}: {uri[:100]!a}"
        ) from None
    return uri


class Subscriptions:
    """Registers and ends subscribers. The index is the hub's, the tables are the peers'; nothing is kept here."""

    def __init__(
        self,
        hub: Hub,
        catalog: Catalog,
        flusher: Flusher,
        list_changes: ListChanges,
        codec: ModernCodec,
        settings: ServerSettings,
        sources: Sources,
    ) -> None:
        self._hub = hub
        self._catalog = catalog
        self._flusher = flusher
        self._list_changes = list_changes
        self._codec = codec
        self._settings = settings
        self._sources = sources

    def subscribe(self, peer: Peer, params: ResourceParams) -> Result:
        """`resources/subscribe`. Idempotent.

        Raises:
            RpcError: the URI is malformed, nothing could ever serve it, or the peer holds as many as it may.
        """
        assert peer.session is not None
        uri = checked_uri(params.uri)
        if not self._catalog.could_serve(uri):
            raise RpcError.of(Failure.RESOURCE_NOT_FOUND, f"Resource not found: {uri}", data={"uri": uri})
        if not self._hub.is_subscribed(uri, peer.session.outbox):
            self._check_room(peer, 1)
            self._hub.subscribe(uri, peer.session.outbox)
        return Result()

    def unsubscribe(self, peer: Peer, params: ResourceParams) -> Result:
        """`resources/unsubscribe`. Idempotent: what was not subscribed is answered alike.

        Raises:
            RpcError: the URI is malformed.
        """
        assert peer.session is not None
        self._hub.unsubscribe(checked_uri(params.uri), peer.session.outbox)
        return Result()

    def listen(self, peer: Peer, id: RequestId, params: ListenParams) -> None:
        """`subscriptions/listen`: registers, and pushes the acknowledgement of what is honoured.

        URIs that nothing could ever serve are left out of the acknowledgement; the order is the request's.

        Raises:
            RpcError: a malformed URI refuses the whole; so does one listen or subscription too many.
        """
        wanted = params.notifications
        if len(peer.listens) >= self._settings.max_listens:
            raise RpcError.refused(
                Refusal.TOO_MANY_REQUESTS,
                f"Too many listens: at most {self._settings.max_listens} on one connection",
                limit=self._settings.max_listens,
            )
        uris: list[str] | UnsetType = UNSET
        if wanted.resource_subscriptions is not UNSET:
            asked = dict.fromkeys(wanted.resource_subscriptions)
            if len(asked) > self._settings.max_subscriptions:
                # Refused before each is looked up: a message has room for half a million.
                self._check_room(peer, len(asked))
            for uri in asked:
                checked_uri(uri, "notifications.resourceSubscriptions")
            uris = [uri for uri in asked if self._catalog.could_serve(uri)]
            self._check_room(peer, len(uris))
        listen = Listen(peer, self._flusher.ready, self._codec, id)
        peer.listens[type(id), id] = listen
        peer.changed()
        for uri in uris or ():
            self._hub.subscribe(uri, listen.outbox)
        kinds = {
            ListKind.TOOLS: wanted.tools_list_changed is True,
            ListKind.PROMPTS: wanted.prompts_list_changed is True,
            ListKind.RESOURCES: wanted.resources_list_changed is True,
        }
        self._list_changes.watch(listen, [kind for kind, asked_for in kinds.items() if asked_for])
        if kinds[ListKind.RESOURCES]:
            listen.want_list(self._sources.want_list)
        honoured = SubscriptionFilter(
            tools_list_changed=kinds[ListKind.TOOLS] or UNSET,
            prompts_list_changed=kinds[ListKind.PROMPTS] or UNSET,
            resources_list_changed=kinds[ListKind.RESOURCES] or UNSET,
            resource_subscriptions=uris,
        )
        peer.push(self._codec.acknowledged(honoured, id))

    def remind(self, session: Session) -> None:
        """Tell a session all that it could have missed: every URI that it subscribed, and the lists. Synchronous."""
        self._hub.remind(session.outbox)
        self._list_changes.remind(session)

    def _check_room(self, peer: Peer, more: int) -> None:
        limit = self._settings.max_subscriptions
        if self.count(peer) + more > limit:
            raise RpcError.refused(
                Refusal.SUBSCRIPTION_LIMIT,
                f"Too many subscriptions: at most {limit} on one connection",
                limit=limit,
            )

    def count(self, peer: Peer) -> int:
        """How many resource subscriptions a peer holds, over its session and all its listens."""
        count = sum(self._hub.count(listen.outbox) for listen in peer.listens.values())
        return count if peer.session is None else count + self._hub.count(peer.session.outbox)

    def cancel(self, peer: Peer, id: RequestId) -> None:
        """The client ends a listen: nothing more is sent for it. Ids of no listen are ignored."""
        listen = peer.listens.pop((type(id), id), None)
        if listen is not None:
            self._leave(listen)
            peer.changed()

    def end_listens(self, peer: Peer) -> None:
        """Give every listen what it is still owed, unless the peer is behind, then its final result.

        Synchronous and idempotent.
        """
        listens = list(peer.listens.values())
        peer.listens.clear()
        for listen in listens:
            while self._flusher.flush(listen):
                pass
            self._leave(listen)
            peer.answer(listen.final_result())

    def gone(self, peer: Peer) -> None:
        """The peer has ended: all that it subscribed ends. Synchronous and idempotent."""
        for listen in peer.listens.values():
            self._leave(listen)
        peer.listens.clear()
        if peer.session is not None:
            self._leave(peer.session)
            peer.session = None

    def _leave(self, subscriber: Subscriber) -> None:
        self._list_changes.leave(subscriber)
        self._hub.leave(subscriber.outbox)
        subscriber.release()
