"""The kinds of source that a `[[source]]` table can name: one table, one line for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

from mcptrio.sources import Registry

Settings = TypeVar("Settings", bound=Struct)

Install = Callable[[Registry, Struct], None]


class Kind:
    """A kind of source: the type of its table, whose tag is the kind's word, and what installs it.

    `uris` are the URIs and templates that a source with these settings offers: no two sources offer the same.
    """

    def __init__(
        self,
        settings: type[Settings],
        install: Callable[[Registry, Settings], object],
        uris: Callable[[Settings], Sequence[str]],
    ) -> None:
        def of_this_kind(value: Struct) -> Settings:
            if not isinstance(value, settings):
                raise TypeError(f"expected {settings.__name__}, not {type(value).__name__}")
            return value

        def checked(registry: Registry, value: Struct) -> None:
            install(registry, of_this_kind(value))

        self.settings: type[Struct] = settings
        self.uris: Callable[[Struct], Sequence[str]] = lambda value: uris(of_this_kind(value))
        self.install: Install = checked
        """Puts a source into a registry. Raises ValueError where the source refuses its settings."""


def _email_mock() -> Kind:
    from mcptrio.simulators.email_mock import LIVE_FEED, MESSAGES, EmailMockSettings, install

    return Kind(EmailMockSettings, install, lambda settings: (LIVE_FEED, MESSAGES))


def _poller() -> Kind:
    from mcptrio.sources.poller import PollerSettings, install

    return Kind(PollerSettings, install, lambda settings: (settings.uri,))


KINDS: Mapping[str, Callable[[], Kind]] = {
    "email_mock": _email_mock,
    "poller": _poller,
}
"""Kind by its word in the file; called only for the kinds that a file names, because a source may need much."""
