"""A request in flight, as the tasks that wait for it and the reader that answers it share it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import trio

from mcptrio.protocol import RequestId

OnProgress = Callable[[float, float | None, str | None], None]
"""Called with progress, total and message, by the task that reads the connection: it must return at once."""


class Call:
    """A request in flight. `on_done` is called once, synchronously, when the answer or the end is there."""

    __slots__ = ("_done", "_raw", "error", "id", "method", "on_done", "on_progress")

    def __init__(
        self,
        id: RequestId,
        method: str,
        on_progress: OnProgress | None = None,
        on_done: Callable[[], None] | None = None,
    ) -> None:
        self.id = id
        self.method = method
        self.on_progress = on_progress
        self.on_done = on_done
        self.error: Exception | None = None
        self._raw: msgspec.Raw | None = None
        self._done = trio.Event()

    @property
    def done(self) -> bool:
        """Whether there is an answer or an error."""
        return self._done.is_set()

    def complete(self, raw: msgspec.Raw) -> None:
        """The server answered."""
        self._raw = raw
        self._settle()

    def fail(self, error: Exception) -> None:
        """There will be no answer. The first outcome counts."""
        if not self.done:
            self.error = error
            self._settle()

    def _settle(self) -> None:
        self._done.set()
        if self.on_done is not None:
            self.on_done()

    async def wait(self) -> None:
        """Wait until done. If cancelled, the call goes on: whoever began it abandons it."""
        await self._done.wait()

    def outcome(self) -> msgspec.Raw:
        """The result of a call that is done, or its error raised."""
        if self.error is not None:
            raise self.error
        assert self._raw is not None
        return self._raw
