"""Standard output, without ever holding up Trio's thread: whoever reads it may be slow, or gone."""

from __future__ import annotations

import os

import trio

from mcptrio.cli.printing import STDOUT, write_all


class Output:
    """Writes to a file descriptor from a thread, all of it and in order, with no buffer in between.

    A writer that waits for a slow reader can be cancelled; what it was writing may then be cut.
    """

    def __init__(self, descriptor: int = STDOUT) -> None:
        self._descriptor = descriptor
        self._one = trio.CapacityLimiter(1)

    async def line(self, text: str) -> None:
        """Write a line."""
        await self.write(f"{text}\n".encode("utf-8", "surrogateescape"))

    async def write(self, data: bytes) -> None:
        """Write bytes.

        Raises:
            NobodyReads: the reader has gone.
            CannotWrite: the bytes cannot be written; a disk is full, for instance.
        """
        await trio.to_thread.run_sync(
            write_all, self._descriptor, data, abandon_on_cancel=True, limiter=self._one
        )

    def isatty(self) -> bool:
        """Whether a person watches."""
        return os.isatty(self._descriptor)
