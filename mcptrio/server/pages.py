"""Pages of a list, by opaque cursors that stay good while the list changes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from mcptrio.protocol import Failure, RpcError

T = TypeVar("T")

_cursor = msgspec.json.Decoder(tuple[str, int, str])


def page(
    items: Sequence[T], name: str, cursor: str | UnsetType | None, size: int, key: Callable[[T], str]
) -> tuple[list[T], str | UnsetType]:
    """The page of the list `name` behind a cursor, and the cursor of the next one (UNSET at the end).

    A cursor names the last item given and its place. If that item moved, the page begins behind where it is now; if
    it is gone, at its old place.

    Raises:
        RpcError: -32602 for a cursor that is not one of ours.
    """
    start = 0
    if cursor is not UNSET and cursor is not None:
        place, last = _read(name, cursor)
        start = min(place, len(items))
        if start == 0 or key(items[start - 1]) != last:
            found = next((index for index, item in enumerate(items) if key(item) == last), None)
            start = max(start - 1, 0) if found is None else found + 1
    end = start + size
    chosen = list(items[start:end])
    if end >= len(items):
        return chosen, UNSET
    return chosen, base64.urlsafe_b64encode(msgspec.json.encode((name, end, key(chosen[-1])))).decode()


def _read(name: str, cursor: str) -> tuple[int, str]:
    try:
        of, place, last = _cursor.decode(base64.b64decode(cursor.encode(), altchars=b"-_", validate=True))
        if of != name:
            raise ValueError("the cursor of another list")
    except (ValueError, binascii.Error, msgspec.MsgspecError, RecursionError):
        raise RpcError.of(
            Failure.INVALID_PARAMS, "Invalid cursor: use `nextCursor` as it was given"
        ) from None
    return max(place, 0), last
