"""What a declaration says about itself beside its name: icons, annotations, `_meta`, and how long it may be kept.

Everything is checked and copied when it is declared, so that a list can never fail because of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from mcptrio.catalog.errors import DeclarationError
from mcptrio.protocol.types import Annotations, Icon, Object

T = TypeVar("T")

_YEAR = 366 * 24 * 3600.0
_ICON_URIS = ("https://", "http://", "data:")


@dataclass(frozen=True, slots=True)
class Caching:
    """How long what was read may be kept, and by whom.

    `ttl` (seconds) is told to clients of 2026-07-28: for so long they need not read again, unless they hear of a
    change; 0 says never, and None as long as the server keeps it. `cache_seconds` is how long the server itself may
    keep it; None says not at all. With `public` both may be shared by everybody, otherwise only within one principal.
    """

    ttl: float | None = None
    public: bool = False
    cache_seconds: float | None = None

    @property
    def ttl_ms(self) -> int:
        """`ttlMs` on the wire."""
        return int((self.ttl or 0) * 1000)

    @property
    def scope(self) -> str:
        """`cacheScope` on the wire."""
        return "public" if self.public else "private"


UNCACHED = Caching()
"""What holds unless a declaration says otherwise."""


def checked_caching(where: str, ttl: float | None, public: bool, cache: float | None) -> Caching:
    """Raises `DeclarationError` for a time that is none."""
    for name, seconds in (("ttl", ttl), ("cache", cache)):
        if not isinstance(seconds, int | float | None):
            raise DeclarationError(f"{where}: {name}={seconds!r} must be a number of seconds, such as 60")
    if ttl is not None and not 0 <= ttl <= _YEAR:
        raise DeclarationError(f"{where}: ttl={ttl!r} must be seconds from 0 to a year, or None")
    if cache is not None and not 0 < cache <= _YEAR:
        raise DeclarationError(
            f"{where}: cache={cache!r} must be a positive number of seconds, at most a year, or None"
        )
    return Caching(ttl, public, cache)


def checked_icons(where: str, icons: Sequence[Icon] | None) -> list[Icon] | UnsetType:
    """Raises `DeclarationError` for what is no list of icons, or has an icon that no client would load."""
    if icons is None:
        return UNSET
    copied = _copied(where, "icons", icons, list[Icon])
    for icon in copied:
        if not icon.src.startswith(_ICON_URIS):
            raise DeclarationError(
                f"{where}: the icon {icon.src[:100]!r} needs an https: or a data: URI as its src"
            )
    return copied


def checked_annotations(where: str, annotations: Annotations | None) -> Annotations | UnsetType:
    """Raises `DeclarationError` naming the annotation that is wrong."""
    if annotations is None:
        return UNSET
    copied = _copied(where, "annotations", annotations, Annotations)
    try:
        check_annotations(copied)
    except ValueError as error:
        raise DeclarationError(f"{where}: annotations: {error}") from None
    return copied


def checked_meta(where: str, meta: Mapping[str, object] | None) -> Object | UnsetType:
    """Raises `DeclarationError` for what is no JSON object."""
    return UNSET if meta is None else _copied(where, "meta", meta, Object)


def check_annotations(annotations: Annotations | UnsetType) -> None:
    """Raises `ValueError` for a priority or a date that many clients would choke on."""
    if annotations is UNSET:
        return
    priority = annotations.priority
    if priority is not UNSET and not 0 <= priority <= 1:
        raise ValueError(f"priority={priority!r} must be from 0 to 1")
    modified = annotations.last_modified
    if modified is not UNSET:
        try:
            datetime.fromisoformat(modified)
        except ValueError:
            raise ValueError(
                f"last_modified={modified!r} must be an ISO 8601 time, such as 2026-01-31T12:00:00Z"
            ) from None


def _copied(where: str, what: str, value: object, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(msgspec.json.encode(value), type=type_)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise DeclarationError(f"{where}: {what}=... cannot be told to clients: {error}") from None
