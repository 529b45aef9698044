"""One look at everything below a directory. Blocking: for threads."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Mapping

from msgspec import Struct

from mcptrio.live import InvalidUri, check_uri
from mcptrio.sources.files.opening import open_folder, open_root
from mcptrio.sources.files.selection import Selection

YOUNG = 50_000_000
"""Nanoseconds for which a file's times may stay as they are though it is written to again: the clock of file systems
goes in steps of some milliseconds."""

_COARSE_YOUNG = 2_000_000_000  # for file systems whose times have no fractions of a second
_PROBLEMS_SHOWN = 3
_SHOWN = 60


class RootGone(Exception):
    """There is nothing to look at; the text says why. `lasting`: somebody has to do something about it."""

    def __init__(self, why: str, *, lasting: bool) -> None:
        super().__init__(why)
        self.lasting = lasting


class File(Struct, frozen=True):
    """A regular file as it was seen. Two are alike if nothing was written in between."""

    inode: int
    size: int
    modified_ns: int
    changed_ns: int
    young: bool = False
    """It was written to so shortly before the look that one more write might leave no trace in the others."""


class Scan(Struct, frozen=True):
    """What one look found. Paths are relative, with `/`; `""` is the directory itself."""

    files: Mapping[str, File]
    """Folder by folder, and by name in each."""
    folders: Mapping[str, tuple[int, int]]
    """Every folder that was looked into, and which one it was (device, inode)."""
    blind: frozenset[str] = frozenset()
    """Folders that could not be looked into: nothing is known of what is in them."""
    problem: str = ""
    """What had to be left out, in words."""


class Limits(Struct, frozen=True):
    """How much of a directory is looked at."""

    files: int
    size: int

    @property
    def entries(self) -> int:
        """How many names are looked at, those that do not count included."""
        return 10 * self.files + 10_000


class Scanner:
    """Looks at one directory, again and again."""

    def __init__(
        self, root: str, selection: Selection, limits: Limits, uri_of: Callable[[str], str], shown: str
    ) -> None:
        self._root = root
        self._selection = selection
        self._limits = limits
        self._uri_of = uri_of
        self._shown = shown

    def scan(self, go_on: Callable[[], object] = lambda: None) -> Scan:
        """Look at everything. `go_on` is called at each folder, and may raise to end it.

        Links, and everything that is neither file nor folder, are passed over in silence. Files beyond the limits,
        and those that cannot be read or have a name that makes no URI, are left out and in the scan's `problem`.

        Raises:
            RootGone: the directory cannot be looked into.
        """
        try:
            root = open_root(self._root)
        except OSError as error:
            lasting = not isinstance(error, FileNotFoundError)
            raise RootGone(f"{self._shown}: {error.strerror or error}", lasting=lasting) from None
        try:
            return _Look(self._selection, self._limits, self._uri_of, self._shown).run(root, go_on)
        finally:
            os.close(root)


class _Full(Exception):
    pass


class _Look:
    def __init__(
        self, selection: Selection, limits: Limits, uri_of: Callable[[str], str], shown: str
    ) -> None:
        self._selection = selection
        self._limits = limits
        self._uri_of = uri_of
        self._shown = shown
        self._began = time.time_ns()
        self._looked_at = 0
        self._files: dict[str, File] = {}
        self._folders: dict[str, tuple[int, int]] = {}
        self._blind: set[str] = set()
        self._left_out: list[str] = []
        self._others = ""

    def run(self, root: int, go_on: Callable[[], object]) -> Scan:
        waiting = [""]
        try:
            while waiting:
                go_on()
                waiting.extend(reversed(self._folder(root, waiting.pop())))
        except _Full as full:
            self._others = str(full)
        return Scan(self._files, self._folders, frozenset(self._blind), self._problem())

    def _folder(self, root: int, folder: str) -> list[str]:
        """Look into one folder; returns those in it."""
        below: list[str] = []
        try:
            descriptor = open_folder(root, folder.split("/") if folder else ())
            try:
                status = os.fstat(descriptor)
                with os.scandir(descriptor) as entries:
                    found = []
                    for entry in entries:
                        self._count()
                        found.append(entry)
                found.sort(key=lambda entry: entry.name)
                self._folders[folder] = (status.st_dev, status.st_ino)
                for entry in found:
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if self._entry(entry, path, descriptor):
                        below.append(path)
            finally:
                os.close(descriptor)
        except (FileNotFoundError, NotADirectoryError):
            pass  # it has gone meanwhile, or is another thing now
        except OSError as error:
            if not folder:
                raise RootGone(f"{self._shown}: {error.strerror or error}", lasting=True) from None
            self._blind.add(folder)
            self._leave_out(folder, f"cannot be looked into: {error.strerror or error}")
        return below

    def _count(self) -> None:
        self._looked_at += 1
        if self._looked_at > self._limits.entries:
            raise _Full(
                f"there are more than {self._limits.entries} names: exclude folders, or raise `max_files`"
            )

    def _entry(self, entry: os.DirEntry[str], path: str, folder: int) -> bool:
        """Take a file in; whether it is a folder to be looked into."""
        if self._selection.excludes(path):
            return False
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return False
        if stat.S_ISDIR(status.st_mode):
            return self._selection.recursive and self._usable(path)
        if not (stat.S_ISREG(status.st_mode) and self._selection.includes(path) and self._usable(path)):
            return False
        if status.st_size > self._limits.size:
            self._leave_out(path, f"is larger than `max_size`, {self._limits.size} bytes")
        elif not os.access(entry.name, os.R_OK, dir_fd=folder, effective_ids=True):
            self._leave_out(path, "cannot be read: Permission denied")
        elif len(self._files) == self._limits.files:
            raise _Full(f"there are more than {self._limits.files} files (see `max_files`)")
        else:
            self._files[path] = self._file(status)
        return False

    def _file(self, status: os.stat_result) -> File:
        changed = status.st_ctime_ns
        most = YOUNG if changed % 1_000_000_000 else _COARSE_YOUNG
        # Written to while we look is young too, however long that takes. Of a time in the future, by another machine's
        # clock, nothing can be told.
        young = self._began - changed < most and changed - time.time_ns() < YOUNG
        return File(status.st_ino, status.st_size, status.st_mtime_ns, changed, young)

    def _usable(self, path: str) -> bool:
        try:
            path.encode()
            check_uri(self._uri_of(path))
        except UnicodeEncodeError:
            self._leave_out(path, "has a name that is no UTF-8")
        except InvalidUri as error:
            self._leave_out(path, f"makes no URI: {error}")
        else:
            return True
        return False

    def _leave_out(self, path: str, why: str) -> None:
        if len(self._left_out) < _PROBLEMS_SHOWN:
            shown = path if len(path) <= _SHOWN else f"...{path[-_SHOWN:]}"
            self._left_out.append(f"{shown!a} {why}")
        else:
            self._left_out.append("")

    def _problem(self) -> str:
        said = [self._others] if self._others else []
        if self._left_out:
            count = len(self._left_out)
            more = "; ..." if count > _PROBLEMS_SHOWN else ""
            said.append(f"{count} left out: {'; '.join(self._left_out[:_PROBLEMS_SHOWN])}{more}")
        return f"{self._shown}: {'; '.join(said)}" if said else ""
