"""Which revision a connection speaks. Specification: 2026-07-28 basic/versioning, 2025-11-25 basic/lifecycle.

`auto` asks `server/discover` in the newer revision's envelope. A server that knows the envelope answers with
its versions, or with -32022 and its versions; any other error, an answer that is no discovery, or silence
means an older server, which is greeted with `initialize`. Neither request is ever cancelled: an older server
must see nothing but `initialize` first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import msgspec
import trio
from msgspec import UNSET

from mcptrio.client.connection import Connection
from mcptrio.client.errors import ConnectionLost, InvalidResponse
from mcptrio.protocol import Failure, Revision, RpcError
from mcptrio.protocol.envelope import CAPABILITIES_KEY, CLIENT_INFO_KEY, SERVER_INFO_KEY, VERSION_KEY
from mcptrio.protocol.extension import EXTENSION
from mcptrio.protocol.results import DiscoverResult, InitializeResult, Result
from mcptrio.protocol.types import Implementation, Object
from mcptrio.wire.http_client import CannotConnect

HANDSHAKE_VERSIONS = (Revision.LEGACY.value, "2025-06-18", "2025-03-26", "2024-11-05")
"""What `initialize` may be answered with: the older ones differ in nothing that this client uses."""

_OFFERED: Object = {"extensions": {EXTENSION: {}}}
"""What this client can do: it takes what a server tells by the extension, and answers no questions."""

_QUESTION = "input_required"
_NOT_OFFERED = f"it asks a question ({_QUESTION}), and this client has not offered to answer any"


class ProbeLost(ConnectionLost):
    """The connection ended on `server/discover`: some older servers hang up on what they do not know."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """What was agreed on. `version` is the one on the wire, which may be older than `revision`."""

    revision: Revision
    version: str
    capabilities: Object
    server_info: Implementation | None
    instructions: str | None


def envelope(client_info: Implementation) -> Object:
    """The `_meta` of every request in the newer revision."""
    return {VERSION_KEY: Revision.MODERN.value, CAPABILITIES_KEY: _OFFERED, CLIENT_INFO_KEY: client_info}


async def negotiate(
    connection: Connection, wanted: Revision | None, client_info: Implementation, *, probe_timeout: float
) -> Agreed:
    """Agree on a revision; None means `auto`. `probe_timeout` (seconds) bounds the wait for a discovery.

    Raises:
        RpcError: the server refused, or there is no version that both know (-32022, `data.supported`).
        InvalidResponse: the server answered something else.
        ConnectionLost: the connection ended; `ProbeLost` when it ended on the probe of `auto`.
    """
    if wanted is Revision.LEGACY:
        return await _initialize(connection, client_info)
    if wanted is Revision.MODERN:
        agreed = await _discover(connection, client_info)
        if agreed is None:
            raise _no_common_version([])
        return agreed
    try:
        with trio.move_on_after(probe_timeout):
            agreed = await _discover(connection, client_info)
            if agreed is not None:
                return agreed
    except RpcError as error:
        offered = _offered(error)
        if offered is not None and not set(offered) & set(HANDSHAKE_VERSIONS):
            raise
    except InvalidResponse:
        pass
    except ConnectionLost as error:
        if error.status is not None or isinstance(error.__cause__, CannotConnect):
            raise  # that is not about the probe
        raise ProbeLost(str(error), code=error.code, reason=error.reason) from error
    return await _initialize(connection, client_info)


async def _discover(connection: Connection, client_info: Implementation) -> Agreed | None:
    """None when the server answers, but serves handshake versions only."""
    raw = await connection.call("server/discover", {"_meta": envelope(client_info)}, cancellable=False)
    result = decode_result(raw, DiscoverResult, "server/discover")
    if Revision.MODERN.value not in result.supported_versions:
        if set(result.supported_versions) & set(HANDSHAKE_VERSIONS):
            return None
        raise _no_common_version(result.supported_versions)
    return Agreed(
        revision=Revision.MODERN,
        version=Revision.MODERN.value,
        capabilities=result.capabilities,
        server_info=_server_info(result),
        instructions=None if result.instructions is UNSET else result.instructions,
    )


async def _initialize(connection: Connection, client_info: Implementation) -> Agreed:
    # The older revision's schema knows `experimental` only.
    capabilities = {**_OFFERED, "experimental": {EXTENSION: {}}}
    params = {
        "protocolVersion": Revision.LEGACY.value,
        "capabilities": capabilities,
        "clientInfo": client_info,
    }
    raw = await connection.call("initialize", params, cancellable=False)
    result = decode_result(raw, InitializeResult, "initialize")
    if result.protocol_version not in HANDSHAKE_VERSIONS:
        raise _no_common_version([result.protocol_version])
    connection.notify_nowait("notifications/initialized")
    await connection.settle()
    return Agreed(
        revision=Revision.LEGACY,
        version=result.protocol_version,
        capabilities=result.capabilities,
        server_info=result.server_info,
        instructions=None if result.instructions is UNSET else result.instructions,
    )


T = TypeVar("T")


def decode_result(raw: msgspec.Raw, type_: type[T], method: str) -> T:
    """Read a result as what the method answers with.

    Raises:
        InvalidResponse: it is something else, or of a result type that was never asked for.
    """
    try:
        result = msgspec.json.decode(raw, type=type_)
    except (msgspec.MsgspecError, RecursionError) as error:
        if _is_question(raw):
            raise InvalidResponse(f"{method}: {_NOT_OFFERED}") from None
        raise InvalidResponse(f"{method}: no such result: {error}") from None
    if isinstance(result, Result):
        kind: object = result.result_type
    else:
        kind = result.get("resultType", UNSET) if isinstance(result, dict) else UNSET
    if kind == _QUESTION:
        raise InvalidResponse(f"{method}: {_NOT_OFFERED}")
    if kind is not UNSET and kind != "complete":
        raise InvalidResponse(f"{method}: a result of type {kind!r} was not asked for")
    return result


class _Kind(msgspec.Struct, rename="camel"):
    """What is looked for in a result that is not the one expected."""

    result_type: str = ""


def _is_question(raw: msgspec.Raw) -> bool:
    try:
        return msgspec.json.decode(raw, type=_Kind).result_type == _QUESTION
    except (msgspec.MsgspecError, RecursionError):
        return False


def _offered(error: RpcError) -> list[str] | None:
    """The versions that a -32022 lists; None for every other error, or where the list is no list."""
    if error.code != Failure.UNSUPPORTED_VERSION.modern or not isinstance(error.data, dict):
        return None
    supported = error.data.get("supported")
    if not isinstance(supported, list):
        return None
    return [version for version in supported if isinstance(version, str)]


def _server_info(result: Result) -> Implementation | None:
    if result.meta is UNSET or SERVER_INFO_KEY not in result.meta:
        return None
    try:
        return msgspec.convert(result.meta[SERVER_INFO_KEY], Implementation)
    except msgspec.ValidationError:
        return None  # the name is for display only


def _no_common_version(offered: list[str]) -> RpcError:
    listed = ", ".join(offered) or "none that this client asked for"
    return RpcError(
        f"No common protocol version: the server offers {listed}",
        code=Failure.UNSUPPORTED_VERSION.modern,
        data={"supported": offered},
        failure=Failure.UNSUPPORTED_VERSION,
    )
