"""What a file reads as."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.catalog.content import check_contents
from mcptrio.sources.files.contents import Contents, TooLarge, contents_of, modified, read_file, text_of


@pytest.mark.parametrize(
    ("name", "data", "mime_type", "text"),
    [
        ("a.txt", b"hello", "text/plain", "hello"),
        ("a", "hällo".encode(), "text/plain", "hällo"),
        ("a.md", b"\xef\xbb\xbfhi", "text/markdown", "hi"),
        ("a.json", b"{}", "application/json", "{}"),
        ("empty", b"", "text/plain", ""),
        ("a.txt", "hä".encode("utf-16"), "text/plain", "hä"),
        ("a.txt", "hä".encode("latin-1"), "text/plain", None),
        ("a", b"\x89PNG", "application/octet-stream", None),
        ("a.png", b"\x89PNG", "image/png", None),
        ("a", b"a\0b", "application/octet-stream", None),
        ("a.tar.gz", b"\x1f\x8b", "application/octet-stream", None),
    ],
)
def test_text_is_text_and_the_rest_a_blob(name: str, data: bytes, mime_type: str, text: str | None) -> None:
    contents = contents_of("files://x/a", name, Contents(data, 1_500_000_000))
    check_contents(contents)
    assert contents.mime_type == mime_type
    if text is None:
        assert isinstance(contents.blob, str) and base64.b64decode(contents.blob) == data
    else:
        assert contents.text == text
    assert contents.annotations
    assert contents.annotations.last_modified == "1970-01-01T00:00:01.500000+00:00"


@given(st.binary(max_size=40))
def test_any_bytes_are_one_or_the_other(data: bytes) -> None:
    text = text_of(data)
    check_contents(contents_of("files://x/a", "a", Contents(data, 0)))
    if text is not None:
        text.encode()


def test_no_more_is_read_than_allowed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 10)
    assert read_file(str(tmp_path), "a", 10).data == b"x" * 10
    with pytest.raises(TooLarge):
        read_file(str(tmp_path), "a", 9)


def test_a_time_that_no_calendar_has_is_left_out() -> None:
    assert not modified(10**21)
    assert modified(-1)
