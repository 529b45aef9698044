"""Serving on standard input and output: the streams taken for the protocol alone, and a whole program around it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from mcptrio.app.stopping import overstayed, run_program, until_signal
from mcptrio.log import get_logger

_log = get_logger("mcptrio.app")


class Streams(NamedTuple):
    """The descriptors that the protocol is read from and written to."""

    input: int
    output: int


class NoStreams(OSError):
    """Standard input or output is closed: there is nobody to speak to."""


class ServableOnStdio(Protocol):
    """What `run_stdio` needs of an App."""

    @property
    def stop_timeout(self) -> float:
        """Seconds that its end may take."""

    async def serve_stdio(
        self, streams: Streams | None = None, *, on_disconnected: Callable[[], None]
    ) -> None:
        """Serve the one client until it has gone, or until cancelled, then drain."""


@contextlib.contextmanager
def taken_streams() -> Iterator[Streams]:
    """Take standard input and output for the protocol, under descriptors of their own, until the block ends.

    Meanwhile what anybody prints goes to standard error, a child process's output and a C library's too, and who reads
    standard input finds its end: neither can corrupt the protocol. What was printed before and not yet written goes
    to standard error as well.

    Raises:
        NoStreams: one of them is closed.
    """
    # A descriptor that was closed at the start may be somebody else's by now; Python's own streams remember it.
    for fd, stream, name in ((0, sys.__stdin__, "input"), (1, sys.__stdout__, "output")):
        try:
            os.fstat(-1 if stream is None else fd)
        except OSError as error:
            raise NoStreams(error.errno, f"standard {name} is closed") from None
    with contextlib.ExitStack() as stack:
        nothing = os.open(os.devnull, os.O_RDWR)
        stack.callback(os.close, nothing)
        errors = nothing if sys.__stderr__ is None else 2
        streams = Streams(_moved(0, nothing, stack), _moved(1, errors, stack))
        plain = sys.stdout
        if sys.stderr is not None:
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        try:
            yield streams
        finally:
            with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or none
                plain.flush()


def _moved(fd: int, instead: int, stack: contextlib.ExitStack) -> int:
    """A copy of a standard stream's descriptor, which is put back in the end; `instead` takes its place."""
    copy = os.dup(fd)

    def put_back() -> None:
        os.dup2(copy, fd)
        os.close(copy)

    stack.callback(put_back)
    os.dup2(instead, fd)
    return copy


def run_stdio(app: ServableOnStdio, streams: Streams | None = None) -> None:
    """Serve the one client on standard input and output until it closes them, or until SIGINT or SIGTERM, then return.

    A program that prints before it comes here takes the streams itself (`taken_streams`) and hands them in. At the
    end of input running requests are cancelled; at a signal the app drains. A second signal ends the process at once; so
    does, with status 70, a part that overstays the deadlines of drain and lifespans by more than a second.

    Raises:
        NoStreams: standard input or output is closed.
        Escalation: a part of the server could not be kept running.
    """
    run_program(_main, app, streams)


async def _main(app: ServableOnStdio, streams: Streams | None) -> None:
    # One for each thing that can begin the end: a timer starts once.
    watchdogs = [threading.Timer(app.stop_timeout + 1.0, overstayed) for _ in range(2)]
    for watchdog in watchdogs:
        watchdog.daemon = True
    signalled, disconnected = watchdogs
    try:
        async with until_signal(signalled):
            await app.serve_stdio(streams, on_disconnected=disconnected.start)
    finally:
        for watchdog in watchdogs:
            watchdog.cancel()
    _log.info("stopped")
