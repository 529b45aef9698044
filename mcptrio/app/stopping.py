"""A whole program and its end: by itself or by a signal, and then in bounded time."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import FrameType

import trio

from mcptrio.app.root import sole
from mcptrio.log import get_logger

_log = get_logger("mcptrio.app")

OVERSTAYED = 70
"""Exit status of a program that did not end within its drain deadline."""


def run_program(main: Callable[..., Awaitable[None]], *args: object) -> None:
    """Run Trio. Nurseries wrap what they raise; this raises the one error that ended the program."""
    try:
        trio.run(main, *args)
    except BaseExceptionGroup as group:
        error = sole(group)
        raise error from error.__cause__  # noqa: ASYNC123 - its own context and cause are kept


@asynccontextmanager
async def until_signal(watchdog: threading.Timer) -> AsyncIterator[None]:
    """Cancel the block at SIGINT or SIGTERM, which starts the watchdog, too; a second one ends the process at once."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        _arm(watchdog)
        async with trio.open_nursery() as nursery:
            stopping = trio.CancelScope()
            nursery.start_soon(_stop_on_signal, signals, stopping)
            with stopping:
                yield
            nursery.cancel_scope.cancel(reason="the server has ended")


def _arm(watchdog: threading.Timer) -> None:
    """Have the first signal start the watchdog and the second one end the process.

    Both in the signal handler itself: a task would wait for the very step that never ends.
    """
    armed = False
    for number in (signal.SIGINT, signal.SIGTERM):
        receiver = signal.getsignal(number)
        assert callable(receiver)

        def handle(number: int, frame: FrameType | None, receiver: Callable[..., object] = receiver) -> None:
            nonlocal armed
            if armed:
                os._exit(128 + number)
            armed = True
            watchdog.start()
            receiver(number, frame)

        signal.signal(number, handle)


async def _stop_on_signal(signals: AsyncIterator[int], stopping: trio.CancelScope) -> None:
    """Cancel at each signal, until cancelled."""
    async for number in signals:
        name = signal.Signals(number).name
        _log.info("stopping", signal=name)
        stopping.cancel(reason=name)


def overstayed() -> None:
    """End the process: a part of it did not end in time, and Trio cannot kill it."""
    # Said by a thread of its own: a log that nobody reads may block whoever writes it.
    said = threading.Thread(
        target=_log.critical,
        args=("a part overstays the drain deadline: the process ends without it",),
        daemon=True,
    )
    said.start()
    said.join(0.2)
    os._exit(OVERSTAYED)
