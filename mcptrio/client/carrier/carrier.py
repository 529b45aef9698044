"""What all carriers have in common: a bounded outbox, one life, and one reason for its end."""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Awaitable, Callable

import trio

from mcptrio.client.errors import ConnectionLost
from mcptrio.client.limits import Limits
from mcptrio.protocol import RequestId

Received = Callable[[bytes], None]
"""Takes one message, synchronously. What is no message it reports by `Carrier.violate`."""


class Carrier(abc.ABC):
    """One connection that carries messages, from dialling to its end; not used again after that.

    Order: messages leave in the order of `push` (over HTTP they are on their way at the same time). Loss: what
    was pushed and not yet answered when the connection ends may or may not have reached the server.
    """

    def __init__(self, url: str, limits: Limits | None = None) -> None:
        self.url = url
        """What it leads to, as shown to people: no secrets."""
        self.ready: Callable[[], Awaitable[None]] | None = None
        """Awaited before more is taken from the server, by whoever cannot hold any number of messages."""
        self._limits = limits or Limits()
        self._outbox: deque[bytes] = deque()
        self._work = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()
        self._opened = trio.Event()
        self._ended = trio.Event()
        self._error: ConnectionLost | None = None
        self._close: tuple[int, str] | None = None
        self._violated = False
        self._scope = trio.CancelScope()

    async def run(self, received: Received, missed: Callable[[], None] | None = None) -> None:
        """Connect and carry until it ends. Raises nothing but Cancelled; `error` then says why it ended.

        `received` gets each message in the order of arrival. `missed` is called when messages that answer
        nothing may have been lost although the connection lives.
        """
        cause: Exception | None = None
        try:
            with self._scope:
                await self._carry(received, missed or _ignore)
        except* Exception as group:
            # One guard for the connection: what its tasks and their libraries raise ends it, and nothing else.
            cause = _first(group)
        finally:
            if self._error is None:
                self._error = self._describe(cause)
                if self._error is not cause:
                    self._error.__cause__ = cause
            self._ended.set()
            self._opened.set()
            self._outbox.clear()
            self._room.unpark_all()
            with trio.move_on_after(2 * self._limits.close_timeout, shield=True):
                await self._release()

    @abc.abstractmethod
    async def _carry(self, received: Received, missed: Callable[[], None]) -> None:
        """Connect, set `_opened`, serve; returning or raising is the end."""

    @abc.abstractmethod
    def _describe(self, cause: Exception | None) -> ConnectionLost:
        """Why it ended, where nobody has said so yet."""

    @abc.abstractmethod
    async def _release(self) -> None:
        """Give back what the connection holds. Shielded, within twice `close_timeout`."""

    async def wait_open(self) -> None:
        """Wait until messages can be sent.

        Raises:
            ConnectionLost: the connection could not be opened.
        """
        await self._opened.wait()
        if self._ended.is_set():
            raise self.error.copy()

    async def wait_room(self) -> None:
        """Wait while the outbox is full. Returns at once when the connection is over."""
        while self.is_usable and len(self._outbox) >= self._limits.outbox:
            await self._room.park()

    async def settle(self) -> None:
        """Wait until nothing that the server tells unasked can be missed, or the connection is over."""
        await trio.lowlevel.checkpoint()

    @property
    def is_usable(self) -> bool:
        """Whether a message could be sent."""
        return self._opened.is_set() and not self._ended.is_set() and self._close is None

    @property
    def error(self) -> ConnectionLost:
        """Why the connection is over, or is about to be."""
        return self._error or ConnectionLost(f"{self.url}: not connected")

    def push(self, data: bytes) -> None:
        """Queue a message; dropped when the connection is over. At four times the bound the connection ends."""
        if not self.is_usable:
            return
        if len(self._outbox) >= 4 * self._limits.outbox:
            self.violate(1008, "too many messages wait to be sent")
            return
        self._outbox.append(data)
        self._work.unpark()

    def forget(self, id: RequestId) -> None:  # noqa: B027 - most have nothing to do
        """The answer of a request is not waited for any more, and the server need not be told."""

    def close_nowait(
        self, code: int = 1000, reason: str = "", *, error: ConnectionLost | None = None
    ) -> None:
        """Close after what is queued has been sent. Idempotent; the first caller wins."""
        if self._close is None and not self._ended.is_set():
            self._close = (code, reason)
            self._error = self._error or error or ConnectionLost(f"{self.url}: closed by this client")
            self._work.unpark_all()
            self._room.unpark_all()

    def violate(self, code: int, why: str) -> None:
        """End the connection now: nothing that is queued is sent, and what is being sent has a second."""
        self._violated = True
        self._outbox.clear()
        self._scope.deadline = trio.current_time() + self._limits.close_timeout
        self.close_nowait(
            code,
            why.encode()[:120].decode("utf-8", "ignore"),
            error=ConnectionLost(f"{self.url}: {why}", code=code),
        )

    async def _next(self) -> bytes | None:
        """The oldest queued message; waits for one. None when closed and nothing is left to send."""
        while not self._outbox:
            if self._close is not None:
                return None
            await self._work.park()
        data = self._outbox.popleft()
        self._room.unpark()
        return data


def _ignore() -> None:
    """What was missed matters to nobody."""


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    found = group.exceptions[0]
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
