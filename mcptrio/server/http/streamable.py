"""Streamable HTTP: POST, GET, DELETE and OPTIONS of the MCP endpoint, for both revisions.

Specification: 2026-07-28 and 2025-11-25 basic/transports. A POST whose body has the envelope is served statelessly;
every other one belongs to a session, which `initialize` opens.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from msgspec import UNSET

from mcptrio.catalog import Catalog
from mcptrio.protocol import (
    Failure,
    Message,
    Notification,
    ProtocolError,
    Refusal,
    Request,
    Revision,
    RpcError,
    decode,
    missing_envelope,
    read_meta,
    read_params,
    revision_of,
)
from mcptrio.protocol.envelope import CAPABILITIES_KEY, NO_META, VERSION_KEY, RequestMeta
from mcptrio.protocol.params import CallToolParams, InitializeParams
from mcptrio.server.dispatch import Dispatch
from mcptrio.server.handshake import check_opening
from mcptrio.server.http.cors import ALLOW, cors_headers, preflight_headers
from mcptrio.server.http.exchange_peer import ExchangePeer, ExchangeWire
from mcptrio.server.http.request_headers import VERSION, Mirrored, check_headers, check_version
from mcptrio.server.http.response import EVENT_STREAM, JSON, TEXT, Response
from mcptrio.server.http.session_peer import SessionPeer
from mcptrio.server.http.sessions import NoRoom, Sessions
from mcptrio.server.http.status import retry_after, status_of
from mcptrio.server.peer import Peer
from mcptrio.server.settings import ServerSettings
from mcptrio.server.subscriptions import Subscriptions
from mcptrio.wire import Exchange, PeerGone
from mcptrio.wire.sse import event_frame

SESSION = "Mcp-Session-Id"

_SESSION_VERSIONS = frozenset({"2025-11-25", "2025-06-18", "2025-03-26"})
"""What the version field of a session's request may say."""

_OPENING = (
    "; open a session with `initialize` (2025-11-25), or give each request its own envelope (2026-07-28)"
)
_LISTEN = "subscriptions/listen"


class StreamableHttp:
    """The MCP endpoint over HTTP. Owns the requests that are being answered statelessly; sessions own their own."""

    def __init__(
        self,
        dispatch: Dispatch,
        subscriptions: Subscriptions,
        catalog: Catalog,
        settings: ServerSettings,
        sessions: Sessions,
        peers: dict[str, Peer],
        name_peer: Callable[[str], str],
        peer_changed: Callable[[], None],
    ) -> None:
        """`peers` is where those who listen are put, under the name that `name_peer` makes of their address."""
        self.exchanges: set[ExchangePeer] = set()
        self.sessions = sessions
        self._dispatch = dispatch
        self._subscriptions = subscriptions
        self._catalog = catalog
        self._settings = settings
        self._peers = peers
        self._name_peer = name_peer
        self._peer_changed = peer_changed
        self._methods: dict[str, Callable[[Exchange, Response, str | None], Awaitable[None]]] = {
            "POST": self._post,
            "GET": self._get,
            "DELETE": self._delete,
        }

    async def serve(self, exchange: Exchange, principal: str | None) -> None:
        """Answer one HTTP request of somebody who was let in."""
        prefers_stream = _prefers_stream(exchange.header("accept"))
        response = Response(exchange, cors_headers(exchange.header("origin")), prefers_stream=prefers_stream)
        method = self._methods.get(exchange.method)
        if method is None:
            response.respond(405, b"Use POST.\n", [("Allow", ALLOW)], content_type=TEXT)
        else:
            await method(exchange, response, principal)
            if exchange.status is None:
                raise PeerGone  # what is left undone when its client has gone is no fault of ours

    def preflight(self, exchange: Exchange) -> None:
        """Answer OPTIONS: what a web page asks before it may ask."""
        asked = exchange.header("access-control-request-headers")
        fields = preflight_headers(exchange.header("origin"), asked)
        exchange.respond(204, headers=[("Allow", ALLOW), *fields])

    # ---- POST

    async def _post(self, exchange: Exchange, response: Response, principal: str | None) -> None:
        if not _is_json(exchange.header("content-type")):
            said = b"The body must be JSON: send Content-Type: application/json.\n"
            response.respond(415, said, content_type=TEXT)
            return
        accept = exchange.header("accept")
        if not (_accepts(accept, JSON) and _accepts(accept, EVENT_STREAM)):
            said = b"The answer may be JSON or a stream of events: send Accept: application/json, text/event-stream.\n"
            response.respond(406, said, content_type=TEXT)
            return
        try:
            message = decode(await exchange.read_body())
        except ProtocolError as error:
            self._refuse(response, error.id, RpcError.of(error.failure, error.message), status=400)
            return
        try:
            meta = NO_META if not isinstance(message, Request | Notification) else read_meta(message.params)
        except RpcError as error:
            self._refuse(response, message.id if isinstance(message, Request) else None, error, status=400)
            return
        if exchange.closing:  # since it was let in: who ends the others would not know of it
            response.break_off("the server is shutting down")
            return
        enveloped = meta.protocol_version is not UNSET or meta.client_capabilities is not UNSET
        if enveloped or exchange.header(VERSION) == Revision.MODERN.value:
            await self._post_stateless(exchange, response, principal, message, meta)
        else:
            await self._post_in_session(exchange, response, principal, message)

    async def _post_stateless(
        self,
        exchange: Exchange,
        response: Response,
        principal: str | None,
        message: Message,
        meta: RequestMeta,
    ) -> None:
        if not isinstance(message, Request):
            # Nothing that comes alone means anything in this revision: a request is cancelled by leaving.
            if isinstance(message, Notification):
                response.respond(202, b"", content_type=TEXT)
            else:
                error = RpcError.of(Failure.INVALID_REQUEST, "Invalid request: this server sends no requests")
                self._refuse(response, None, error, status=400)
            return
        try:
            if meta.protocol_version is UNSET and meta.client_capabilities is UNSET:
                raise missing_envelope([VERSION_KEY, CAPABILITIES_KEY])
            if meta.protocol_version is not UNSET and meta.client_capabilities is not UNSET:
                check_version(exchange.headers, meta)
            revision_of(meta)
            check_headers(exchange.headers, message, self._mirrored(message))
        except RpcError as error:
            self._refuse(response, message.id, error, Revision.MODERN)
            return
        listens = message.method == _LISTEN
        peer = ExchangePeer(
            ExchangeWire(response, self._settings.limits.comment_interval),
            self._name_peer(exchange.peername) if listens else exchange.peername,
            self._settings.limits.high_water,
            # Nobody is told of those who only ask: whoever reads who is there would be told of the reading.
            self._peer_changed if listens else _ignore,
            frame=event_frame,
            principal=principal,
            address=address_of(exchange.peername),
        )
        if listens:
            self._peers[peer.name] = peer
        self.exchanges.add(peer)
        try:
            await peer.serve(message, self._dispatch, self._subscriptions)
        finally:
            self.exchanges.discard(peer)
            if self._peers.pop(peer.name, None) is not None:
                self._peer_changed()

    def _mirrored(self, request: Request) -> Mirrored:
        """What the called tool wants repeated in header fields."""
        if request.method != "tools/call":
            return {}
        return self._catalog.header_parameters(read_params(request.params, CallToolParams).name)

    # ---- sessions

    async def _post_in_session(
        self, exchange: Exchange, response: Response, principal: str | None, message: Message
    ) -> None:
        id = message.id if isinstance(message, Request) else None
        version = exchange.header(VERSION)
        if version is not None and version not in _SESSION_VERSIONS:
            error = RpcError.of(Failure.INVALID_REQUEST, f"Unsupported MCP-Protocol-Version: {version[:50]}")
            self._refuse(response, id, error, status=400)
        elif (session_id := exchange.header(SESSION.lower())) is not None:
            session = self.sessions.find(session_id, principal)
            if session is None:
                error = RpcError.of(Failure.INVALID_REQUEST, "There is no such session: initialize a new one")
                self._refuse(response, id, error, status=404)
            else:
                await session.post(message, self._dispatch, response)
        elif isinstance(message, Request) and message.method == "initialize":
            await self._initialize(exchange, response, principal, message)
        else:
            error = (
                missing_envelope([VERSION_KEY, CAPABILITIES_KEY], f", and {SESSION}{_OPENING}")
                if isinstance(message, Request | Notification)
                else RpcError.of(Failure.INVALID_REQUEST, f"Invalid request: a response without {SESSION}")
            )
            self._refuse(response, id, error, status=400)

    async def _initialize(
        self, exchange: Exchange, response: Response, principal: str | None, request: Request
    ) -> None:
        try:
            opening = read_params(request.params, InitializeParams)
            check_opening(opening)
        except RpcError as error:
            self._refuse(response, request.id, error, status=400)
            return
        session = SessionPeer(
            self._name_peer(exchange.peername),
            opening.protocol_version,
            self._settings,
            self._peer_changed,
            principal=principal,
            address=address_of(exchange.peername),
        )
        try:
            await self.sessions.open(session, lambda: session.live(self._dispatch, self._subscriptions))
        except NoRoom as error:
            refusal = RpcError.refused(Refusal.TOO_MANY_SESSIONS, f"Too many sessions: {error}")
            self._refuse(response, request.id, refusal)
            return
        response.promises.append((SESSION, session.id))
        await session.post(request, self._dispatch, response)
        if session.session is None:  # it was refused
            session.wire.close(0, "refused")

    async def _get(self, exchange: Exchange, response: Response, principal: str | None) -> None:
        session = self._session(exchange, response, principal)
        if session is None:
            return
        if not _accepts(exchange.header("accept"), EVENT_STREAM):
            response.respond(406, b"Send Accept: text/event-stream.\n", content_type=TEXT)
        elif not await session.get(exchange.header("last-event-id"), self._subscriptions, response):
            said = b"There is no event of this Last-Event-ID: leave the field out for a new stream.\n"
            response.respond(400, said, content_type=TEXT)

    async def _delete(self, exchange: Exchange, response: Response, principal: str | None) -> None:
        session = self._session(exchange, response, principal)
        if session is not None:
            session.wire.close(0, "deleted")
            with trio.move_on_after(self._settings.limits.close_timeout):  # a handler may take longer to end
                await session.wire.gone.wait()
            response.respond(204, b"", content_type=TEXT)

    def _session(self, exchange: Exchange, response: Response, principal: str | None) -> SessionPeer | None:
        """The session of a GET or DELETE; None when the request has been answered with why there is none."""
        id = exchange.header(SESSION.lower())
        version = exchange.header(VERSION)
        if id is None or version == Revision.MODERN.value:
            said = f"MCP: POST a message, connect a WebSocket, or name your session in {SESSION}.\n"
            response.respond(405, said.encode(), [("Allow", "POST")], content_type=TEXT)
            return None
        if version is not None and version not in _SESSION_VERSIONS:
            response.respond(400, b"Unsupported MCP-Protocol-Version.\n", content_type=TEXT)
            return None
        session = self.sessions.find(id, principal)
        if session is None:
            response.respond(404, b"There is no such session: initialize a new one.\n", content_type=TEXT)
        return session

    def _refuse(
        self,
        response: Response,
        id: str | int | None,
        error: RpcError,
        revision: Revision = Revision.LEGACY,
        *,
        status: int | None = None,
    ) -> None:
        payload = self._dispatch.refuse(id, error, revision)
        response.respond(
            status_of(error, revision) if status is None else status, payload, retry_after(error)
        )


def _ignore() -> None:
    """Nobody is told."""


def address_of(peername: str) -> str:
    """Where a connection comes from, without its port."""
    return peername.rpartition(":")[0] or peername


def _is_json(content_type: str | None) -> bool:
    return content_type is not None and content_type.partition(";")[0].strip().lower() == JSON


def _accepts(accept: str | None, media_type: str) -> bool:
    return accept is None or not {media_type, f"{media_type.partition('/')[0]}/*", "*/*"}.isdisjoint(
        _media_types(accept)
    )


def _prefers_stream(accept: str | None) -> bool:
    """Whether a stream of events is named, and JSON behind it or not at all."""
    named = [each for each in _media_types(accept or "") if each in (JSON, EVENT_STREAM)]
    return named[:1] == [EVENT_STREAM]


def _media_types(accept: str) -> list[str]:
    return [item.partition(";")[0].strip().lower() for item in accept.split(",")]
