"""The mails that are kept: the newest ones, bounded by number, size and age. Sans-IO."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec import Struct

from mcptrio.sources.mail.message import Mail

OVERHEAD = 2048
"""Bytes that a mail counts for beside its text and its attachments."""


class Kept(Struct, frozen=True):
    """A mail, the contents of its attachments by number, and its keywords."""

    mail: Mail
    contents: dict[int, bytes]
    tags: tuple[str, ...] = ()

    @property
    def cost(self) -> int:
        """What it counts for, in bytes."""
        mail = self.mail
        html = mail.html or ""
        return OVERHEAD + len(mail.text) + len(html) + sum(map(len, self.contents.values()))


class Retention(Struct, frozen=True):
    """How much is kept: so many mails, so many bytes in all, each for so long."""

    count: int
    bytes: int
    age: timedelta


class MailboxStatistics(Struct, frozen=True):
    """How many mails came in all, are kept and were evicted; and how many bytes the kept ones take."""

    received: int
    kept: int
    evicted: int
    kept_bytes: int


class Mailbox:
    """The newest mails. Every method is synchronous and complete.

    What is beyond a bound goes, the oldest first. The newest one stays even if it alone is larger than all may be,
    until it is too old.
    """

    def __init__(self, retention: Retention) -> None:
        self._retention = retention
        self._kept: dict[int, Kept] = {}
        self._bytes = 0
        self._received = 0

    @property
    def next_id(self) -> int:
        """The id that the next mail is to have."""
        return self._received + 1

    def add(self, kept: Kept) -> list[Kept]:
        """Keep a mail whose id is `next_id`. Returns those that had to go for it, oldest first."""
        id = kept.mail.id
        assert id == self.next_id
        self._received = id
        self._kept[id] = kept
        self._bytes += kept.cost
        gone = []
        while len(self._kept) > 1 and (
            len(self._kept) > self._retention.count or self._bytes > self._retention.bytes
        ):
            gone.append(self._evict())
        return gone

    def expire(self, now: datetime) -> list[Kept]:
        """Let go of what is too old, oldest first."""
        gone = []
        while (due := self.next_expiry()) is not None and due <= now:
            gone.append(self._evict())
        return gone

    def next_expiry(self) -> datetime | None:
        """When the oldest mail will be too old; None if there is none."""
        for kept in self._kept.values():
            return kept.mail.received_at + self._retention.age
        return None

    def _evict(self) -> Kept:
        oldest = self._kept.pop(next(iter(self._kept)))
        self._bytes -= oldest.cost
        return oldest

    def get(self, id: int) -> Kept | None:
        """The mail with that id; None if there never was one, or it has gone."""
        return self._kept.get(id)

    def newest(self) -> Iterator[Mail]:
        """The kept mails, newest first."""
        return (kept.mail for kept in reversed(self._kept.values()))

    def statistics(self) -> MailboxStatistics:
        """A snapshot of the counts."""
        kept = len(self._kept)
        return MailboxStatistics(self._received, kept, self._received - kept, self._bytes)
