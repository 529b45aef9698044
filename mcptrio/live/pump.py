"""The pump: the one task that carries changes from the sources' memory channel into the hub."""

from __future__ import annotations

from collections.abc import Callable

import trio

from mcptrio.live.change import Change
from mcptrio.live.feed import Feed, SourceState
from mcptrio.live.hub import Hub

CAPACITY = 256
"""How many reported changes may wait for the hub before sources wait."""

_BATCH = 64


class Pump:
    """The bounded channel between sources and hub, and the task body that empties it.

    The channel outlives the task: if `run` ends and is started again, what was reported meanwhile is still
    there.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._send, self._receive = trio.open_memory_channel[Change](CAPACITY)

    def feed(self, name: str, on_state: Callable[[str, SourceState, str], None] | None = None) -> Feed:
        """A feed into this pump for one source."""
        return Feed(name, self._send, on_state)

    async def run(self) -> None:
        """Publish what is reported, for ever, in order; lets others run after every 64 changes."""
        while True:
            self._hub.publish(await self._receive.receive())
            try:
                for _ in range(_BATCH):
                    self._hub.publish(self._receive.receive_nowait())
            except trio.WouldBlock:
                continue

    def close(self) -> None:
        """End the channel for good. Idempotent."""
        self._send.close()
        self._receive.close()

    def statistics(self) -> trio.MemoryChannelStatistics:
        """The channel's own statistics."""
        return self._send.statistics()
