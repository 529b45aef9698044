"""What a handler returned, as MCP content.

| returned | tool | resource | prompt |
|---|---|---|---|
| `str` | text block | text | user message |
| content block, or a list of them and of strings | as they are | - | one user message each |
| `ResourceContents`, or a list of them | embedded | as they are | embedded |
| `PromptMessage`, or a list that has some | - | - | as they are |
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

from mcptrio.catalog.blocks import BLOCKS, block_of, blocks_of, check_contents, encodable
from mcptrio.catalog.errors import DeclarationError
from mcptrio.catalog.given_schema import GivenSchema
from mcptrio.catalog.schema import can_be_wrapped, is_object, schema_of, wrapped
from mcptrio.catalog.signature import MISSING, Signature, without_metadata
from mcptrio.protocol import Revision
from mcptrio.protocol.results import CallToolResult
from mcptrio.protocol.types import Object, PromptMessage, ResourceContents, TextContent

_CONTENT: frozenset[object] = frozenset({*BLOCKS, ResourceContents, PromptMessage})
_AS_THEY_ARE: frozenset[object] = _CONTENT | {CallToolResult, str, bytes, bytearray, memoryview}
_SEQUENCES: frozenset[object] = frozenset({list, tuple, Sequence})
_ANYTHING: frozenset[object] = frozenset({object, typing.Any, MISSING})
_NOTHING: frozenset[object] = frozenset({None, type(None), typing.NoReturn, typing.Never})

TEXT = "text/plain"
JSON = "application/json"
BINARY = "application/octet-stream"


class Output:
    """How the results of one tool are told, by the schema that was given for it or by its return annotation.

    With a schema, every result is structured content that was checked against it. Without one, the value
    decides.
    """

    def __init__(self, signature: Signature, given: GivenSchema | None = None) -> None:
        """Raises `DeclarationError` when the return annotation has no JSON form."""
        self._given = given
        self._decoder: msgspec.json.Decoder[object] | None = None
        self._wraps = False
        self._blocks = _is_list_of(_CONTENT, signature.returns)
        self.schemas: Mapping[Revision, Object | UnsetType] = {Revision.LEGACY: UNSET, Revision.MODERN: UNSET}
        if given is not None:
            schema = given.schema
            if not (is_object(schema) or can_be_wrapped(schema)):
                raise DeclarationError(
                    f"{signature.function}: an output_schema that is not of an object is told to clients of "
                    "2025-11-25 inside of one, where its $ref can only begin with #/$defs/"
                )
        elif _is_structured(signature.returns):
            self._decoder, schema = _decoder(signature)
        else:
            return
        self._wraps = not is_object(schema)
        self.schemas = {Revision.LEGACY: wrapped(schema) if self._wraps else schema, Revision.MODERN: schema}

    def result(self, value: object, revision: Revision) -> CallToolResult:
        """The result of a call.

        Raises:
            Exception: of any type, when the value cannot be encoded or is not what the annotation promises.
        """
        if self._given is not None and isinstance(value, CallToolResult):
            if value.is_error is not True:
                if value.structured_content is UNSET:
                    raise ValueError("there is an output_schema, but the result has no structured_content")
                self._given.conforms(msgspec.json.encode(value.structured_content))
            return _as_it_is(value, revision, self._wraps)
        free = self._decoder is None and self._given is None
        if free:
            if isinstance(value, str):
                return CallToolResult(content=[TextContent(text=encodable(value))])
            if value is None:
                return CallToolResult(content=[])
            plain = _unstructured(value, revision, self._blocks)
            if plain is not None:
                return plain
        json = msgspec.json.encode(value)
        if self._given is not None:
            self._given.conforms(json)
        elif self._decoder is not None:
            self._decoder.decode(json)
        legacy_wrap = self._wraps or (free and not json.startswith(b"{"))
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


class Contents:
    """How what a resource's or a template's handler returned is told; `mime_type` is the declared one.

    Where the return annotation is a JSON type, every value is checked against it; else the value decides.
    """

    def __init__(self, signature: Signature, mime_type: str | None = None) -> None:
        """Raises `DeclarationError` when the return annotation has no JSON form."""
        returns = signature.returns
        bare = without_metadata(returns)
        self._declared = mime_type
        self._lists = _is_list_of(_CONTENT, returns)
        self._decoder = _decoder(signature)[0] if _is_structured(returns) else None
        by_type: dict[object, str] = {str: TEXT, bytes: BINARY, bytearray: BINARY, memoryview: BINARY}
        known = JSON if self._decoder is not None else by_type.get(bare)
        self.mime_type = mime_type or known
        """What to list; None where only the value tells."""

    def of(self, value: object, uri: str) -> list[ResourceContents]:
        """The contents of a resource.

        Raises:
            Exception: of any type, when the value cannot be encoded or is not what the annotation promises.
        """
        if self._decoder is not None:
            return self._checked(value, uri, self._decoder)
        if isinstance(value, ResourceContents):
            value = [value]
        # Only the annotation tells an empty list of contents from an empty JSON array.
        if (
            isinstance(value, list | tuple)
            and all(isinstance(item, ResourceContents) for item in value)
            and (value or self._lists)
        ):
            for contents in value:
                check_contents(contents)
            msgspec.json.encode(value)
            return list(value)
        if value is None:
            return self._text(uri, TEXT, "")
        if isinstance(value, str):
            return self._text(uri, TEXT, encodable(value))
        if isinstance(value, bytes | bytearray | memoryview):
            blob = base64.b64encode(value).decode()
            return [ResourceContents(uri=uri, mime_type=self._declared or BINARY, blob=blob)]
        return self._text(uri, JSON, msgspec.json.encode(value).decode())

    def _checked(
        self, value: object, uri: str, decoder: msgspec.json.Decoder[object]
    ) -> list[ResourceContents]:
        json = msgspec.json.encode(value)
        decoder.decode(json)
        return self._text(uri, TEXT, "") if value is None else self._text(uri, JSON, json.decode())

    def _text(self, uri: str, mime_type: str, text: str) -> list[ResourceContents]:
        return [ResourceContents(uri=uri, mime_type=self._declared or mime_type, text=text)]


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
    blocks_of([message.content for message in messages], declared=True)
    msgspec.json.encode(messages)
    return messages


def _printable(text: str) -> str:
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def _unstructured(value: object, revision: Revision, declared: bool) -> CallToolResult | None:
    if isinstance(value, CallToolResult):
        return _as_it_is(value, revision)
    if isinstance(value, bytes | bytearray | memoryview):
        return CallToolResult(content=[TextContent(text=base64.b64encode(value).decode())])
    # Only the annotation tells an empty list of blocks from an empty JSON array.
    blocks = blocks_of(value, declared=declared)
    if blocks is None:
        return None
    msgspec.json.encode(blocks)
    return CallToolResult(content=blocks)


def _as_it_is(value: CallToolResult, revision: Revision, wraps: bool = False) -> CallToolResult:
    blocks = blocks_of(list(value.content), declared=True)
    if blocks is None:
        raise TypeError("the content of a CallToolResult must be content blocks")
    # The codec completes results in place, and this one may be kept by the handler.
    result = msgspec.structs.replace(value, content=blocks)
    msgspec.json.encode(result)
    if revision is Revision.LEGACY and result.structured_content is not UNSET:
        json = msgspec.json.encode(result.structured_content)
        if wraps or not json.startswith(b"{"):
            result.structured_content = Raw(b'{"result":' + json + b"}")
    return result


def _decoder(signature: Signature) -> tuple[msgspec.json.Decoder[object], Object]:
    annotation = signature.returns
    try:
        return msgspec.json.Decoder(annotation), schema_of(annotation)
    except Exception as error:
        raise DeclarationError(
            f"{signature.function}: the return annotation {annotation!r} has no JSON form "
            f"({str(error).splitlines()[-1]}); return a Struct, a dataclass or a JSON type, or annotate "
            "`-> object`; `Image` and `Audio` return an `ImageContent` and an `AudioContent`"
        ) from error


def _is_list_of(kinds: frozenset[object], annotation: object) -> bool:
    bare = without_metadata(annotation)
    return typing.get_origin(bare) in _SEQUENCES and any(
        _holds(kinds, item) for item in typing.get_args(bare)
    )


def _message(item: object) -> PromptMessage:
    if isinstance(item, PromptMessage):
        return item
    block = block_of(item)
    if block is not None:
        return PromptMessage(role="user", content=block)
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
