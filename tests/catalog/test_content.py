"""What handlers return, as content of tools, resources and prompts."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import pytest
from msgspec import UNSET, Struct, UnsetType

from mcptrio.catalog import DeclarationError
from mcptrio.catalog.content import Contents, Output, failure, prompt_messages
from mcptrio.catalog.signature import read_signature
from mcptrio.protocol import Revision
from mcptrio.protocol.results import CallToolResult
from mcptrio.protocol.types import (
    AudioContent,
    EmbeddedResource,
    ImageContent,
    PromptMessage,
    ResourceContents,
    ResourceLink,
    TextContent,
)

LEGACY, MODERN = Revision.LEGACY, Revision.MODERN


class Report(Struct):
    city: str


@dataclasses.dataclass
class Wind:
    knots: int


class Pair(NamedTuple):
    a: int
    b: int


class Sky(enum.StrEnum):
    GREY = "grey"


class Text(str):
    """A subclass of str."""


def output_of(annotation: object) -> Output:
    def handler() -> None: ...

    handler.__annotations__["return"] = annotation
    return Output(read_signature(handler))


def contents_of(annotation: object = object, mime_type: str | None = None) -> Contents:
    def handler() -> None: ...

    handler.__annotations__["return"] = annotation
    return Contents(read_signature(handler), mime_type)


def told(annotation: object, value: object, revision: Revision) -> tuple[list[str], object]:
    """Texts and structured content, as they go over the wire."""
    result = msgspec.json.decode(msgspec.json.encode(output_of(annotation).result(value, revision)))
    return [block["text"] for block in result["content"]], result.get("structuredContent", UNSET)


BLOCK = TextContent(text="hello")
LINK = ResourceLink(uri="x://1", name="one")


@pytest.mark.parametrize("revision", [LEGACY, MODERN])
@pytest.mark.parametrize(
    ("annotation", "value", "texts"),
    [
        (str, "sólo", ["sólo"]),
        (Annotated[str, "x"], "a", ["a"]),
        (str, Text("a"), ["a"]),
        (object, Sky.GREY, ["grey"]),
        (str | None, None, []),
        (None, None, []),
        (object, None, []),
        (Any, "a", ["a"]),
        (TextContent, BLOCK, ["hello"]),
        (list[TextContent], [BLOCK, BLOCK], ["hello", "hello"]),
        (list[TextContent | ImageContent], (BLOCK,), ["hello"]),
        (list, [BLOCK], ["hello"]),
        (list[object], [BLOCK], ["hello"]),
        (object, [BLOCK], ["hello"]),
        (bytes, b"\xff\x00", ["/wA="]),
        (bytearray, bytearray(b"\xff\x00"), ["/wA="]),
        (CallToolResult, CallToolResult(content=[BLOCK]), ["hello"]),
    ],
)
def test_text_blocks_and_nothing_have_no_structured_content(
    annotation: object, value: object, texts: list[str], revision: Revision
) -> None:
    assert output_of(annotation).schemas[revision] is UNSET
    assert told(annotation, value, revision) == (texts, UNSET)


@pytest.mark.parametrize("block", [AudioContent(data="", mime_type="audio/wav"), LINK])
def test_every_kind_of_block_goes_as_it_is(block: AudioContent | ResourceLink) -> None:
    assert output_of(object).result(block, MODERN).content == [block]


def test_an_embedded_resource_goes_as_it_is() -> None:
    block = EmbeddedResource(resource=ResourceContents(uri="x://1", text="a"))
    assert output_of(EmbeddedResource).result(block, LEGACY).content == [block]


@pytest.mark.parametrize(
    ("annotation", "value", "plain", "wraps"),
    [
        (Report, Report("oslo"), {"city": "oslo"}, False),
        (Wind, Wind(3), {"knots": 3}, False),
        (dict[str, int], {"a": 1}, {"a": 1}, False),
        (object, {"a": 1}, {"a": 1}, False),
        (object, Report("oslo"), {"city": "oslo"}, False),
        (list[Report], [Report("a")], [{"city": "a"}], True),
        (list[str], [], [], True),
        (list, [1], [1], True),
        (Pair, Pair(1, 2), [1, 2], True),
        (int, 3, 3, True),
        (float, 1.5, 1.5, True),
        (bool, True, True, True),
        (Literal["a", "b"], "a", "a", True),
        (Sky, Sky.GREY, "grey", True),
        (Report | None, None, None, True),
        (Report | None, Report("a"), {"city": "a"}, True),
        (object, 7, 7, True),
        (Report | str, Report("a"), {"city": "a"}, False),
        (datetime, datetime(2026, 7, 28, tzinfo=UTC), "2026-07-28T00:00:00Z", True),
    ],
)
def test_everything_else_is_structured_and_wrapped_for_the_older_revision_unless_an_object(
    annotation: object, value: object, plain: object, wraps: bool
) -> None:
    text = [msgspec.json.encode(plain).decode()]
    assert told(annotation, value, MODERN) == (text, plain)
    assert told(annotation, value, LEGACY) == (text, {"result": plain} if wraps else plain)
    legacy = output_of(annotation).schemas[LEGACY]
    if not isinstance(legacy, UnsetType):
        assert legacy["type"] == "object"
        assert ("result" in legacy["properties"]) is wraps if "properties" in legacy else not wraps  # type: ignore[operator]


@pytest.mark.parametrize(
    "annotation", [str | Report, bytes | None, Report | TextContent, list[Report | ImageContent]]
)
def test_a_union_with_text_or_content_promises_nothing(annotation: object) -> None:
    assert output_of(annotation).schemas == {LEGACY: UNSET, MODERN: UNSET}


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Report, {"town": "oslo"}),
        (Report, None),
        (int, "three"),
        (list[int], [1, "two"]),
        (float, float("nan")),
        (object, object()),
        (object, {"a": {1, object()}}),
        (object, "\ud800"),
        (object, ["\ud800"]),
        (object, [TextContent(text="\ud800")]),
        (object, CallToolResult(content=[TextContent(text="\ud800")])),
        (object, CallToolResult(content=[Report("a")])),  # type: ignore[list-item]
    ],
)
def test_what_cannot_be_encoded_or_breaks_the_promise_is_an_error(annotation: object, value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        output_of(annotation).result(value, MODERN)


def test_a_return_annotation_without_a_json_form_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"handler: the return annotation .*Callable.*-> object"):
        output_of(Callable[[], None])


def test_a_result_that_the_handler_keeps_is_not_the_one_that_is_sent() -> None:
    kept = CallToolResult(content=[])
    sent = output_of(CallToolResult).result(kept, MODERN)
    assert sent == kept
    assert sent is not kept


def test_a_failure_is_always_printable() -> None:
    result = failure("broken \ud800")
    assert result.is_error is True
    assert result.content == [TextContent(text="broken \\ud800")]
    msgspec.json.encode(result)


URI = "x://1"


@pytest.mark.parametrize(
    ("value", "declared", "expected"),
    [
        ("a", None, ResourceContents(uri=URI, mime_type="text/plain", text="a")),
        ("<a>", "text/html", ResourceContents(uri=URI, mime_type="text/html", text="<a>")),
        (None, None, ResourceContents(uri=URI, mime_type="text/plain", text="")),
        (b"\xff", None, ResourceContents(uri=URI, mime_type="application/octet-stream", blob="/w==")),
        (bytearray(b"\xff"), "image/png", ResourceContents(uri=URI, mime_type="image/png", blob="/w==")),
        (Report("a"), None, ResourceContents(uri=URI, mime_type="application/json", text='{"city":"a"}')),
        ([1, 2], "text/x-list", ResourceContents(uri=URI, mime_type="text/x-list", text="[1,2]")),
        ([], None, ResourceContents(uri=URI, mime_type="application/json", text="[]")),
        (ResourceContents(uri="x://2", text="b"), None, ResourceContents(uri="x://2", text="b")),
    ],
)
def test_a_resource_is_text_blob_or_json(
    value: object, declared: str | None, expected: ResourceContents
) -> None:
    assert contents_of(mime_type=declared).of(value, URI) == [expected]


def test_a_resource_of_several_contents_may_have_none() -> None:
    several = [ResourceContents(uri="x://1/a", text="a"), ResourceContents(uri="x://1/b", text="b")]
    assert contents_of().of(several, URI) == several
    assert contents_of(list[ResourceContents]).of([], URI) == []


@pytest.mark.parametrize("value", ["\ud800", object(), [ResourceContents(uri=URI, text="\ud800")]])
def test_a_resource_that_cannot_be_encoded_is_an_error(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        contents_of().of(value, URI)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(int, "3"), (int, None), (Report, {"town": "oslo"}), (list[int], ["a"]), (Sky, "blue")],
)
def test_a_resource_that_breaks_its_promise_is_an_error(annotation: object, value: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        contents_of(annotation).of(value, URI)


@pytest.mark.parametrize(
    ("annotation", "value", "text"),
    [
        (int, 3, "3"),
        (Sky, Sky.GREY, '"grey"'),
        (Literal["a"], "a", '"a"'),
        (Report, Report("b"), '{"city":"b"}'),
    ],
)
def test_a_resource_that_keeps_its_promise_is_json(annotation: object, value: object, text: str) -> None:
    [contents] = contents_of(annotation).of(value, URI)
    assert (contents.text, contents.mime_type) == (text, "application/json")


def test_a_resource_that_may_be_nothing_is_empty_then() -> None:
    [contents] = contents_of(Report | None).of(None, URI)
    assert (contents.text, contents.mime_type) == ("", "text/plain")


@pytest.mark.parametrize(
    ("annotation", "mime_type"),
    [
        (str, "text/plain"),
        (bytes, "application/octet-stream"),
        (Report, "application/json"),
        (list[Report], "application/json"),
        (Report | None, "application/json"),
        (str | bytes, None),
        (Sequence[ResourceContents], None),
        (object, None),
    ],
)
def test_the_mime_type_follows_from_the_annotation_where_that_tells(
    annotation: object, mime_type: str | None
) -> None:
    assert contents_of(annotation).mime_type == mime_type
    assert contents_of(annotation, "text/html").mime_type == "text/html"


def test_a_prompt_is_text_messages_or_blocks() -> None:
    user = PromptMessage(role="user", content=TextContent(text="a"))
    assistant = PromptMessage(role="assistant", content=TextContent(text="b"))
    assert prompt_messages("a") == [user]
    assert prompt_messages(assistant) == [assistant]
    assert prompt_messages(["a", assistant]) == [user, assistant]
    assert prompt_messages((LINK,)) == [PromptMessage(role="user", content=LINK)]
    assert prompt_messages(None) == []


@pytest.mark.parametrize("value", [3, [3], {"a": 1}, "\ud800"])
def test_a_prompt_of_anything_else_is_an_error(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        prompt_messages(value)
