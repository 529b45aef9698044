"""A transport over two file descriptors: what a program is given as its standard input and output.

Pipes and sockets are polled. What cannot be polled (a file), or must stay as it is because others have it open too (a
terminal belongs to the shell as well), is read and written in threads: at most one for each direction.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, Protocol, TypeVar

import trio

__all__ = ["PipeTransport"]

_CHUNK = 65_536

Result = TypeVar("Result")


class PipeTransport:
    """The bytes that come from one descriptor, and those that go to another.

    Both stay their owner's: nothing is closed here. `abort` sets a polled one back to blocking, if it was; so it must
    be called before they are closed. A thread that waits in a read or a write then is left behind: it ends with its call,
    or with the process, and what it reads is lost.
    """

    __slots__ = ("_reading", "_writing", "peername", "recv_into", "send", "wait_readable", "wait_writable")

    def __init__(self, read_fd: int, write_fd: int, peername: str = "stdio") -> None:
        """Raises `OSError` if one of them is not open."""
        self.peername = peername
        polled = _can_poll(read_fd), _can_poll(write_fd)
        self._reading: _Reading = _Polled(read_fd) if polled[0] else _ReadInThread(read_fd)
        self._writing: _Writing = _Polled(write_fd) if polled[1] else _WriteInThread(write_fd)
        self.recv_into = self._reading.recv_into
        self.wait_readable = self._reading.wait_readable
        self.send = self._writing.send
        self.wait_writable = self._writing.wait_writable

    def send_eof(self) -> None:
        """Nothing: who gave the descriptor closes it."""

    def abort(self) -> None:
        """End both directions at once."""
        # In reverse: they may share one description, whose mode the first one has found.
        self._writing.abort()
        self._reading.abort()


def _can_poll(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    return sys.platform != "win32" and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))


class _Reading(Protocol):
    """One direction of a transport; see `Transport`."""

    def recv_into(self, buffer: bytearray | memoryview, /) -> int: ...

    def wait_readable(self) -> Awaitable[None]: ...

    def abort(self) -> None: ...


class _Writing(Protocol):
    """The other one."""

    def send(self, data: bytes | bytearray | memoryview, /) -> int: ...

    def wait_writable(self) -> Awaitable[None]: ...

    def abort(self) -> None: ...


class _Polled:
    """A pipe or a socket, in one direction."""

    __slots__ = ("_blocking", "_closed", "_fd")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._closed = False
        self._blocking = os.get_blocking(fd)
        os.set_blocking(fd, False)

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        self._check()
        return os.readv(self._fd, [buffer])

    def send(self, data: bytes | bytearray | memoryview, /) -> int:
        self._check()
        return os.write(self._fd, data)

    def wait_readable(self) -> Awaitable[None]:
        if self._closed:
            raise trio.ClosedResourceError("the transport was aborted")
        return trio.lowlevel.wait_readable(self._fd)  # noqa: ASYNC105

    def wait_writable(self) -> Awaitable[None]:
        if self._closed:
            raise trio.ClosedResourceError("the transport was aborted")
        return trio.lowlevel.wait_writable(self._fd)  # noqa: ASYNC105

    def abort(self) -> None:
        if not self._closed:
            self._closed = True
            trio.lowlevel.notify_closing(self._fd)
            with contextlib.suppress(OSError):
                os.set_blocking(self._fd, self._blocking)

    def _check(self) -> None:
        if self._closed:  # and perhaps somebody else's by now
            raise OSError("the transport was aborted")


class _InThread(Generic[Result]):
    """A descriptor whose calls may block: one call at a time, each in one of Trio's threads, which are daemons."""

    __slots__ = ("_busy", "_closed", "_done", "_fd", "_result")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._closed = False
        self._done: trio.Event | None = None
        self._result: Result | OSError | None = None
        self._busy = False

    def abort(self) -> None:
        self._closed = True
        if self._done is not None:
            self._done.set()

    def _begin(self, call: Callable[[], Result]) -> None:
        """Make the call in a thread, unless one is under way."""
        if self._busy:
            return
        self._busy = True
        token = trio.lowlevel.current_trio_token()

        def work() -> None:
            result: Result | OSError
            try:
                result = call()
            except OSError as error:
                result = error
            with contextlib.suppress(trio.RunFinishedError):
                token.run_sync_soon(self._finish, result)

        trio.lowlevel.start_thread_soon(work, lambda outcome: None, "mcptrio standard stream")

    def _finish(self, result: Result | OSError) -> None:
        self._busy = False
        self._result = result
        if self._done is not None:
            self._done.set()

    async def _wait(self) -> None:
        if self._done is not None:
            raise trio.BusyResourceError("another task is waiting")
        await trio.lowlevel.checkpoint()
        while self._busy and not self._closed:
            self._done = trio.Event()
            try:
                await self._done.wait()
            finally:
                self._done = None
        if self._closed:
            raise trio.ClosedResourceError("the transport was aborted")

    def _take(self) -> Result | None:
        """What the last call has given, if it has ended. Raises its error again and again."""
        if self._closed:
            raise OSError("the transport was aborted")
        if isinstance(self._result, OSError):
            raise self._result
        return self._result


class _ReadInThread(_InThread[bytes]):
    """Reads ahead by one call."""

    __slots__ = ()

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        data = self._take()
        if data is None:
            self._begin(partial(os.read, self._fd, _CHUNK))
            raise BlockingIOError
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        if data:  # the end stays what it is: a terminal would go on behind it
            self._result = data[size:] or None
        return size

    async def wait_readable(self) -> None:
        if self._result is None and not self._closed:
            self._begin(partial(os.read, self._fd, _CHUNK))
        await self._wait()


class _WriteInThread(_InThread[int]):
    """A write is accepted when it is done: until then `send` accepts nothing, and must be asked again for the same bytes,
    with more behind them perhaps, as a send buffer does.
    """

    __slots__ = ()

    def send(self, data: bytes | bytearray | memoryview, /) -> int:
        size = self._take()
        if size is None:
            self._begin(partial(os.write, self._fd, bytes(data[:_CHUNK])))
            raise BlockingIOError
        self._result = None
        return size

    async def wait_writable(self) -> None:
        await self._wait()
