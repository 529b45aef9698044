"""The two codecs: what a revision wants around the same results, errors and notifications.

The modern revision marks every result with its type and with who answered, gives six of them cache hints,
and tags what belongs to a
`subscriptions/listen` with its id. Codecs turn values into JSON and know nothing of who receives it.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from mcptrio.protocol.envelope import SERVER_INFO_KEY, SUBSCRIPTION_ID_KEY
from mcptrio.protocol.errors import RpcError
from mcptrio.protocol.extension import CHANGE_KEY
from mcptrio.protocol.jsonrpc import RequestId, encode_error, encode_notification, encode_result
from mcptrio.protocol.params import ProgressParams, SubscriptionFilter
from mcptrio.protocol.questions import InputRequiredResult, LogParams
from mcptrio.protocol.results import CacheableResult, Result
from mcptrio.protocol.revision import Revision
from mcptrio.protocol.types import Implementation, Object

UPDATED = "notifications/resources/updated"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
_CHANGED = f'{{"jsonrpc":"2.0","method":"{UPDATED}","params":{{"uri":'.encode()
_TAG = f',"_meta":{{"{SUBSCRIPTION_ID_KEY}":'.encode()
_CHANGE = f'"{CHANGE_KEY}":'.encode()
PROGRESS = "notifications/progress"
LOG = "notifications/message"


class Codec:
    """What both revisions share; `LegacyCodec` is exactly this."""

    revision = Revision.LEGACY

    def result(self, id: RequestId, result: Result) -> bytes:
        """A response. The result belongs to the codec from here on: it may be completed in place."""
        if isinstance(result, CacheableResult):
            # The older revision knows no cache hints.
            result.ttl_ms = result.cache_scope = UNSET
        return encode_result(id, result)

    def error(self, id: RequestId | None, error: RpcError) -> bytes:
        """An error response with the revision's code."""
        return encode_error(id, error.code_in(self.revision), error.message, error.data)

    def progress(self, params: ProgressParams) -> bytes:
        """`notifications/progress`."""
        return encode_notification(PROGRESS, params)

    def log(self, params: LogParams) -> bytes:
        """`notifications/message`."""
        return encode_notification(LOG, params)


class LegacyCodec(Codec):
    """2025-11-25: results are free-form; notifications are the session's."""

    def updated(self, uri: str) -> bytes:
        """`notifications/resources/updated`."""
        return encode_notification(UPDATED, {"uri": uri})

    def changed(self, uri: bytes, change: bytes) -> bytes:
        """The same, with what the extension adds; both are JSON already, for many are told of one change."""
        return b"".join((_CHANGED, uri, b',"_meta":{', _CHANGE, change, b"}}}"))

    def list_changed(self, kind: str) -> bytes:
        """`notifications/{kind}/list_changed`."""
        return encode_notification(f"notifications/{kind}/list_changed")


class ModernCodec(Codec):
    """2026-07-28: every result carries `resultType` and the server's identity, every notification of a listen
    its id.
    """

    revision = Revision.MODERN

    def __init__(self, server_info: Implementation) -> None:
        # Encoded once: it goes into every result.
        self._server_info = msgspec.Raw(msgspec.json.encode(server_info))

    def result(self, id: RequestId, result: Result) -> bytes:
        result.result_type = "input_required" if isinstance(result, InputRequiredResult) else "complete"
        if isinstance(result, CacheableResult):
            if result.ttl_ms is UNSET:
                result.ttl_ms = 0
            if result.cache_scope is UNSET:
                result.cache_scope = "private"
        meta: Object = {SERVER_INFO_KEY: self._server_info}
        result.meta = meta if result.meta is UNSET else {**result.meta, **meta}
        return encode_result(id, result)

    def updated(self, uri: str, subscription: RequestId) -> bytes:
        """`notifications/resources/updated` of one listen."""
        return encode_notification(UPDATED, {"uri": uri, "_meta": {SUBSCRIPTION_ID_KEY: subscription}})

    def changed(self, uri: bytes, change: bytes, subscription: RequestId) -> bytes:
        """The same, with what the extension adds; both are JSON already, for many are told of one change."""
        id = msgspec.json.encode(subscription)
        return b"".join((_CHANGED, uri, _TAG, id, b",", _CHANGE, change, b"}}}"))

    def list_changed(self, kind: str, subscription: RequestId) -> bytes:
        """`notifications/{kind}/list_changed` of one listen."""
        return encode_notification(
            f"notifications/{kind}/list_changed", {"_meta": {SUBSCRIPTION_ID_KEY: subscription}}
        )

    def acknowledged(self, honoured: SubscriptionFilter, subscription: RequestId) -> bytes:
        """`notifications/subscriptions/acknowledged`: the first message of a listen."""
        return encode_notification(
            ACKNOWLEDGED, {"notifications": honoured, "_meta": {SUBSCRIPTION_ID_KEY: subscription}}
        )

    def listen_ended(self, id: RequestId) -> bytes:
        """The final result of a listen that the server ends."""
        return self.result(id, Result(meta={SUBSCRIPTION_ID_KEY: id}))
