"""Changes that a source has decided on and the hub has not been told yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import trio

from mcptrio.live import Change, Feed


class Outstanding:
    """A source's queue between deciding and reporting. It lives in the installed object, outside the task.

    A source first changes, in one synchronous step, what can be read and this queue; then it reports from the
    queue. So whoever is told of a change reads at least that change; and a task that is cancelled between two
    reports leaves the rest here: the next task reports them first, in order, none twice, none lost.

    A source adds only while the queue is empty, which bounds it by what one step can bring.
    """

    def __init__(self) -> None:
        self._changes: deque[Change] = deque()

    def add(self, changes: Iterable[Change]) -> None:
        """Queue changes, in the order in which they are to be reported."""
        self._changes.extend(changes)

    async def report_to(self, feed: Feed) -> None:
        """Report everything. If cancelled, what was not accepted by the feed stays queued."""
        await trio.lowlevel.checkpoint()
        while self._changes:
            # `report` returns when the change was taken and raises when it was not, and between its return
            # and the next line nothing else runs.
            await feed.report(self._changes[0])
            self._changes.popleft()

    def __len__(self) -> int:
        return len(self._changes)
