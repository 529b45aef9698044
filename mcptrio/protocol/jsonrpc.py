"""JSON-RPC 2.0 as MCP uses it: one message is one JSON object, ids are strings or integers and keep their
type, no batches.

`decode` is the only way in: any bytes give a message or a `ProtocolError`, never anything else.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from mcptrio.protocol.errors import Failure, ProtocolError

RequestId = str | int

MAX_ID_LENGTH = 1024
"""Longest request id: characters of a string, bits of an integer."""


class Request(Struct, frozen=True):
    """A call that wants an answer. `params` is still JSON: its type depends on the method."""

    id: RequestId
    method: str
    params: Raw | None = None


class Notification(Struct, frozen=True):
    """A message that is never answered."""

    method: str
    params: Raw | None = None


class Response(Struct, frozen=True):
    """The result of a request of ours, still JSON."""

    id: RequestId
    result: Raw


class ErrorObject(Struct, frozen=True, omit_defaults=True):
    """`error` of an error response."""

    code: int
    message: str
    data: object = UNSET


class ErrorResponse(Struct, frozen=True):
    """A refusal. `id` is None only where the refusing side could not read it."""

    id: RequestId | None
    error: ErrorObject


Message = Request | Notification | Response | ErrorResponse


class _Incoming(Struct, frozen=True):
    jsonrpc: Literal["2.0"]
    id: RequestId | UnsetType | None = UNSET
    method: str | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: ErrorObject | UnsetType | None = UNSET


class _OnlyId(Struct, frozen=True):
    id: RequestId
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


_incoming = msgspec.json.Decoder(_Incoming)
_only_id = msgspec.json.Decoder(_OnlyId)


def decode(data: bytes) -> Message:
    """Decode one message.

    UTF-8 is checked first, because raw and skipped parts are not looked at by the JSON decoder.

    Raises:
        ProtocolError: for anything that is not one JSON-RPC message of MCP; nothing else is ever raised.
    """
    try:
        str(data, "utf-8")
        incoming = _incoming.decode(data)
    except UnicodeDecodeError as error:
        raise ProtocolError(Failure.PARSE, f"Parse error: not UTF-8 at byte {error.start}") from None
    except msgspec.ValidationError as error:
        raise ProtocolError(Failure.INVALID_REQUEST, f"Invalid request: {error}", _salvage_id(data)) from None
    except msgspec.DecodeError as error:
        raise ProtocolError(Failure.PARSE, f"Parse error: {error}") from None
    except RecursionError:
        raise ProtocolError(Failure.PARSE, "Parse error: nested too deeply") from None
    id = incoming.id
    if id is not None and id is not UNSET and not _is_short(id):
        raise ProtocolError(
            Failure.INVALID_REQUEST,
            f"Invalid request: the id is longer than {MAX_ID_LENGTH} characters or bits",
            id if incoming.method is not UNSET else None,
        )
    if incoming.method is not UNSET:
        if id is None:
            raise ProtocolError(Failure.INVALID_REQUEST, "Invalid request: an id is a string or an integer")
        params = None if incoming.params is UNSET or bytes(incoming.params) == b"null" else incoming.params
        if params is not None and bytes(memoryview(params)[:1]) != b"{":
            known = None if id is UNSET else id
            raise ProtocolError(Failure.INVALID_PARAMS, "Invalid params: `params` must be an object", known)
        if id is UNSET:
            return Notification(incoming.method, params)
        return Request(id, incoming.method, params)
    failure = incoming.error
    if failure is not UNSET and failure is not None and incoming.result is UNSET:
        return ErrorResponse(None if id is UNSET else id, failure)
    if (
        incoming.result is not UNSET
        and (failure is UNSET or failure is None)
        and id is not UNSET
        and id is not None
    ):
        return Response(id, incoming.result)
    raise ProtocolError(
        Failure.INVALID_REQUEST,
        "Invalid request: neither a request, a notification nor a response",
        None if id is UNSET or incoming.result is not UNSET or failure is not UNSET else id,
    )


def _is_short(id: RequestId) -> bool:
    # What is running is kept by its id, and what is told of a listen carries it.
    return len(id) <= MAX_ID_LENGTH if isinstance(id, str) else id.bit_length() <= MAX_ID_LENGTH


def _salvage_id(data: bytes) -> RequestId | None:
    try:
        found = _only_id.decode(data)
    except (msgspec.MsgspecError, RecursionError):
        return None
    # An error under the id of a malformed response would answer a request of the other side's.
    return found.id if found.result is UNSET and found.error is UNSET else None


class _OutRequest(Struct, frozen=True, omit_defaults=True):
    jsonrpc: str
    id: RequestId
    method: str
    params: object = UNSET


class _OutNotification(Struct, frozen=True, omit_defaults=True):
    jsonrpc: str
    method: str
    params: object = UNSET


class _OutResult(Struct, frozen=True):
    jsonrpc: str
    id: RequestId
    result: object


class _OutError(Struct, frozen=True, omit_defaults=True):
    jsonrpc: str
    error: ErrorObject
    id: RequestId | UnsetType = UNSET


_encoder = msgspec.json.Encoder()
_BREAKS = bytes.maketrans(b"\r\n", b"  ")


def _encode(message: Struct) -> bytes:
    """The message as JSON on one line, which streams of events and of lines rely on."""
    data = _encoder.encode(message)
    # Only ready-made JSON (`Raw`) of a handler's can have line breaks, and only between two tokens.
    return data.translate(_BREAKS) if b"\n" in data or b"\r" in data else data


def encode_request(id: RequestId, method: str, params: object = UNSET) -> bytes:
    """A request as JSON."""
    return _encode(_OutRequest("2.0", id, method, params))


def encode_notification(method: str, params: object = UNSET) -> bytes:
    """A notification as JSON."""
    return _encode(_OutNotification("2.0", method, params))


def encode_result(id: RequestId, result: object) -> bytes:
    """A result as JSON; the id keeps its type."""
    return _encode(_OutResult("2.0", id, result))


def encode_error(id: RequestId | None, code: int, message: str, data: object = None) -> bytes:
    """An error as JSON; without an id, the member is left out (it may not be null)."""
    error = ErrorObject(code, message, UNSET if data is None else data)
    return _encode(_OutError("2.0", error, UNSET if id is None else id))
