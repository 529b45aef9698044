"""The App: what a program declares, and the ways to run it. One App is one world; there are no globals."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

import trio
from msgspec import UNSET

from mcptrio import __version__
from mcptrio.access import Access, Exposed, check_exposure
from mcptrio.app.address import Address, CannotListen, open_sockets
from mcptrio.app.declaring import Declaring
from mcptrio.app.root import LIFESPAN_TIMEOUT, Root
from mcptrio.app.run import run
from mcptrio.app.stdio import Streams, taken_streams
from mcptrio.app.unix_socket import open_unix_socket
from mcptrio.app.wait_for_change import WaitForChange
from mcptrio.catalog import Catalog
from mcptrio.introspection import install
from mcptrio.live import Changes, Hub, Pump
from mcptrio.protocol.types import Implementation
from mcptrio.server import Server, ServerSettings
from mcptrio.sources import Registry, SourceTree
from mcptrio.supervision import Reports
from mcptrio.wire.pipe import PipeTransport

if TYPE_CHECKING:
    from mcptrio.client import Client


class App(Declaring):
    """Tools, resources, prompts and sources, declared by decorators, and the server over them.

    Declaring, adding and removing are synchronous and may be done before and while the app runs, on Trio's thread.
    `connect` and `serve` enter the app's root (lifespan, hub, sources): the first starts it, the last ends it.

    Raises:
        DeclarationError: (a ValueError) by all decorators, naming the function and what to change.
    """

    def __init__(
        self,
        name: str,
        *,
        version: str | None = None,
        title: str | None = None,
        instructions: str | None = None,
        settings: ServerSettings | None = None,
        access: Access | None = None,
        wait_for_change: bool = False,
    ) -> None:
        """`wait_for_change` offers the tool of that name, for hosts that do not act on updates."""
        self.name = name
        self.access = Access() if access is None else access
        """Who may come in by a socket, and how often."""
        self.settings = ServerSettings() if settings is None else settings
        catalog = Catalog(on_change=lambda kind: self.server.list_changes.changed(kind))
        super().__init__(Hub(), catalog, Registry(catalog))
        pump = Pump(self.hub)
        reports = Reports()
        self.sources = SourceTree(self.registry, self.hub, pump, reports)
        self.server = Server(
            Implementation(
                name=name,
                version=__version__ if version is None else version,
                title=UNSET if title is None else title,
            ),
            instructions,
            self.hub,
            pump,
            self.catalog,
            self.settings,
            self.sources,
            reports,
            self.access,
        )
        install(self.registry, self.hub, pump, self.server, self.sources, reports)
        if wait_for_change:
            WaitForChange(self.hub, self.catalog).offer()
        self._root = Root(self._run_root)

    # Changes

    def changes(self, *uris: str) -> Changes:
        """This program's own subscription: `with app.changes(uri) as changes: async for entry in changes`.

        Subscribed from now on, running or not; closed by the `with` block or by `close`.

        Raises:
            InvalidUri: one of them can name no resource.
        """
        return Changes(self.hub, uris)

    # Running

    @asynccontextmanager
    async def connect(self, *, revision: str = "auto", timeout: float = 30.0) -> AsyncIterator[Client]:
        """A client of this app over a connection in memory, for tests: the whole server, and no socket.

        `timeout` (seconds) is for connecting and the default for calls.
        """
        from mcptrio.client import open_client

        async def stream() -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            return self.server.connect()

        async with (
            self._root.hold(),
            open_client(
                "ws://localhost/mcp", revision=revision, timeout=timeout, connect=stream, reconnect=False
            ) as client,
        ):
            yield client

    async def serve(
        self,
        host: str = "127.0.0.1",
        port: int = 8765,
        *,
        unix_socket: str | os.PathLike[str] | None = None,
        tls: ssl.SSLContext | None = None,
        anonymous: bool = False,
        allowed_hosts: Collection[str] = (),
        allowed_origins: Collection[str] = (),
        max_connections: int | None = None,
        task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve on a TCP port until cancelled: `address = await nursery.start(partial(app.serve, port=0))`.

        With `unix_socket` it is a Unix socket at that path instead, open to this user alone. With `tls` clients speak
        https and wss. Where others reach the address, `access` has tokens or `anonymous` says that everybody is meant.

        Requests must name a loopback host, the bound address or one of `allowed_hosts` (`*`: any), and an origin, where
        a browser sends one, of a loopback host or among `allowed_origins`. Cancelling ends all connections politely,
        within `settings.drain_timeout`: final results of listens, then close 1001.

        Raises:
            ValueError: others reach the address, and neither tokens nor `anonymous` were given.
            OSError: the address cannot be bound.
            Escalation: a part of the server could not be kept running.
        """
        if unix_socket is None:
            fix = "give App(access=Access(tokens)), or say anonymous=True"
            check_exposure(host, tokens=self.access.tokens is not None, anonymous=anonymous, fix=fix)
        serve = partial(
            self.server.serve,
            tls=tls,
            allowed_hosts=allowed_hosts,
            allowed_origins=allowed_origins,
            max_connections=max_connections,
        )
        async with self._root.hold():
            if unix_socket is None:
                sockets = await open_sockets(host, port)
                address = Address.of(host, sockets, tls=tls is not None)
                await serve(sockets, task_status=_Addressed(task_status, address))
            else:
                path = os.fspath(unix_socket)
                with open_unix_socket(path) as sock:
                    address = Address.of_unix_socket(path, tls=tls is not None)
                    await serve([sock], task_status=_Addressed(task_status, address))

    async def serve_stdio(
        self, streams: Streams | None = None, *, on_disconnected: Callable[[], None] = lambda: None
    ) -> None:
        """Serve the one client on this process's standard input and output until it closes them, or until cancelled.

        The streams are taken for the protocol meanwhile (`mcptrio.app.stdio.taken_streams`), unless some are given. At the
        end of input running requests are cancelled and `on_disconnected` is called; cancelling ends politely, as `serve`.

        Raises:
            NoStreams: (an OSError) standard input or output is closed.
            Escalation: a part of the server could not be kept running.
        """
        with taken_streams() if streams is None else nullcontext(streams) as taken:
            async with self._root.hold():
                await self.server.serve_stdio(PipeTransport(*taken), on_disconnected=on_disconnected)

    def run(
        self,
        host: str = "127.0.0.1",
        port: int = 8765,
        *,
        unix_socket: str | os.PathLike[str] | None = None,
        allowed_hosts: Collection[str] = (),
        allowed_origins: Collection[str] = (),
        tls: ssl.SSLContext | None = None,
        anonymous: bool = False,
    ) -> None:
        """Serve until SIGINT or SIGTERM: the whole program of a script that ends with `app.run()`.

        Takes what `serve` does. The address is logged, on stderr unless the program has set up logging. See
        `mcptrio.app.run` for how it ends. An address that cannot be listened on ends the program with a line that
        says so.
        """
        if not logging.getLogger().handlers:
            logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        try:
            run(
                self,
                host=host,
                port=port,
                unix_socket=unix_socket,
                allowed_hosts=allowed_hosts,
                allowed_origins=allowed_origins,
                tls=tls,
                anonymous=anonymous,
            )
        except CannotListen as error:
            where = f"{host}:{port}" if unix_socket is None else f"unix:{os.fspath(unix_socket)}"
            fix = "port" if unix_socket is None else "unix_socket"
            said = f"cannot listen on {where}: {error.strerror}; try app.run({fix}=...)"
            raise SystemExit(said) from None
        except Exposed as error:
            raise SystemExit(str(error)) from None

    @property
    def stop_timeout(self) -> float:
        """Seconds that the end of the app may take: the drain and, where there are any, the lifespans."""
        return self.settings.drain_timeout + (LIFESPAN_TIMEOUT if self._lifespans else 0.0)

    async def _run_root(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Run the server inside the lifespans, which outlive it. The nursery ends when both have ended."""
        serving = trio.CancelScope()
        # The lifespans' shield: they and what they started must not end before the server that uses them. Its
        # deadline is set as soon as the server has ended, and before it began a cancellation reaches them at once.
        lifespans = trio.CancelScope(shield=True)
        began = False

        async def pass_on() -> None:
            try:
                await trio.sleep_forever()
            finally:
                serving.cancel(reason="the app ends")
                if not began:
                    lifespans.cancel(reason="the app ends before it began")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pass_on)
            with lifespans:
                async with AsyncExitStack() as stack:
                    for type_, fn in self._lifespans:
                        value = await stack.enter_async_context(asynccontextmanager(fn)(self))
                        self.catalog.provide(type_, value)
                        stack.callback(self.catalog.withdraw, type_)
                    began = True
                    try:
                        with self.from_thread.open(), serving:
                            await self.server.run(task_status=task_status)
                    finally:
                        lifespans.deadline = trio.current_time() + LIFESPAN_TIMEOUT
            nursery.cancel_scope.cancel(reason="the app has ended")


class _Addressed(trio.TaskStatus[None]):
    """Tells who started `serve` the address when the listener is ready."""

    def __init__(self, status: trio.TaskStatus[Address], address: Address) -> None:
        self._status = status
        self._address = address

    def started(self, value: None = None) -> None:
        self._status.started(self._address)
