"""The command line: `mcptrio`, or `python -m mcptrio`.

It owns nothing that lasts: each command reads what it was told, does its work in one Trio run, and ends with
an exit code (`Exit`). People's mistakes are a line on standard error that names the fix. Standard output is
for what was asked for, standard error for everything else.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mcptrio.cli.exits import Exit, UserError, run_to_exit

__all__ = ["Exit", "UserError", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (that of the process, if None) and return its exit code.

    What is raised is a fault of mcptrio.
    """

    def command() -> int:
        from mcptrio.cli.commandline import parse

        return parse(sys.argv[1:] if arguments is None else arguments)()

    return run_to_exit(command)
