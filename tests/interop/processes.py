"""Other processes as a test sees them: lines that are read with a deadline, and clients that are driven line by line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import trio

CLIENTS = Path(__file__).parent / "clients"
ROOT = Path(__file__).parents[2]

DEADLINE = 20.0
"""Seconds within which anything must be said: ten times the goal, so that only a hang fails."""


class Lines:
    """The lines of a stream of bytes, each within the deadline."""

    def __init__(self, stream: trio.abc.ReceiveStream, whose: str) -> None:
        self._stream = stream
        self._whose = whose
        self._buffer = b""

    async def next(self) -> str:
        """The next line, without its end."""
        with trio.move_on_after(DEADLINE):
            while b"\n" not in self._buffer:
                data = await self._stream.receive_some()
                if not data:
                    raise AssertionError(f"{self._whose} ended; its last words were {self._buffer!r}")
                self._buffer += data
            line, _, self._buffer = self._buffer.partition(b"\n")
            return line.decode()
        raise AssertionError(f"{self._whose} said nothing for {DEADLINE:g} s")

    async def rest(self) -> str:
        """All that is still to come, up to its end."""
        with trio.fail_after(DEADLINE):
            while data := await self._stream.receive_some():
                self._buffer += data
        rest, self._buffer = self._buffer, b""
        return rest.decode()


class LineProcess:
    """A process for the length of an `async with`; what is left of it is killed.

    With `errors` its standard error can be read as well as its output; else it is that of the test.
    """

    def __init__(
        self, *command: str | Path, errors: bool = False, environment: Mapping[str, str] | None = None
    ) -> None:
        """`environment` is in place of the test's own."""
        self._environment = environment
        self._command = [str(word) for word in command]
        self._errors = errors
        self.name = " ".join(Path(word).name for word in self._command)
        self.process: trio.Process

    async def __aenter__(self) -> Self:
        self.process = await trio.lowlevel.open_process(
            self._command,
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if self._errors else None,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._input = self.process.stdin
        self.output = Lines(self.process.stdout, self.name)
        if self.process.stderr is not None:
            self.errors = Lines(self.process.stderr, self.name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        with trio.move_on_after(DEADLINE, shield=True):  # a killed process ends at once
            await self.process.wait()
            for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
                if stream is not None:
                    await stream.aclose()

    async def write(self, line: str) -> None:
        """Send it a line."""
        with trio.fail_after(DEADLINE):
            await self._input.send_all(line.encode() + b"\n")

    async def end_input(self) -> int:
        """Close its input and wait for its end; returns the exit code."""
        with trio.fail_after(DEADLINE):
            await self._input.aclose()
            return await self.process.wait()

    async def terminate(self) -> int:
        """Send SIGTERM and wait for its end; returns the exit code."""
        with trio.fail_after(DEADLINE):
            self.process.terminate()
            return await self.process.wait()


class Driven(LineProcess):
    """A client of tests/interop/clients, driven as control.py there says. Updates are kept until asked for."""

    def __init__(self, *command: str | Path) -> None:
        super().__init__(*command)
        self._updates: deque[str] = deque()
        self._notices: list[str] = []

    async def do(self, command: str, /, **arguments: object) -> object:
        """Have a command carried out; its result.

        Raises:
            AssertionError: it failed.
        """
        answer = await self.attempt(command, **arguments)
        assert "error" not in answer, f"{self.name}: {answer}"
        return answer["result"]

    async def attempt(self, command: str, /, **arguments: object) -> dict[str, object]:
        """The same for a command that may fail: the whole answer."""
        await self.write(json.dumps({"do": command, **arguments}))
        while True:
            line = await self._line()
            assert "ended" not in line, f"{self.name}: a subscription ended: {line}"
            if "did" in line:
                assert line["did"] == command
                return line

    async def update(self) -> str:
        """The URI of the next update, in the order of arrival."""
        while not self._updates:
            line = await self._line()
            assert "ended" not in line, f"{self.name}: a subscription ended: {line}"
        return self._updates.popleft()

    def updates_nowait(self) -> list[str]:
        """The updates that arrived before the last answer and were not asked for."""
        kept = list(self._updates)
        self._updates.clear()
        return kept

    def notices_nowait(self) -> list[str]:
        """The updates that arrived as messages, since the last time; for clients that tell of both."""
        kept, self._notices = self._notices, []
        return kept

    async def ended(self) -> str:
        """The URI of a subscription that the server ends, politely: waits for that."""
        while True:
            line = await self._line()
            if "ended" in line:
                return str(line["ended"])

    async def leave(self) -> int:
        """End the client; returns its exit code."""
        return await self.end_input()

    async def _line(self) -> dict[str, object]:
        line: dict[str, object] = json.loads(await self.output.next())
        assert "broken" not in line, f"{self.name} was sent something that it cannot read: {line}"
        if "updated" in line:
            self._updates.append(str(line["updated"]))
        elif "noticed" in line:
            self._notices.append(str(line["noticed"]))
        return line


def mcptrio(*arguments: str | Path, errors: bool = False) -> LineProcess:
    """The command line, as a process."""
    return LineProcess(sys.executable, "-m", "mcptrio", *arguments, errors=errors)


def file_server(directory: Path) -> LineProcess:
    """`python -m http.server` on a port of the system's choice, over a directory."""
    return LineProcess(
        sys.executable,
        *("-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", directory),
        errors=True,
    )
