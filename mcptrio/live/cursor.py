"""A cursor: what stands for all changes up to a number, in one life of the hub."""

from __future__ import annotations

import re

from msgspec import Struct

_TEXT = re.compile(r"([0-9a-f]{16})\.(0|[1-9][0-9]{0,17})", re.ASCII)


class InvalidCursor(ValueError):
    """A string that is no cursor, or one that was not given out yet. The message begins with the place, where that is known."""

    def __init__(self, text: str, where: str = "") -> None:
        super().__init__(f"{where}{': ' if where else ''}{text[:100]!r} is no cursor of an earlier answer")


class Cursor(Struct, frozen=True):
    """All changes up to `offset` of the epoch, that one included. As text, `{epoch}.{offset}`, it is opaque to clients."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.offset}"

    @classmethod
    def parse(cls, text: str, where: str = "") -> Cursor:
        """Read `str(cursor)`. Whether it was ever given out is for others to say.

        Raises:
            InvalidCursor: it has another form.
        """
        parts = _TEXT.fullmatch(text)
        if parts is None:
            raise InvalidCursor(text, where)
        return cls(parts[1], int(parts[2]))
