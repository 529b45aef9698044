"""What may stand in place of a content block, and what cannot be sent."""

from __future__ import annotations

import pytest

from mcptrio.catalog import Audio, Image
from mcptrio.catalog.blocks import blocks_of
from mcptrio.protocol.types import (
    Annotations,
    AudioContent,
    EmbeddedResource,
    ImageContent,
    ResourceContents,
    ResourceLink,
    TextContent,
)

WRONG = Annotations(priority=2)


def test_bytes_become_base64() -> None:
    mine = Annotations(audience=["user"])
    assert Image(b"\xff", "image/png") == ImageContent(data="/w==", mime_type="image/png")
    assert Image(b"", "image/svg+xml", annotations=mine).annotations == mine
    assert Audio(bytearray(b"\xff"), "audio/wav") == AudioContent(data="/w==", mime_type="audio/wav")


@pytest.mark.parametrize(
    ("make", "data", "mime_type", "error"),
    [
        (Image, "text", "image/png", TypeError),
        (Image, b"", "audio/wav", ValueError),
        (Audio, b"", "image/png", ValueError),
        (Audio, None, "audio/wav", TypeError),
        (Image, b"", "", ValueError),
    ],
)
def test_what_is_no_image_and_no_sound_is_refused(
    make: object, data: object, mime_type: str, error: type[Exception]
) -> None:
    assert callable(make)
    with pytest.raises(error):
        make(data, mime_type)


def test_a_list_with_a_block_in_it_is_blocks_and_a_list_without_is_only_if_it_was_declared() -> None:
    contents = ResourceContents(uri="a:b", text="b")
    text = TextContent(text="a")
    assert blocks_of(["a", contents], declared=False) == [text, EmbeddedResource(resource=contents)]
    assert blocks_of(text, declared=False) == [text]
    assert blocks_of(["a"], declared=False) is None
    assert blocks_of([], declared=False) is None
    assert blocks_of(["a"], declared=True) == [text]
    assert blocks_of([], declared=True) == []
    assert blocks_of(["a", contents, 7], declared=True) is None


@pytest.mark.parametrize(
    "block",
    [
        TextContent(text="a", annotations=WRONG),
        Image(b"", "image/png", annotations=WRONG),
        ResourceLink(uri="a:b", name="b", annotations=Annotations(last_modified="soon")),
        ResourceLink(uri="no uri", name="b"),
        ResourceContents(uri="a:b", text="b", annotations=WRONG),
        ResourceContents(uri="a:b"),
        ResourceContents(uri="a:b", blob="no base64!"),
        TextContent(text="a", annotations=Annotations(priority="high")),  # type: ignore[arg-type]
    ],
)
def test_a_block_that_clients_would_choke_on_is_an_error(block: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        blocks_of([block], declared=True)
