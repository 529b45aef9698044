"""Which line of a TOML file a value comes from: its parser does not say."""

from __future__ import annotations

import tomllib

from mcptrio.config.path import Path, value_at

LONGEST = 2_000
"""Lines up to which the search is made; a longer file is searched for nothing."""


class Lines:
    """Finds the statement that brought a key, by asking the parser about beginnings of the file.

    The beginning of a file is valid TOML exactly where a statement ends, and a key that is there stays there.
    So the statement is found by bisection, whatever the notation: tables, dotted keys, multi-line strings.
    """

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._parsed: dict[int, object] = {0: {}}

    def find(self, path: Path) -> int | None:
        """The line (from 1) on which the statement with this path begins; None if there is none."""
        if len(self._lines) > LONGEST or not path:
            return None
        without, having = 0, self._next_valid(len(self._lines))
        if having is None or not value_at(self._parsed[having], path)[0]:
            return None
        while True:
            middle = self._next_valid((without + having + 1) // 2)
            if middle is None or middle >= having:  # the rest is one statement: find where it begins
                middle = self._last_valid(having - 1)
                if middle <= without:
                    return without + 1
            if value_at(self._parsed[middle], path)[0]:
                having = middle
            else:
                without = middle

    def _next_valid(self, count: int) -> int | None:
        while count <= len(self._lines):
            if self._valid(count):
                return count
            count += 1
        return None

    def _last_valid(self, count: int) -> int:
        while not self._valid(count):
            count -= 1
        return count

    def _valid(self, count: int) -> bool:
        if count not in self._parsed:
            try:
                self._parsed[count] = tomllib.loads("\n".join(self._lines[:count]))
            except tomllib.TOMLDecodeError:
                self._parsed[count] = None
        return self._parsed[count] is not None
