"""Declaring what a program offers, by decorators and by what takes it back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar, Unpack, overload

from mcptrio.app.declaration import check_source, name_of, yielded_type
from mcptrio.app.prompt_function import PromptFunction
from mcptrio.app.reports import ChangeReports
from mcptrio.app.resource_function import ResourceFunction
from mcptrio.catalog import Catalog, DeclarationError
from mcptrio.catalog.options import PromptOptions, TemplateOptions, ToolOptions
from mcptrio.live import Hub
from mcptrio.protocol.types import Annotations, Icon, ToolAnnotations
from mcptrio.sources import LINGER, Registry

if TYPE_CHECKING:
    from mcptrio.app.app import App

F = TypeVar("F", bound=Callable[..., object])
S = TypeVar("S", bound=Callable[..., Awaitable[None]])
Lifespan = Callable[["App"], AsyncIterator[object]]
L = TypeVar("L", bound=Callable[..., AsyncIterator[object]])


class Declaring(ChangeReports):
    """Tools, resources, prompts, sources and lifespans, declared by decorators. Everything here is synchronous.

    Raises:
        DeclarationError: (a ValueError) by all decorators, naming the function and what to change.
    """

    def __init__(self, hub: Hub, catalog: Catalog, registry: Registry) -> None:
        super().__init__(hub)
        self.hub = hub
        self.catalog = catalog
        self.registry = registry
        self._lifespans: list[tuple[object, Lifespan]] = []

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
        input_schema: Mapping[str, object] | None = None,
        output_schema: Mapping[str, object] | None = None,
        icons: Sequence[Icon] | None = None,
        meta: Mapping[str, object] | None = None,
    ) -> Callable[[F], F]: ...

    def tool(
        self,
        fn: F | None = None,
        /,
        **options: Unpack[ToolOptions],
    ) -> F | Callable[[F], F]:
        """Offer a function as a tool: `@app.tool` or `@app.tool(timeout=5)`. Returns the function unchanged.

        A plain `def` runs in a worker thread, where changes are reported by `app.from_thread`.

        The schema comes from the type hints, the description from the docstring. `timeout` is in seconds;
        `concurrency` is how many calls run at once, the others wait in order.

        Where type hints do not say enough, `input_schema` is told to clients verbatim, and the arguments, which conform
        to it, come as the function's one parameter, a `dict[str, object]`; `output_schema` is what the result conforms
        to. `icons` and `meta` (`_meta`) are listed as they are.
        """

        def declare(fn: F) -> F:
            self.check_thread()
            self.catalog.add_tool(fn, **options)
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
        annotations: Annotations | None = None,
        icons: Sequence[Icon] | None = None,
        meta: Mapping[str, object] | None = None,
        size: int | None = None,
        ttl: float | None = None,
        public: bool = False,
        cache: float | None = None,
    ) -> Callable[[F], ResourceFunction[F]]:
        """Offer a function as the resource of a URI, or as the resources of a URI template such as `news://{id}`.

        `size` is in bytes, and for one resource only. Clients of 2026-07-28 are told that they may keep what they read
        for `ttl` seconds, unless they hear of a change, and share it if it is `public`. For `cache` seconds, or until a
        change is reported, the server itself keeps what was read, for everybody if it is `public`, else for each
        principal. `annotations`, `icons` and `meta` (`_meta`) are listed as they are.

        The decorated function is still callable, and for a template has two decorators: `.list`, for the function that
        lists the template's resources, and `.complete("variable")`, for what completes a variable.
        """
        options = TemplateOptions(
            name=name,
            title=title,
            description=description,
            mime_type=mime_type,
            annotations=annotations,
            icons=icons,
            meta=meta,
            ttl=ttl,
            public=public,
            cache=cache,
        )
        if not isinstance(uri, str):
            raise DeclarationError(f"{name_of(uri)}: a resource needs its URI: @app.resource('scheme://...')")

        def declare(fn: F) -> ResourceFunction[F]:
            self.check_thread()
            with self._telling_subscribers():
                if "{" not in uri:
                    self.catalog.add_resource(uri, fn, **options, size=size)
                elif size is None:
                    self.catalog.add_template(uri, fn, **options)
                else:
                    raise DeclarationError(f"{name_of(fn)}: {uri!r} has many resources; leave size= away")
            return ResourceFunction(fn, uri, self.catalog)

        return declare

    @overload
    def prompt(self, fn: F, /) -> PromptFunction[F]: ...

    @overload
    def prompt(
        self,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        icons: Sequence[Icon] | None = None,
        meta: Mapping[str, object] | None = None,
    ) -> Callable[[F], PromptFunction[F]]: ...

    def prompt(
        self, fn: F | None = None, /, **options: Unpack[PromptOptions]
    ) -> PromptFunction[F] | Callable[[F], PromptFunction[F]]:
        """Offer a function as a prompt: `@app.prompt` or `@app.prompt(title=...)`.

        The decorated function is still callable, and has `.complete("argument")`, a decorator for what completes an
        argument. `icons` and `meta` (`_meta`) are listed as they are.
        """

        def declare(fn: F) -> PromptFunction[F]:
            self.check_thread()
            return PromptFunction(fn, self.catalog.add_prompt(fn, **options).completions)

        return declare if fn is None else declare(fn)

    @overload
    def source(self, fn: S, /) -> S: ...

    @overload
    def source(
        self,
        pattern: str | Sequence[str] | None = None,
        /,
        *,
        name: str | None = None,
        each: bool = False,
        linger: float = LINGER,
        always: bool | None = None,
        most: int | None = None,
    ) -> Callable[[S], S]: ...

    def source(
        self,
        pattern: str | Sequence[str] | S | None = None,
        /,
        *,
        name: str | None = None,
        each: bool = False,
        linger: float = LINGER,
        always: bool | None = None,
        most: int | None = None,
    ) -> S | Callable[[S], S]:
        """Run an `async def` as a source while the app runs: supervised, restarted with backoff when it raises.

        `pattern` is the URI or URI template of what it reports, or several, which may then be subscribed even where no
        resource is offered for it. With one the source runs by demand, unless `always`: from the first subscription,
        read or list that wants it until `linger` seconds after the last. `feed.wanted` tells what is wanted; or with
        `each` every wanted URI has a task of its own, `async def watch(feed: Feed, city: str)`, at most `most` (1,000)
        of them at once. Without a pattern it runs always. Returns the function unchanged.
        """
        if callable(pattern):
            bare: S = pattern
            return self.source()(bare)

        def declare(fn: S) -> S:
            self.check_thread()
            check_source(fn, each=each)
            self.registry.add_source(
                name or fn.__name__, fn, pattern=pattern, each=each, linger=linger, always=always, most=most
            )
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
