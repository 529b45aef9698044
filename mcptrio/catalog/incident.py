"""What a handler raised, as a client is told. Of an unexpected exception it learns a correlation id only.

Everything else of an unexpected exception goes to the log, under that id.
"""

from __future__ import annotations

import secrets

from mcptrio.catalog.errors import InvalidArgument, ResourceNotFound
from mcptrio.catalog.questions import MissingCapability, QuestionFailed
from mcptrio.log import get_logger
from mcptrio.protocol import Failure, Refusal, RpcError

log = get_logger("mcptrio.catalog")


def report(kind: str, name: str, error: BaseException) -> str:
    """Log the failure of a handler and return the correlation id under which the log has it."""
    correlation_id = secrets.token_hex(8)
    log.error("handler failed", kind=kind, handler=name, correlation_id=correlation_id, exc_info=error)
    return correlation_id


def told(correlation_id: str) -> str:
    """All that a client is told."""
    return f"Internal error (correlation id {correlation_id})"


def unwrap(error: Exception) -> Exception:
    """The single member of an exception group, at any depth; every other exception is itself."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def refusal(kind: str, name: str, error: Exception) -> RpcError:
    """The error with which a resource, template or prompt answers an exception of its handler."""
    single = unwrap(error)
    if isinstance(single, ResourceNotFound):
        return not_found(single.uri)
    if isinstance(single, InvalidArgument):
        return RpcError.of(Failure.INVALID_PARAMS, str(single))
    if isinstance(single, MissingCapability):
        return incapable(single)
    if isinstance(single, QuestionFailed):
        return RpcError.refused(Refusal.UNANSWERED, str(single))
    correlation_id = report(kind, name, error)
    return RpcError.of(Failure.INTERNAL, "Internal error", data={"correlationId": correlation_id})


def incapable(error: MissingCapability) -> RpcError:
    """The error for a client that has not declared what it would have to be asked."""
    return RpcError.of(Failure.MISSING_CAPABILITY, str(error), data={"requiredCapabilities": error.required})


def not_found(uri: str) -> RpcError:
    """The error for a resource that does not exist."""
    return RpcError.of(Failure.RESOURCE_NOT_FOUND, f"Resource not found: {uri[:200]}", data={"uri": uri})
