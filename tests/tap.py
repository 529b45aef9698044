"""A tap on every server of the test process: what it sends is judged as it is sent.

Each frame validates against the official schema of its revision (the schemas in tests/data are the official ones,
unchanged), and each belongs where it is: an answer to a request that is still open and was not cancelled, a
notification that somebody subscribed, inside the life of its subscription. The tap listens to both directions.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import jsonschema_rs

from mcptrio.protocol import Message, Notification, ProtocolError, Request, Revision, decode
from mcptrio.protocol.envelope import CAPABILITIES_KEY, LOG_LEVEL_KEY, SUBSCRIPTION_ID_KEY, VERSION_KEY
from mcptrio.wire import text_frame
from mcptrio.wire.sse import event_frame, unchunk
from tests.extension.judge import CHANGE, SUBSCRIPTIONS, Chains

SCHEMAS = {
    revision: json.loads((Path(__file__).parent / "data" / f"schema-{revision.value}.json").read_text())
    for revision in Revision
}

RESULTS = {
    "initialize": "InitializeResult",
    "ping": "EmptyResult",
    "server/discover": "DiscoverResult",
    "tools/list": "ListToolsResult",
    "tools/call": "CallToolResult",
    "resources/list": "ListResourcesResult",
    "resources/templates/list": "ListResourceTemplatesResult",
    "resources/read": "ReadResourceResult",
    "resources/subscribe": "EmptyResult",
    "resources/unsubscribe": "EmptyResult",
    "subscriptions/listen": "SubscriptionsListenResult",
    "prompts/list": "ListPromptsResult",
    "prompts/get": "GetPromptResult",
    "completion/complete": "CompleteResult",
    "logging/setLevel": "EmptyResult",
}

NOTIFICATIONS = {
    "notifications/progress": "ProgressNotification",
    "notifications/message": "LoggingMessageNotification",
    "notifications/cancelled": "CancelledNotification",
    "notifications/resources/updated": "ResourceUpdatedNotification",
    "notifications/resources/list_changed": "ResourceListChangedNotification",
    "notifications/tools/list_changed": "ToolListChangedNotification",
    "notifications/prompts/list_changed": "PromptListChangedNotification",
    "notifications/subscriptions/acknowledged": "SubscriptionsAcknowledgedNotification",
}

QUESTIONS = {
    "elicitation/create": "ElicitRequest",
    "sampling/createMessage": "CreateMessageRequest",
    "roots/list": "ListRootsRequest",
}

CODES = {-32700, -32600, -32601, -32602, -32603, -32020, -32021, -32022}
"""Of both revisions; the older one has -32002 beside them."""

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")

Key = tuple[type, object]


def _refuse(uri: str) -> NoReturn:
    raise AssertionError(f"the schema refers outside: {uri}")


@functools.cache
def validator(revision: Revision, definition: str) -> jsonschema_rs.Validator:
    """The validator of one definition of a revision's schema."""
    schema = {**SCHEMAS[revision], "$ref": f"#/$defs/{definition}"}
    return jsonschema_rs.validator_for(schema, retriever=_refuse, validate_formats=True)


def expect_valid(message: object, revision: Revision, definition: str) -> None:
    """Fail unless a message is what a definition says."""
    errors = [
        f"{error.message} at {list(error.instance_path)}"
        for error in validator(revision, definition).iter_errors(message)
    ]
    assert not errors, f"not a {definition} of {revision.value}: {message}: {errors}"


def _refuse_constant(word: str) -> object:
    raise AssertionError(f"{word} is no JSON")


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _members(raw: bytes) -> dict[str, object]:
    try:
        return _mapping(json.loads(raw))
    except RecursionError:  # deeper than this reader goes, not than the server's
        return {}


@dataclass
class _Asked:
    """A request that was not answered yet, and what its client wants and can be asked."""

    method: str
    revision: Revision
    params: dict[str, object]
    level: object = None
    capabilities: dict[str, object] = field(default_factory=dict)

    def wants(self, level: object) -> bool:
        """Whether the client is to hear of log messages of a level."""
        levels = (self.level, level)
        return all(each in LEVELS for each in levels) and LEVELS.index(self.level) <= LEVELS.index(level)

    def can_be_asked(self, question: dict[str, object]) -> bool:
        """Whether the client has declared that it answers such a question."""
        params = _mapping(question.get("params"))
        if question["method"] == "roots/list":
            return "roots" in self.capabilities
        if question["method"] == "sampling/createMessage":
            sampling = self.capabilities.get("sampling")
            return isinstance(sampling, dict) and ("tools" not in params or "tools" in sampling)
        forms, mode = self.capabilities.get("elicitation"), params.get("mode", "form")
        return isinstance(forms, dict) and (mode in forms or (mode == "form" and not forms))


@dataclass
class Conversation:
    """One connection's messages, as the tap sees them."""

    checked: Counter[str] = field(default_factory=Counter)
    _open: dict[Key, list[_Asked]] = field(default_factory=dict)
    _listens: dict[Key, dict[str, object]] = field(default_factory=dict)
    _subscribed: set[object] = field(default_factory=set)
    _initialized: bool = False
    _level: object = None
    _capabilities: dict[str, object] = field(default_factory=dict)
    _questions: set[object] = field(default_factory=set)
    _chains: Chains = field(default_factory=Chains)

    def received(self, data: bytes) -> None:
        """Remember what could not be read, and is answered all the same."""
        try:
            decode(data)
        except ProtocolError as error:
            # It is answered with an error, under its id where that could be read; else nothing is open.
            if error.id is not None:
                self._asked(error.id, _Asked("", Revision.LEGACY, {}))

    def took(self, message: Message) -> None:
        """Remember what the client asks, so that the answer can be judged."""
        if not isinstance(message, Request | Notification):
            self._questions.discard(message.id)
            return
        params = {} if message.params is None else _members(bytes(message.params))
        if isinstance(message, Notification):
            self._told(message.method, params)
        else:
            meta = _mapping(params.get("_meta"))
            asked = _Asked(message.method, Revision.LEGACY, params, self._level, self._capabilities)
            if VERSION_KEY in meta:
                capabilities = _mapping(meta.get(CAPABILITIES_KEY))
                asked = _Asked(message.method, Revision.MODERN, params, meta.get(LOG_LEVEL_KEY), capabilities)
            self._asked(message.id, asked)

    def _asked(self, id: str | int, asked: _Asked) -> None:
        self._open.setdefault((type(id), id), []).append(asked)

    def _told(self, method: str, params: dict[str, object]) -> None:
        if method == "notifications/initialized":
            self._initialized = True
        elif method == "notifications/cancelled":
            id = params.get("requestId")
            if not isinstance(id, str | int):
                return
            # Whatever is open under this id may not be answered any more: a later answer finds nothing to answer.
            self._open.pop((type(id), id), None)
            self._listens.pop((type(id), id), None)
            self._chains.end((type(id), id))

    @staticmethod
    def _token(asked: _Asked) -> Key:
        token = _mapping(asked.params.get("_meta")).get("progressToken")
        return (type(token), token if isinstance(token, str | int) else None)

    def _answered(self, id: object, *, newest: bool) -> _Asked | None:
        asked = self._open.get((type(id), id), [])
        if not asked:
            return None
        # A second request with the id of a running one is refused at once; the first keeps running.
        found = asked.pop(-1 if newest else 0)
        if not asked:
            del self._open[type(id), id]
        return found

    def sent(self, data: bytes) -> None:
        """Judge a message of the server."""
        message = json.loads(str(data, "utf-8"), parse_constant=_refuse_constant)
        assert message["jsonrpc"] == "2.0"
        if "method" in message and "id" in message:
            self._question(message)
        elif "method" in message:
            self._notification(message)
        elif "error" in message:
            self._error(message)
        else:
            self._result(message)

    def _question(self, message: dict[str, object]) -> None:
        """A request of the server's: only in the older revision, and only while a request of the client's runs."""
        method, id = message["method"], message["id"]
        assert isinstance(method, str)
        assert method in QUESTIONS, f"not a question of ours: {message}"
        expect_valid(message, Revision.LEGACY, QUESTIONS[method])
        running = [asked for asked in self._running() if asked.revision is Revision.LEGACY]
        assert running, f"belongs to nothing: {message}"
        assert any(asked.can_be_asked(message) for asked in running), f"was not declared: {message}"
        assert id not in self._questions, f"asked twice: {message}"
        self._questions.add(id)
        self.checked[QUESTIONS[method]] += 1

    def _running(self) -> list[_Asked]:
        return [asked for each in self._open.values() for asked in each]

    def _notification(self, message: dict[str, object]) -> None:
        method = message["method"]
        assert isinstance(method, str)
        params = _mapping(message.get("params", {}))
        tag = _mapping(params.get("_meta")).get(SUBSCRIPTION_ID_KEY)
        assert method in NOTIFICATIONS, f"not a notification of ours: {message}"
        definition = NOTIFICATIONS[method]
        about = self._about(method, params)
        modern = tag is not None or any(asked.revision is Revision.MODERN for asked in about)
        expect_valid(message, Revision.MODERN if modern else Revision.LEGACY, definition)
        if method in ("notifications/progress", "notifications/message"):
            assert about, f"of no running request that wants it: {message}"
        elif method == "notifications/cancelled":
            assert params["requestId"] in self._questions, f"takes back what is not open: {message}"
            self._questions.discard(params["requestId"])
        elif tag is None:
            self._for_session(method, params)
        else:
            self._for_listen(method, params, (type(tag), tag))
        self.checked[definition] += 1

    def _about(self, method: str, params: dict[str, object]) -> list[_Asked]:
        """The running requests that a report or a log message may belong to."""
        if method == "notifications/progress":
            token = params.get("progressToken")
            return [asked for asked in self._running() if self._token(asked) == (type(token), token)]
        if method == "notifications/message":
            return [asked for asked in self._running() if asked.wants(params.get("level"))]
        return []

    def _for_session(self, method: str, params: dict[str, object]) -> None:
        change = _mapping(params.get("_meta")).get(CHANGE)
        if change is not None:
            self._chains.told(None, params["uri"], change)
        elif method == "notifications/resources/updated":
            assert params["uri"] in self._subscribed, f"not subscribed: {params}"
        else:
            assert self._initialized, f"{method} before `notifications/initialized`"

    def _for_listen(self, method: str, params: dict[str, object], key: Key) -> None:
        if method == "notifications/subscriptions/acknowledged":
            assert key not in self._listens, f"acknowledged twice: {params}"
            asked = self._open.get(key, [])
            assert asked and asked[0].method == "subscriptions/listen", f"acknowledges no listen: {params}"
            honoured = _mapping(params["notifications"])
            wanted = _mapping(asked[0].params["notifications"])
            for kind, value in honoured.items():
                if kind == SUBSCRIPTIONS:
                    self._chains.begin_all(key, value, wanted[kind], asked[0].capabilities)
                elif isinstance(value, list):
                    # Neither is anything added nor the order changed.
                    rest = iter(dict.fromkeys(wanted[kind]))  # type: ignore[call-overload]
                    assert all(uri in rest for uri in value), f"not what was asked for: {params}"
                else:
                    assert value is True and wanted[kind] is True, f"not what was asked for: {params}"
            self._listens[key] = honoured
            return
        assert key in self._listens, f"before the acknowledgement or after the end: {method} {params}"
        honoured = self._listens[key]
        change = _mapping(params["_meta"]).get(CHANGE)
        if change is not None:
            self._chains.told(key, params["uri"], change)
        elif method == "notifications/resources/updated":
            assert params["uri"] in honoured.get("resourceSubscriptions", ()), f"not asked for: {params}"  # type: ignore[operator]
        else:
            kind = method.split("/")[1]
            assert honoured.get(f"{kind}ListChanged") is True, f"not asked for: {method} {params}"

    def _error(self, message: dict[str, object]) -> None:
        assert "id" not in message or message["id"] is not None, "an id that could not be read is left out"
        asked = self._answered(message.get("id"), newest=True)
        revision = Revision.LEGACY if asked is None else asked.revision
        expect_valid(message, revision, "JSONRPCErrorResponse")
        code = _mapping(message["error"])["code"]
        allowed = CODES | {-32002} if revision is Revision.LEGACY else CODES
        assert code in allowed, f"{code} is no code of {revision.value}"
        self.checked["JSONRPCErrorResponse"] += 1

    def _result(self, message: dict[str, object]) -> None:
        id = message["id"]
        asked = self._answered(id, newest=False)
        assert asked is not None, f"answers nothing that is open: {message}"
        expect_valid(message, asked.revision, "JSONRPCResultResponse")
        definition = RESULTS[asked.method]
        if _mapping(message["result"]).get("resultType") == "input_required":
            assert asked.method in ("tools/call", "resources/read", "prompts/get"), f"may not ask: {message}"
            definition = "InputRequiredResult"
            for question in _mapping(_mapping(message["result"]).get("inputRequests")).values():
                assert asked.can_be_asked(_mapping(question)), f"was not declared: {message}"
        expect_valid(message["result"], asked.revision, definition)
        result = _mapping(message["result"])
        if asked.revision is Revision.MODERN:
            meta = _mapping(result.get("_meta"))
            assert "io.modelcontextprotocol/serverInfo" in meta, f"no serverInfo: {message}"
        else:
            assert "resultType" not in result, f"the older revision knows no resultType: {message}"
        if asked.method == "subscriptions/listen":
            assert self._listens.pop((type(id), id), None) is not None, f"ended unacknowledged: {message}"
            self._chains.end((type(id), id))
        elif asked.method == "initialize":
            self._capabilities, self._level = _mapping(asked.params["capabilities"]), "info"
        elif asked.method == "logging/setLevel":
            self._level = asked.params["level"]
        elif asked.method == "resources/subscribe":
            honoured = _mapping(result.get("_meta")).get(SUBSCRIPTIONS)
            if honoured is None:
                self._subscribed.add(asked.params["uri"])
            else:
                wanted = _mapping(asked.params["_meta"])[SUBSCRIPTIONS]
                self._chains.begin(None, honoured, wanted, self._capabilities)
        elif asked.method == "resources/unsubscribe":
            self._subscribed.discard(asked.params["uri"])
            self._chains.unsubscribe(None, asked.params["uri"])
        self.checked[definition] += 1


def framed(frames: Sequence[bytes], frame: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """The texts of messages that were made ready by a peer's `frame`: for a WebSocket, an event stream, or as they are."""
    if frame is text_frame:
        yield from payloads(b"".join(frames))
    elif frame is event_frame:
        for each in unchunk(b"".join(frames)).split(b"\n\n")[:-1]:
            assert each.startswith(b"data: ") and b"\n" not in each, f"one line of data per event: {each!r}"
            yield each.removeprefix(b"data: ")
    else:
        for each in frames:
            yield from each.splitlines()


def payloads(frames: bytes) -> Iterator[bytes]:
    """The texts in a run of whole, unmasked text frames."""
    while frames:
        assert frames[0] == 0x81, "one unfragmented text frame per message"
        size, head = frames[1], 2
        if size == 126:
            size, head = int.from_bytes(frames[2:4], "big"), 4
        elif size == 127:
            size, head = int.from_bytes(frames[2:10], "big"), 10
        assert head + size <= len(frames), "a whole frame"
        yield frames[head : head + size]
        frames = frames[head + size :]
