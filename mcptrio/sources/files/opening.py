"""Opening what is below a directory, and nothing else.

Every component of a path is opened by itself, relative to the folder before it, and none of them may be a symbolic
link: so there is no moment between looking and opening in which a path could be made to lead elsewhere. Only regular
files are opened. Blocking: for threads.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Not blocking: what has just become a FIFO must not keep the thread.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO})


class NoSuchFile(Exception):
    """There is no regular file of that path below the directory: nothing, a link, a folder, a FIFO, a device."""


def open_root(root: str) -> int:
    """A descriptor of the directory itself, which may be reached by links: who wrote it down wanted that.

    Raises:
        OSError: it cannot be opened, or is no directory.
    """
    return os.open(root, _FOLDER)


def open_folder(root: int, names: Sequence[str]) -> int:
    """A descriptor of a folder below.

    Raises:
        OSError: it cannot be opened, or one of the names is a link or no folder.
    """
    folder = os.dup(root)
    try:
        for name in names:
            below = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = below
    except BaseException:
        os.close(folder)
        raise
    return folder


def open_file(root: str, path: str) -> int:
    """A descriptor of a regular file below, to be read.

    Raises:
        NoSuchFile: there is none of that path.
        OSError: it cannot be opened.
    """
    *folders, name = path.split("/")
    try:
        top = open_root(root)
        try:
            folder = open_folder(top, folders)
        finally:
            os.close(top)
        try:
            # Before opening, because opening a device can do something; and after it, because that counts.
            _check(os.stat(name, dir_fd=folder, follow_symlinks=False))
            file = os.open(name, _FILE, dir_fd=folder)
        finally:
            os.close(folder)
    except OSError as error:
        if error.errno in _NOT_THERE:
            raise NoSuchFile(path) from None
        raise
    try:
        _check(os.fstat(file))
    except BaseException:
        os.close(file)
        raise
    return file


def _check(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise NoSuchFile
