"""The flusher: the one task that turns what outboxes hold into frames for their peers, and never awaits a peer."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable

import trio

from mcptrio.log import get_logger
from mcptrio.server.subscriber import Subscriber

_log = get_logger("mcptrio.server")

BATCH = 64
"""Frames that go out between two checkpoints, and that one subscriber gets in one turn."""

_CACHED_FRAMES = 4096


class Flusher:
    """Takes subscribers that have something to send, in the order in which they became ready.

    A subscriber whose outbox holds something is either in the channel, once, or parked at a peer that is behind. An
    outbox is drained only while its peer's buffer is below its bound; a parked one is handed back when it is.
    """

    def __init__(self) -> None:
        # Bounded by construction: each subscriber is in it at most once, and subscribers are capped per peer.
        self._send, self._receive = trio.open_memory_channel[Subscriber](math.inf)
        self._frames: dict[tuple[Hashable, Hashable, Callable[[bytes], bytes]], bytes] = {}
        self.delivered = 0

    def ready(self, subscriber: Subscriber) -> None:
        """This subscriber's outbox has something to send. Synchronous; never waits, never fails."""
        self._send.send_nowait(subscriber)

    async def run(self) -> None:
        """Flush for ever, with a checkpoint every 64 frames so that requests are served meanwhile."""
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
        """Push one turn's worth of what a subscriber is owed; returns how many frames. Synchronous."""
        recipient = subscriber.recipient
        outbox = subscriber.outbox
        if recipient.is_behind():
            recipient.park(subscriber.ready)
            return 0
        frames: list[bytes] = []
        try:
            while len(frames) < BATCH:
                frames.append(self._frame(subscriber, outbox.receive_nowait().key))
        except (trio.WouldBlock, trio.EndOfChannel):
            pass
        if frames:
            recipient.push_frames(frames)
            self.delivered += len(frames)
        if len(outbox):
            subscriber.ready()
        return len(frames)

    def _frame(self, subscriber: Subscriber, key: Hashable) -> bytes:
        # One frame serves all who are told the same in the same way: nothing is masked or compressed for one of them.
        frame = subscriber.recipient.frame
        cached = self._frames.get((key, subscriber.tag, frame))
        if cached is None:
            if len(self._frames) >= _CACHED_FRAMES:
                self._frames.clear()
            cached = frame(subscriber.encode(key))
            self._frames[key, subscriber.tag, frame] = cached
        return cached

    def statistics(self) -> trio.MemoryChannelStatistics:
        """How many subscribers wait for their turn."""
        return self._send.statistics()
