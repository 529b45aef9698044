"""One table of errors, by revision: what went wrong is named once, and the revision decides the code.

Codes: 2026-07-28 basic#error-codes, 2025-11-25 basic, JSON-RPC 2.0 section 5.1. docs/errors.md tells the
same to users.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from mcptrio.protocol.revision import Revision


class Failure(enum.Enum):
    """What can go wrong, in the order (code in 2025-11-25, code in 2026-07-28)."""

    PARSE = ("parse error", -32700, -32700)
    INVALID_REQUEST = ("invalid request", -32600, -32600)
    METHOD_NOT_FOUND = ("method not found", -32601, -32601)
    INVALID_PARAMS = ("invalid params", -32602, -32602)
    INTERNAL = ("internal error", -32603, -32603)
    RESOURCE_NOT_FOUND = ("resource not found", -32002, -32602)
    MISSING_ENVELOPE = ("missing envelope", -32602, -32602)
    HEADER_MISMATCH = ("header mismatch", -32020, -32020)
    MISSING_CAPABILITY = ("missing client capability", -32021, -32021)
    UNSUPPORTED_VERSION = ("unsupported protocol version", -32022, -32022)

    def __init__(self, title: str, legacy: int, modern: int) -> None:
        self.title = title
        self.legacy = legacy
        self.modern = modern


class Refusal(enum.StrEnum):
    """Why the server refused a well-formed request: `data.reason` of a -32603."""

    SUBSCRIPTION_LIMIT = "subscription_limit"
    TOO_MANY_REQUESTS = "too_many_requests"
    TOO_MANY_SESSIONS = "too_many_sessions"
    RESULT_TOO_LARGE = "result_too_large"
    RATE_LIMITED = "rate_limited"
    UNANSWERED = "unanswered"
    SHUTTING_DOWN = "shutting_down"


class RpcError(Exception):
    """A JSON-RPC error: raised by what refuses a request, and by a client whose request was refused.

    `failure` decides the code by revision; an error that came over the wire has only its `code`.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int = Failure.INTERNAL.legacy,
        data: object = None,
        failure: Failure | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.data = data
        self.failure = failure

    @classmethod
    def of(cls, failure: Failure, message: str, *, data: object = None) -> RpcError:
        """An error from the table; its `code` is the older revision's until `code_in` is asked."""
        return cls(message, code=failure.legacy, data=data, failure=failure)

    @classmethod
    def refused(cls, reason: Refusal, message: str, **data: object) -> RpcError:
        """A refusal of ours: -32603 with `data.reason`, because the protocol reserves all codes near it."""
        details: Mapping[str, object] = {"reason": reason.value, **data}
        return cls.of(Failure.INTERNAL, message, data=details)

    def code_in(self, revision: Revision) -> int:
        """The code of this error in a revision."""
        if self.failure is None:
            return self.code
        return self.failure.legacy if revision is Revision.LEGACY else self.failure.modern

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"


class ProtocolError(Exception):
    """Bytes that are no JSON-RPC message: the one error that decoding raises.

    `id` is the request's id where it could be read, so that the answer can carry it.
    """

    def __init__(self, failure: Failure, message: str, id: str | int | None = None) -> None:
        super().__init__(message)
        self.failure = failure
        self.message = message
        self.id = id
