"""The command line: `mcptrio`, or `python -m mcptrio`.

It owns nothing that lasts: each command reads what it was told, does its work in one Trio run, and ends with
an exit code (`Exit`). People's mistakes are a line on standard error that names the fix. Standard output is
for what was asked for, standard error for everything else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

__all__ = ["main"]


_INTERRUPTED = 130
"""As `Exit.INTERRUPTED`, which may not be loaded yet."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (that of the process, if None) and return its exit code.

    What is raised is a fault of mcptrio.
    """
    try:
        if sys.stderr is None:
            _take_standard_error()
        # Inside, because loading takes a while too, and Ctrl-C may come at any time.
        from mcptrio.cli.exits import run_to_exit

        def command() -> int:
            from mcptrio.cli.commandline import parse

            return parse(sys.argv[1:] if arguments is None else arguments)()

        return run_to_exit(command)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _take_standard_error() -> None:
    """Have what is said on standard error, which is closed, go nowhere: also what children and libraries say there,
    which would go to whatever is opened next and gets its number."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.fstat(2)
    except OSError:
        os.dup2(nothing, 2)
        os.close(nothing)
        nothing = 2
    if nothing == 2:
        os.set_inheritable(2, True)
    sys.stderr = os.fdopen(nothing, "w")
