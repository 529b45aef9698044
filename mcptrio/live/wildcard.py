"""Text patterns of `*` and `?`, in time that grows with the text and no faster."""

from __future__ import annotations

import re

MOST = 1024
"""Longest text, in characters, that a pattern with `?` is held against: a client may have two thousand of them."""

_WILD = re.compile(r"\?*\*[*?]*")


class Wildcard:
    """A pattern over a whole text: `*` is any characters or none, `?` is exactly one, all else is itself. Immutable.

    There is no escape. Nothing is tried twice, so no pattern is slow: without `?` each piece is looked for once, behind
    the one before it; with `?` all places in the pattern are followed at once, one step per character of a text that has
    all that is literal in the pattern. A step is some 0.1 us, so a text longer than `MOST` matches nothing that has a `?`.
    `text` is the pattern's one spelling: `a**b` is `a*b`, and `*?` is `?*`.
    """

    __slots__ = ("_any", "_bits", "_end", "_literals", "_pieces", "_stars", "text")

    def __init__(self, text: str) -> None:
        self.text = _WILD.sub(lambda wild: "?" * wild[0].count("?") + "*", text)
        self._pieces = self.text.split("*")
        self._literals = tuple(filter(None, re.split(r"[*?]", self.text)))
        # A state is a set of bits. Bit n: the first n characters of the pattern, its stars not counted, are matched.
        self._any = 0
        """The places of `?`."""
        self._bits: dict[str, int] = {}
        """The places of each other character."""
        self._stars = 0
        """Where a star lets the state stay, whatever comes."""
        self._end = 0
        if "?" not in self.text:
            return
        place = 1
        for number, piece in enumerate(self._pieces):
            if number:
                self._stars |= place
            for character in piece:
                if character == "?":
                    self._any |= place
                else:
                    self._bits[character] = self._bits.get(character, 0) | place
                place <<= 1
        self._end = place

    def matches(self, text: str) -> bool:
        """Whether the pattern covers the text from its beginning to its end."""
        if not self._end:
            return self._search(text)
        return len(text) <= MOST and self._follow(text)

    def _search(self, text: str) -> bool:
        first, *middle = self._pieces
        if not middle:
            return text == first
        last = middle.pop()
        place, end = len(first), len(text) - len(last)
        if place > end or not (text.startswith(first) and text.endswith(last)):
            return False
        for piece in middle:
            found = text.find(piece, place, end)
            if found < 0:
                return False
            place = found + len(piece)
        return True

    def _follow(self, text: str) -> bool:
        place = 0
        for literal in self._literals:
            found = text.find(literal, place)
            if found < 0:
                return False
            place = found + len(literal)
        anything, stars, end = self._any, self._stars, self._end
        settled = stars & end
        state = 1
        for character in text:
            state = (state & (self._bits.get(character, 0) | anything)) << 1 | state & stars
            if state & settled:
                return True
            if not state:
                return False
        return bool(state & end)

    def __repr__(self) -> str:
        return f"Wildcard({self.text!r})"
