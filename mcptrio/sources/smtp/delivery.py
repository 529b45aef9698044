"""The bridge: mails that come in on the SMTP server's thread, handed to Trio and answered from there."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import trio

from mcptrio.sources.mail import Envelope, Found


class Delivery:
    """One mail on its way: handed over by the server's thread, answered on Trio's.

    `answer(id)` tells the server's thread that the mail is kept and announced, under that id. The fields below are
    Trio's alone.
    """

    def __init__(self, envelope: Envelope, found: Found, digest: bytes) -> None:
        self.envelope = envelope
        self.found = found
        self.digest = digest
        """What tells it from other mails: of its envelope and every byte of it."""
        self.answer: Callable[[int], None] = lambda id: None
        self.id: int | None = None
        """The id of the mail once it is kept."""


class Inbox:
    """The deliveries of one run of the server. All methods are Trio's; the server's thread has them called there.

    The server bounds how many it hands over before they are answered or given up. A delivery is open from `put` to
    `answered` (its sender was told that the mail was taken) or `abandon` (its sender was told something else, or
    nothing): whoever sends an abandoned one again sends the same mail.
    """

    def __init__(self, on_abandoned: Callable[[Delivery], None]) -> None:
        self._on_abandoned = on_abandoned
        self._waiting: deque[Delivery] = deque()
        self._open: set[Delivery] = set()
        self._lot = trio.lowlevel.ParkingLot()
        self._closed = False

    def put(self, delivery: Delivery) -> None:
        """A mail was handed over."""
        if self._closed:
            return
        self._open.add(delivery)
        self._waiting.append(delivery)
        self._lot.unpark()

    def answered(self, delivery: Delivery) -> None:
        """Its sender was told that it was taken."""
        self._open.discard(delivery)

    def abandon(self, delivery: Delivery) -> None:
        """Its sender was not told that it was taken."""
        if delivery not in self._open:
            return
        self._open.remove(delivery)
        if delivery.id is not None:
            self._on_abandoned(delivery)
        elif delivery in self._waiting:  # not if its taker failed before it was kept
            self._waiting.remove(delivery)

    async def take(self, patience: float = math.inf) -> Delivery | None:
        """Wait for the next delivery, at most so many seconds. If cancelled, none was taken.

        It counts as waiting until it has an id: give it one before the next checkpoint.
        """
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(patience):
            while not self._waiting:
                await self._lot.park()
        return self._waiting.popleft() if self._waiting else None

    def close(self) -> None:
        """No more deliveries; those that are open are abandoned. Idempotent."""
        self._closed = True
        for delivery in tuple(self._open):
            self.abandon(delivery)

    def __len__(self) -> int:
        return len(self._open)


class Unanswered:
    """Mails that are kept but whose senders do not know: when such a one comes again, it is the same mail.

    At most `MOST` of them, the oldest forgotten first, each for `AGE` seconds.
    """

    MOST = 1000
    AGE = 3600.0

    def __init__(self) -> None:
        self._ids: dict[bytes, tuple[int, float]] = {}

    def add(self, digest: bytes, id: int, now: float) -> None:
        """The sender of this mail was not told that it was taken."""
        self._ids.pop(digest, None)
        self._ids[digest] = (id, now)
        while len(self._ids) > self.MOST:
            del self._ids[next(iter(self._ids))]

    def take(self, digest: bytes, now: float) -> int | None:
        """The id of this mail, if it is one of them. Its next coming will be that of another one."""
        id, at = self._ids.pop(digest, (None, 0.0))
        return id if now - at <= self.AGE else None

    def __len__(self) -> int:
        return len(self._ids)
