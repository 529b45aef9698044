"""The HTTP status that an answer goes with."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mcptrio.protocol import Failure, Refusal, Revision, RpcError

_ENVELOPE = {
    Failure.PARSE: 400,
    Failure.INVALID_REQUEST: 400,
    Failure.MISSING_ENVELOPE: 400,
    Failure.HEADER_MISMATCH: 400,
    Failure.MISSING_CAPABILITY: 400,
    Failure.UNSUPPORTED_VERSION: 400,
}
_REFUSALS = {
    Refusal.RATE_LIMITED.value: 429,
    Refusal.SHUTTING_DOWN.value: 503,
    Refusal.TOO_MANY_SESSIONS.value: 503,
}
_RETRY_AFTER = 5


def status_of(error: RpcError | None, revision: Revision) -> int:
    """200 for results and for what a handler refused; else what the fault of the request is in HTTP.

    A method that is not there is 404 in 2026-07-28 only, where that is demanded: to a session 404 says that it is gone.
    So is a missing capability 400: older clients take a 400 for a failure of the connection, not of the request.
    """
    if error is None or (error.failure is Failure.MISSING_CAPABILITY and revision is Revision.LEGACY):
        return 200
    if error.failure is Failure.METHOD_NOT_FOUND:
        return 404 if revision is Revision.MODERN else 200
    if error.failure in _ENVELOPE:
        return _ENVELOPE[error.failure]
    return _REFUSALS.get(_reason(error), 200)


def retry_after(error: RpcError | None) -> list[tuple[str, str]]:
    """The header fields that say when to try again, if that may help."""
    if error is None or _reason(error) not in _REFUSALS:
        return []
    wait = error.data.get("retryAfter", _RETRY_AFTER) if isinstance(error.data, Mapping) else _RETRY_AFTER
    return [("Retry-After", str(max(1, math.ceil(wait))))]


def _reason(error: RpcError) -> str:
    return str(error.data.get("reason", "")) if isinstance(error.data, Mapping) else ""
