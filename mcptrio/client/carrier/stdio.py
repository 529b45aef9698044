"""Messages by the standard streams of a child process, one a line. Specification: basic/transports/stdio."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from types import TracebackType

import trio

from mcptrio.client.carrier.carrier import Carrier, Received
from mcptrio.client.errors import ConnectionLost
from mcptrio.client.limits import Limits
from mcptrio.wire.send_guard import SendGuard, SendStalled
from mcptrio.wire.stdio import LineSplitter, line

GRACE = 2.0
"""Seconds that a child has to end after its stdin was closed, and again after SIGTERM."""

_CHUNK = 64 * 1024
_SHOWN = 80
"""Bytes that are shown of a line that is no message."""


@dataclass(frozen=True, slots=True)
class StdioCommand:
    """A server to start as a child process: `args` are the program and its arguments, without a shell.

    `env` is its whole environment (None: this process's), `cwd` its directory. Its stderr is this process's.
    """

    args: tuple[str, ...]
    env: Mapping[str, str] | None = field(default=None, repr=False)
    cwd: str | Path | None = None

    def __post_init__(self) -> None:
        if not self.args or not self.args[0]:
            raise ValueError("a command to start needs at least the name of a program")

    @property
    def url(self) -> str:
        """The program, for messages: arguments may hold secrets."""
        return f"stdio:{self.args[0]}"


Streams = Callable[[], AbstractAsyncContextManager[trio.abc.Stream]]
"""Opens the two streams of a server as one; leaving ends it."""


class StdioCarrier(Carrier):
    """One conversation by lines: a reader (this connection's own task) and a writer.

    A line longer than `max_message` bytes, or one that is no message, ends it; empty lines are ignored.
    """

    def __init__(self, url: str, streams: Streams, *, limits: Limits | None = None) -> None:
        super().__init__(url, limits)
        self._streams = streams
        self._stalled = False
        self._line = b""

    async def _carry(self, received: Received, missed: Callable[[], None]) -> None:
        async with self._streams() as stream:
            self._opened.set()
            async with trio.open_nursery() as tasks:
                tasks.start_soon(self._write, stream, tasks.cancel_scope)
                await self._read(stream, received)
                tasks.cancel_scope.cancel(reason="the server has ended")

    def violate(self, code: int, why: str) -> None:
        """As for all; what is no message is shown, because it may be no server that was started."""
        if code == 1007:
            shown = self._line[:_SHOWN].decode("utf-8", "replace").strip()
            why = f"it wrote something that is no MCP message: {shown} ({why})"
        super().violate(code, why)

    async def _release(self) -> None:
        pass  # whoever opened the streams ends them

    def _describe(self, cause: Exception | None) -> ConnectionLost:
        if self._stalled:
            return ConnectionLost(f"{self.url}: the server took nothing for {self._limits.send_timeout:g} s")
        if cause is not None:
            return ConnectionLost(f"{self.url}: {str(cause) or type(cause).__name__}")
        return ConnectionLost(f"{self.url}: the server ended")

    async def _write(self, stream: trio.abc.Stream, scope: trio.CancelScope) -> None:
        guarded = SendGuard(stream, self._limits.send_timeout)
        while (data := await self._next()) is not None:
            try:
                await guarded.send_all(line(data))
            except SendStalled:
                self._stalled = True
                break
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return  # the reader takes what the server still says, and sees its end
        scope.cancel(reason="closed by this client")

    async def _read(self, stream: trio.abc.Stream, received: Received) -> None:
        limit = self._limits.max_message
        splitter = LineSplitter(limit, lambda: self.violate(1009, f"a line is longer than {limit} bytes"))
        while not self._violated:
            if self.ready is not None:
                await self.ready()
            try:
                data = await stream.receive_some(_CHUNK)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            for each in splitter.feed(bytes(data)) if data else splitter.end():
                if self._violated:
                    return
                self._line = each
                received(each)
            if not data:
                return


class Running:
    """A child process as a stream, from its start to its end: `async with`.

    Leaving closes its stdin, waits `GRACE`, sends SIGTERM to its process group, waits again, sends SIGKILL. A
    program that is left with Ctrl-C does not take its child with it at once: the child is a group of its own.
    """

    def __init__(self, command: StdioCommand) -> None:
        self._command = command
        self._process: trio.Process | None = None

    async def __aenter__(self) -> trio.abc.Stream:
        command = self._command
        try:
            self._process = process = await trio.lowlevel.open_process(
                list(command.args),
                stdin=PIPE,
                stdout=PIPE,
                env=command.env,
                cwd=command.cwd,
                start_new_session=True,
            )
        except OSError as error:
            raise ConnectionLost(f"{command.url}: cannot be started: {error.strerror or error}") from error
        assert process.stdin is not None and process.stdout is not None
        return trio.StapledStream(process.stdin, process.stdout)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        with trio.move_on_after(3 * GRACE, shield=True):
            await process.stdin.aclose()
            for end in (None, signal.SIGTERM, signal.SIGKILL):
                if end is not None:
                    self._signal(end)
                with trio.move_on_after(GRACE):
                    await process.wait()
                    break
            await process.stdout.aclose()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        if self._process.poll() is None:  # not waited for yet, so the number is still its own
            try:
                os.killpg(self._process.pid, number)
            except (ProcessLookupError, PermissionError):
                pass
