"""What the `mcptrio://` resources have in common: JSON objects with camelCase keys, and times in UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import trio
from msgspec import Struct

MOST = 1000
"""Entries of one list that are shown; `truncated` says that there are more."""


class Document(Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all that is shown: camelCase, null for what is not known. What is not there at all is left out."""


def utc(at: float) -> datetime:
    """The wall-clock time of a Trio time of this run, to the millisecond."""
    return datetime.fromtimestamp(round(time.time() - (trio.current_time() - at), 3), UTC)
