"""What a bridge reads of params and results. Anything may stand there; what has a wrong type is not there."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from mcptrio.protocol import RequestId
from mcptrio.protocol.envelope import SUBSCRIPTION_ID_KEY
from mcptrio.protocol.types import Object

LIST_KINDS = ("tools", "resources", "prompts")


def read(raw: Raw | None) -> Object:
    """An object; empty if it is none."""
    if raw is None:
        return {}
    try:
        return msgspec.json.decode(raw, type=dict[str, object])
    except (msgspec.MsgspecError, RecursionError):
        return {}


def text(found: Object, key: str) -> str | None:
    """A text of an object."""
    value = found.get(key)
    return value if isinstance(value, str) else None


def request_id(found: Object, key: str) -> RequestId | None:
    """A request's id in an object, with its type."""
    value = found.get(key)
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def subscription_id(params: Object) -> RequestId | None:
    """The id of the listen that a notification belongs to."""
    meta = params.get("_meta")
    return request_id(meta, SUBSCRIPTION_ID_KEY) if isinstance(meta, dict) else None


def acknowledged(params: Object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What an acknowledgement honours: the URIs, and the kinds of lists."""
    honoured = params.get("notifications")
    if not isinstance(honoured, dict):
        return (), ()
    uris = honoured.get("resourceSubscriptions")
    kinds = tuple(kind for kind in LIST_KINDS if honoured.get(f"{kind}ListChanged") is True)
    return tuple(uri for uri in uris if isinstance(uri, str)) if isinstance(uris, list) else (), kinds


def announced_lists(result: Object) -> tuple[str, ...]:
    """The kinds of lists whose changes a result of `initialize` says are announced."""
    capabilities = result.get("capabilities")
    if not isinstance(capabilities, dict):
        return ()
    declared = ((kind, capabilities.get(kind)) for kind in LIST_KINDS)
    return tuple(kind for kind, own in declared if isinstance(own, dict) and own.get("listChanged") is True)
