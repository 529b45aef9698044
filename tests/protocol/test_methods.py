"""The method tables are the official ones, less what is not served yet."""

import json

import pytest
from msgspec import UNSET, Raw

from mcptrio.protocol import METHODS, Revision, RpcError, params_type, read_params
from mcptrio.protocol.params import (
    CallToolParams,
    CancelledParams,
    CompleteParams,
    CompletionContext,
    GetPromptParams,
    InitializeParams,
    ListenParams,
    NoParams,
    PageParams,
    PromptReference,
    ResourceParams,
    ResourceReference,
)
from mcptrio.protocol.questions import SetLevelParams
from mcptrio.protocol.types import Wire
from tests.tap import SCHEMAS, expect_valid

NOT_SERVED: dict[Revision, set[str]] = {
    # Tasks are optional and not offered in the capabilities.
    Revision.LEGACY: {
        "tasks/cancel",
        "tasks/get",
        "tasks/list",
        "tasks/result",
    },
    Revision.MODERN: set(),
}


def official(revision: Revision) -> dict[str, str]:
    """The client's requests in the official schema: method to definition."""
    definitions = SCHEMAS[revision]["$defs"]
    names = [choice["$ref"].rpartition("/")[2] for choice in definitions["ClientRequest"]["anyOf"]]
    return {definitions[name]["properties"]["method"]["const"]: name for name in names}


@pytest.mark.parametrize("revision", Revision)
def test_the_methods_are_the_official_ones_less_what_is_not_served(revision: Revision) -> None:
    assert set(METHODS[revision]) == set(official(revision)) - NOT_SERVED[revision]
    assert NOT_SERVED[revision] <= set(official(revision))


@pytest.mark.parametrize("revision", Revision)
def test_a_method_of_no_or_the_other_revision_is_not_found(revision: Revision) -> None:
    other = next(each for each in Revision if each is not revision)
    foreign = {"", "no/such", "TOOLS/LIST", "notifications/cancelled", *METHODS[other]} - set(
        METHODS[revision]
    )
    for method in foreign | NOT_SERVED[revision]:
        with pytest.raises(RpcError) as caught:
            params_type(method, revision)
        assert caught.value.code_in(revision) == -32601


def test_an_endless_method_name_is_not_echoed_whole() -> None:
    with pytest.raises(RpcError) as caught:
        params_type("x" * 100_000, Revision.LEGACY)
    assert len(caught.value.message) < 300


REQUIRED: dict[type[Wire], dict[str, object]] = {
    InitializeParams: {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "me", "version": "1"},
    },
    NoParams: {},
    SetLevelParams: {"level": "debug"},
    PageParams: {},
    ResourceParams: {"uri": "a:b"},
    CallToolParams: {"name": "tool"},
    GetPromptParams: {"name": "prompt"},
    ListenParams: {"notifications": {}},
    CompleteParams: {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": "x"}},
}
META = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
}
CASES = [(revision, method) for revision in Revision for method in METHODS[revision]]


@pytest.mark.parametrize(("revision", "method"), CASES)
def test_the_smallest_params_are_those_of_the_schema(revision: Revision, method: str) -> None:
    params = REQUIRED[params_type(method, revision)]
    read_params(Raw(json.dumps(params).encode()), params_type(method, revision))
    message: dict[str, object] = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    if revision is Revision.MODERN:
        message["params"] = {**params, **META}
    expect_valid(message, revision, official(revision)[method])


@pytest.mark.parametrize(("revision", "method"), CASES)
def test_a_missing_or_mistyped_member_is_named(revision: Revision, method: str) -> None:
    type_ = params_type(method, revision)
    for name in REQUIRED[type_]:
        rest = {key: value for key, value in REQUIRED[type_].items() if key != name}
        for wrong in (rest, {**rest, name: 7}, {**rest, name: None}):
            with pytest.raises(RpcError) as caught:
                read_params(Raw(json.dumps(wrong).encode()), type_)
            assert caught.value.code_in(revision) == -32602
            assert name in caught.value.message
    if REQUIRED[type_]:
        with pytest.raises(RpcError):
            read_params(None, type_)


def test_absent_params_are_empty_ones() -> None:
    assert read_params(None, PageParams) == PageParams()
    assert read_params(None, PageParams).cursor is UNSET


def test_an_empty_cursor_is_a_cursor() -> None:
    assert read_params(Raw(b'{"cursor":""}'), PageParams).cursor == ""


def test_a_completion_is_asked_for_a_prompt_or_for_a_template_and_tells_what_is_known() -> None:
    raw = b'{"ref":{"type":"ref/%b"},"argument":{"name":"a","value":""},"context":{"arguments":{"b":"c"}}}'
    prompt = read_params(Raw(raw % b'prompt","name":"p","title":"P'), CompleteParams)
    assert prompt.ref == PromptReference(name="p")
    assert prompt.context == CompletionContext(arguments={"b": "c"})
    assert read_params(Raw(raw % b'resource","uri":"a:{b}'), CompleteParams).ref == ResourceReference(
        uri="a:{b}"
    )
    for wrong in (b'tool","name":"p', b'prompt","uri":"p', b'resource","uri":null,"x":"'):
        with pytest.raises(RpcError, match=r"ref"):
            read_params(Raw(raw % wrong), CompleteParams)


def test_unknown_members_are_ignored() -> None:
    assert read_params(Raw(b'{"uri":"a:b","task":{"ttl":1}}'), ResourceParams) == ResourceParams(uri="a:b")


def test_the_params_of_notifications_are_read_alike() -> None:
    assert read_params(Raw(b'{"requestId":"1"}'), CancelledParams).request_id == "1"
    assert read_params(Raw(b'{"requestId":1,"reason":"why"}'), CancelledParams).request_id == 1
    with pytest.raises(RpcError):
        read_params(Raw(b'{"requestId":null}'), CancelledParams)
    with pytest.raises(RpcError):
        read_params(Raw(b'{"requestId":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), CancelledParams)
