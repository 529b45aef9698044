"""Content of MCP's own types that is not what the specification says: the handler's failure, never the client's."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from msgspec import UNSET

from mcptrio.catalog import Catalog
from mcptrio.catalog.content import Output
from mcptrio.catalog.signature import read_signature
from mcptrio.protocol import Failure, Revision, RpcError
from mcptrio.protocol.results import CallToolResult
from mcptrio.protocol.types import (
    EmbeddedResource,
    PromptMessage,
    Resource,
    ResourceContents,
    ResourceLink,
    TextContent,
)

from .calls import call, text_of
from .captured_logs import captured_logs
from .fake_context import a_context

URI = "x://1"
UNSOUND = [
    pytest.param(ResourceContents(uri=URI), id="neither text nor blob"),
    pytest.param(ResourceContents(uri=URI, text="a", blob="YQ=="), id="both text and blob"),
    pytest.param(ResourceContents(uri=URI, blob="no base64!"), id="no base64"),
    pytest.param(ResourceContents(uri=URI, blob="YQ"), id="base64 without its padding"),
    pytest.param(ResourceContents(uri="no uri", text="a"), id="no URI"),
    pytest.param(ResourceContents(uri="", text="a"), id="empty URI"),
]


def returning(value: object) -> Callable[[], object]:
    async def handler() -> object:
        return value

    return handler


@pytest.mark.parametrize("contents", UNSOUND)
@pytest.mark.parametrize("listed", [False, True])
async def test_unsound_contents_of_a_resource_are_an_internal_error_with_a_correlation_id(
    contents: ResourceContents, listed: bool
) -> None:
    catalog = Catalog()
    catalog.add_resource(URI, returning([contents] if listed else contents), name="x")
    with captured_logs() as logs, pytest.raises(RpcError) as caught:
        await catalog.read(URI, a_context())
    assert (caught.value.failure, caught.value.message) == (Failure.INTERNAL, "Internal error")
    (entry,) = logs
    assert caught.value.data == {"correlationId": entry["correlation_id"]}
    assert isinstance(entry["error"], ValueError)


@pytest.mark.parametrize("contents", UNSOUND)
async def test_unsound_contents_in_a_block_are_the_tools_failure(contents: ResourceContents) -> None:
    block = EmbeddedResource(resource=contents)
    for value in (block, [TextContent(text="a"), block], CallToolResult(content=[block])):
        catalog = Catalog()
        catalog.add_tool(returning(value), name="tool")
        with captured_logs() as logs:
            result = await call(catalog, "tool")
        assert result.is_error is True
        assert str(logs[0]["correlation_id"]) in text_of(result)


@pytest.mark.parametrize("contents", UNSOUND)
async def test_unsound_contents_in_a_message_are_the_prompts_failure(contents: ResourceContents) -> None:
    block = EmbeddedResource(resource=contents)
    for value in (block, PromptMessage(role="user", content=block)):
        catalog = Catalog()
        catalog.add_prompt(returning(value), name="prompt")
        with captured_logs() as logs, pytest.raises(RpcError) as caught:
            await catalog.get_prompt("prompt", {}, a_context())
        assert caught.value.failure is Failure.INTERNAL
        assert caught.value.data == {"correlationId": logs[0]["correlation_id"]}


async def test_a_link_to_what_is_no_uri_is_a_failure() -> None:
    catalog = Catalog()
    catalog.add_tool(returning(ResourceLink(uri="no uri", name="x")), name="tool")
    catalog.add_prompt(returning(ResourceLink(uri="no uri", name="x")), name="prompt")
    with captured_logs():
        assert (await call(catalog, "tool")).is_error is True
        with pytest.raises(RpcError):
            await catalog.get_prompt("prompt", {}, a_context())


async def test_sound_contents_go_as_they_are() -> None:
    for contents in (ResourceContents(uri=URI, text=""), ResourceContents(uri=URI, blob="YQ==")):
        catalog = Catalog()
        catalog.add_resource(URI, returning(contents), name="x")
        assert await catalog.read(URI, a_context()) == [contents]


@pytest.mark.parametrize("uri", ["no uri", "", "x://a b", "x://%zz", "x://\n", "x://é"])
async def test_a_listed_resource_with_a_malformed_uri_is_logged_and_left_out(uri: str) -> None:
    catalog = Catalog()

    async def read(id: str) -> str:
        return id

    catalog.add_template("y://{id}", read, list=returning([Resource(uri=uri, name="bad")]))
    catalog.add_template("x://{id}", read, list=returning([Resource(uri="x://1", name="good")]))
    with captured_logs() as logs:
        listed = await catalog.list_resources(a_context())
    assert [resource.uri for resource in listed] == ["x://1"]
    assert [(entry["kind"], entry["handler"]) for entry in logs] == [("template list", "y://{id}")]


def structured(value: object, revision: Revision, annotation: object = object) -> object:
    def handler() -> None: ...

    handler.__annotations__["return"] = annotation
    result = Output(read_signature(handler)).result(value, revision)
    return msgspec.json.decode(msgspec.json.encode(result)).get("structuredContent", UNSET)


@pytest.mark.parametrize("value", [[1, 2], "text", 7, None, True])
@pytest.mark.parametrize("annotation", [object, CallToolResult])
def test_structured_content_that_is_no_object_is_wrapped_for_the_older_revision_only(
    value: object, annotation: object
) -> None:
    result = CallToolResult(content=[], structured_content=value)
    assert structured(result, Revision.LEGACY, annotation) == {"result": value}
    assert structured(result, Revision.MODERN, annotation) == value
    assert result.structured_content == value, "the handler may keep it"


def test_structured_content_that_is_an_object_is_never_wrapped() -> None:
    for revision in Revision:
        assert structured(CallToolResult(content=[], structured_content={"a": [1]}), revision) == {"a": [1]}
        assert structured(CallToolResult(content=[]), revision) is UNSET


@pytest.mark.parametrize("revision", Revision)
@pytest.mark.parametrize(
    "annotation", [list[TextContent], list[TextContent | ResourceLink], tuple[TextContent, ...]]
)
def test_an_empty_list_of_blocks_is_no_content(annotation: object, revision: Revision) -> None:
    def handler() -> None: ...

    handler.__annotations__["return"] = annotation
    assert Output(read_signature(handler)).result([], revision) == CallToolResult(content=[])
