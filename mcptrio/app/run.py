"""Running an app as a whole program: signals, open files, and an end in bounded time."""

from __future__ import annotations

import gc
import os
import signal
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from functools import partial
from types import FrameType
from typing import Protocol

import trio

from mcptrio.app.address import Address
from mcptrio.app.root import sole
from mcptrio.log import get_logger
from mcptrio.server import ServerSettings
from mcptrio.wire import raise_nofile_limit

_log = get_logger("mcptrio.app")

_COLLECTOR = (20_000, 20, 50)
"""Python's own thresholds have a server of a thousand clients look through all of them many times a second: with
these a quarter more calls were answered per second of CPU, and the slowest hundredth three times sooner."""

_SPARE_FILES = 64
"""Open files kept back from connections: for sources, logs and the interpreter."""

OVERSTAYED = 70
"""Exit status of a program that did not end within its drain deadline."""


class Servable(Protocol):
    """What `run` needs of an App."""

    settings: ServerSettings

    @property
    def stop_timeout(self) -> float:
        """Seconds that its end may take."""

    async def serve(
        self,
        host: str,
        port: int,
        *,
        unix_socket: str | os.PathLike[str] | None,
        tls: ssl.SSLContext | None,
        anonymous: bool,
        allowed_hosts: Collection[str],
        allowed_origins: Collection[str],
        max_connections: int | None,
        task_status: trio.TaskStatus[Address],
    ) -> None:
        """Serve until cancelled, then drain."""


def run(
    app: Servable,
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    unix_socket: str | os.PathLike[str] | None = None,
    tls: ssl.SSLContext | None = None,
    anonymous: bool = False,
    allowed_hosts: Collection[str] = (),
    allowed_origins: Collection[str] = (),
    on_ready: Callable[[Address], None] = lambda address: None,
) -> None:
    """Serve until SIGINT or SIGTERM, then drain and return. `on_ready` is called once clients can connect.

    The limit of open files is raised as far as it goes, and connections are capped below it. A second signal ends the
    process at once; so does, with status 70, a part that overstays the deadlines of drain and lifespans by
    more than a second, since Trio cannot kill it.

    Where and for whom it serves is said as to `App.serve`, which raises the same:

    Raises:
        ValueError: others reach the address, and neither tokens nor `anonymous` were given.
        OSError: the address cannot be bound.
        Escalation: a part of the server could not be kept running.
    """
    serve = partial(
        app.serve,
        host,
        port,
        unix_socket=unix_socket,
        tls=tls,
        anonymous=anonymous,
        allowed_hosts=allowed_hosts,
        allowed_origins=allowed_origins,
    )
    try:
        trio.run(_main, app, serve, on_ready)
    except BaseExceptionGroup as group:
        # Nurseries wrap; whoever runs a program wants the one error that ended it.
        error = sole(group)
        raise error from error.__cause__  # noqa: ASYNC123 - its own context and cause are kept


async def _main(
    app: Servable, serve: Callable[..., Awaitable[None]], on_ready: Callable[[Address], None]
) -> None:
    files = raise_nofile_limit()
    cap = max(1, min(app.settings.limits.max_connections, files - _SPARE_FILES))
    # The deadlines of everything that has one, and a second for what has none.
    watchdog = threading.Timer(app.stop_timeout + 1.0, _overstayed)
    watchdog.daemon = True
    try:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            _arm(watchdog)
            async with trio.open_nursery() as nursery:
                stopping = trio.CancelScope()
                nursery.start_soon(_stop_on_signal, signals, stopping)
                with stopping:
                    async with trio.open_nursery() as serving:
                        address = await serving.start(partial(serve, max_connections=cap))
                        # What lives now lives for ever: the collector need not look at it again.
                        gc.collect()
                        gc.freeze()
                        gc.set_threshold(*_COLLECTOR)
                        _log.info("listening", url=address.websocket, max_connections=cap, open_files=files)
                        on_ready(address)
                nursery.cancel_scope.cancel(reason="the server has ended")
    finally:
        watchdog.cancel()
    _log.info("stopped")


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
    async for number in signals:
        name = signal.Signals(number).name
        _log.info("stopping", signal=name)
        stopping.cancel(reason=name)


def _overstayed() -> None:
    # Said by a thread of its own: a log that nobody reads may block whoever writes it.
    said = threading.Thread(
        target=_log.critical,
        args=("a part overstays the drain deadline: the process ends without it",),
        daemon=True,
    )
    said.start()
    said.join(0.2)
    os._exit(OVERSTAYED)
