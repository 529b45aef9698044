"""Reports to many: what supervisors tell, handed to everyone who wants to know."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from types import TracebackType

import trio

from mcptrio.supervision.report import Report

_logger = logging.getLogger(__name__)


class Reports:
    """Hands every report to all subscribers, in order; one for a whole tree: `Supervisor(on_report=reports.publish)`.

    A subscriber is called synchronously and must not block. What it raises is logged, counted and goes no
    further.
    """

    def __init__(self) -> None:
        self.errors_total = 0
        self._subscribers: dict[object, Callable[[Report], None]] = {}

    def publish(self, report: Report) -> None:
        """Tell everyone."""
        for key, callback in tuple(self._subscribers.items()):
            if key not in self._subscribers:  # the one before it unsubscribed it
                continue
            try:
                callback(report)
            except Exception:
                self.errors_total += 1
                _logger.exception("a subscriber of reports failed on %s %s", report.child, report.event.value)

    def subscribe(self, callback: Callable[[Report], None]) -> Callable[[], None]:
        """Have `callback` called with every report, until the returned function is called. That is idempotent."""
        key = object()
        self._subscribers[key] = callback

        def unsubscribe() -> None:
            self._subscribers.pop(key, None)

        return unsubscribe

    def stream(self, max_buffer_size: int) -> ReportStream:
        """The reports from now on: `with reports.stream(100) as stream: async for report in stream`.

        Raises:
            ValueError: a buffer of less than one.
        """
        return ReportStream(self, max_buffer_size)


class ReportStream:
    """Reports to iterate over. Supervisors never wait for a reader: when the buffer is full the oldest report goes.

    `missed` counts those. Closing is synchronous, idempotent, and ends the iteration once the buffer is empty.
    """

    def __init__(self, reports: Reports, max_buffer_size: int) -> None:
        if max_buffer_size < 1:
            raise ValueError("a stream of reports needs a buffer of at least 1")
        self.missed = 0
        self._size = max_buffer_size
        self._buffer: deque[Report] = deque()
        self._lot = trio.lowlevel.ParkingLot()
        self._closed = False
        self._unsubscribe = reports.subscribe(self._take)

    def _take(self, report: Report) -> None:
        if len(self._buffer) == self._size:
            self._buffer.popleft()
            self.missed += 1
        self._buffer.append(report)
        self._lot.unpark()

    def close(self) -> None:
        """Take no more reports. Synchronous and idempotent."""
        self._closed = True
        self._unsubscribe()
        self._lot.unpark_all()

    def __enter__(self) -> ReportStream:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> ReportStream:
        return self

    async def __anext__(self) -> Report:
        """The next report. If cancelled, none was taken."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._buffer:
            if self._closed:
                await trio.lowlevel.cancel_shielded_checkpoint()
                raise StopAsyncIteration
            await self._lot.park()
        report = self._buffer.popleft()
        await trio.lowlevel.cancel_shielded_checkpoint()
        return report
