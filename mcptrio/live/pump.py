"""The pump: the one task that carries changes from the sources' memory channel into the hub."""

from __future__ import annotations

from collections.abc import Callable

import trio

from mcptrio.live.change import Change
from mcptrio.live.feed import Feed, SourceState
from mcptrio.live.hub import Hub
from mcptrio.log import get_logger

CAPACITY = 256
"""How many reported changes may wait for the hub before sources wait."""

_BUDGET = 2048
"""What is spent between two checkpoints: outboxes that were filled, what `Selections` spent, and a little for each change."""

_log = get_logger("mcptrio.live")


class Pump:
    """The bounded channel between sources and hub, and the task body that empties it.

    The channel outlives the task: if `run` ends and is started again, what was reported meanwhile is still
    there.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.set_aside_total = 0
        self._on_set_aside: list[Callable[[Change, Exception], None]] = []
        self._send, self._receive = trio.open_memory_channel[Change](CAPACITY)

    def feed(self, name: str, on_state: Callable[[str, SourceState, str], None] | None = None) -> Feed:
        """A feed into this pump for one source."""
        return Feed(name, self._send, on_state)

    async def run(self) -> None:
        """Publish what is reported, for ever, in order; lets others run after every 2,000 deliveries or so."""
        while True:
            spent = self._publish(await self._receive.receive())
            try:
                while spent < _BUDGET:
                    spent += self._publish(self._receive.receive_nowait())
            except trio.WouldBlock:
                continue

    def _publish(self, change: Change) -> int:
        """Publish one change; returns what it cost, as `_BUDGET` counts it."""
        before = self._hub.matched + self._hub.selections.spent
        try:
            self._hub.publish(change)
        except Exception as error:
            # One change is set aside, and the next one is published: a source must not stop the others.
            self.set_aside_total += 1
            _log.exception("the pump set a change aside", uri=change.uri, source=change.source)
            for callback in self._on_set_aside:
                try:
                    callback(change, error)
                except Exception:
                    _log.exception("somebody who is told of changes set aside failed", uri=change.uri)
        return 32 + self._hub.matched + self._hub.selections.spent - before

    def on_set_aside(self, callback: Callable[[Change, Exception], None]) -> None:
        """Have `callback` called for each change that the hub could not publish, with the reason.

        What it raises is logged and goes no further. Such a change is not tried again, and the next ones are published.
        """
        self._on_set_aside.append(callback)

    def close(self) -> None:
        """End the channel for good. Idempotent."""
        self._send.close()
        self._receive.close()

    def statistics(self) -> trio.MemoryChannelStatistics:
        """The channel's own statistics."""
        return self._send.statistics()
