"""The flusher: the one task that turns what outboxes hold into frames for their peers, and never awaits a peer."""

from __future__ import annotations

import math
from collections.abc import Hashable
from functools import partial

import trio

from mcptrio.live import Hub, Replay, Subscription
from mcptrio.log import get_logger
from mcptrio.server.frames import Frames
from mcptrio.server.subscriber import Subscriber

_log = get_logger("mcptrio.server")

BATCH = 64
"""Frames, or what costs as much, between two checkpoints, and in one turn of a subscriber."""

_BYTES = 256 * 1024
"""What one subscriber gets in one turn, but for the frame that goes beyond it."""

_STEP = 16
"""What looking through a step of history costs, in frames."""


class _Turn:
    """What is sent to one subscriber between two looks at its recipient."""

    __slots__ = ("bytes", "cost", "frames")

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.bytes = 0
        self.cost = 0

    def add(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.bytes += len(frame)
        self.cost += 1

    @property
    def is_over(self) -> bool:
        return self.cost >= BATCH or self.bytes >= _BYTES


class Flusher:
    """Takes subscribers that have something to send, in the order in which they became ready.

    A subscriber whose outbox holds something is either in the channel, once, or parked at a peer that is behind. An
    outbox is drained only while its peer's buffer is below its bound; a parked one is handed back when it is.
    """

    def __init__(self, hub: Hub) -> None:
        self._selections = hub.selections
        # Bounded by construction: each subscriber is in it at most once, and subscribers are capped per peer.
        self._send, self._receive = trio.open_memory_channel[Subscriber](math.inf)
        self.frames = Frames()
        self.delivered = 0

    def ready(self, subscriber: Subscriber) -> None:
        """This subscriber's outbox has something to send. Synchronous; never waits, never fails."""
        if not subscriber.is_queued:
            subscriber.is_queued = True
            self._send.send_nowait(subscriber)

    async def run(self) -> None:
        """Flush for ever, with a checkpoint after each `BATCH`, so that requests are served meanwhile."""
        sent = 0
        while True:
            subscriber = await self._receive.receive()
            while True:
                try:
                    sent += self.flush(subscriber)
                except Exception:
                    # What it was owed is lost, so it must be told; the others are owed theirs.
                    _log.exception("a subscriber could not be told: its connection is closed")
                    subscriber.recipient.fail()
                if sent >= BATCH:
                    sent = 0
                    await trio.lowlevel.checkpoint()
                try:
                    subscriber = self._receive.receive_nowait()
                except trio.WouldBlock:
                    break

    def flush(self, subscriber: Subscriber) -> int:
        """Push one turn's worth of what a subscriber is owed; returns what that cost, in frames. Synchronous."""
        recipient = subscriber.recipient
        if recipient.is_behind():
            recipient.park(partial(self._send.send_nowait, subscriber))
            return 0
        subscriber.is_queued = False
        turn = _Turn()
        try:
            while not turn.is_over:
                self._take(subscriber, subscriber.outbox.receive_nowait().key, turn)
        except (trio.WouldBlock, trio.EndOfChannel):
            pass
        if turn.frames:
            recipient.push_frames(turn.frames)
            self.delivered += len(turn.frames)
        if len(subscriber.outbox):
            self.ready(subscriber)
        return turn.cost

    def _take(self, subscriber: Subscriber, key: Hashable, turn: _Turn) -> None:
        if isinstance(key, Subscription):
            now = trio.current_time()
            while not turn.is_over and (told := key.deliveries.take(now)) is not None:
                turn.add(self.frames.of_delivery(subscriber, key, told))
            self._selections.settle(key)
        elif isinstance(key, Replay):
            self._selections.advance(key)
            turn.cost += _STEP
        else:
            turn.add(self.frames.of_key(subscriber, key))

    def statistics(self) -> trio.MemoryChannelStatistics:
        """How many subscribers wait for their turn."""
        return self._send.statistics()
