"""Which revision a request speaks is decided by its own `_meta`."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from mcptrio.protocol import Revision, RpcError, missing_envelope, read_meta, revision_of
from tests.protocol.test_jsonrpc import objects

VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
CLIENT = "io.modelcontextprotocol/clientInfo"


def revision(meta: object) -> Revision:
    return revision_of(read_meta(Raw(json.dumps({"_meta": meta}).encode())))


@pytest.mark.parametrize(
    "params", [None, Raw(b"{}"), Raw(b'{"_meta":{}}'), Raw(b'{"_meta":{"progressToken":1}}')]
)
def test_a_bare_request_is_the_older_revisions(params: Raw | None) -> None:
    assert revision_of(read_meta(params)) is Revision.LEGACY


@pytest.mark.parametrize("capabilities", [{}, {"elicitation": {"form": {}}, "extensions": {"a/b": {}}}])
@pytest.mark.parametrize(
    "more", [{}, {CLIENT: {"name": "a", "version": "1"}}, {"traceparent": "x", "progressToken": "t"}]
)
def test_an_enveloped_request_is_the_newer_revisions(capabilities: object, more: dict[str, object]) -> None:
    assert revision({VERSION: "2026-07-28", CAPABILITIES: capabilities, **more}) is Revision.MODERN


@pytest.mark.parametrize(
    "key",
    [
        rb"io.modelcontextprotocol\/protocolVersion",
        rb"io.modelcontextprotocol\u002fprotocolVersion",
        rb"\u0069o.modelcontextprotocol/protocolVersion",
    ],
)
def test_an_escaped_key_is_the_same_key(key: bytes) -> None:
    raw = Raw(rb'{"_\u006deta":{"%b":"2026-07-28","io.modelcontextprotocol\/clientCapabilities":{}}}' % key)
    assert revision_of(read_meta(raw)) is Revision.MODERN


@pytest.mark.parametrize("version", ["2026-07-28", "2025-11-25", "2027-01-01", ""])
def test_a_missing_capabilities_key_is_named(version: str) -> None:
    with pytest.raises(RpcError) as caught:
        revision({VERSION: version})
    assert caught.value.code_in(Revision.MODERN) == -32602
    assert caught.value.data == {"missing": [CAPABILITIES]}
    assert CAPABILITIES in caught.value.message


@pytest.mark.parametrize("version", ["2027-01-01", "2025-06-18", "", "2026-07-28 ", "DRAFT"])
def test_an_unknown_version_is_told_all_that_are_served(version: str) -> None:
    with pytest.raises(RpcError) as caught:
        revision({VERSION: version, CAPABILITIES: {}})
    assert caught.value.code_in(Revision.MODERN) == -32022
    assert caught.value.data == {"supported": ["2026-07-28", "2025-11-25"], "requested": version}


def test_the_older_version_in_an_envelope_is_told_only_what_has_one() -> None:
    with pytest.raises(RpcError) as caught:
        revision({VERSION: "2025-11-25", CAPABILITIES: {}})
    assert caught.value.code_in(Revision.MODERN) == -32022
    assert caught.value.data == {"supported": ["2026-07-28"], "requested": "2025-11-25"}


@pytest.mark.parametrize(
    "meta",
    [
        [],
        "x",
        {VERSION: None},
        {VERSION: 20260728},
        {VERSION: "2026-07-28", CAPABILITIES: []},
        {VERSION: "2026-07-28", CAPABILITIES: None},
        {VERSION: "2026-07-28", CAPABILITIES: {}, CLIENT: "me"},
        {VERSION: "2026-07-28", CAPABILITIES: {}, CLIENT: {"name": "me"}},
        {"progressToken": 1.5},
        {"progressToken": True},
    ],
)
def test_a_mistyped_meta_is_invalid_params(meta: object) -> None:
    with pytest.raises(RpcError) as caught:
        revision(meta)
    assert caught.value.code_in(Revision.MODERN) == caught.value.code_in(Revision.LEGACY) == -32602


@pytest.mark.parametrize(
    "raw",
    [
        b'{"_meta":{"progressToken":' + b"1" * 5000 + b"}}",
        b'{"_meta":{"io.modelcontextprotocol/clientCapabilities":'
        + b'{"a":' * 100_000
        + b"1"
        + b"}" * 100_001
        + b"}}",
        b'{"_meta":{"progressToken":"\\udc00"}}',
    ],
    ids=["huge number", "deep", "lone surrogate"],
)
def test_whatever_stands_in_meta_is_refused_and_nothing_worse(raw: bytes) -> None:
    with pytest.raises(RpcError) as caught:
        read_meta(Raw(raw))
    assert caught.value.code_in(Revision.LEGACY) == -32602


@given(objects)
def test_any_meta_has_a_revision_or_is_refused(meta: dict[str, object]) -> None:
    for given_meta in (meta, {VERSION: "2026-07-28", CAPABILITIES: meta}, {VERSION: "2026-07-28", **meta}):
        try:
            assert revision(given_meta) in Revision
        except RpcError as error:
            assert error.code in (-32602, -32022)


@given(
    st.one_of(
        st.integers(-(2**63), 2**64 - 1), st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
    )
)
def test_a_progress_token_keeps_its_type(token: str | int) -> None:
    read = read_meta(Raw(json.dumps({"_meta": {"progressToken": token}}).encode())).progress_token
    assert (read, type(read)) == (token, type(token))


def test_without_meta_there_is_no_token() -> None:
    assert read_meta(Raw(b"{}")).progress_token is UNSET


def test_what_is_missing_is_named_with_a_hint() -> None:
    error = missing_envelope([VERSION, CAPABILITIES], "; do this")
    assert error.data == {"missing": [VERSION, CAPABILITIES]}
    assert error.message.endswith("; do this")
