"""What an HTTP answer means that is not the answer which was asked for. Sans-IO."""

from __future__ import annotations

import msgspec

from mcptrio.protocol import (
    ErrorObject,
    ErrorResponse,
    Failure,
    ProtocolError,
    Refusal,
    RequestId,
    decode,
    encode_error,
)
from mcptrio.wire.http_client import Answer

_UNKNOWING = frozenset((400, 404, 405, 406, 415, 422))
"""What an older server answers to `server/discover`, with a body that is no JSON-RPC error."""

_OF_THE_REQUEST = frozenset((400, 406, 411, 413, 414, 415, 422, 431))
"""What says something of one request only, if it is none of the first: it is too large, for instance."""

_REFUSALS = {"server/discover": _UNKNOWING, "initialize": frozenset[int]()}


def refusal_of(id: RequestId, method: str, answer: Answer, body: bytes) -> bytes | None:
    """The JSON-RPC error that a request is answered with; None if the server refuses more than this request."""
    status = answer.status
    if status in (401, 403) or status < 400:
        return None
    if (error := _error_in(body)) is not None:
        told = None if error.data is msgspec.UNSET else error.data
        return encode_error(id, error.code, error.message, told)
    if status == 429:
        wait = answer.header("retry-after") or b""
        reason: dict[str, object] = {"reason": Refusal.RATE_LIMITED.value}
        if wait.isdigit() and len(wait) < 10:
            reason["retryAfter"] = int(wait)
        return encode_error(id, Failure.INTERNAL.legacy, "Too many requests: try again later", reason)
    if status in _REFUSALS.get(method, _OF_THE_REQUEST):
        said = f"HTTP {status}: {_text(body)}".rstrip(": ")
        return encode_error(id, Failure.INVALID_REQUEST.legacy, said, {"status": status})
    return None


def told_of(answer: Answer, body: bytes) -> str:
    """Why the server is no use, for people."""
    status = answer.status
    if status == 401:
        return "HTTP 401: a token is missing or wrong"
    if 300 <= status < 400:
        return f"HTTP {status}: the server is elsewhere, and redirects are not followed"
    if 200 <= status < 300:
        return f"HTTP {status} with {answer.content_type or 'nothing'}: no answer of MCP"
    error = _error_in(body)
    said = error.message if error is not None else _text(body)
    return f"the server answered HTTP {status}" + (f": {said}" if said else "")


def _error_in(body: bytes) -> ErrorObject | None:
    try:
        message = decode(body)
    except ProtocolError:
        return None
    return message.error if isinstance(message, ErrorResponse) else None


def _text(body: bytes) -> str:
    return body[:300].decode("utf-8", "replace").strip()
