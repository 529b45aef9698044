"""What a handler returned, as MCP content.

| returned | tool | resource | prompt |
|---|---|---|---|
| `str` | text block | text | user message |
| content block, or a list of them | as they are | - | one user message each |
| `ResourceContents`, or a list of them | - | as they are | - |
| `PromptMessage`, or a list of messages and strings | - | - | as they are |
| `CallToolResult` | as it is | - | - |
| `bytes` | text block, base64 | blob, base64 | - |
| `None` | no content | empty text | no message |
| everything else | structured content and its JSON as text | JSON text | - |

Everything is encoded here already, so that what cannot be encoded is the handler's failure and not the
peer's.
"""

from __future__ import annotations

import base64
import types as python_types
import typing
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET, Raw, UnsetType

from mcptrio.catalog.errors import DeclarationError
from mcptrio.catalog.schema import is_object, schema_of, wrapped
from mcptrio.catalog.signature import MISSING, Signature, without_metadata
from mcptrio.live import check_uri
from mcptrio.protocol import Revision
from mcptrio.protocol.results import CallToolResult
from mcptrio.protocol.types import (
    AudioContent,
    EmbeddedResource,
    ImageContent,
    Object,
    PromptMessage,
    ResourceContents,
    ResourceLink,
    TextContent,
)

_BLOCKS = (TextContent, ImageContent, AudioContent, ResourceLink, EmbeddedResource)
_AS_THEY_ARE: frozenset[object] = frozenset(
    {*_BLOCKS, CallToolResult, ResourceContents, PromptMessage, str, bytes, bytearray, memoryview}
)
_CONTENT: frozenset[object] = frozenset({*_BLOCKS, ResourceContents, PromptMessage})
_SEQUENCES: frozenset[object] = frozenset({list, tuple, Sequence})
_ANYTHING: frozenset[object] = frozenset({object, typing.Any, MISSING})
_NOTHING: frozenset[object] = frozenset({None, type(None), typing.NoReturn, typing.Never})

TEXT = "text/plain"
JSON = "application/json"
BINARY = "application/octet-stream"


class Output:
    """How the results of one tool are told, by its return annotation.

    With a schema, every result is structured content that was checked against it. Without one, the value
    decides.
    """

    def __init__(self, signature: Signature) -> None:
        """Raises `DeclarationError` when the return annotation has no JSON form."""
        self._decoder: msgspec.json.Decoder[object] | None = None
        self._wraps = False
        self._blocks = _is_list_of(_CONTENT, signature.returns)
        self.schemas: Mapping[Revision, Object | UnsetType] = {Revision.LEGACY: UNSET, Revision.MODERN: UNSET}
        annotation = signature.returns
        if not _is_structured(annotation):
            return
        try:
            schema = schema_of(annotation)
            self._decoder = msgspec.json.Decoder(annotation)
        except Exception as error:
            raise DeclarationError(
                f"{signature.function}: the return annotation {annotation!r} has no JSON form "
                f"({str(error).splitlines()[-1]}); return a Struct, a dataclass or a JSON type, or annotate "
                "`-> object`"
            ) from error
        self._wraps = not is_object(schema)
        self.schemas = {Revision.LEGACY: wrapped(schema) if self._wraps else schema, Revision.MODERN: schema}

    def result(self, value: object, revision: Revision) -> CallToolResult:
        """The result of a call.

        Raises:
            Exception: of any type, when the value cannot be encoded or is not what the annotation promises.
        """
        if self._decoder is None:
            if isinstance(value, str):
                return CallToolResult(content=[TextContent(text=encodable(value))])
            if value is None:
                return CallToolResult(content=[])
            plain = _unstructured(value, revision, self._blocks)
            if plain is not None:
                return plain
        json = msgspec.json.encode(value)
        if self._decoder is not None:
            self._decoder.decode(json)
        legacy_wrap = self._wraps or (self._decoder is None and not json.startswith(b"{"))
        structured = json
        if legacy_wrap and revision is Revision.LEGACY:
            structured = b'{"result":' + json + b"}"
        return CallToolResult(
            content=[TextContent(text=json.decode())],
            structured_content=Raw(structured),
        )


def failure(text: str) -> CallToolResult:
    """A result with `isError`."""
    return CallToolResult(content=[TextContent(text=_printable(text))], is_error=True)


def resource_contents(
    value: object, uri: str, mime_type: str | None = None, returns: object = MISSING
) -> list[ResourceContents]:
    """What a resource's handler returned; `mime_type` is the declared one, `returns` the return annotation.

    Raises:
        Exception: of any type, when the value cannot be encoded.
    """
    if isinstance(value, ResourceContents):
        value = [value]
    # Only the annotation tells an empty list of contents from an empty JSON array.
    if (
        isinstance(value, list | tuple)
        and all(isinstance(item, ResourceContents) for item in value)
        and (value or _is_list_of(_CONTENT, returns))
    ):
        for contents in value:
            check_contents(contents)
        msgspec.json.encode(value)
        return list(value)
    if value is None:
        return [ResourceContents(uri=uri, mime_type=mime_type or TEXT, text="")]
    if isinstance(value, str):
        return [ResourceContents(uri=uri, mime_type=mime_type or TEXT, text=encodable(value))]
    if isinstance(value, bytes | bytearray | memoryview):
        return [
            ResourceContents(uri=uri, mime_type=mime_type or BINARY, blob=base64.b64encode(value).decode())
        ]
    text = msgspec.json.encode(value).decode()
    return [ResourceContents(uri=uri, mime_type=mime_type or JSON, text=text)]


def mime_type_of(annotation: object) -> str | None:
    """The MIME type that a resource with this return annotation will have; None where only the value
    tells.
    """
    bare = without_metadata(annotation)
    if bare is str:
        return TEXT
    if bare in (bytes, bytearray, memoryview):
        return BINARY
    return JSON if _is_structured(annotation) else None


def prompt_messages(value: object) -> list[PromptMessage]:
    """What a prompt's handler returned.

    Raises:
        TypeError: when it is nothing that a prompt may return.
        Exception: of any type, when it cannot be encoded.
    """
    if value is None:
        return []
    items: Sequence[object] = value if isinstance(value, list | tuple) else [value]
    messages = [_message(item) for item in items]
    check_blocks([message.content for message in messages])
    msgspec.json.encode(messages)
    return messages


def encodable(text: str) -> str:
    """The text as a plain `str`, if it has a UTF-8 form: a lone surrogate raises `UnicodeEncodeError`."""
    if not text.isascii():
        text.encode()
    return text if type(text) is str else str.__str__(text)


def _printable(text: str) -> str:
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def _unstructured(value: object, revision: Revision, blocks_only: bool) -> CallToolResult | None:
    if isinstance(value, CallToolResult):
        check_blocks(value.content)
        msgspec.json.encode(value)
        # The codec completes results in place, and this one may be kept by the handler.
        result = msgspec.structs.replace(value)
        if revision is Revision.LEGACY and result.structured_content is not UNSET:
            json = msgspec.json.encode(result.structured_content)
            if not json.startswith(b"{"):
                result.structured_content = Raw(b'{"result":' + json + b"}")
        return result
    if isinstance(value, bytes | bytearray | memoryview):
        return CallToolResult(content=[TextContent(text=base64.b64encode(value).decode())])
    blocks = [value] if isinstance(value, _BLOCKS) else value
    # Only the annotation tells an empty list of blocks from an empty JSON array.
    if (
        isinstance(blocks, list | tuple)
        and all(isinstance(item, _BLOCKS) for item in blocks)
        and (blocks or blocks_only)
    ):
        check_blocks(blocks)
        msgspec.json.encode(blocks)
        return CallToolResult(content=list(blocks))
    return None


def check_contents(contents: ResourceContents) -> None:
    """Raises `ValueError` unless they have a URI and exactly one of text and base64."""
    check_uri(contents.uri)
    if (contents.text is UNSET) == (contents.blob is UNSET):
        raise ValueError(f"the contents of {contents.uri} need either text or blob")
    if contents.blob is not UNSET:
        base64.b64decode(contents.blob, validate=True)


def check_blocks(blocks: Sequence[object]) -> None:
    """Raises `ValueError` for an embedded resource or link that is none."""
    for block in blocks:
        if isinstance(block, EmbeddedResource):
            check_contents(block.resource)
        elif isinstance(block, ResourceLink):
            check_uri(block.uri)


def _is_list_of(kinds: frozenset[object], annotation: object) -> bool:
    bare = without_metadata(annotation)
    return typing.get_origin(bare) in _SEQUENCES and any(
        _holds(kinds, item) for item in typing.get_args(bare)
    )


def _message(item: object) -> PromptMessage:
    if isinstance(item, PromptMessage):
        return item
    if isinstance(item, str):
        return PromptMessage(role="user", content=TextContent(text=item))
    if isinstance(item, _BLOCKS):
        return PromptMessage(role="user", content=item)
    raise TypeError(
        f"a prompt returns str, PromptMessage, a content block or a list of them, not {type(item).__name__}"
    )


def _is_structured(annotation: object) -> bool:
    """Whether every value of the annotation is told as structured content."""
    bare = without_metadata(annotation)
    if bare in _ANYTHING or bare in _NOTHING:
        return False
    if typing.get_origin(bare) in (typing.Union, python_types.UnionType):
        members = [member for member in typing.get_args(bare) if member is not type(None)]
        return all(_is_structured(member) for member in members)
    if bare in _SEQUENCES:
        return False
    if typing.get_origin(bare) in _SEQUENCES:
        # A list of blocks is blocks, a list of strings is JSON, and a list of anything may be either.
        return not any(_holds(_ANYTHING | _CONTENT, item) for item in typing.get_args(bare))
    return bare not in _AS_THEY_ARE


def _holds(kinds: frozenset[object], annotation: object) -> bool:
    bare = without_metadata(annotation)
    if typing.get_origin(bare) in (typing.Union, python_types.UnionType):
        return any(_holds(kinds, member) for member in typing.get_args(bare))
    return bare in kinds
