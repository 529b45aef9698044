"""The HTTP status that goes with an error, by revision."""

import pytest

from mcptrio.protocol import Failure, Refusal, Revision, RpcError
from mcptrio.server.http.status import status_of


@pytest.mark.parametrize(
    ("failure", "legacy", "modern"),
    [
        (Failure.PARSE, 400, 400),
        (Failure.INVALID_REQUEST, 400, 400),
        (Failure.METHOD_NOT_FOUND, 200, 404),
        (Failure.INVALID_PARAMS, 200, 200),
        (Failure.RESOURCE_NOT_FOUND, 200, 200),
        (Failure.INTERNAL, 200, 200),
        (Failure.MISSING_CAPABILITY, 200, 400),
        (Failure.UNSUPPORTED_VERSION, 400, 400),
    ],
)
def test_a_status_tells_only_what_is_a_fault_of_the_http_request(
    failure: Failure, legacy: int, modern: int
) -> None:
    error = RpcError.of(failure, "no")
    assert [status_of(error, revision) for revision in (Revision.LEGACY, Revision.MODERN)] == [legacy, modern]


@pytest.mark.parametrize("revision", Revision)
def test_who_asks_too_often_is_told_so_in_http_too(revision: Revision) -> None:
    assert status_of(RpcError.refused(Refusal.RATE_LIMITED, "no", retryAfter=1), revision) == 429
    assert status_of(RpcError.refused(Refusal.SUBSCRIPTION_LIMIT, "no"), revision) == 200
