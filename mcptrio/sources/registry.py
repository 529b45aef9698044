"""What a source is installed into: a catalog to offer things in, and tasks to have run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mcptrio.catalog import Catalog
from mcptrio.sources.spec import LINGER, SourceBody, SourceSpec


class Registry:
    """Where `install(registry, settings)` puts what a source brings."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._sources: dict[str, SourceSpec] = {}
        self._watchers: list[Callable[[SourceSpec], None]] = []

    def add_source(
        self,
        name: str,
        run: SourceBody,
        *,
        pattern: str | Sequence[str] | None = None,
        each: bool = False,
        linger: float = LINGER,
        always: bool | None = None,
        most: int | None = None,
    ) -> None:
        """Have a task run and supervised: always, or while somebody wants what it reports.

        `pattern` is the URI template, or several of them, of what it may report beside the catalog's. A source with
        one runs by demand unless `always`: it starts when the first of its URIs is subscribed or read, or the
        resources are listed, and stops `linger` seconds after the last one who wanted it has gone. With `each`
        every wanted URI has a task of its own, called with the pattern's variables beside its feed; lists start none.
        At most `most` (1,000) of those run at once; what is wanted beyond that is `degraded`, and waits for one to end.

        Raises:
            ValueError: the name is taken, a pattern is no URI template, or (a DeclarationError, which says what to
                change) the function does not go with the rest.
        """
        if name in self._sources:
            raise ValueError(f"a source named {name!r} exists already: give this one another name")
        if pattern is None:
            patterns: tuple[str, ...] = ()
        else:
            patterns = (pattern,) if isinstance(pattern, str) else tuple(pattern)
        spec = SourceSpec(name, run, patterns, not patterns if always is None else always, each, linger, most)
        for template in spec.templates:
            self.catalog.add_pattern(template)
        self._sources[name] = spec
        for callback in self._watchers:
            callback(spec)

    def sources(self) -> tuple[SourceSpec, ...]:
        """All sources, in the order in which they were added."""
        return tuple(self._sources.values())

    def watch(self, callback: Callable[[SourceSpec], None]) -> None:
        """Have `callback` called with every source: now with those that are there, later with each that is added."""
        for spec in self._sources.values():
            callback(spec)
        self._watchers.append(callback)
