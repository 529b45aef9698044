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
from mcptrio.cli.watch import follow, follow_live, now_utc
from mcptrio.cli.watch_flags import Wanted
from mcptrio.cli.watch_lines import json_line, variables
from mcptrio.client import Update, WatchEvent
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
    wanted: Sequence[Wanted] = (),
    every: bool = False,
    concurrency: int = 1,
    now: Callable[[], datetime] = now_utc,
) -> int:
    """Subscribe, and run a shell's command for each change until cancelled; see `Commands`.

    With `wanted`, that is watched by the extension, instead of `uris`. If cancelled, what runs is ended, within two and a half seconds, and what waits is not run. If the server ends the
    subscription, what was received before is run to its end.

    Raises:
        UserError: as `watch`.
    """
    commands = Commands(command, now, every=every)
    async with trio.open_nursery() as nursery:
        for _ in range(concurrency):
            nursery.start_soon(commands.work)
        try:
            if wanted:
                await follow_live(remote, wanted, commands.put)
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

    By the extension a change and a gap are never merged; and with `every` no changes are, so a command runs for each.
    """

    def __init__(self, command: str, now: Callable[[], datetime] = now_utc, *, every: bool = False) -> None:
        self._command = command
        self._now = now
        self._every = every
        self._put = 0
        self._waiting: dict[object, tuple[Update | WatchEvent, str | None]] = {}
        self._running: set[str] = set()
        self._ended = False
        self._lot = trio.lowlevel.ParkingLot()

    async def put(self, update: Update | WatchEvent, pattern: str | None = None) -> None:
        """Have the command run for a change. Waits while too many wait; if that is cancelled, it is not run."""
        await trio.lowlevel.checkpoint()
        try:
            # It becomes a command's environment, which not every string can be.
            check_uri(update.uri)
        except InvalidUri:
            say(f"no command is run for {printable(update.uri)!r}: that is no URI")
            return
        self._put += 1
        is_gap = isinstance(update, WatchEvent) and update.is_gap
        key: object = self._put if self._every else (update.uri, is_gap)
        while key not in self._waiting and len(self._waiting) >= MOST_PENDING:
            await self._lot.park()
        before, _ = self._waiting.get(key, (None, None))
        if isinstance(update, WatchEvent):
            self._waiting.pop(key, None)
        elif isinstance(before, Update):
            meta = before.meta if update.meta is None else update.meta
            update = Update(update.uri, update.gap or before.gap, meta)
        self._waiting[key] = update, pattern
        self._lot.unpark_all()

    def end(self) -> None:
        """No change will come any more: `work` returns when none waits."""
        self._ended = True
        self._lot.unpark_all()

    async def work(self) -> None:
        """Run commands, one after the other, until there will be none. As many of this run as commands may run at once."""
        while (following := await self._next()) is not None:
            update, pattern = following
            try:
                await self._run(update, pattern)
            finally:
                self._running.discard(update.uri)
                self._lot.unpark_all()

    async def _next(self) -> tuple[Update | WatchEvent, str | None] | None:
        await trio.lowlevel.checkpoint()
        while True:
            for key, (update, _) in self._waiting.items():
                if update.uri not in self._running:
                    self._running.add(update.uri)
                    self._lot.unpark_all()
                    return self._waiting.pop(key)
            if self._ended and not self._waiting:
                return None
            await self._lot.park()

    async def _run(self, update: Update | WatchEvent, pattern: str | None) -> None:
        """Run the command for a change to its end, and say if that is none to be content with."""
        environment = {**os.environ, **variables(update)}
        line = f"{json_line(update, self._now(), pattern)}\n".encode()
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
