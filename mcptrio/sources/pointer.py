"""JSON pointers (RFC 6901): where something is inside a JSON document, and why it is not. Sans-IO."""

from __future__ import annotations

from mcptrio.live.pointer import Pointer as Finding

_SHOWN = 80


class PointerError(LookupError):
    """A document has nothing where the pointer points; the text says how far it leads."""


class Pointer(Finding):
    """A parsed pointer such as `/releases/0/id`; the empty one points to the whole document. Immutable.

    Raises:
        ValueError: the text is no JSON pointer.
    """

    __slots__ = ()

    def resolve(self, document: object) -> object:
        """What the pointer points to.

        Raises:
            PointerError: nothing is there.
        """
        value = document
        for depth, (token, index) in enumerate(self.steps):
            if isinstance(value, dict) and token in value:
                value = value[token]
            elif isinstance(value, list) and index is not None and index < len(value):
                value = value[index]
            else:
                parent = "/".join(self.text.split("/")[: depth + 1])
                where = f"{parent[:_SHOWN]} is" if parent else "it is"
                raise PointerError(f"nothing at {self.text[:_SHOWN]}: {where} {described(value, token)}")
        return value


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
