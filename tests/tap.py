"""A tap on every server of the test process: what it sends validates against the official schema of its revision.

The schemas in tests/data are the official ones, unchanged. A response is judged by the method of the request that it
answers, so the tap listens to both directions.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import jsonschema_rs

from mcptrio.protocol import Revision
from mcptrio.protocol.envelope import SUBSCRIPTION_ID_KEY, VERSION_KEY

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
}

NOTIFICATIONS = {
    "notifications/progress": "ProgressNotification",
    "notifications/resources/updated": "ResourceUpdatedNotification",
    "notifications/resources/list_changed": "ResourceListChangedNotification",
    "notifications/tools/list_changed": "ToolListChangedNotification",
    "notifications/prompts/list_changed": "PromptListChangedNotification",
    "notifications/subscriptions/acknowledged": "SubscriptionsAcknowledgedNotification",
}


def _refuse(uri: str) -> object:
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


class Conversation:
    """One connection's messages, as the tap sees them."""

    def __init__(self) -> None:
        self._requests: dict[tuple[type, object], tuple[str, Revision]] = {}
        self._listens: set[tuple[type, object]] = set()
        self.checked: Counter[str] = Counter()

    def received(self, data: bytes) -> None:
        """Remember a request of the client, so that its answer can be judged. Nonsense is none of ours."""
        try:
            message = json.loads(data)
            id, method = message["id"], message["method"]
            modern = VERSION_KEY in (message.get("params") or {}).get("_meta", {})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return
        if isinstance(id, str | int) and isinstance(method, str):
            revision = Revision.MODERN if modern else Revision.LEGACY
            self._requests.setdefault((type(id), id), (method, revision))

    def sent(self, data: bytes) -> None:
        """Judge a message of the server."""
        message = json.loads(data)
        assert message["jsonrpc"] == "2.0"
        if "method" in message:
            self._notification(message)
        elif "error" in message:
            self._error(message)
        else:
            self._result(message)

    def _notification(self, message: dict[str, object]) -> None:
        method = message["method"]
        assert isinstance(method, str)
        assert "id" not in message, f"the server sends no requests: {message}"
        params = message.get("params", {})
        assert isinstance(params, dict)
        tag = params.get("_meta", {}).get(SUBSCRIPTION_ID_KEY)
        revision = Revision.LEGACY if tag is None else Revision.MODERN
        definition = NOTIFICATIONS[method]
        expect_valid(message, revision, definition)
        if tag is not None:
            key = (type(tag), tag)
            if method == "notifications/subscriptions/acknowledged":
                assert key not in self._listens, f"acknowledged twice: {message}"
                self._listens.add(key)
            assert key in self._listens, f"before the acknowledgement or after the end: {message}"
        self.checked[definition] += 1

    def _error(self, message: dict[str, object]) -> None:
        id = message.get("id")
        revision = self._requests.pop((type(id), id), ("", Revision.LEGACY))[1]
        expect_valid(message, revision, "JSONRPCErrorResponse")
        error = message["error"]
        assert isinstance(error, dict)
        code = error["code"]
        allowed = {-32700, -32600, -32601, -32602, -32603, -32021, -32022}
        if revision is Revision.LEGACY:
            allowed |= {-32002}
        assert code in allowed, f"{code} is no code of {revision.value}"
        self.checked["JSONRPCErrorResponse"] += 1

    def _result(self, message: dict[str, object]) -> None:
        id = message["id"]
        method, revision = self._requests.pop((type(id), id))
        expect_valid(message, revision, "JSONRPCResultResponse")
        definition = RESULTS[method]
        expect_valid(message["result"], revision, definition)
        if revision is Revision.MODERN:
            result = message["result"]
            assert isinstance(result, dict)
            assert "io.modelcontextprotocol/serverInfo" in result["_meta"], f"no serverInfo: {message}"
        if method == "subscriptions/listen":
            self._listens.discard((type(id), id))
        self.checked[definition] += 1


def payloads(frames: bytes) -> Iterator[bytes]:
    """The texts in a run of whole, unmasked text frames."""
    while frames:
        assert frames[0] == 0x81, "one unfragmented text frame per message"
        size, head = frames[1], 2
        if size == 126:
            size, head = int.from_bytes(frames[2:4], "big"), 4
        elif size == 127:
            size, head = int.from_bytes(frames[2:10], "big"), 10
        yield frames[head : head + size]
        frames = frames[head + size :]
