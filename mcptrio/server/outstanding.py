"""The questions that a client has not answered yet (2025-11-25): requests of the server's, found by their id."""

from __future__ import annotations

from itertools import count

import trio

from mcptrio.protocol import ErrorResponse, Response


class Waiting:
    """One question, and its answer when that is there."""

    __slots__ = ("_event", "answer", "id")

    def __init__(self, id: int) -> None:
        self.id = id
        self.answer: Response | ErrorResponse | None = None
        self._event = trio.Event()

    def settle(self, answer: Response | ErrorResponse) -> None:
        """Take the answer."""
        self.answer = answer
        self._event.set()

    async def wait(self) -> Response | ErrorResponse:
        """Wait for the answer."""
        await self._event.wait()
        assert self.answer is not None
        return self.answer


class Outstanding:
    """One client's table. Synchronous; ids are never used twice."""

    def __init__(self) -> None:
        self._ids = count(1)
        self._waiting: dict[int, Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def open(self) -> Waiting:
        """A place for the answer of one more question, under a new id."""
        waiting = Waiting(next(self._ids))
        self._waiting[waiting.id] = waiting
        return waiting

    def settle(self, message: Response | ErrorResponse) -> None:
        """An answer has come. One to nothing that is open is ignored, and so is a second one."""
        # 1 and "1" are not the same id.
        waiting = self._waiting.pop(message.id, None) if type(message.id) is int else None
        if waiting is not None:
            waiting.settle(message)

    def forget(self, waiting: Waiting) -> bool:
        """Expect no answer any more; whether there was none yet. Idempotent."""
        return self._waiting.pop(waiting.id, None) is not None
