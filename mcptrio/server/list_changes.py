"""Who is told that a list changed, and how often."""

from __future__ import annotations

import trio

from mcptrio.catalog import ListKind
from mcptrio.live import Hub, Outbox
from mcptrio.server.subscriber import Subscriber


class ListChanges:
    """`list_changed` for tools, resources and prompts, conflated: first at once, then one an interval, last always.

    A resource that is created or deleted changes the list of resources, so the hub's creations and deletions count.
    """

    def __init__(self, hub: Hub, interval: float) -> None:
        self._interval = interval
        self._watchers: dict[ListKind, dict[Subscriber, None]] = {kind: {} for kind in ListKind}
        self._pending: dict[ListKind, None] = {}
        self._wake = trio.Event()
        self._not_before = dict.fromkeys(ListKind, float("-inf"))
        self._membership = Outbox(self._on_membership)
        hub.watch_membership(self._membership)

    def _on_membership(self) -> None:
        self._membership.receive_nowait()
        self.changed(ListKind.RESOURCES)

    def changed(self, kind: ListKind) -> None:
        """A list changed. Synchronous; may be called before the program runs."""
        self._pending[kind] = None
        self._wake.set()

    def watch(self, subscriber: Subscriber, kinds: list[ListKind]) -> None:
        """Tell a subscriber of these lists from now on. Idempotent."""
        for kind in kinds:
            self._watchers[kind][subscriber] = None

    def leave(self, subscriber: Subscriber) -> None:
        """Tell a subscriber nothing more. Synchronous and idempotent."""
        for watchers in self._watchers.values():
            watchers.pop(subscriber, None)

    def remind(self, subscriber: Subscriber) -> None:
        """Tell a subscriber of every list that it watches, as if it had changed: something may have been missed."""
        for kind, watchers in self._watchers.items():
            if subscriber in watchers:
                subscriber.outbox.send_nowait(kind)

    def watchers(self) -> int:
        """How many subscribers watch a list, counted per list."""
        return sum(map(len, self._watchers.values()))

    async def run(self) -> None:
        """Publish for ever. What changed while this was not running is published when it runs again."""
        # Times of an earlier run of Trio mean nothing in this one.
        self._not_before = dict.fromkeys(ListKind, float("-inf"))
        while True:
            now = trio.current_time()
            for kind in [kind for kind in self._pending if self._not_before[kind] <= now]:
                if self._watchers[kind]:  # what nobody was told does not delay the next
                    self._not_before[kind] = now + self._interval
                for subscriber in self._watchers[kind]:
                    subscriber.outbox.send_nowait(kind)
                del self._pending[kind]  # last: what a crash leaves here is told after the restart
            self._wake = trio.Event()
            due = min((self._not_before[kind] for kind in self._pending), default=float("inf"))
            with trio.move_on_at(due):
                await self._wake.wait()
