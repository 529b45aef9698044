"""What a mail reads as, and what was found in one that has just come in."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class Attachment(Struct, frozen=True):
    """A part that is not the mail's text. Numbers count from 1; `size` is in bytes, decoded.

    `uri` is where its content is read; None where it is larger than what is kept.
    """

    number: int
    name: str
    mime_type: str
    size: int
    uri: str | None = None


class Found(Struct, frozen=True, kw_only=True):
    """A mail, taken apart. All texts have a UTF-8 form, and all of them are bounded.

    `contents` are the attachments' contents by number, without those that are larger than what is kept.
    """

    sender: str = ""
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    subject: str = ""
    date: datetime | None = None
    message_id: str = ""
    text: str = ""
    html: str | None = None
    truncated: bool = False
    """Whether the text or the HTML is longer than what is kept of it."""
    attachments: tuple[Attachment, ...] = ()
    contents: dict[int, bytes]
    defects: tuple[str, ...] = ()
    """What is wrong with it, in words."""
    size: int
    """Bytes, as it came."""
    keywords: tuple[str, ...] = ()


class Envelope(Struct, frozen=True):
    """Who a mail came from and went to on its way, whatever its own headers say."""

    sender: str
    recipients: tuple[str, ...]


class Mail(Struct, frozen=True, kw_only=True, rename={"sender": "from"}):
    """A kept mail, as its resource reads. Ids count from 1 and are never used twice."""

    id: int
    received_at: datetime
    envelope: Envelope
    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    subject: str
    date: datetime | None
    message_id: str
    size: int
    text: str
    html: str | None
    truncated: bool
    attachments: tuple[Attachment, ...]
    defects: tuple[str, ...]


class Summary(Struct, frozen=True, kw_only=True, rename={"sender": "from"}):
    """A mail in a line."""

    id: int
    uri: str
    received_at: datetime
    sender: str
    subject: str
    size: int
    attachments: int
