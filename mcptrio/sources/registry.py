"""What a source is installed into: a catalog to offer things in, and tasks to have run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from mcptrio.catalog import Catalog
from mcptrio.live import Feed


class SourceSpec(Struct, frozen=True):
    """A source's task: a name unique in the program, and the body that a supervisor runs and restarts."""

    name: str
    run: Callable[[Feed], Awaitable[None]]


class Registry:
    """Where `install(registry, settings)` puts what a source brings."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._sources: dict[str, SourceSpec] = {}

    def add_source(
        self, name: str, run: Callable[[Feed], Awaitable[None]], *, pattern: str | None = None
    ) -> None:
        """Have a task run and supervised.

        `pattern` is the URI template of what it may report beside the catalog's.

        Raises:
            ValueError: the name is taken, or the pattern is no URI template.
        """
        if name in self._sources:
            raise ValueError(f"a source named {name!r} exists already: give this one another name")
        if pattern is not None:
            self.catalog.add_pattern(pattern)
        self._sources[name] = SourceSpec(name, run)

    def sources(self) -> tuple[SourceSpec, ...]:
        """All sources, in the order in which they were added."""
        return tuple(self._sources.values())
