"""What a bridge tells its host by itself."""

from __future__ import annotations

from msgspec import UNSET

from mcptrio.bridge.label import Label
from mcptrio.protocol import Failure, RequestId, encode_error, encode_notification
from mcptrio.protocol.codec import UPDATED
from mcptrio.protocol.envelope import SUBSCRIPTION_ID_KEY
from mcptrio.protocol.extension import CHANGE_KEY, GAP
from mcptrio.protocol.types import Object

CONNECTION_LOST = "connection_lost"
"""`data.reason` of the errors that a bridge answers itself."""

LOST = "history"
"""Why there is a gap: what was sent may have been lost on the way."""

REFUSED = "refused"
"""Why there is a gap: the server does not honour the subscription any more."""


def updated(uri: str, listen: RequestId | None = None) -> bytes:
    """Something of this resource may have been missed."""
    return encode_notification(UPDATED, {"uri": uri, **_tag(listen)})


def list_changed(kind: str, listen: RequestId | None = None) -> bytes:
    """A change of this list may have been missed."""
    return encode_notification(f"notifications/{kind}/list_changed", _tag(listen) or UNSET)


def gap(label: Label, reason: str, listen: RequestId | None = None) -> bytes:
    """Something of this label may have been missed. Its number stays: what the server goes on with follows it."""
    number = label.number
    change = {"label": label.name, "kind": GAP, "offset": number, "prev": number, "reason": reason}
    tag = {} if listen is None else {SUBSCRIPTION_ID_KEY: listen}
    return encode_notification(UPDATED, {"uri": label.uri, "_meta": {**tag, CHANGE_KEY: change}})


def connection_lost(id: RequestId) -> bytes:
    """Nobody knows whether the request was carried out."""
    told = "The connection to the server was lost: try again"
    return encode_error(id, Failure.INTERNAL.legacy, told, {"reason": CONNECTION_LOST})


def _tag(listen: RequestId | None) -> Object:
    return {} if listen is None else {"_meta": {SUBSCRIPTION_ID_KEY: listen}}
