"""Running an app as a whole program that listens: open files, memory, signals."""

from __future__ import annotations

import gc
import os
import ssl
import threading
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Protocol

import trio

from mcptrio.app.address import Address
from mcptrio.app.stopping import overstayed, run_program, until_signal
from mcptrio.log import get_logger
from mcptrio.server import ServerSettings
from mcptrio.wire import raise_nofile_limit

_log = get_logger("mcptrio.app")

_COLLECTOR = (20_000, 20, 50)
"""Python's own thresholds have a server of a thousand clients look through all of them many times a second: with
these a quarter more calls were answered per second of CPU, and the slowest hundredth three times sooner."""

_SPARE_FILES = 64
"""Open files kept back from connections: for sources, logs and the interpreter."""


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
    # What was imported lives for ever: the collector need not look at it again. Here, because it takes a while.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTOR)
    run_program(_main, app, serve, on_ready)


async def _main(
    app: Servable, serve: Callable[..., Awaitable[None]], on_ready: Callable[[Address], None]
) -> None:
    files = raise_nofile_limit()
    cap = max(1, min(app.settings.limits.max_connections, files - _SPARE_FILES))
    # The deadlines of everything that has one, and a second for what has none.
    watchdog = threading.Timer(app.stop_timeout + 1.0, overstayed)
    watchdog.daemon = True
    try:
        async with until_signal(watchdog), trio.open_nursery() as nursery:
            address = await nursery.start(partial(serve, max_connections=cap))
            _log.info("listening", url=address.websocket, max_connections=cap, open_files=files)
            on_ready(address)
    finally:
        watchdog.cancel()
    _log.info("stopped")
