"""Dispatch: bytes in, one method of one revision found, its answer out.

Methods that need nobody's code are answered in the reader's own step, so that subscribing, its answer and the place of both in the
order of messages are one decision. The others run as tasks of their peer.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import trio

from mcptrio.access import Access
from mcptrio.log import get_logger
from mcptrio.protocol import (
    Codec,
    ErrorResponse,
    Failure,
    LegacyCodec,
    Message,
    ModernCodec,
    Notification,
    ProtocolError,
    Refusal,
    Request,
    RequestId,
    RequestMeta,
    Response,
    Revision,
    RpcError,
    decode,
    missing_envelope,
    params_type,
    read_meta,
    read_params,
    revision_of,
)
from mcptrio.protocol.envelope import CAPABILITIES_KEY, VERSION_KEY
from mcptrio.protocol.params import CallToolParams, CancelledParams, PageParams
from mcptrio.protocol.results import CallToolResult, Result
from mcptrio.protocol.types import Wire
from mcptrio.server.asking import HEADROOM, Asking, Interview
from mcptrio.server.context import RequestContext
from mcptrio.server.handshake import Handshake
from mcptrio.server.offers import Offers
from mcptrio.server.peer import Answer, Peer
from mcptrio.server.reply import Reply
from mcptrio.server.request_state import RequestStates
from mcptrio.server.rounds import Rounds
from mcptrio.server.settings import ServerSettings
from mcptrio.server.subscriptions import Subscriptions

_log = get_logger("mcptrio.server")

_OPENING = "; send `initialize` first (2025-11-25) or give each request its own envelope (2026-07-28)"

_MAY_ASK = frozenset({"tools/call", "resources/read", "prompts/get"})
"""The methods that 2026-07-28 lets answer with questions. In 2025-11-25 no others need to."""

Now = Callable[..., Result | None]
"""Answers in the reader's step: (peer, id, params, meta) -> the result, or None when it has pushed its own."""

Later = Callable[..., Awaitable[Result]]
"""Answers as a task: (params, context, revision) -> the result."""


class Dispatch:
    """Finds the method of a message and sees to its answer. Counts; keeps nothing else.

    Every request is answered exactly once, but for a cancelled one, which is not answered.
    """

    def __init__(
        self,
        legacy: LegacyCodec,
        modern: ModernCodec,
        handshake: Handshake,
        offers: Offers,
        subscriptions: Subscriptions,
        settings: ServerSettings,
        access: Access | None = None,
    ) -> None:
        self.requests = 0
        self.errors = 0
        self.tool_errors = 0
        self.refused = 0
        self._legacy = legacy
        self._modern = modern
        self._handshake = handshake
        self._subscriptions = subscriptions
        self._settings = settings
        self._access = Access() if access is None else access
        self._states = RequestStates(settings.state_key, settings.question_timeout)
        self._now: dict[tuple[Revision, str], Now] = {
            (Revision.LEGACY, "ping"): lambda peer, id, params, meta: Result(),
            (Revision.LEGACY, "initialize"): lambda peer, id, params, meta: handshake.initialize(
                peer, params
            ),
            (Revision.MODERN, "server/discover"): lambda peer, id, params, meta: handshake.discover(
                meta.client_capabilities or {}
            ),
            (Revision.LEGACY, "logging/setLevel"): lambda peer, id, params, meta: handshake.set_level(
                peer, params
            ),
            (Revision.LEGACY, "resources/subscribe"): lambda peer, id, params, meta: subscriptions.subscribe(
                peer, params, meta
            ),
            (
                Revision.LEGACY,
                "resources/unsubscribe",
            ): lambda peer, id, params, meta: subscriptions.unsubscribe(peer, params),
            (Revision.MODERN, "subscriptions/listen"): subscriptions.listen,
        }
        for revision in Revision:
            self._now |= {
                (revision, "tools/list"): partial(self._list_tools, offers, revision),
                (revision, "resources/templates/list"): lambda peer, id, params, meta: offers.list_templates(
                    params
                ),
                (revision, "prompts/list"): lambda peer, id, params, meta: offers.list_prompts(params),
            }
        self._later: dict[str, Later] = {
            "tools/call": offers.call,
            "resources/list": offers.list_resources,
            "resources/read": offers.read,
            "prompts/get": offers.get_prompt,
            "completion/complete": offers.complete,
        }

    def received(self, peer: Peer, data: bytes) -> None:
        """Take one message of a peer that is its own reply. Synchronous, and raises nothing whatever the bytes are."""
        try:
            message = decode(data)
        except ProtocolError as error:
            # A notification is never answered, not even one whose params are none. Both revisions agree on the
            # codes of what is no message.
            refusal = RpcError.of(error.failure, error.message)
            told = self.refuse(error.id, refusal, Revision.LEGACY)
            if error.failure is not Failure.INVALID_PARAMS or error.id is not None:
                peer.answer(told, refusal)
        else:
            self.take(peer, message, peer)

    def refuse(self, id: RequestId | None, error: RpcError, revision: Revision) -> bytes:
        """The answer to a message that is refused before its method is looked for; it counts as an error."""
        self.errors += 1
        return (self._modern if revision is Revision.MODERN else self._legacy).error(id, error)

    def take(self, peer: Peer, message: Message, reply: Reply) -> None:
        """Take one message of a peer; if it is a request, its answer goes to `reply`. Synchronous, and raises nothing."""
        if type(message) is Request:
            self._request(peer, message, reply)
        elif type(message) is Notification:
            self._notification(peer, message)
        elif type(message) is Response or type(message) is ErrorResponse:
            peer.outstanding.settle(message)

    def _notification(self, peer: Peer, message: Notification) -> None:
        if message.method == "notifications/initialized":
            self._handshake.initialized(peer)
        elif message.method == "notifications/cancelled":
            try:
                id = read_params(message.params, CancelledParams).request_id
            except RpcError as error:
                _log.debug("ignored a malformed cancellation", error=error.message)
                return
            scope = peer.requests.get((type(id), id))
            if scope is not None:
                scope.cancel(reason="cancelled by the client")
            self._subscriptions.cancel(peer, id)

    def _request(self, peer: Peer, request: Request, reply: Reply) -> None:
        self.requests += 1
        codec: Codec = self._legacy
        try:
            meta = read_meta(request.params)
            revision = revision_of(meta)
            codec = self._modern if revision is Revision.MODERN else self._legacy
            self._check_rate(peer)
            self._check_opened(peer, request.method, revision)
            if peer.revision is None and revision is Revision.MODERN:
                peer.introduce(revision, meta.client_info or None)
            params = read_params(request.params, params_type(request.method, revision))
            key = (type(request.id), request.id)
            if key in peer.requests or key in peer.listens:
                raise RpcError.of(
                    Failure.INVALID_REQUEST, "Invalid request: a request with this id is still running"
                )
            if peer.draining:
                raise RpcError.refused(Refusal.SHUTTING_DOWN, "The server is shutting down: connect again")
            now = self._now.get((revision, request.method))
            if now is not None:
                result = now(peer, request.id, params, meta)
                if result is not None:
                    reply.answer(*self._encode(request.id, codec, result))
                return
            self._check_room(peer)
            # Made here and not in the task, so that a cancellation in the same read finds it.
            scope = trio.CancelScope()
            context = self._context(peer, request, meta, reply, codec, scope)
            answer = partial(self._answer, request.id, codec, self._later[request.method], params, context)
            label = (
                f"tools/call {params.name[:128]}" if isinstance(params, CallToolParams) else request.method
            )
            peer.start(key, label, scope, answer, reply)
        except RpcError as error:
            self.errors += 1
            reply.answer(codec.error(request.id, error), error)
        except Exception as error:  # a bug of ours is answered like a handler's: nobody else notices
            told = self._unexpected(error)
            reply.answer(codec.error(request.id, told), told)

    def _context(
        self,
        peer: Peer,
        request: Request,
        meta: RequestMeta,
        reply: Reply,
        codec: Codec,
        scope: trio.CancelScope,
    ) -> RequestContext:
        asking: Asking | None = None
        if codec is self._modern:
            capabilities: Mapping[str, object] = meta.client_capabilities or {}
            level = meta.log_level or None
            if request.method in _MAY_ASK:
                asking = Rounds(request.method, request.params, peer.principal, capabilities, self._states)
        else:
            assert peer.session is not None
            capabilities = peer.session.capabilities
            level = peer.session.level
            if request.method in _MAY_ASK:
                asking = Interview(peer.outstanding, reply, capabilities, self._settings)
        return RequestContext(
            peer,
            reply,
            codec,
            scope,
            meta.progress_token,
            request.params,
            capabilities=capabilities,
            level=level,
            asking=asking,
            largest=self._settings.limits.max_pending - HEADROOM,
        )

    def _check_rate(self, peer: Peer) -> None:
        if self._access.rate is not None:
            wait = self._access.rate.take(peer.principal or peer.address, trio.current_time())
            if wait > 0:
                self.refused += 1
                raise RpcError.refused(
                    Refusal.RATE_LIMITED,
                    f"Too many requests: try again in {wait:.3g} s",
                    retryAfter=math.ceil(wait * 1000) / 1000,
                )

    def _check_opened(self, peer: Peer, method: str, revision: Revision) -> None:
        if revision is Revision.LEGACY and (
            method == "server/discover" or (peer.session is None and method not in ("initialize", "ping"))
        ):
            raise missing_envelope([VERSION_KEY, CAPABILITIES_KEY], _OPENING)

    def _check_room(self, peer: Peer) -> None:
        limit = self._settings.max_requests
        if len(peer.requests) >= limit:
            self.refused += 1
            raise RpcError.refused(
                Refusal.TOO_MANY_REQUESTS,
                f"Too many requests: at most {limit} at once on one connection",
                limit=limit,
            )

    async def _answer(
        self, id: RequestId, codec: Codec, later: Later, params: Wire, context: RequestContext
    ) -> Answer:
        try:
            result = await context.answer(partial(later, params, context, codec.revision))
            if isinstance(result, CallToolResult) and result.is_error is True:
                self.tool_errors += 1
            return self._encode(id, codec, result)
        except RpcError as error:
            self.errors += 1
            return codec.error(id, error), error
        except Exception as error:
            told = self._unexpected(error)
            return codec.error(id, told), told
        finally:
            context.end()

    def _encode(self, id: RequestId, codec: Codec, result: Result) -> Answer:
        payload = codec.result(id, result)
        limit = self._settings.limits.max_pending - HEADROOM
        if len(payload) <= limit:
            return payload, None
        self.errors += 1
        refusal = RpcError.refused(
            Refusal.RESULT_TOO_LARGE,
            f"The result has {len(payload)} bytes, at most {limit} can be sent",
            limit=limit,
        )
        return codec.error(id, refusal), refusal

    def _unexpected(self, error: Exception) -> RpcError:
        self.errors += 1
        correlation = secrets.token_hex(8)
        _log.error("request failed", correlation_id=correlation, exc_info=error)
        return RpcError.of(Failure.INTERNAL, "Internal error", data={"correlationId": correlation})

    @staticmethod
    def _list_tools(
        offers: Offers,
        revision: Revision,
        peer: Peer,
        id: RequestId,
        params: PageParams,
        meta: RequestMeta,
    ) -> Result:
        return offers.list_tools(params, revision)
