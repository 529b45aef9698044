"""An outbox: what one subscriber has not been told yet, in the shape of a Trio channel that conflates."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import trio
from msgspec import Struct

from mcptrio.live.change import Entry


class Delivery(Struct, frozen=True):
    """One thing to tell: the key that was subscribed, and the newest entry for it.

    `entry` is None where the key alone says everything.
    """

    key: Hashable
    entry: Entry | None


class OutboxStatistics(Struct, frozen=True):
    """What is pending, how many sends were merged into a pending one, and how many tasks wait to receive."""

    pending: int
    conflated: int
    tasks_waiting_receive: int


class Outbox:
    """At most one pending delivery per key; a newer one takes the older one's place in the queue.

    Sending never waits and never loses the newest entry of a key, so what is pending is bounded by what is
    subscribed. Order holds per key. `on_ready` is called once when there is something to receive, and again
    only after a receiver has found or left the outbox empty: whoever is called may queue up once and drain
    later.
    """

    __slots__ = ("_announced", "_closed", "_conflated", "_lot", "_pending", "on_ready")

    def __init__(self, on_ready: Callable[[], None] | None = None) -> None:
        self.on_ready = on_ready
        self._pending: dict[Hashable, Entry | None] = {}
        self._lot: trio.lowlevel.ParkingLot | None = None
        self._conflated = 0
        self._announced = False
        self._closed = False

    def send_nowait(self, key: Hashable, entry: Entry | None = None) -> bool:
        """Add a delivery, or merge it into the pending one of the same key: then True. Nothing after `close`."""
        if self._closed:
            return False
        pending = self._pending
        if key in pending:
            self._conflated += 1
            pending[key] = entry
            return True
        pending[key] = entry
        if self._lot is not None:
            self._lot.unpark()
        if not self._announced and self.on_ready is not None:
            self._announced = True
            self.on_ready()
        return False

    def receive_nowait(self) -> Delivery:
        """The oldest pending delivery.

        Raises:
            trio.WouldBlock: nothing is pending.
            trio.EndOfChannel: nothing is pending and the outbox is closed.
        """
        pending = self._pending
        for key in pending:
            delivery = Delivery(key, pending.pop(key))
            self._announced = bool(pending)
            return delivery
        self._announced = False
        if self._closed:
            raise trio.EndOfChannel
        raise trio.WouldBlock

    async def receive(self) -> Delivery:
        """Wait for the oldest pending delivery. If cancelled, nothing was taken.

        Raises:
            trio.EndOfChannel: the outbox is closed and drained.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            try:
                delivery = self.receive_nowait()
            except trio.WouldBlock:
                if self._lot is None:
                    self._lot = trio.lowlevel.ParkingLot()
                await self._lot.park()
            else:
                await trio.lowlevel.cancel_shielded_checkpoint()
                return delivery

    def purge(self, key: Hashable) -> None:
        """Forget what is pending for a key. Idempotent."""
        self._pending.pop(key, None)

    def close(self) -> None:
        """Forget everything and end all receivers. Synchronous and idempotent."""
        self._closed = True
        self._pending.clear()
        self.on_ready = None
        if self._lot is not None:
            self._lot.unpark_all()

    def __len__(self) -> int:
        return len(self._pending)

    def statistics(self) -> OutboxStatistics:
        """A snapshot of the outbox."""
        waiting = 0 if self._lot is None else len(self._lot)
        return OutboxStatistics(len(self._pending), self._conflated, waiting)
