"""Content blocks: what a handler may return in their place, and whether they can be sent."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from msgspec import UNSET

from mcptrio.catalog.metadata import check_annotations
from mcptrio.live import check_uri
from mcptrio.protocol.types import (
    Annotations,
    AudioContent,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceContents,
    ResourceLink,
    TextContent,
)

BLOCKS = (TextContent, ImageContent, AudioContent, ResourceLink, EmbeddedResource)


def Image(data: bytes, mime_type: str, *, annotations: Annotations | None = None) -> ImageContent:
    """An image of these bytes, as a content block: `Image(png, "image/png")`. `annotations` say for whom it is.

    Raises:
        TypeError, ValueError: the data are no bytes, or the MIME type is no image's.
    """
    encoded = _encoded(data, mime_type, "image/")
    return ImageContent(data=encoded, mime_type=mime_type, annotations=annotations or UNSET)


def Audio(data: bytes, mime_type: str, *, annotations: Annotations | None = None) -> AudioContent:
    """Sound of these bytes, as a content block: `Audio(wav, "audio/wav")`. `annotations` say for whom it is.

    Raises:
        TypeError, ValueError: the data are no bytes, or the MIME type is no sound's.
    """
    encoded = _encoded(data, mime_type, "audio/")
    return AudioContent(data=encoded, mime_type=mime_type, annotations=annotations or UNSET)


def block_of(item: object) -> ContentBlock | None:
    """The block for an item: text, resource contents or already one. None for everything else."""
    if isinstance(item, str):
        return TextContent(text=encodable(item))
    if isinstance(item, BLOCKS):
        return item
    if isinstance(item, ResourceContents):
        return EmbeddedResource(resource=item)
    return None


def blocks_of(value: object, *, declared: bool) -> list[ContentBlock] | None:
    """A block, or a list of blocks and texts, as blocks that can be sent; None when it is something else.

    Texts alone are no blocks unless it was `declared` that there may be blocks: a list of strings is JSON.

    Raises:
        ValueError: a block that cannot be sent.
    """
    items: Sequence[object] = value if isinstance(value, list | tuple) else [value]
    if not declared and all(isinstance(item, str) for item in items):
        return None
    blocks: list[ContentBlock] = []
    for item in items:
        block = block_of(item)
        if block is None:
            return None
        blocks.append(block)
    check_blocks(blocks)
    return blocks


def check_blocks(blocks: Sequence[object]) -> None:
    """Raises `ValueError` for an embedded resource or link that is none, and for annotations that are none."""
    for block in blocks:
        if isinstance(block, BLOCKS):
            check_annotations(block.annotations)
        if isinstance(block, EmbeddedResource):
            check_contents(block.resource)
        elif isinstance(block, ResourceLink):
            check_uri(block.uri)


def check_contents(contents: ResourceContents) -> None:
    """Raises `ValueError` unless they have a URI and exactly one of text and base64."""
    check_uri(contents.uri)
    check_annotations(contents.annotations)
    if (contents.text is UNSET) == (contents.blob is UNSET):
        raise ValueError(f"the contents of {contents.uri} need either text or blob")
    if contents.blob is not UNSET:
        base64.b64decode(contents.blob, validate=True)


def encodable(text: str) -> str:
    """The text as a plain `str`, if it has a UTF-8 form: a lone surrogate raises `UnicodeEncodeError`."""
    if not text.isascii():
        text.encode()
    return text if type(text) is str else str.__str__(text)


def _encoded(data: bytes, mime_type: str, family: str) -> str:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"data must be bytes, not {type(data).__name__}")
    if not mime_type.startswith(family):
        raise ValueError(f"{mime_type!r} is no MIME type that begins with {family!r}")
    return base64.b64encode(data).decode()
