"""Conditional requests and their traps (RFC 9110, sections 8.8, 10.2.3 and 13.1). Sans-IO."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from msgspec import Struct

CERTAIN_AFTER = 2.0
"""Seconds a document must have rested before its modification time identifies it."""

_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,1000}"')
# What nginx makes of modification time and size: no stronger than the time it is made of.
_TIMED_ETAG = re.compile(r'(?:W/)?"([0-9a-f]{1,16})-[0-9a-f]{1,16}"')
_SECONDS = re.compile(r"[0-9]{1,12}")


class Validators(Struct, frozen=True):
    """What identifies the document last seen, for asking whether there is another. Empty: ask for it all.

    A modification time has a resolution of a second: a document rewritten within the second in which it was
    fetched keeps its time, and a request by that time would be answered "not modified" for ever. So a time
    counts only where the answer's `Date` is at least `CERTAIN_AFTER` later. The same holds for an entity tag
    that is only modification time and size in other clothes.
    """

    url: str = ""
    """What was asked for: after redirects, the validators of one URL say nothing about another."""
    etag: str | None = None
    last_modified: str | None = None

    @classmethod
    def of(cls, url: str, headers: Mapping[str, str]) -> Validators:
        """The validators of a complete answer of `url` with a document."""
        modified_at = http_date(headers.get("last-modified"))
        sent_at = http_date(headers.get("date"))
        certain = (
            modified_at is not None
            and sent_at is not None
            and (sent_at - modified_at).total_seconds() >= CERTAIN_AFTER
        )
        etag = headers.get("etag")
        if etag is not None and _ETAG.fullmatch(etag) is None:
            etag = None
        if etag is not None and modified_at is not None and not certain:
            timed = _TIMED_ETAG.fullmatch(etag)
            if timed is not None and int(timed[1], 16) == int(modified_at.timestamp()):
                etag = None
        return cls(url, etag, headers.get("last-modified") if certain else None)

    def request_headers(self, url: str) -> dict[str, str]:
        """What a request for a newer document carries. The tag alone where there is one: it decides."""
        if url != self.url:
            return {}
        if self.etag is not None:
            return {"if-none-match": self.etag}
        if self.last_modified is not None:
            return {"if-modified-since": self.last_modified}
        return {}


def http_date(value: str | None) -> datetime | None:
    """A date of an HTTP header; None where there is none, or none that can be understood."""
    if value is None or len(value) > 100 or not value.isascii():
        return None
    try:
        date = parsedate_to_datetime(value)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """How many seconds an answer asks to be left alone; None where it does not say.

    A date is measured against the answer's own `Date`, because the two clocks need not agree; against `now`
    where there is none.
    """
    value = headers.get("retry-after")
    if value is None:
        return None
    if _SECONDS.fullmatch(value):
        return float(value)
    until = http_date(value)
    if until is None:
        return None
    return max(0.0, (until - (http_date(headers.get("date")) or now)).total_seconds())
