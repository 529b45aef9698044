"""What goes with the changes of a mail: what stands above its text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from msgspec import Struct

from mcptrio.sources.mail.message import Mail

MOST_ADDRESSES = 4096
"""Characters that the addresses of one header have together in a heading; those behind are left out."""


class Heading(Struct, frozen=True, kw_only=True, rename={"sender": "from"}):
    """A mail without its text and its attachments, under the names that its resource has; bounded, whoever wrote it."""

    id: int
    received_at: datetime
    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    subject: str
    date: datetime | None
    message_id: str
    size: int
    attachments: int
    """How many."""

    @classmethod
    def of(cls, mail: Mail) -> Heading:
        """The heading of a mail."""
        return cls(
            id=mail.id,
            received_at=mail.received_at,
            sender=mail.sender,
            to=tuple(_first(mail.to)),
            cc=tuple(_first(mail.cc)),
            subject=mail.subject,
            date=mail.date,
            message_id=mail.message_id,
            size=mail.size,
            attachments=len(mail.attachments),
        )


def metadata_of(mail: Mail, tags: tuple[str, ...]) -> dict[str, object]:
    """The metadata of a mail's changes: its author, its size and its tags, as far as there are any."""
    found: dict[str, object] = {"author": mail.sender, "size": mail.size, "tags": list(tags)}
    return {name: value for name, value in found.items() if value}


def _first(addresses: Iterable[str]) -> Iterator[str]:
    total = 0
    for address in addresses:
        total += len(address)
        if total > MOST_ADDRESSES:
            return
        yield address
