"""JSON pointers (RFC 6901) into the data of changes. Sans-IO."""

from __future__ import annotations

import re
from typing import Final

_BAD_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)
_SHOWN = 80


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final[object] = _Missing()
"""What a pointer finds where nothing is: `null` is something."""


class Pointer:
    """A parsed pointer such as `/releases/0/id`; the empty one points to the whole document. Immutable.

    `text` is its one spelling: two pointers to the same place have the same.

    Raises:
        ValueError: the text is no JSON pointer.
    """

    __slots__ = ("steps", "text")

    def __init__(self, text: str) -> None:
        if text and not text.startswith("/"):
            raise ValueError(f"{text[:_SHOWN]!r} is no JSON pointer: it must be empty or begin with '/'")
        if _BAD_ESCAPE.search(text):
            raise ValueError(f"{text[:_SHOWN]!r} is no JSON pointer: '~' is written '~0' there, and '/' '~1'")
        self.text = text
        #: Each step down: the key of an object, and what it is as the index of a list.
        self.steps = tuple(
            # In this order, so that '~01' becomes '~1' and not '/'.
            (token.replace("~1", "/").replace("~0", "~"), int(token) if _INDEX.fullmatch(token) else None)
            for token in text.split("/")[1:]
        )

    def find(self, document: object) -> object:
        """What the pointer points to in a document of JSON's types, or `MISSING`. Never raises.

        `-`, the place behind the last item of a list, is missing, and so is everything in `MISSING`.
        """
        for token, index in self.steps:
            if isinstance(document, dict):
                document = document.get(token, MISSING)
            elif isinstance(document, list) and index is not None and index < len(document):
                document = document[index]
            else:
                return MISSING
        return document

    def __repr__(self) -> str:
        return f"Pointer({self.text!r})"
