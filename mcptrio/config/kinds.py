"""The kinds of source that a `[[source]]` table can name: one table, one line for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from msgspec import Struct

from mcptrio.sources import Registry

Settings = TypeVar("Settings", bound=Struct)

Install = Callable[[Registry, Struct], None]


class Kind:
    """A kind of source: the type of its table, whose tag is the kind's word, and what installs it."""

    def __init__(self, settings: type[Settings], install: Callable[[Registry, Settings], object]) -> None:
        def checked(registry: Registry, value: Struct) -> None:
            if not isinstance(value, settings):
                raise TypeError(f"expected {settings.__name__}, not {type(value).__name__}")
            install(registry, value)

        self.settings: type[Struct] = settings
        self.install: Install = checked
        """Puts a source into a registry. Raises ValueError where the source refuses its settings."""


def _email_mock() -> Kind:
    from mcptrio.simulators.email_mock import EmailMockSettings, install

    return Kind(EmailMockSettings, install)


def _poller() -> Kind:
    from mcptrio.sources.poller import PollerSettings, install

    return Kind(PollerSettings, install)


KINDS: Mapping[str, Callable[[], Kind]] = {
    "email_mock": _email_mock,
    "poller": _poller,
}
"""Kind by its word in the file; called only for the kinds that a file names, because a source may need much."""
