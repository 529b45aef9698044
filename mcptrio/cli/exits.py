"""How a command ends: the exit codes, and a person's mistake as one line on standard error."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable

from mcptrio.masking import printable


class Exit(enum.IntEnum):
    """Exit codes, each for one kind of end. They are part of the interface."""

    OK = 0
    """Done; also where a signal ends what runs until it is ended: `serve`, `demo`, `watch` and `bridge`."""
    FAULT = 1
    """A fault of mcptrio itself, with a traceback, or one of the machine, with a line: a disk is full."""
    USAGE = 2
    """The command line or the configuration is wrong, or does not fit this machine (a port in use)."""
    UNREACHABLE = 3
    """No MCP server there, or it does not answer."""
    REFUSED = 4
    """The server refused: a token, no such tool or resource, a subscription it does not take, a limit."""
    TOOL_FAILED = 5
    """The tool ran and reported an error."""
    OVERSTAYED = 70
    """Something that runs would not stop within its deadline, so the process ended without it."""
    INTERRUPTED = 130
    """A signal before the answer was there."""


class UserError(Exception):
    """What a person can put right: the message says what is wrong and what to do. No traceback is shown.

    Whoever raises it keeps secrets out of the message.
    """

    def __init__(self, message: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.code = code


class CannotWrite(UserError):
    """Standard output takes nothing, and not because its reader has gone: a disk is full, for instance."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"cannot write to standard output: {error.strerror or error}", Exit.FAULT)


class NobodyReads(Exception):
    """The reader of standard output has gone (`watch | head`): a reason to end, and no error."""


def say(text: str) -> None:
    """A line for the person at the terminal, on standard error. Lost if nobody reads."""
    try:
        print(printable(text), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        pass  # closed, or gone


def run_to_exit(command: Callable[[], int]) -> int:
    """Run a command to its exit code: a mistake becomes a line, Ctrl-C an exit code, a fault stays an exception.

    A group of exceptions counts as what is in it.
    """
    code: int = Exit.OK
    try:
        return command()
    except* UserError as group:
        error = first(group)
        assert isinstance(error, UserError)
        say(f"mcptrio: {error}")
        code = error.code
    except* NobodyReads:
        code = Exit.OK
    except* KeyboardInterrupt:
        code = Exit.INTERRUPTED
    return code


def first(error: BaseException) -> BaseException:
    """The first exception in a group of groups, or the exception itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
