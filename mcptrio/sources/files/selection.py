"""Which paths below a directory count, by globs. Pure: nothing here looks at the disk."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence

LONGEST_GLOB = 200
"""Characters of a glob."""

_NEVER = re.compile(r"(?!)")


class Glob:
    """One pattern for relative paths, which are written with `/`.

    Without a `/` it is a name's, at any depth: `*.md`. With one it is the whole path's: `drafts/*.md`; there `**` is
    any number of folders, also none. `*`, `?` and `[...]` never stand for a `/`. Case counts.
    """

    def __init__(self, text: str) -> None:
        """Raises `ValueError` for a pattern that can match nothing."""
        parts = text.strip("/").split("/")
        if len(text) > LONGEST_GLOB or any(part in ("", ".", "..") for part in parts):
            raise ValueError(
                f"{text[:60]!r} is no pattern for relative paths: write one such as *.md or drafts/**/*.md"
            )
        self._of_names = "/" not in text.rstrip("/")
        # A run of ** is one; each part by itself is a pattern without a way back, so matching stays cheap.
        self._parts: list[re.Pattern[str] | None] = []
        for part in parts:
            if part != "**":
                self._parts.append(re.compile(fnmatch.translate(part)))
            elif not self._parts or self._parts[-1] is not None:
                self._parts.append(None)

    def match(self, path: str) -> bool:
        """Whether it is this path's."""
        names = path.split("/")
        if self._of_names:
            return self._is_name(names[-1])
        *_, matched = self._matches(names)
        return matched

    def covers(self, names: Sequence[str]) -> bool:
        """Whether it is the path's of these names, or a folder's that it is in. Time is linear in the path."""
        return any(map(self._is_name, names) if self._of_names else self._matches(names))

    def _is_name(self, name: str) -> bool:
        only = self._parts[0]
        return only is None or only.match(name) is not None

    def _matches(self, names: Sequence[str]) -> Iterator[bool]:
        """Of the first name, the first two, and so on to all of them: whether that is a path it is for.

        Clients write paths of a thousand names, so all of them are tried in one go.
        """
        end = len(self._parts)
        reached = self._with_none({0})  # how many parts may be behind us
        for name in names:
            after: set[int] = set()
            for at in reached:
                part = self._parts[at] if at < end else _NEVER
                if part is None:
                    after.add(at)
                elif part.match(name):
                    after.add(at + 1)
            reached = self._with_none(after)
            yield end in reached

    def _with_none(self, reached: set[int]) -> set[int]:
        # A ** may stand for no folder, and never follows another one.
        return reached | {at + 1 for at in reached if at < len(self._parts) and self._parts[at] is None}


class Selection:
    """Which files count: those that an `include` matches and that no `exclude` does, nor any folder they are in."""

    def __init__(self, include: Iterable[str], exclude: Iterable[str], *, recursive: bool) -> None:
        """Raises `ValueError` for a pattern that can match nothing."""
        self._include = [Glob(text) for text in include]
        self._exclude = [Glob(text) for text in exclude]
        self.recursive = recursive

    def excludes(self, path: str) -> bool:
        """Whether this file or folder is left out by itself."""
        return any(glob.match(path) for glob in self._exclude)

    def includes(self, path: str) -> bool:
        """Whether a file that is not left out counts."""
        return any(glob.match(path) for glob in self._include)

    def irrelevant(self, path: str) -> bool:
        """Whether nothing that happens at this path can matter: it, or a folder it is in, is left out."""
        names = path.split("/")
        return any(glob.covers(names) for glob in self._exclude)

    def admits(self, path: str) -> bool:
        """Whether a file of this path may be read; without a look at the disk. False for whatever is no plain path."""
        names = path.split("/")
        if "\0" in path or any(name in ("", ".", "..") for name in names):
            return False
        if len(names) > 1 and not self.recursive:
            return False
        return not self.irrelevant(path) and self.includes(path)
