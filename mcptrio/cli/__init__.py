"""The command line: `mcptrio`, or `python -m mcptrio`.

It owns nothing that lasts: each command reads what it was told, does its work in one Trio run, and ends with
an exit code (`Exit`). People's mistakes are a line on standard error that names the fix. Standard output is
for what was asked for, standard error for everything else.
"""

from __future__ import annotations

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
        # Inside, because loading takes a while too, and Ctrl-C may come at any time.
        from mcptrio.cli.exits import run_to_exit

        def command() -> int:
            from mcptrio.cli.commandline import parse

            return parse(sys.argv[1:] if arguments is None else arguments)()

        return run_to_exit(command)
    except KeyboardInterrupt:
        return _INTERRUPTED
