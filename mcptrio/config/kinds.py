"""The kinds of source that a `[[source]]` table can name: the built-in ones in one table, one line for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

from mcptrio.config.kind import Kind
from mcptrio.config.shape import proposal
from mcptrio.config.third_party import NoKind, Offer, kind_at, kind_of_package, offered


def _email_mock() -> Kind:
    from mcptrio.simulators.email_mock import LIVE_FEED, MESSAGES, EmailMockSettings, install

    return Kind(EmailMockSettings, install, lambda settings: (LIVE_FEED, MESSAGES))


def _poller() -> Kind:
    from mcptrio.sources.poller import PollerSettings, install

    return Kind(PollerSettings, install, lambda settings: (settings.uri,))


def _websocket() -> Kind:
    from mcptrio.sources.websocket import WebsocketSettings, install

    return Kind(WebsocketSettings, install, lambda settings: settings.uris())


def _smtp() -> Kind:
    from mcptrio.sources.smtp import SmtpSettings, install

    return Kind(SmtpSettings, install, lambda settings: settings.uris())


def _files() -> Kind:
    from mcptrio.sources.files import FilesSettings, install

    return Kind(FilesSettings, install, lambda settings: (settings.template(),))


KINDS: Mapping[str, Callable[[], Kind]] = {
    "email_mock": _email_mock,
    "files": _files,
    "poller": _poller,
    "smtp": _smtp,
    "websocket": _websocket,
}
"""Built-in kind by its word in the file; called only for those that a file names, because a source may need much."""


class Kinds:
    """All kinds that can be named here and now. The installed packages are looked through once, and only when needed."""

    @cached_property
    def _offers(self) -> dict[str, tuple[Offer, ...]]:
        return offered()

    def find(self, word: str) -> Kind:
        """The kind that a file calls `word`: a built-in one, else `module:name`, else the word of an installed package.

        Imports what brings it, so code of a third party may run.

        Raises:
            NoKind: there is none, or it cannot be used; the text says what to change.
        """
        if word in KINDS:
            return KINDS[word]()
        if ":" in word:
            return kind_at(word)
        if word in self._offers:
            return kind_of_package(word, self._offers[word])
        if "." in word:
            raise NoKind(f"there is no kind `{word}`: name what installs it, too, such as `{word}:install`")
        raise NoKind(f"there is no kind `{word}`{proposal(word, self.words())}")

    def words(self) -> list[str]:
        """Every word that names a kind: the built-in ones, and those of installed packages."""
        return sorted({*KINDS, *self._offers})

    def shadowed(self, word: str) -> str | None:
        """What to say to somebody who names a built-in kind where an installed package has one of the same word."""
        others = self._offers.get(word, ()) if word in KINDS else ()
        if not others:
            return None
        packages = ", ".join(f"{each.package} (`{each.reference}`)" for each in others)
        return (
            f"`{word}` is the built-in kind; the same word of {packages} is not used: "
            f'for that one write kind = "{others[0].reference}"'
        )
