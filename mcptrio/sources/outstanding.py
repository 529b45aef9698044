"""Changes that a source has decided on and the hub has not been told yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import trio

from mcptrio.live import Change, Feed


class Outstanding:
    """A source's queue between deciding and reporting. It lives in the installed object, outside the task.

    A source first changes, in one synchronous step, what can be read and this queue; then it reports from the
    queue. So whoever is told of a change reads at least that change; and wherever a task ends, by a cancellation or
    a crash, what was not accepted is left here: the next task reports it first, in order, none twice, none lost.

    A source adds only while the queue is empty, which bounds it by what one step can bring. How far the feed has come
    with it is kept in the feed's checkpoint, which is this queue's alone.
    """

    def __init__(self) -> None:
        self._changes: deque[Change] = deque()
        self._done = 0
        """How many changes have left the queue."""

    def add(self, changes: Iterable[Change]) -> None:
        """Queue changes, in the order in which they are to be reported."""
        self._changes.extend(changes)

    async def report_to(self, feed: Feed) -> None:
        """Report everything. If cancelled, what was not accepted by the feed stays queued."""
        await trio.lowlevel.checkpoint()
        self._drop_accepted(feed)
        while self._changes:
            await feed.report(self._changes[0], checkpoint=self._done + 1)
            self._drop_accepted(feed)

    def _drop_accepted(self, feed: Feed) -> None:
        # Not simply the one just reported: a task that crashed right behind that left it in the queue.
        accepted = feed.checkpoint
        while self._changes and isinstance(accepted, int) and self._done < accepted:
            self._changes.popleft()
            self._done += 1

    def __len__(self) -> int:
        return len(self._changes)
