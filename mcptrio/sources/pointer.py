"""JSON pointers (RFC 6901): where something is inside a JSON document. Sans-IO."""

from __future__ import annotations

import re

_BAD_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_SHOWN = 80


class PointerError(LookupError):
    """A document has nothing where the pointer points; the text says how far it leads."""


class Pointer:
    """A parsed pointer such as `/releases/0/id`; the empty one points to the whole document. Immutable.

    Raises:
        ValueError: the text is no JSON pointer.
    """

    __slots__ = ("_tokens", "text")

    def __init__(self, text: str) -> None:
        if text and not text.startswith("/"):
            raise ValueError(f"{text[:_SHOWN]!r} is no JSON pointer: it must be empty or begin with '/'")
        if _BAD_ESCAPE.search(text):
            raise ValueError(f"{text[:_SHOWN]!r} is no JSON pointer: '~' is written '~0' there, and '/' '~1'")
        self.text = text
        self._tokens = tuple(
            # In this order, so that '~01' becomes '~1' and not '/'.
            token.replace("~1", "/").replace("~0", "~")
            for token in text.split("/")[1:]
        )

    def resolve(self, document: object) -> object:
        """What the pointer points to.

        Raises:
            PointerError: nothing is there.
        """
        value = document
        for depth, token in enumerate(self._tokens):
            if isinstance(value, dict) and token in value:
                value = value[token]
            elif isinstance(value, list) and _INDEX.fullmatch(token) and int(token) < len(value):
                value = value[int(token)]
            else:
                parent = "/".join(self.text.split("/")[: depth + 1])
                where = f"{parent[:_SHOWN]} is" if parent else "it is"
                raise PointerError(f"nothing at {self.text[:_SHOWN]}: {where} {described(value, token)}")
        return value

    def __repr__(self) -> str:
        return f"Pointer({self.text!r})"


def described(value: object, token: str | None = None) -> str:
    """A JSON value in words, for messages; with a token, that the value does not have it."""
    if isinstance(value, dict):
        return "an object" if token is None else f"an object without {token[:_SHOWN]!r}"
    if isinstance(value, list):
        return "a list" if token is None else f"a list of {len(value)}"
    if isinstance(value, str):
        return "a string"
    if value is None:
        return "null"
    return "a boolean" if isinstance(value, bool) else "a number"
