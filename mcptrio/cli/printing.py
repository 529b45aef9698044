"""Standard output where no Trio runs, and for `--help`, which does not even load it."""

from __future__ import annotations

import os

from mcptrio.cli.exits import CannotWrite, NobodyReads

STDOUT = 1


def write_all(descriptor: int, data: bytes) -> None:
    """Write bytes now, waiting for the reader.

    Raises:
        NobodyReads: the reader has gone.
        CannotWrite: the bytes cannot be written; a disk is full, for instance.
    """
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except BrokenPipeError:
        raise NobodyReads from None
    except OSError as error:
        raise CannotWrite(error) from None


def print_text(text: str) -> None:
    """Write a text to standard output now. Raises as `write_all`."""
    write_all(STDOUT, text.encode("utf-8", "surrogateescape"))
