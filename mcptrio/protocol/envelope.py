"""The envelope: `params._meta` of a request, and how it tells which revision the message speaks.

Specification: 2026-07-28 basic/versioning. A request whose `params._meta` names a protocol version is
served statelessly; every
other request is the older revision's, whose state is made by `initialize`.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType, field

from mcptrio.protocol.errors import Failure, RpcError
from mcptrio.protocol.extension import SUBSCRIPTIONS_KEY
from mcptrio.protocol.questions import Level
from mcptrio.protocol.revision import SUPPORTED, Revision
from mcptrio.protocol.types import ClientInfo

PREFIX = "io.modelcontextprotocol/"
VERSION_KEY = PREFIX + "protocolVersion"
CAPABILITIES_KEY = PREFIX + "clientCapabilities"
CLIENT_INFO_KEY = PREFIX + "clientInfo"
SERVER_INFO_KEY = PREFIX + "serverInfo"
LOG_LEVEL_KEY = PREFIX + "logLevel"
SUBSCRIPTION_ID_KEY = PREFIX + "subscriptionId"


class RequestMeta(msgspec.Struct, frozen=True, kw_only=True):
    """`params._meta` of a request. Unknown keys are ignored: the object is open."""

    protocol_version: str | UnsetType = field(default=UNSET, name=VERSION_KEY)
    client_capabilities: dict[str, object] | UnsetType = field(default=UNSET, name=CAPABILITIES_KEY)
    client_info: ClientInfo | UnsetType | None = field(default=UNSET, name=CLIENT_INFO_KEY)
    progress_token: str | int | UnsetType | None = field(default=UNSET, name="progressToken")
    log_level: Level | UnsetType | None = field(default=UNSET, name=LOG_LEVEL_KEY)
    subscription: msgspec.Raw | UnsetType = field(default=UNSET, name=SUBSCRIPTIONS_KEY)
    """The extension's; whatever it is, for clients that have not declared it."""


class _Envelope(msgspec.Struct, frozen=True):
    meta: RequestMeta | UnsetType | None = field(default=UNSET, name="_meta")


NO_META = RequestMeta()
_envelope_decoder = msgspec.json.Decoder(_Envelope)


def read_meta(params: msgspec.Raw | None) -> RequestMeta:
    """The `_meta` of a request's params.

    Raises:
        RpcError: -32602 when `_meta` or one of the keys that we read has a wrong type.
    """
    if params is None:
        return NO_META
    try:
        meta = _envelope_decoder.decode(params).meta
    except (msgspec.MsgspecError, RecursionError) as error:
        raise RpcError.of(Failure.INVALID_PARAMS, f"Invalid params: {error}") from None
    return NO_META if meta is UNSET or meta is None else meta


def revision_of(meta: RequestMeta) -> Revision:
    """Which revision a request with this `_meta` speaks.

    Raises:
        RpcError: -32602 when a required key of the envelope is missing, -32022 when the named version is
            not served in an envelope.
    """
    if meta.protocol_version is UNSET:
        if meta.client_capabilities is not UNSET:
            raise missing_envelope([VERSION_KEY])
        return Revision.LEGACY
    if meta.client_capabilities is UNSET:
        raise missing_envelope([CAPABILITIES_KEY])
    if meta.protocol_version != Revision.MODERN.value:
        # An envelope that names the older revision is told only the versions that have an envelope,
        # so that no client loops.
        known = meta.protocol_version == Revision.LEGACY.value
        raise RpcError.of(
            Failure.UNSUPPORTED_VERSION,
            f"Unsupported protocol version: {meta.protocol_version}",
            data={
                "supported": [Revision.MODERN.value] if known else list(SUPPORTED),
                "requested": meta.protocol_version,
            },
        )
    return Revision.MODERN


def missing_envelope(keys: list[str], hint: str = "") -> RpcError:
    """The -32602 that names the `_meta` keys which a request lacks."""
    names = " and ".join(f"params._meta[{key!r}]" for key in keys)
    return RpcError.of(Failure.MISSING_ENVELOPE, f"Missing {names}{hint}", data={"missing": keys})
