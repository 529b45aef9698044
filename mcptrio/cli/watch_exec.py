"""`mcptrio watch --exec`: a command for each change."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from datetime import datetime

import trio

from mcptrio.cli.exits import UserError, say
from mcptrio.cli.remote import Remote
from mcptrio.cli.watch import follow, json_line, kind_of, now_utc
from mcptrio.client import Update
from mcptrio.live import InvalidUri, check_uri
from mcptrio.masking import printable

PATIENCE = 2.0
"""Seconds that a command has to end in once it was asked to."""

KILLING = 0.5
"""Seconds that are left to the operating system to end what was killed."""

MOST_PENDING = 1000
"""How many resources may have changes that wait for their command; beyond, they wait in the subscription."""

MOST_CONCURRENCY = 64

_LOOK_AGAIN = 0.02  # seconds between two looks whether all of a command's processes have ended


async def watch_exec(
    remote: Remote,
    uris: Sequence[str],
    command: str,
    *,
    concurrency: int = 1,
    now: Callable[[], datetime] = now_utc,
) -> int:
    """Subscribe, and run a shell's command for each change until cancelled; see `Commands`.

    If cancelled, what runs is ended, within two and a half seconds, and what waits is not run. If the server ends the
    subscription, what was received before is run to its end.

    Raises:
        UserError: as `watch`.
    """
    commands = Commands(command, now)
    async with trio.open_nursery() as nursery:
        for _ in range(concurrency):
            nursery.start_soon(commands.work)
        try:
            await follow(remote, uris, commands.put)
        except UserError as error:
            over = error
        commands.end()
    raise over


class Commands:
    """Changes that wait for their command, and the commands that run.

    One change of each resource waits at most: further ones are merged into it (a gap stays a gap), also while the
    command of an earlier one runs; so the last change of a resource is always behind the start of its last command. No
    two commands run for one resource at a time. Otherwise commands start in the order of the changes.
    """

    def __init__(self, command: str, now: Callable[[], datetime] = now_utc) -> None:
        self._command = command
        self._now = now
        self._waiting: dict[str, Update] = {}
        self._running: set[str] = set()
        self._ended = False
        self._lot = trio.lowlevel.ParkingLot()

    async def put(self, update: Update) -> None:
        """Have the command run for a change. Waits while too many wait; if that is cancelled, it is not run."""
        await trio.lowlevel.checkpoint()
        try:
            # It becomes a command's environment, which not every string can be.
            check_uri(update.uri)
        except InvalidUri:
            say(f"no command is run for {printable(update.uri)!r}: that is no URI")
            return
        while update.uri not in self._waiting and len(self._waiting) >= MOST_PENDING:
            await self._lot.park()
        before = self._waiting.get(update.uri)
        if before is not None:
            meta = before.meta if update.meta is None else update.meta
            update = Update(update.uri, update.gap or before.gap, meta)
        self._waiting[update.uri] = update
        self._lot.unpark_all()

    def end(self) -> None:
        """No change will come any more: `work` returns when none waits."""
        self._ended = True
        self._lot.unpark_all()

    async def work(self) -> None:
        """Run commands, one after the other, until there will be none. As many of this run as commands may run at once."""
        while (update := await self._next()) is not None:
            try:
                await self._run(update)
            finally:
                self._running.discard(update.uri)
                self._lot.unpark_all()

    async def _next(self) -> Update | None:
        await trio.lowlevel.checkpoint()
        while True:
            for uri in self._waiting:
                if uri not in self._running:
                    self._running.add(uri)
                    self._lot.unpark_all()
                    return self._waiting.pop(uri)
            if self._ended and not self._waiting:
                return None
            await self._lot.park()

    async def _run(self, update: Update) -> None:
        """Run the command for a change to its end, and say if that is none to be content with."""
        kind = kind_of(update)
        environment = {**os.environ, "MCPTRIO_URI": update.uri, "MCPTRIO_KIND": kind}
        line = f"{json_line(update, self._now())}\n".encode()
        try:
            process = await trio.lowlevel.open_process(
                self._command,
                shell=True,
                stdin=subprocess.PIPE,
                env=environment,
                # A group of its own: Ctrl-C at the terminal is for us, and we end all that the command started.
                process_group=0,
            )
        except OSError as error:
            say(f"the command for {update.uri} cannot be run: {error.strerror or error}")
            return
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_give, process, line)
                code = await process.wait()
                # A command need not read what it is given.
                nursery.cancel_scope.cancel(reason="the command has ended")
        finally:
            if process.returncode is None:
                with trio.move_on_after(PATIENCE + KILLING, shield=True):
                    await _end(process)
        if code < 0:
            say(f"the command for {update.uri} was ended by {_signal_name(-code)}")
        elif code > 0:
            say(f"the command for {update.uri} ended with exit code {code}")


async def _give(process: trio.Process, line: bytes) -> None:
    assert process.stdin is not None
    async with process.stdin:
        try:
            await process.stdin.send_all(line)
        except trio.BrokenResourceError:
            pass  # it does not want to know


async def _end(process: trio.Process) -> None:
    """End a command and all that it started: politely, then not. Returns when all have ended."""
    _tell(process, signal.SIGTERM)
    with trio.move_on_after(PATIENCE):
        await _ended(process)
        return
    _tell(process, signal.SIGKILL)
    await _ended(process)


async def _ended(process: trio.Process) -> None:
    await process.wait()
    while _tell(process, 0):  # noqa: ASYNC110  no one tells when the last of a group has ended
        await trio.sleep(_LOOK_AGAIN)


def _tell(process: trio.Process, number: int) -> bool:
    """Send a signal to the processes of a command; whether there are any left."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
