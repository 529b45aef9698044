"""Batches: the one task that has told in time what waits for its time."""

from __future__ import annotations

import trio

from mcptrio.live import Selections


class Batches:
    """Puts into outboxes what has waited as long as its subscription's policy wants. Keeps nothing: a crash costs time only."""

    def __init__(self, selections: Selections) -> None:
        self._selections = selections
        self._wake = trio.Event()
        selections.on_timer = self._on_timer

    def _on_timer(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Watch the time for ever."""
        while True:
            self._selections.ring()
            self._wake = trio.Event()
            with trio.move_on_at(self._selections.next_due()):
                await self._wake.wait()
