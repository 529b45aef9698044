"""What a file holds, as text where it is text. Blocking: for threads."""

from __future__ import annotations

import base64
import codecs
import os
from datetime import UTC, datetime
from mimetypes import MimeTypes

from msgspec import UNSET, Struct, UnsetType

from mcptrio.catalog.content import BINARY, TEXT
from mcptrio.protocol.types import Annotations, ResourceContents
from mcptrio.sources.files.opening import open_file

# Without what this machine has in /etc: the same file is of the same type everywhere.
_TYPES = MimeTypes()
_TYPES.add_type("text/markdown", ".md")
_TYPES.add_type("application/toml", ".toml")
_TYPES.add_type("application/yaml", ".yaml")
_TYPES.add_type("application/yaml", ".yml")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class TooLarge(Exception):
    """The file is larger than what is read."""


class Contents(Struct, frozen=True):
    """The bytes of a file, and when it was last modified (nanoseconds since 1970)."""

    data: bytes
    modified_ns: int


def read_file(root: str, path: str, max_size: int) -> Contents:
    """Read a file below a directory, now.

    A file that is written to meanwhile may be read half old, half new; that it changed is announced afterwards.

    Raises:
        NoSuchFile: there is no regular file of that path.
        TooLarge: it has more bytes than `max_size`; no more than these were read.
        OSError: it cannot be read.
    """
    descriptor = open_file(root, path)
    with open(descriptor, "rb", buffering=0) as file:
        modified_ns = os.fstat(descriptor).st_mtime_ns
        data = bytearray()
        while piece := file.read(max_size + 1 - len(data)):
            data += piece
            if len(data) > max_size:
                raise TooLarge
    return Contents(bytes(data), modified_ns)


def contents_of(uri: str, path: str, contents: Contents) -> ResourceContents:
    """As MCP has it: UTF-8, and UTF-16 with its byte order mark, as text; everything else, and NULs, as a blob."""
    text = text_of(contents.data)
    return ResourceContents(
        uri=uri,
        mime_type=type_of(path) or (BINARY if text is None else TEXT),
        text=UNSET if text is None else text,
        blob=base64.b64encode(contents.data).decode() if text is None else UNSET,
        annotations=modified(contents.modified_ns),
    )


def text_of(data: bytes) -> str | None:
    """The text that the bytes are; None if they are none. A byte order mark is no part of it."""
    try:
        text = data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def type_of(path: str) -> str | None:
    """The MIME type that the name tells; None if it tells none, or that of something packed."""
    kind, packed = _TYPES.guess_type(path)
    return kind if packed is None else None


def modified(modified_ns: int) -> Annotations | UnsetType:
    """`lastModified`; nothing for a time that no calendar has."""
    at = modified_at(modified_ns)
    return UNSET if at is None else Annotations(last_modified=at)


def modified_at(modified_ns: int) -> str | None:
    """A time (nanoseconds since 1970) in words of ISO 8601; None for one that no calendar has."""
    try:
        return datetime.fromtimestamp(modified_ns / 1e9, UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return None
