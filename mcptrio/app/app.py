"""The App: what a program declares, and the ways to run it. One App is one world; there are no globals."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeVar, overload

import trio
from msgspec import UNSET

from mcptrio import __version__
from mcptrio.app.address import Address, CannotListen, open_sockets
from mcptrio.app.declaration import check_source, name_of, yielded_type
from mcptrio.app.reports import ChangeReports
from mcptrio.app.resource_function import ResourceFunction
from mcptrio.app.root import LIFESPAN_TIMEOUT, Root
from mcptrio.app.run import run
from mcptrio.catalog import Catalog, DeclarationError
from mcptrio.live import Changes, Feed, Hub
from mcptrio.protocol.types import Implementation, ToolAnnotations
from mcptrio.server import Server, ServerSettings
from mcptrio.sources import Registry

if TYPE_CHECKING:
    from mcptrio.client import Client

F = TypeVar("F", bound=Callable[..., object])
SourceBody = Callable[[Feed], Awaitable[None]]
S = TypeVar("S", bound=SourceBody)
Lifespan = Callable[["App"], AsyncIterator[object]]
L = TypeVar("L", bound=Callable[..., AsyncIterator[object]])


class App(ChangeReports):
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
    ) -> None:
        self.name = name
        self.settings = ServerSettings() if settings is None else settings
        self.hub = Hub()
        super().__init__(self.hub)
        self.catalog = Catalog(on_change=lambda kind: self.server.list_changes.changed(kind))
        self.registry = Registry(self.catalog)
        self.server = Server(
            Implementation(
                name=name,
                version=__version__ if version is None else version,
                title=UNSET if title is None else title,
            ),
            instructions,
            self.hub,
            self.catalog,
            self.settings,
        )
        self._lifespans: list[tuple[object, Lifespan]] = []
        self._root = Root(self._run_root)

    # Declaring

    @overload
    def tool(self, fn: F, /) -> F: ...

    @overload
    def tool(
        self,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        annotations: ToolAnnotations | None = None,
        timeout: float | None = None,
        concurrency: int | None = None,
    ) -> Callable[[F], F]: ...

    def tool(
        self,
        fn: F | None = None,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        annotations: ToolAnnotations | None = None,
        timeout: float | None = None,
        concurrency: int | None = None,
    ) -> F | Callable[[F], F]:
        """Offer a function as a tool: `@app.tool` or `@app.tool(timeout=5)`. Returns the function unchanged.

        A plain `def` runs in a worker thread, where changes are reported by `app.from_thread`.

        The schema comes from the type hints, the description from the docstring. `timeout` is in seconds;
        `concurrency` is how many calls run at once, the others wait in order.
        """

        def declare(fn: F) -> F:
            self.check_thread()
            self.catalog.add_tool(
                fn,
                name=name,
                title=title,
                description=description,
                annotations=annotations,
                timeout=timeout,
                concurrency=concurrency,
            )
            return fn

        return declare if fn is None else declare(fn)

    def resource(
        self,
        uri: str,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        mime_type: str | None = None,
    ) -> Callable[[F], ResourceFunction[F]]:
        """Offer a function as the resource of a URI, or as the resources of a URI template such as `news://{id}`.

        The decorated function is still callable, and for a template has `.list`, a decorator for the function that
        lists the template's resources.
        """

        if not isinstance(uri, str):
            raise DeclarationError(f"{name_of(uri)}: a resource needs its URI: @app.resource('scheme://...')")

        def declare(fn: F) -> ResourceFunction[F]:
            add = self.catalog.add_template if "{" in uri else self.catalog.add_resource
            self.check_thread()
            with self._telling_subscribers():
                add(uri, fn, name=name, title=title, description=description, mime_type=mime_type)
            return ResourceFunction(fn, uri, self.catalog)

        return declare

    @overload
    def prompt(self, fn: F, /) -> F: ...

    @overload
    def prompt(
        self, /, *, name: str | None = None, title: str | None = None, description: str | None = None
    ) -> Callable[[F], F]: ...

    def prompt(
        self,
        fn: F | None = None,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
    ) -> F | Callable[[F], F]:
        """Offer a function as a prompt: `@app.prompt` or `@app.prompt(title=...)`. Returns the function unchanged."""

        def declare(fn: F) -> F:
            self.check_thread()
            self.catalog.add_prompt(fn, name=name, title=title, description=description)
            return fn

        return declare if fn is None else declare(fn)

    @overload
    def source(self, fn: S, /) -> S: ...

    @overload
    def source(self, pattern: str | None = None, /, *, name: str | None = None) -> Callable[[S], S]: ...

    def source(self, pattern: str | S | None = None, /, *, name: str | None = None) -> S | Callable[[S], S]:
        """Run an `async def` as a source while the app runs: supervised, restarted with backoff when it raises.

        `pattern` is the URI or URI template of what it reports, which may then be subscribed even where no resource
        is offered for it. Returns the function unchanged.
        """
        if pattern is not None and not isinstance(pattern, str):
            bare: S = pattern
            return self.source()(bare)

        def declare(fn: S) -> S:
            self.check_thread()
            check_source(fn)
            self.registry.add_source(name or fn.__name__, fn, pattern=pattern)
            return fn

        return declare

    def lifespan(self, fn: L) -> L:
        """Run an async generator function around the app: what it yields is injected by its type.

        `async def pool(app: App) -> AsyncIterator[Pool]` makes parameters annotated `Pool` of handlers declared after it
        be given the yielded value. Several are entered in the order of their declaration and left in reverse: each goes
        on behind its `yield`, however the app ended, and all together have five seconds for it.
        """
        self.check_thread()
        type_ = yielded_type(fn)
        self.catalog.declare(type_)
        self._lifespans.append((type_, fn))
        return fn

    def remove_tool(self, name: str) -> None:
        """Stop offering a tool; ValueError when there is none of this name."""
        self.check_thread()
        self.catalog.remove_tool(name)

    def remove_resource(self, uri_or_template: str) -> None:
        """Stop offering a resource or template; ValueError when there is none.

        Who is subscribed to what is gone with it is told, as by `deleted_nowait`, and stays subscribed.
        """
        self.check_thread()
        with self._telling_subscribers():
            self.catalog.remove_resource(uri_or_template)

    @contextmanager
    def _telling_subscribers(self) -> Iterator[None]:
        """Report what this block adds to or takes from what is offered, where somebody is subscribed to it."""
        before = {uri: self.catalog.offers(uri) for uri in self.hub.subscriptions()}
        yield
        for uri, offered in before.items():
            if offered and not self.catalog.offers(uri):
                self.deleted_nowait(uri)
            elif not offered and self.catalog.offers(uri):
                self.created_nowait(uri)

    def remove_prompt(self, name: str) -> None:
        """Stop offering a prompt; ValueError when there is none of this name."""
        self.check_thread()
        self.catalog.remove_prompt(name)

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
        allowed_hosts: Collection[str] = (),
        allowed_origins: Collection[str] = (),
        max_connections: int | None = None,
        task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve on a TCP port until cancelled: `address = await nursery.start(partial(app.serve, port=0))`.

        Requests must name a loopback host, the bound address or one of `allowed_hosts` (`*`: any), and an origin, where
        a browser sends one, of a loopback host or among `allowed_origins`. Cancelling ends all connections politely,
        within `settings.drain_timeout`: final results of listens, then close 1001.

        Raises:
            OSError: the port cannot be bound.
            Escalation: a part of the server could not be kept running.
        """
        async with self._root.hold():
            sockets = await open_sockets(host, port)
            await self.server.serve(
                sockets,
                allowed_hosts=allowed_hosts,
                allowed_origins=allowed_origins,
                max_connections=max_connections,
                task_status=_Addressed(task_status, Address.of(host, sockets)),
            )

    def run(self, host: str = "127.0.0.1", port: int = 8765) -> None:
        """Serve until SIGINT or SIGTERM: the whole program of a script that ends with `app.run()`.

        The address is logged, on stderr unless the program has set up logging. See `mcptrio.app.run` for how it
        ends. An address that cannot be listened on ends the program with a line that says so.
        """
        if not logging.getLogger().handlers:
            logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        try:
            run(self, host=host, port=port)
        except CannotListen as error:
            said = f"cannot listen on {host}:{port}: {error.strerror}; try app.run(port=...)"
            raise SystemExit(said) from None

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
                            sources = [(spec.name, spec.run) for spec in self.registry.sources()]
                            await self.server.run(sources, task_status=task_status)
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
