"""A resource's JSON, as it goes with the changes of the resource."""

from __future__ import annotations

import msgspec

MOST_DATA = 64 * 1024
"""Longest JSON, in bytes, that goes with a change: changes are kept, and every filter looks into each."""


def json_data(content: bytes) -> object:
    """The value of a resource's JSON; None, which is no data, where that is longer than `MOST_DATA` or nothing.

    Raises:
        msgspec.DecodeError: it is no JSON.
    """
    return msgspec.json.decode(content) if 0 < len(content) <= MOST_DATA else None
