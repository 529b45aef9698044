"""What a bridge must know of the messages that it carries: which wait for an answer, which subscriptions live, and
what is to be said again on a new connection. Without Trio.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import UNSET, Raw

from mcptrio.bridge import extension, telling
from mcptrio.bridge.label import Label
from mcptrio.bridge.listen import Listen
from mcptrio.bridge.params import announced_lists, read, request_id, subscription_id, text
from mcptrio.bridge.renewal import Answer, Renewal
from mcptrio.bridge.session import Session
from mcptrio.bridge.telling import LOST, REFUSED
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
from mcptrio.protocol.envelope import CAPABILITIES_KEY, VERSION_KEY

MAX_WAITING = 256
"""Requests that wait while there is no connection; what is beyond is refused at once."""

MAX_ASKED_BACK = 256
"""Requests of the server that may wait for the host's answers."""

PREFIX = "mcptrio-bridge:"
"""How the ids of the bridge's own requests begin."""

Send = Callable[[bytes], None]


class CannotResume(Exception):
    """The server is there, but does not take the host's session up again."""


class _Asked:
    """A request of the host's that the server has. `uri` and `label` are what it subscribes, if it does."""

    __slots__ = ("label", "method", "params", "uri")

    def __init__(self, method: str, params: Raw | None, uri: str | None, label: Label | None) -> None:
        self.method = method
        self.params = params
        self.uri = uri
        self.label = label


class Core:
    """Messages of a host and of a server in, messages to both out, synchronously by `to_host` and `to_server`.

    Every request of the host is answered once, unless it is cancelled: by the server, or with `CONNECTION_LOST` when
    the connection ends first. A listen and a session's subscriptions are made again on the next connection, their
    second confirmations are swallowed, and the host gets one update for each of their URIs (and one change of each
    list), because something may have been missed. Labelled subscriptions of `io.mcptrio/live` go on from what the host
    was told last. What belongs to no request that is open is dropped.
    """

    def __init__(self, to_host: Send, to_server: Send, *, max_waiting: int = MAX_WAITING) -> None:
        self.is_up = False
        """Whether messages of the host go to the server."""
        self._to_host = to_host
        self._to_server = to_server
        self._max_waiting = max_waiting
        self._waiting: dict[RequestId, tuple[Request, bytes]] = {}
        self._asked: dict[RequestId, _Asked] = {}
        self._listens: dict[RequestId, Listen] = {}
        self._session: Session | None = None
        self._count = 0
        self._own: dict[RequestId, Callable[[Answer], None]] = {}
        self._renewal: Renewal | None = None
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

    def _greeted(self, answer: Answer) -> None:
        session = self._session
        assert session is not None
        if isinstance(answer, ErrorResponse):
            raise CannotResume(f"the server refused to begin again: {answer.error.message}")
        if session.initialized:
            self._to_server(encode_notification("notifications/initialized"))
            if session.level is not None:
                self._ask("logging/setLevel", session.level, _ignore)
            self._renewal = Renewal(session, self._ask, self._to_host, self._forward_waiting)
            self._lists_changed(session.kinds)
        self._resume()

    def _resume(self) -> None:
        self.is_up = True
        for listen in list(self._listens.values()):
            self._forward(listen.request, listen.again())
        self._forward_waiting()

    def _forward_waiting(self) -> None:
        waiting = list(self._waiting.values())
        self._waiting.clear()
        for request, data in waiting:
            if self._renewal is not None and self._renewal.holds(request):
                self._waiting[request.id] = (request, data)
            else:
                self._forward(request, data)

    def lost(self) -> None:
        """The connection has ended, or was never made. Idempotent."""
        self.is_up = False
        self._own.clear()
        self._renewal = None
        asked, self._asked = self._asked, {}
        for id in asked:
            if id not in self._listens:
                self._refuse(id)
        for own in self._asked_back:
            gone = {"requestId": own, "reason": "the connection to the server was lost"}
            self._to_host(encode_notification("notifications/cancelled", gone))
        self._asked_back.clear()
        for label in () if self._session is None else self._session.lost():
            self._to_host(telling.gap(label, LOST))

    def missed(self) -> None:
        """What the server tells a session unasked may have been lost, though the connection lives."""
        if self._session is not None and self._session.initialized:
            for uri in self._session.uris:
                self._to_host(telling.updated(uri))
            for label in self._session.labels.values():
                self._to_host(telling.gap(label, LOST))
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
        elif self.is_up and (self._renewal is None or not self._renewal.holds(request)):
            self._forward(request, data)
        elif len(self._waiting) < self._max_waiting:
            self._waiting[id] = (request, data)
        else:
            self._refuse(id)

    def _forward(self, request: Request, data: bytes) -> None:
        uri, label = None, None
        if request.method == "resources/subscribe":
            uri = text(read(request.params), "uri")
            asked = extension.subscribed(request.params)
            if asked is not None and uri is not None and self._session is not None:
                label = self._session.asking[asked[0].label] = Label(*asked, uri)
        elif request.method == "resources/unsubscribe":
            self._unsubscribed(text(read(request.params), "uri"))
        elif request.method == "subscriptions/listen" and request.id not in self._listens:
            self._listens[request.id] = Listen(request, data)
        self._asked[request.id] = _Asked(request.method, request.params, uri, label)
        self._to_server(data)

    def _unsubscribed(self, uri: str | None) -> None:
        """What is asked for now counts, whatever the answers to earlier requests will say."""
        if self._session is not None and uri is not None:
            self._session.forget(uri)
        for asked in self._asked.values():
            if asked.uri == uri or (asked.label is not None and asked.label.is_meant_by(uri)):
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
            self._settled(asked)
            self._to_server(data)

    def _host_answers(self, message: Answer) -> None:
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

    def _server_answers(self, id: RequestId, message: Answer, data: bytes) -> None:
        if (then := self._own.pop(id, None)) is not None:
            then(message)
            return
        asked = self._asked.pop(id, None)
        if asked is None:
            return
        self._listens.pop(id, None)
        self._settled(asked)
        if isinstance(message, Response):
            self._note(asked, message)
        self._to_host(data)

    def _settled(self, asked: _Asked) -> None:
        """It is answered or cancelled."""
        label, session = asked.label, self._session
        if label is not None and session is not None and session.asking.get(label.name) is label:
            del session.asking[label.name]

    def _note(self, asked: _Asked, response: Response) -> None:
        """Remember what a new connection must be told again."""
        if asked.method == "initialize":
            if self._session is not None:
                self._session.uris.clear()  # it is no more, whatever is asked for it now
                self._session.labels.clear()
            self._session = Session(asked.params, announced_lists(read(response.result)))
        elif self._session is None:
            pass
        elif asked.method == "resources/subscribe" and asked.uri is not None:
            honoured = None if asked.label is None else extension.answered(response.result)
            if asked.label is not None and honoured is not None:
                asked.label.acknowledged(honoured)
                self._session.labels[asked.label.name] = asked.label
            else:
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
            self._acknowledged(message, data)
            return
        if message.method == UPDATED and (change := extension.delivered(message.params)) is not None:
            self._delivered(change)
        self._to_host(data)

    def _acknowledged(self, message: Notification, data: bytes) -> None:
        params = read(message.params)
        id = subscription_id(params)
        listen = None if id is None else self._listens.get(id)
        if listen is None:
            return
        honoured = extension.acknowledged(message.params)
        if not listen.acknowledged:
            listen.acknowledge(params, honoured)
            self._to_host(data)
            return
        for uri in listen.uris:
            self._to_host(telling.updated(uri, id))
        self._lists_changed(listen.kinds, id)
        for name, label in listen.labels.items():
            if name in honoured:
                label.acknowledged(honoured[name])
            else:
                self._to_host(telling.gap(label, REFUSED, id))

    def _delivered(self, change: extension.Delivery) -> None:
        """The host is sent this: a connection after this one goes on from there."""
        if change.listen is None:
            if self._session is not None:
                self._session.delivered(change.label, change.offset)
        elif (listen := self._listens.get(change.listen)) is not None and change.label in listen.labels:
            listen.labels[change.label].delivered(change.offset)

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

    def _ask(self, method: str, params: object, then: Callable[[Answer], None]) -> None:
        id = self._new_id()
        self._own[id] = then
        self._to_server(encode_request(id, method, UNSET if params is None else params))

    def _lists_changed(self, kinds: tuple[str, ...], listen: RequestId | None = None) -> None:
        for kind in kinds:
            self._to_host(telling.list_changed(kind, listen))

    def _refuse(self, id: RequestId) -> None:
        self._to_host(telling.connection_lost(id))


def _ignore(answer: Answer) -> None:
    """Whether it is taken or not, the session goes on."""
