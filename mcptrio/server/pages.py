"""Pages of a list, by opaque cursors that stay good while the list changes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from mcptrio.protocol import Failure, RpcError

T = TypeVar("T")

_MARKS = 8

_cursor = msgspec.json.Decoder(tuple[str, int, list[str]])


def page(
    items: Sequence[T], name: str, cursor: str | UnsetType | None, size: int, key: Callable[[T], str]
) -> tuple[list[T], str | UnsetType]:
    """The page of the list `name` behind a cursor, and the cursor of the next one (UNSET at the end).

    A cursor names the last eight items given and their place; the page begins behind the last of them that is still in
    the list, or at their old place when they are all gone. So an item that stays where it is among the others comes
    exactly once, whatever else was added or removed, as long as one of the eight before it stays too.

    Raises:
        RpcError: -32602 for a cursor that is not one of ours.
    """
    start = 0
    if cursor is not UNSET and cursor is not None:
        place, marks = _read(name, cursor)
        start = _start(items, place, marks, key)
    end = start + size
    chosen = list(items[start:end])
    if end >= len(items):
        return chosen, UNSET
    marks = [_mark(key(item)) for item in reversed(items[max(end - _MARKS, 0) : end])]
    return chosen, base64.urlsafe_b64encode(msgspec.json.encode((name, end, marks))).decode()


def _start(items: Sequence[T], place: int, marks: Sequence[str], key: Callable[[T], str]) -> int:
    if not marks:
        return 0
    if 0 < place <= len(items) and _mark(key(items[place - 1])) == marks[0]:
        return place
    found = {_mark(key(item)): index for index, item in enumerate(items)}
    for mark in marks:
        if mark in found:
            return found[mark] + 1
    return min(max(place - len(marks), 0), len(items))


def _mark(key: str) -> str:
    # Keys may be long URIs, of which a cursor need not hold eight.
    return blake2b(key.encode(errors="surrogatepass"), digest_size=6).hexdigest()


def _read(name: str, cursor: str) -> tuple[int, list[str]]:
    try:
        of, place, marks = _cursor.decode(base64.b64decode(cursor.encode(), altchars=b"-_", validate=True))
        if of != name:
            raise ValueError("the cursor of another list")
    except (ValueError, binascii.Error, msgspec.MsgspecError, RecursionError):
        raise RpcError.of(
            Failure.INVALID_PARAMS, "Invalid cursor: use `nextCursor` as it was given"
        ) from None
    return place, marks[:_MARKS]
