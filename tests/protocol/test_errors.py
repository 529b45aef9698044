"""One table of errors: the revision decides the code."""

import pytest

from mcptrio.protocol import SUPPORTED, Failure, Refusal, Revision, RpcError

TABLE = {
    Failure.PARSE: (-32700, -32700),
    Failure.INVALID_REQUEST: (-32600, -32600),
    Failure.METHOD_NOT_FOUND: (-32601, -32601),
    Failure.INVALID_PARAMS: (-32602, -32602),
    Failure.INTERNAL: (-32603, -32603),
    Failure.RESOURCE_NOT_FOUND: (-32002, -32602),
    Failure.MISSING_ENVELOPE: (-32602, -32602),
    Failure.HEADER_MISMATCH: (-32020, -32020),
    Failure.MISSING_CAPABILITY: (-32021, -32021),
    Failure.UNSUPPORTED_VERSION: (-32022, -32022),
}


def test_every_failure_is_in_the_table() -> None:
    assert set(Failure) == set(TABLE)


@pytest.mark.parametrize("failure", Failure)
def test_the_revision_decides_the_code(failure: Failure) -> None:
    error = RpcError.of(failure, "why", data={"a": 1})
    assert (error.code_in(Revision.LEGACY), error.code_in(Revision.MODERN)) == TABLE[failure]
    assert (error.code, error.message, error.data) == (failure.legacy, "why", {"a": 1})
    assert failure.title in failure.value


def test_the_newer_revision_never_says_what_only_the_older_one_knows() -> None:
    codes = {failure.modern for failure in Failure}
    assert not codes & {-32002, -32042}
    # Of the codes that the protocol reserves, only defined ones.
    assert {code for code in codes if -32099 <= code <= -32020} <= {-32020, -32021, -32022}


@pytest.mark.parametrize("reason", Refusal)
def test_a_refusal_of_ours_carries_its_reason_and_no_code_of_its_own(reason: Refusal) -> None:
    error = RpcError.refused(reason, "no", limit=3)
    assert error.data == {"reason": reason.value, "limit": 3}
    assert {error.code_in(revision) for revision in Revision} == {-32603}


def test_an_error_from_the_wire_keeps_its_code_in_both_revisions() -> None:
    error = RpcError("gone", code=-1, data=None)
    assert {error.code_in(revision) for revision in Revision} == {-1}
    assert str(error) == "gone (-1)"


def test_the_newest_version_is_offered_first() -> None:
    assert SUPPORTED == ("2026-07-28", "2025-11-25")
