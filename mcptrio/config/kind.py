"""A kind of source, as configurations need it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

from mcptrio.sources import Registry

Settings = TypeVar("Settings", bound=Struct)

Install = Callable[[Registry, Struct], None]

KEY = "kind"
"""The key of a `[[source]]` that names its kind."""


class Kind:
    """A kind of source: the type of its table, and what installs it.

    `uris` are the URIs and templates that a source with these settings offers, where that is known before it is
    installed: no two sources offer the same. `reference` is the `module:name` of one that a third party brings,
    empty for a built-in one.
    """

    def __init__(
        self,
        settings: type[Settings],
        install: Callable[[Registry, Settings], object],
        uris: Callable[[Settings], Sequence[str]],
        *,
        reference: str = "",
    ) -> None:
        def of_this_kind(value: Struct) -> Settings:
            if not isinstance(value, settings):
                raise TypeError(f"expected {settings.__name__}, not {type(value).__name__}")
            return value

        def checked(registry: Registry, value: Struct) -> None:
            install(registry, of_this_kind(value))

        self.reference = reference
        self.settings: type[Struct] = settings
        self.uris: Callable[[Struct], Sequence[str]] = lambda value: uris(of_this_kind(value))
        self.install: Install = checked
        """Puts a source into a registry. Raises ValueError where the source refuses its settings."""

    def table(self, table: Mapping[str, object]) -> dict[str, object]:
        """A `[[source]]` as the settings take it: with its kind only where that is their tag, and then as the tag."""
        own = {key: value for key, value in table.items() if key != KEY}
        config = self.settings.__struct_config__
        return {KEY: config.tag, **own} if config.tag_field == KEY else own
