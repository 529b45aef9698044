"""Bytes in, bytes out: what a connection stands on, and its form over a socket.

Everything but waiting is synchronous, so that any task may send, and nothing is half done when a task is
cancelled. The form in memory is in `memory.py`.
"""

import contextlib
import socket
from collections.abc import Awaitable
from typing import Protocol

import trio

__all__ = ["SocketTransport", "Transport"]


class Transport(Protocol):
    """A two-way flow of bytes. One task at a time may wait to read, and one to write."""

    @property
    def peername(self) -> str:
        """Who is at the other end, for logs: `127.0.0.1:50000`, `[::1]:50000`, or a name of its own."""

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        """Read what is there into `buffer` and return its size; 0 is the end of the peer's bytes.

        Raises `BlockingIOError` if nothing is there, another `OSError` if the transport is broken or aborted.
        """

    def send(self, data: bytes | bytearray | memoryview, /) -> int:
        """Send as much of `data` as is accepted now and return its size.

        Raises `BlockingIOError` if nothing is accepted, another `OSError` if the transport is broken or aborted.
        """

    def wait_readable(self) -> Awaitable[None]:
        """Wait until `recv_into` has something to say. Always a checkpoint.

        Raises `trio.ClosedResourceError` once aborted, `trio.BusyResourceError` if another task is waiting.
        """

    def wait_writable(self) -> Awaitable[None]:
        """Wait until `send` has something to say. Always a checkpoint. Raises as `wait_readable`."""

    def send_eof(self) -> None:
        """Say that no more bytes follow; reading goes on. Idempotent; raises nothing."""

    def abort(self) -> None:
        """End both directions at once and wake whoever waits. Idempotent; raises nothing."""


class SocketTransport:
    """A connected stream socket.

    It owns the socket. `recv_into` and `send` are the socket's own methods: the hot path has no frame here.
    """

    __slots__ = ("_closed", "_eof_sent", "_socket", "peername", "recv_into", "send")

    def __init__(self, sock: socket.socket, peername: str) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._closed = False
        self._eof_sent = False
        self.peername = peername
        self.recv_into = sock.recv_into
        self.send = sock.send

    def set_options(self, *, user_timeout: float) -> None:
        """Set what an accepted TCP socket needs, where the system has it.

        No Nagle delay; at most 16 KiB unsent in the kernel, so that conflation starts before the kernel has
        swallowed megabytes; and an end to a peer that has vanished: `user_timeout` (s) without an
        acknowledgement. A socket that is not TCP, or already dead, is left as it is.
        """
        options = (
            ("TCP_NODELAY", 1),
            ("TCP_NOTSENT_LOWAT", 16_384),
            ("TCP_USER_TIMEOUT", int(user_timeout * 1000)),
        )
        for name, value in options:
            option = getattr(socket, name, None)
            if option is not None:
                with contextlib.suppress(OSError):
                    self._socket.setsockopt(socket.IPPROTO_TCP, option, value)

    # Both waits hand out Trio's own coroutine instead of wrapping it in one of theirs: that saves a frame for
    # every idle connection. They check first, because waiting for a closed socket would confuse Trio's table.

    def wait_readable(self) -> Awaitable[None]:
        """Wait for bytes, the end of them, or an error."""
        if self._closed:
            raise trio.ClosedResourceError("the transport was aborted")
        return trio.lowlevel.wait_readable(self._socket)  # noqa: ASYNC105

    def wait_writable(self) -> Awaitable[None]:
        """Wait until the kernel takes bytes."""
        if self._closed:
            raise trio.ClosedResourceError("the transport was aborted")
        return trio.lowlevel.wait_writable(self._socket)  # noqa: ASYNC105

    def send_eof(self) -> None:
        """Half-close: what was sent before still arrives."""
        if not self._eof_sent and not self._closed:
            self._eof_sent = True
            with contextlib.suppress(OSError):  # the peer may be gone already
                self._socket.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Close the socket. What the kernel had accepted still leaves, as long as the peer takes it."""
        if not self._closed:
            self._closed = True
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
