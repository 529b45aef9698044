"""The two method tables: which request exists in which revision, and what its params are."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Raw

from mcptrio.protocol.errors import Failure, RpcError
from mcptrio.protocol.params import (
    CallToolParams,
    CompleteParams,
    GetPromptParams,
    InitializeParams,
    ListenParams,
    NoParams,
    PageParams,
    ResourceParams,
)
from mcptrio.protocol.questions import SetLevelParams
from mcptrio.protocol.revision import Revision
from mcptrio.protocol.types import Wire

_BOTH: dict[str, type[Wire]] = {
    "tools/list": PageParams,
    "tools/call": CallToolParams,
    "resources/list": PageParams,
    "resources/templates/list": PageParams,
    "resources/read": ResourceParams,
    "prompts/list": PageParams,
    "prompts/get": GetPromptParams,
    "completion/complete": CompleteParams,
}

METHODS: dict[Revision, dict[str, type[Wire]]] = {
    Revision.LEGACY: {
        **_BOTH,
        "initialize": InitializeParams,
        "ping": NoParams,
        "logging/setLevel": SetLevelParams,
        "resources/subscribe": ResourceParams,
        "resources/unsubscribe": ResourceParams,
    },
    Revision.MODERN: {**_BOTH, "server/discover": NoParams, "subscriptions/listen": ListenParams},
}

_decoders: dict[type[Wire], msgspec.json.Decoder[Wire]] = {
    type_: msgspec.json.Decoder(type_) for table in METHODS.values() for type_ in table.values()
}

P = TypeVar("P", bound=Wire)


def params_type(method: str, revision: Revision) -> type[Wire]:
    """The params of a method.

    Raises:
        RpcError: -32601 when the revision has no such method.
    """
    try:
        return METHODS[revision][method]
    except KeyError:
        raise RpcError.of(Failure.METHOD_NOT_FOUND, f"Method not found: {method[:200]}") from None


def read_params(params: Raw | None, type_: type[P]) -> P:
    """Decode params.

    Raises:
        RpcError: -32602 naming the member that is missing or mistyped.
    """
    decoder = _decoders.get(type_) or _decoders.setdefault(type_, msgspec.json.Decoder(type_))
    try:
        decoded = decoder.decode(b"{}" if params is None else params)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise RpcError.of(Failure.INVALID_PARAMS, f"Invalid params: {error}") from None
    assert isinstance(decoded, type_)
    return decoded
