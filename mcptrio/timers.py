"""Messages to oneself, each at its time. Sans-IO: times are passed in."""

from __future__ import annotations

import heapq
import math
from typing import Generic, TypeVar

Message = TypeVar("Message")

# Below this many entries a rebuild is not worth its while.
_SMALL = 32


class Timer(Generic[Message]):
    """One message that is due at `at`; spent once it was popped or cancelled."""

    __slots__ = ("at", "message")

    def __init__(self, at: float, message: Message) -> None:
        self.at = at
        self.message: Message | None = message


class Timers(Generic[Message]):
    """A heap of timers: earliest first, and in the order they were set where times are equal.

    Cancelling lets go of the message at once. The empty entry stays in the heap until it is due or until such
    entries are the larger half, so memory follows the number of timers that are set.
    """

    __slots__ = ("_cancelled", "_heap", "_sequence")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer[Message]]] = []
        self._sequence = 0
        self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def set(self, at: float, message: Message) -> Timer[Message]:
        """Make `message` due at `at`."""
        timer = Timer(at, message)
        self._sequence += 1
        heapq.heappush(self._heap, (at, self._sequence, timer))
        return timer

    def cancel(self, timer: Timer[Message]) -> None:
        """Forget the timer. Idempotent; nothing happens if its message was already popped."""
        if timer.message is None:
            return
        timer.message = None
        self._cancelled += 1
        if len(self._heap) > _SMALL and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].message is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def next_due(self) -> float:
        """When the earliest message is due; infinity if there is none."""
        self._drop_cancelled()
        return self._heap[0][0] if self._heap else math.inf

    def pop_due(self, now: float) -> Message | None:
        """The earliest message that is due at `now`, taken out; None if there is none."""
        self._drop_cancelled()
        if not self._heap or self._heap[0][0] > now:
            return None
        timer = heapq.heappop(self._heap)[2]
        message, timer.message = timer.message, None
        return message

    def _drop_cancelled(self) -> None:
        while self._heap and self._heap[0][2].message is None:
            heapq.heappop(self._heap)
            self._cancelled -= 1
