"""What a bridge must know of the messages that it carries: which wait for an answer, which subscriptions live, and
what is to be said again on a new connection. Without Trio.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from msgspec import UNSET, Raw

from mcptrio.bridge.params import (
    acknowledged,
    announced_lists,
    read,
    request_id,
    subscription_id,
    text,
)
from mcptrio.protocol import (
    ErrorResponse,
    Failure,
    Notification,
    ProtocolError,
    Request,
    RequestId,
    Response,
    Revision,
    decode,
    encode_error,
    encode_notification,
    encode_request,
    encode_result,
)
from mcptrio.protocol.codec import ACKNOWLEDGED, UPDATED
from mcptrio.protocol.envelope import CAPABILITIES_KEY, SUBSCRIPTION_ID_KEY, VERSION_KEY

CONNECTION_LOST = "connection_lost"
"""`data.reason` of the errors that a bridge answers itself."""

MAX_WAITING = 256
"""Requests that wait while there is no connection; what is beyond is refused at once."""

MAX_ASKED_BACK = 256
"""Requests of the server that may wait for the host's answers."""

WINDOW = 8
"""How many subscriptions are made again at the same time: below what servers refuse as too many."""

PREFIX = "mcptrio-bridge:"
"""How the ids of the bridge's own requests begin."""

Send = Callable[[bytes], None]
_Answer = Response | ErrorResponse
_Then = Callable[[_Answer], None]


class CannotResume(Exception):
    """The server is there, but does not take the host's session up again."""


class _Asked:
    """A request of the host's that the server has."""

    __slots__ = ("method", "params", "uri")

    def __init__(self, method: str, params: Raw | None, uri: str | None) -> None:
        self.method = method
        self.params = params
        self.uri = uri


class _Listen:
    """A `subscriptions/listen` of the host's, which outlives connections. The tuples are what was acknowledged."""

    __slots__ = ("acknowledged", "data", "kinds", "request", "uris")

    def __init__(self, request: Request, data: bytes) -> None:
        self.request = request
        self.data = data
        self.acknowledged = False
        self.uris: tuple[str, ...] = ()
        self.kinds: tuple[str, ...] = ()


class _Session:
    """The host's 2025-11-25 session, as far as it must be made again."""

    __slots__ = ("initialized", "kinds", "level", "params", "uris")

    def __init__(self, params: Raw | None, kinds: tuple[str, ...]) -> None:
        self.params = params
        self.kinds = kinds
        self.initialized = False
        self.level: Raw | None = None
        self.uris: dict[str, None] = {}


class Core:
    """Messages of a host and of a server in, messages to both out, synchronously by `to_host` and `to_server`.

    Every request of the host is answered once, unless it is cancelled: by the server, or with `CONNECTION_LOST` when
    the connection ends first. A listen and a session's subscriptions are made again on the next connection, their
    second confirmations are swallowed, and the host gets one update for each of their URIs (and one change of each
    list), because something may have been missed. What belongs to no request that is open is dropped.
    """

    def __init__(self, to_host: Send, to_server: Send, *, max_waiting: int = MAX_WAITING) -> None:
        self.is_up = False
        """Whether messages of the host go to the server."""
        self._to_host = to_host
        self._to_server = to_server
        self._max_waiting = max_waiting
        self._waiting: dict[RequestId, tuple[Request, bytes]] = {}
        self._asked: dict[RequestId, _Asked] = {}
        self._listens: dict[RequestId, _Listen] = {}
        self._session: _Session | None = None
        self._count = 0
        self._own: dict[RequestId, _Then] = {}
        self._again: deque[str] = deque()
        self._asked_back: dict[str, RequestId] = {}

    @property
    def is_waiting(self) -> bool:
        """Whether the host waits for an answer. That of a listen comes when it ends."""
        return bool(self._waiting) or any(id not in self._listens for id in self._asked)

    # -- connections -----------------------------------------------------------------------------------

    def connected(self, *, probe: bool = False) -> None:
        """There is a new connection. With `probe`, the server must first answer something at all."""
        if probe:
            envelope = {VERSION_KEY: Revision.MODERN.value, CAPABILITIES_KEY: {}}
            self._ask("server/discover", {"_meta": envelope}, lambda answer: self._greet())
        else:
            self._greet()

    def _greet(self) -> None:
        if self._session is None:
            self._resume()
        else:
            self._ask("initialize", self._session.params, self._greeted)

    def _greeted(self, answer: _Answer) -> None:
        session = self._session
        assert session is not None
        if isinstance(answer, ErrorResponse):
            raise CannotResume(f"the server refused to begin again: {answer.error.message}")
        if session.initialized:
            self._to_server(encode_notification("notifications/initialized"))
            if session.level is not None:
                self._ask("logging/setLevel", session.level, _ignore)
            self._again.extend(session.uris)
            for _ in range(WINDOW):
                self._subscribe_again()
            self._lists_changed(session.kinds)
        self._resume()

    def _subscribe_again(self) -> None:
        session = self._session
        while self._again and session is not None:
            uri = self._again.popleft()
            if uri in session.uris:
                self._ask("resources/subscribe", {"uri": uri}, partial(self._subscribed_again, uri))
                return

    def _subscribed_again(self, uri: str, answer: _Answer) -> None:
        self._subscribe_again()
        if self._session is None or uri not in self._session.uris:
            return
        if isinstance(answer, ErrorResponse):
            del self._session.uris[uri]  # the host reads, and learns why
        self._updated(uri)

    def _resume(self) -> None:
        self.is_up = True
        for listen in list(self._listens.values()):
            self._forward(listen.request, listen.data)
        waiting = list(self._waiting.values())
        self._waiting.clear()
        for request, data in waiting:
            self._forward(request, data)

    def lost(self) -> None:
        """The connection has ended, or was never made. Idempotent."""
        self.is_up = False
        self._own.clear()
        self._again.clear()
        asked, self._asked = self._asked, {}
        for id in asked:
            if id not in self._listens:
                self._refuse(id)
        for own in self._asked_back:
            gone = {"requestId": own, "reason": "the connection to the server was lost"}
            self._to_host(encode_notification("notifications/cancelled", gone))
        self._asked_back.clear()

    def missed(self) -> None:
        """What the server tells a session unasked may have been lost, though the connection lives."""
        if self._session is not None and self._session.initialized:
            for uri in self._session.uris:
                self._updated(uri)
            self._lists_changed(self._session.kinds)

    # -- the host --------------------------------------------------------------------------------------

    def host_said(self, data: bytes) -> None:
        """A line of the host's, whatever it is."""
        try:
            message = decode(data)
        except ProtocolError as error:
            self._to_host(encode_error(error.id, error.failure.legacy, error.message))
            return
        if isinstance(message, Request):
            self._host_asks(message, data)
        elif isinstance(message, Notification):
            self._host_notifies(message, data)
        else:
            self._host_answers(message)

    def _host_asks(self, request: Request, data: bytes) -> None:
        id = request.id
        if id in self._asked or id in self._waiting or id in self._listens:
            self._to_host(
                encode_error(id, Failure.INVALID_REQUEST.legacy, "Invalid request: the id is in use")
            )
        elif self.is_up:
            self._forward(request, data)
        elif len(self._waiting) < self._max_waiting:
            self._waiting[id] = (request, data)
        else:
            self._refuse(id)

    def _forward(self, request: Request, data: bytes) -> None:
        uri = None
        if request.method in ("resources/subscribe", "resources/unsubscribe"):
            uri = text(read(request.params), "uri")
            if request.method == "resources/unsubscribe":
                self._unsubscribed(uri)
        elif request.method == "subscriptions/listen" and request.id not in self._listens:
            self._listens[request.id] = _Listen(request, data)
        self._asked[request.id] = _Asked(request.method, request.params, uri)
        self._to_server(data)

    def _unsubscribed(self, uri: str | None) -> None:
        """What is asked for now counts, whatever the answers to earlier requests will say."""
        if self._session is not None and uri is not None:
            self._session.uris.pop(uri, None)
        for asked in self._asked.values():
            if asked.uri == uri:
                asked.uri = None

    def _host_notifies(self, message: Notification, data: bytes) -> None:
        if message.method == "notifications/cancelled":
            id = request_id(read(message.params), "requestId")
            if id is not None:
                self._host_cancels(id, data)
            return
        if message.method == "notifications/initialized" and self._session is not None:
            self._session.initialized = True
        if self.is_up:
            self._to_server(data)

    def _host_cancels(self, id: RequestId, data: bytes) -> None:
        if self._waiting.pop(id, None) is not None:
            return
        self._listens.pop(id, None)
        asked = self._asked.get(id)
        if asked is not None and asked.method != "initialize":
            del self._asked[id]
            self._to_server(data)

    def _host_answers(self, message: _Answer) -> None:
        theirs = self._asked_back.pop(message.id, None) if isinstance(message.id, str) else None
        if theirs is None:
            return  # of a connection that has gone
        if isinstance(message, Response):
            self._to_server(encode_result(theirs, message.result))
        else:
            error = message.error
            details = None if error.data is UNSET else error.data
            self._to_server(encode_error(theirs, error.code, error.message, details))

    # -- the server ------------------------------------------------------------------------------------

    def server_said(self, data: bytes) -> None:
        """A message of the server's.

        Raises:
            ProtocolError: it is none. CannotResume: the connection is no use.
        """
        message = decode(data)
        if isinstance(message, Request):
            self._server_asks(message)
        elif isinstance(message, Notification):
            self._server_notifies(message, data)
        elif message.id is not None:
            self._server_answers(message.id, message, data)

    def _server_answers(self, id: RequestId, message: _Answer, data: bytes) -> None:
        if (then := self._own.pop(id, None)) is not None:
            then(message)
            return
        asked = self._asked.pop(id, None)
        if asked is None:
            return
        self._listens.pop(id, None)
        if isinstance(message, Response):
            self._note(asked, message)
        self._to_host(data)

    def _note(self, asked: _Asked, response: Response) -> None:
        """Remember what a new connection must be told again."""
        if asked.method == "initialize":
            self._session = _Session(asked.params, announced_lists(read(response.result)))
        elif self._session is None:
            pass
        elif asked.method == "resources/subscribe" and asked.uri is not None:
            self._session.uris[asked.uri] = None
        elif asked.method == "logging/setLevel":
            self._session.level = asked.params

    def _server_asks(self, request: Request) -> None:
        if len(self._asked_back) >= MAX_ASKED_BACK:
            self._to_server(
                encode_error(request.id, Failure.INTERNAL.legacy, "Too many requests of the server wait")
            )
            return
        own = self._new_id()
        self._asked_back[own] = request.id
        params = UNSET if request.params is None else request.params
        self._to_host(encode_request(own, request.method, params))

    def _server_notifies(self, message: Notification, data: bytes) -> None:
        if message.method == "notifications/cancelled":
            self._server_cancels(read(message.params), data)
            return
        if message.method == ACKNOWLEDGED:
            params = read(message.params)
            id = subscription_id(params)
            listen = None if id is None else self._listens.get(id)
            if listen is None:
                return
            if listen.acknowledged:
                for uri in listen.uris:
                    self._updated(uri, id)
                self._lists_changed(listen.kinds, id)
                return
            listen.acknowledged = True
            listen.uris, listen.kinds = acknowledged(params)
        self._to_host(data)

    def _server_cancels(self, params: dict[str, object], data: bytes) -> None:
        id = request_id(params, "requestId")
        for own, theirs in self._asked_back.items():
            if theirs == id and type(theirs) is type(id):
                del self._asked_back[own]
                self._to_host(encode_notification("notifications/cancelled", {**params, "requestId": own}))
                return
        if id is not None and self._listens.pop(id, None) is not None:
            self._asked.pop(id, None)
            self._to_host(data)

    # -- what the bridge says itself -------------------------------------------------------------------

    def _new_id(self) -> str:
        self._count += 1
        return f"{PREFIX}{self._count}"

    def _ask(self, method: str, params: object, then: _Then) -> None:
        id = self._new_id()
        self._own[id] = then
        self._to_server(encode_request(id, method, UNSET if params is None else params))

    def _updated(self, uri: str, listen: RequestId | None = None) -> None:
        self._to_host(encode_notification(UPDATED, {"uri": uri, **_tag(listen)}))

    def _lists_changed(self, kinds: tuple[str, ...], listen: RequestId | None = None) -> None:
        for kind in kinds:
            self._to_host(encode_notification(f"notifications/{kind}/list_changed", _tag(listen) or UNSET))

    def _refuse(self, id: RequestId) -> None:
        told = "The connection to the server was lost: try again"
        self._to_host(encode_error(id, Failure.INTERNAL.legacy, told, {"reason": CONNECTION_LOST}))


def _tag(listen: RequestId | None) -> dict[str, object]:
    return {} if listen is None else {"_meta": {SUBSCRIPTION_ID_KEY: listen}}


def _ignore(answer: _Answer) -> None:
    """Whether it is taken or not, the session goes on."""
