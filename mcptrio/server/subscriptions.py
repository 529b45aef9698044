"""Subscribing: `resources/subscribe` and `unsubscribe` in one revision, `subscriptions/listen` in the other.

Everything here is synchronous. A subscription is registered before its answer is pushed and the answer is pushed before the flusher
runs, so the answer comes first and nothing is lost between; unsubscribing purges the outbox before its answer is pushed, so nothing
follows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import UNSET, Raw, UnsetType

from mcptrio.catalog import Catalog, ListKind
from mcptrio.live import Allowance, Hub, InvalidCursor, InvalidUri, Outbox, Subscription, Terms, check_uri
from mcptrio.protocol import Failure, ModernCodec, Refusal, RequestId, RequestMeta, RpcError
from mcptrio.protocol.extension import SUBSCRIPTION_URI, SUBSCRIPTIONS_KEY, is_declared
from mcptrio.protocol.params import ListenParams, ResourceParams, SubscriptionFilter
from mcptrio.protocol.results import Result
from mcptrio.protocol.types import Object
from mcptrio.server.extension import (
    called,
    could_match,
    is_given,
    read_all_terms,
    read_terms,
    too_many_selections,
)
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


def _not_found(uri: str) -> RpcError:
    return RpcError.of(Failure.RESOURCE_NOT_FOUND, f"Resource not found: {uri}", data={"uri": uri})


def _outboxes(peer: Peer) -> Iterator[Outbox]:
    yield from (listen.outbox for listen in peer.listens.values())
    if peer.session is not None:
        yield peer.session.outbox


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

    def subscribe(self, peer: Peer, params: ResourceParams, meta: RequestMeta) -> Result:
        """`resources/subscribe`, plain or by the extension. Idempotent; by the extension the last one counts.

        Raises:
            RpcError: the URI is malformed, nothing could ever serve it, or the peer holds as many as it may. By the
                extension also: what is in `_meta` is no subscription.
        """
        session = peer.session
        assert session is not None
        if is_given(meta.subscription) and is_declared(session.capabilities):
            return self._select_one(peer, session, params.uri, read_terms(meta.subscription))
        uri = checked_uri(params.uri)
        if not self._catalog.could_serve(uri):
            raise _not_found(uri)
        if not self._hub.is_subscribed(uri, session.outbox):
            self._check_room(peer, 1)
            self._hub.subscribe(uri, session.outbox)
        return Result()

    def _select_one(self, peer: Peer, session: Session, uri: str, terms: Terms) -> Result:
        name = called(terms.label, terms.selector)
        if uri != name:
            raise RpcError.of(
                Failure.INVALID_PARAMS,
                f"Invalid params: `uri`: {name} goes with this _meta.{SUBSCRIPTIONS_KEY}",
            )
        if not could_match(self._catalog, terms):
            raise _not_found(uri)
        self._check_selections(peer, [terms], self._hub.selections.find(session.outbox, terms.label))
        (honoured,) = self._select(peer, session, [terms])
        return Result(meta={SUBSCRIPTIONS_KEY: honoured})

    def _select(self, peer: Peer, subscriber: Subscriber, asked: Sequence[Terms]) -> list[Object]:
        if peer.allowance is None:
            peer.allowance = Allowance(tally=self._hub.selections.tally)
        try:
            return self._hub.select(subscriber.outbox, asked, peer.allowance)
        except InvalidCursor as error:
            raise RpcError.of(Failure.INVALID_PARAMS, f"Invalid params: {error}") from None

    def _check_selections(
        self, peer: Peer, asked: Sequence[Terms], former: Subscription | None = None, *, beside: int = 0
    ) -> None:
        """Hold the peer to its bounds, with `asked` instead of `former`, and so many plain ones that are asked for beside."""
        selections = self._hub.selections
        replaced = 0 if former is None else 1
        self._check_room(peer, len(asked) - replaced + beside)
        held = sum(map(selections.count, _outboxes(peer))) - replaced
        nodes = sum(map(selections.nodes, _outboxes(peer))) - (0 if former is None else former.nodes)
        most = self._settings.max_selections
        if held + len(asked) > most:
            raise too_many_selections(most)
        most = self._settings.max_filter_nodes
        if nodes + sum(terms.nodes for terms in asked) > most:
            raise RpcError.refused(
                Refusal.SUBSCRIPTION_LIMIT,
                f"Too many filters within filters: at most {most} in all subscriptions on one connection",
                limit=most,
            )

    def unsubscribe(self, peer: Peer, params: ResourceParams) -> Result:
        """`resources/unsubscribe`. Idempotent: what was not subscribed is answered alike.

        Raises:
            RpcError: the URI is malformed.
        """
        session = peer.session
        assert session is not None
        uri = checked_uri(params.uri)
        self._hub.unsubscribe(uri, session.outbox)
        selections = self._hub.selections
        selections.unsubscribe_uri(session.outbox, uri)
        if uri.startswith(SUBSCRIPTION_URI):
            # By its label one of an exact URI can be ended alone.
            selections.unsubscribe(session.outbox, uri.removeprefix(SUBSCRIPTION_URI))
        return Result()

    def listen(self, peer: Peer, id: RequestId, params: ListenParams, meta: RequestMeta) -> None:
        """`subscriptions/listen`: registers, and pushes the acknowledgement of what is honoured.

        URIs and selectors that nothing could ever serve are left out of the acknowledgement; the order is the request's.

        Raises:
            RpcError: a malformed URI, or a subscription of the extension that is none, refuses the whole; so does one
                listen or subscription too many, and so do filters that are too many.
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
        asked_terms: list[Terms] | UnsetType = UNSET
        if is_given(wanted.subscriptions) and is_declared(meta.client_capabilities or {}):
            asked_terms = [
                terms
                for terms in read_all_terms(wanted.subscriptions, self._settings.max_selections)
                if could_match(self._catalog, terms)
            ]
            self._check_selections(peer, asked_terms, beside=len(uris or ()))
        listen = Listen(peer, self._flusher.ready, self._codec, id)
        honoured_terms: Raw | UnsetType = UNSET
        if asked_terms is not UNSET:
            # First, since it may refuse: then nothing has begun.
            honoured_terms = Raw(msgspec.json.encode(self._select(peer, listen, asked_terms)))
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
            subscriptions=honoured_terms,
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
        selections = self._hub.selections
        return sum(self._hub.count(outbox) + selections.count(outbox) for outbox in _outboxes(peer))

    def cancel(self, peer: Peer, id: RequestId) -> None:
        """The client ends a listen: nothing more is sent for it. Ids of no listen are ignored."""
        listen = peer.listens.pop((type(id), id), None)
        if listen is not None:
            self._leave(listen)
            peer.changed()

    def end_listens(self, peer: Peer) -> None:
        """Give every listen what it is still owed, unless the peer is behind, then its final result; the session too.

        Synchronous and idempotent.
        """
        listens = list(peer.listens.values())
        peer.listens.clear()
        for listen in listens:
            self._settle(listen)
            self._leave(listen)
            peer.answer(listen.final_result())
        if peer.session is not None:
            self._settle(peer.session)

    def _settle(self, subscriber: Subscriber) -> None:
        self._hub.selections.hurry(subscriber.outbox)
        while self._flusher.flush(subscriber):
            pass

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
