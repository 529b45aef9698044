"""What both codecs make of every result, notification and error validates against the official schemas."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.protocol import (
    Codec,
    Failure,
    LegacyCodec,
    ModernCodec,
    Revision,
    RpcError,
    encode_notification,
    results,
    types,
)
from mcptrio.protocol.codec import UPDATED
from mcptrio.protocol.extension import CHANGE_KEY
from mcptrio.protocol.params import ProgressParams, SubscriptionFilter
from mcptrio.protocol.results import Result
from tests.protocol.test_jsonrpc import ids
from tests.tap import expect_valid

INFO = types.Implementation(
    name="house", version="1", title="The house", icons=[types.Icon(src="https://a/b.png")]
)
TAG = "io.modelcontextprotocol/subscriptionId"
SERVER = "io.modelcontextprotocol/serverInfo"
ALL = types.Annotations(audience=["user", "assistant"], priority=0.5, last_modified="2026-01-01T00:00:00Z")
RESOURCE = types.Resource(uri="a:b", name="b", title="B", mime_type="text/plain", size=3, annotations=ALL)
CONTENTS = [
    types.ResourceContents(uri="a:b", mime_type="text/plain", text="x"),
    types.ResourceContents(uri="a:c", blob="AA=="),
]
BLOCKS: list[types.ContentBlock] = [
    types.TextContent(text="x", annotations=ALL),
    types.ImageContent(data="AA==", mime_type="image/png"),
    types.AudioContent(data="AA==", mime_type="audio/wav"),
    types.ResourceLink(uri="a:b", name="b"),
    types.EmbeddedResource(resource=CONTENTS[0]),
    types.EmbeddedResource(resource=CONTENTS[1]),
]
TOOL = types.Tool(
    name="t",
    input_schema={"type": "object"},
    output_schema={"type": "object"},
    annotations=types.ToolAnnotations(title="T", read_only_hint=True),
)
PROMPT = types.Prompt(name="p", arguments=[types.PromptArgument(name="a", required=True)])
CAPABILITIES: types.Object = {"tools": {"listChanged": True}, "resources": {"subscribe": True}}

BOTH: dict[str, Callable[[], Result]] = {
    "ListToolsResult": lambda: results.ListToolsResult(tools=[TOOL], next_cursor=""),
    "ListResourcesResult": lambda: results.ListResourcesResult(resources=[RESOURCE], next_cursor="x"),
    "ListResourceTemplatesResult": lambda: results.ListResourceTemplatesResult(
        resource_templates=[types.ResourceTemplate(uri_template="a:{b}", name="b")]
    ),
    "ListPromptsResult": lambda: results.ListPromptsResult(prompts=[PROMPT]),
    "ReadResourceResult": lambda: results.ReadResourceResult(contents=CONTENTS),
    "CallToolResult": lambda: results.CallToolResult(
        content=BLOCKS, structured_content={"a": 1}, is_error=True
    ),
    "GetPromptResult": lambda: results.GetPromptResult(
        messages=[types.PromptMessage(role="user", content=block) for block in BLOCKS], description="d"
    ),
    "CompleteResult": lambda: results.CompleteResult(
        completion=results.Completion(values=["a", "b"], total=200, has_more=True)
    ),
}
LEGACY = BOTH | {
    "EmptyResult": Result,
    "InitializeResult": lambda: results.InitializeResult(
        protocol_version="2025-11-25", capabilities=CAPABILITIES, server_info=INFO, instructions="do"
    ),
}
MODERN = BOTH | {
    "DiscoverResult": lambda: results.DiscoverResult(
        supported_versions=["2026-07-28"], capabilities=CAPABILITIES
    ),
}
CACHED = {
    "DiscoverResult",
    "ListToolsResult",
    "ListResourcesResult",
    "ListResourceTemplatesResult",
    "ListPromptsResult",
    "ReadResourceResult",
}


@pytest.mark.parametrize("definition", LEGACY)
def test_a_result_of_the_older_revision_is_free_of_the_newer_ones_members(definition: str) -> None:
    message = json.loads(LegacyCodec().result(1, LEGACY[definition]()))
    expect_valid(message, Revision.LEGACY, "JSONRPCResultResponse")
    expect_valid(message["result"], Revision.LEGACY, definition)
    assert not message["result"].keys() & {"resultType", "ttlMs", "cacheScope", "_meta"}


@pytest.mark.parametrize("definition", MODERN)
def test_a_result_of_the_newer_revision_says_what_it_is_and_who_answered(definition: str) -> None:
    message = json.loads(ModernCodec(INFO).result("a", MODERN[definition]()))
    expect_valid(message, Revision.MODERN, "JSONRPCResultResponse")
    result = message["result"]
    expect_valid(result, Revision.MODERN, definition)
    assert result["resultType"] == "complete"
    assert result["_meta"][SERVER] == {
        "name": "house",
        "version": "1",
        "title": "The house",
        "icons": [{"src": "https://a/b.png"}],
    }
    hints = {key: result[key] for key in result.keys() & {"ttlMs", "cacheScope"}}
    assert hints == ({"ttlMs": 0, "cacheScope": "private"} if definition in CACHED else {})


def test_cache_hints_of_a_result_are_kept_and_never_told_to_the_older_revision() -> None:
    def read() -> Result:
        return results.ReadResourceResult(contents=CONTENTS, ttl_ms=5000, cache_scope="public")

    modern = json.loads(ModernCodec(INFO).result(1, read()))["result"]
    assert (modern["ttlMs"], modern["cacheScope"]) == (5000, "public")
    legacy = json.loads(LegacyCodec().result(1, read()))["result"]
    assert legacy.keys() == {"contents"}
    partly = results.ReadResourceResult(contents=CONTENTS, cache_scope="public")
    assert json.loads(ModernCodec(INFO).result(1, partly))["result"]["ttlMs"] == 0


def test_a_results_own_meta_is_kept() -> None:
    result = Result(meta={"mine": 1})
    assert json.loads(LegacyCodec().result(1, result))["result"] == {"_meta": {"mine": 1}}
    meta = json.loads(ModernCodec(INFO).result(1, result))["result"]["_meta"]
    assert meta["mine"] == 1
    assert meta[SERVER]["name"] == "house"


@given(ids)
def test_every_message_of_a_listen_carries_its_id_with_its_type(id: str | int) -> None:
    codec = ModernCodec(INFO)
    honoured = SubscriptionFilter(tools_list_changed=True, resource_subscriptions=["a:b"])
    frames = {
        "SubscriptionsAcknowledgedNotification": codec.acknowledged(honoured, id),
        "ResourceUpdatedNotification": codec.updated("a:b", id),
        "ToolListChangedNotification": codec.list_changed("tools", id),
        "ResourceListChangedNotification": codec.list_changed("resources", id),
        "PromptListChangedNotification": codec.list_changed("prompts", id),
    }
    for definition, frame in frames.items():
        message = json.loads(frame)
        expect_valid(message, Revision.MODERN, definition)
        tag = message["params"]["_meta"][TAG]
        assert (tag, type(tag)) == (id, type(id))
    ended = json.loads(codec.listen_ended(id))
    expect_valid(ended["result"], Revision.MODERN, "SubscriptionsListenResult")
    assert ended["id"] == ended["result"]["_meta"][TAG] == id


@given(
    ids, st.text(st.characters(codec="utf-8"), max_size=9), st.text(st.characters(codec="utf-8"), max_size=9)
)
def test_a_change_of_the_extension_is_an_update_with_its_own_member(
    id: str | int, uri: str, kind: str
) -> None:
    parts = json.dumps(uri).encode(), json.dumps({"kind": kind}).encode()
    plain = encode_notification(UPDATED, {"uri": uri, "_meta": {CHANGE_KEY: {"kind": kind}}})
    assert json.loads(LegacyCodec().changed(*parts)) == json.loads(plain)
    meta = {TAG: id, CHANGE_KEY: {"kind": kind}}
    tagged = encode_notification(UPDATED, {"uri": uri, "_meta": meta})
    assert json.loads(ModernCodec(INFO).changed(*parts, id)) == json.loads(tagged)


def test_a_sessions_messages_are_plain() -> None:
    codec = LegacyCodec()
    updated = json.loads(codec.updated("a:b"))
    expect_valid(updated, Revision.LEGACY, "ResourceUpdatedNotification")
    assert updated["params"] == {"uri": "a:b"}
    for kind, definition in (("tools", "Tool"), ("resources", "Resource"), ("prompts", "Prompt")):
        expect_valid(
            json.loads(codec.list_changed(kind)), Revision.LEGACY, f"{definition}ListChangedNotification"
        )


@pytest.mark.parametrize("codec", [LegacyCodec(), ModernCodec(INFO)], ids=lambda codec: codec.revision.value)
def test_progress_carries_its_token_and_only_what_is_known(codec: Codec) -> None:
    small = json.loads(codec.progress(ProgressParams(progress_token="1", progress=0.5)))
    expect_valid(small, codec.revision, "ProgressNotification")
    assert small["params"] == {"progressToken": "1", "progress": 0.5}
    full = json.loads(codec.progress(ProgressParams(progress_token=1, progress=2, total=4, message="m")))
    expect_valid(full, codec.revision, "ProgressNotification")
    assert full["params"] == {"progressToken": 1, "progress": 2, "total": 4, "message": "m"}


@pytest.mark.parametrize("failure", Failure)
@given(id=st.none() | ids)
def test_an_error_has_the_code_of_the_revision(failure: Failure, id: str | int | None) -> None:
    for codec in (LegacyCodec(), ModernCodec(INFO)):
        message = json.loads(codec.error(id, RpcError.of(failure, "why", data={"uri": "a:b"})))
        expect_valid(message, codec.revision, "JSONRPCErrorResponse")
        expected = failure.legacy if codec.revision is Revision.LEGACY else failure.modern
        assert message["error"] == {"code": expected, "message": "why", "data": {"uri": "a:b"}}
        assert message.get("id") == id
