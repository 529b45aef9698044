"""A listening Unix socket and its file: its user's alone, and gone when it is no longer listened on."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import trio

from mcptrio.app.address import CannotListen

LONGEST = 107
"""Bytes of a path that the system takes for a socket's."""

_BACKLOG = 4_096


@contextmanager
def open_unix_socket(path: str) -> Iterator[trio.socket.SocketType]:
    """Listen at a path inside this block. Only the same user (and root) can connect, at any time.

    The file of a socket on which nobody listens any more is replaced. At the end the socket is closed and its file
    removed, unless it is another's by then.

    Raises:
        CannotListen: somebody listens there, something else is there, or the path cannot be a socket's.
    """
    sock, own = _listen(path)
    file = os.path.abspath(path)
    try:
        yield trio.socket.from_stdlib_socket(sock)
    finally:
        sock.close()
        with suppress(OSError):
            if _identity(file) == own:
                os.unlink(file)


def _listen(path: str) -> tuple[socket.socket, tuple[int, int]]:
    size = len(os.fsencode(path))
    if size > LONGEST:
        raise CannotListen(
            errno.ENAMETOOLONG,
            f"the path has {size} bytes, and a socket's at most {LONGEST}: choose a shorter one",
        )
    if not path or "\0" in path:
        # Such a name is in no folder, and has no permissions.
        raise CannotListen(errno.EINVAL, "a Unix socket needs the path of a file")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            sock.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            _remove_stale(path)
            sock.bind(path)
        # Nobody can connect before it listens, so there is no time in which others could.
        os.chmod(path, 0o600)
        sock.listen(_BACKLOG)
        return sock, _identity(path)
    except OSError as error:
        sock.close()
        if isinstance(error, CannotListen):
            raise
        raise CannotListen(error.errno, error.strerror or str(error)) from error


def _remove_stale(path: str) -> None:
    """Remove the file of a socket on which nobody listens. Any other is left, with a CannotListen."""
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise CannotListen(errno.EEXIST, "there is a file that is no socket: choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # whoever is too busy to take a connection is there all the same
        if probe.connect_ex(path) != errno.ECONNREFUSED:
            raise CannotListen(errno.EADDRINUSE, "it is in use: another program listens there")
    os.unlink(path)


def _identity(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino
