"""What waits until a program takes it: filled synchronously, taken with a wait."""

from __future__ import annotations

import abc
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Inbox(abc.ABC, Generic[T]):
    """Items that wait to be taken. Subclasses say how they are put in, and in which order they are taken.

    Over in one of two ways: `end` (its reason is raised after what is pending was taken), `close`
    (`trio.ClosedResourceError` is raised, and nothing pending is given out).
    """

    def __init__(self) -> None:
        self._takers = trio.lowlevel.ParkingLot()
        self._over: Exception | None = None
        self.closed = False

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @abc.abstractmethod
    def pop_nowait(self) -> T:
        """Take out the next item; there is one."""

    @abc.abstractmethod
    def clear(self) -> None:
        """Forget all that waits."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more is let in."""
        return self._over is not None

    def end(self, error: Exception) -> None:
        """Nothing more will come; the first reason counts."""
        if self._over is None:
            self._over = error
            self._takers.unpark_all()

    def close(self) -> None:
        """The program does not want any more. Idempotent."""
        self.closed = True
        self.clear()
        self._over = trio.ClosedResourceError("the subscription was left")
        self._takers.unpark_all()

    async def get(self) -> T:
        """The next item; waits for one, and loses nothing when cancelled.

        Raises:
            the reason given to `end`.
        """
        await trio.lowlevel.checkpoint()
        while not len(self):
            if self._over is not None:
                raise self._over
            await self._takers.park()
        return self.pop_nowait()


class InboxByKey(Inbox[T]):
    """At most one item of each key, oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self._pending: dict[str, T] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def peek(self, key: str) -> T | None:
        """What is pending under a key."""
        return self._pending.get(key)

    def put_nowait(self, key: str, item: T) -> None:
        """Add, or replace in place what is pending under the key; ignored once over."""
        if self._over is None:
            self._pending[key] = item
            self._takers.unpark()

    def pop_nowait(self) -> T:
        return self._pending.pop(next(iter(self._pending)))

    def clear(self) -> None:
        self._pending.clear()
