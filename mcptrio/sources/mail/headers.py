"""The headers of a mail: decoded by the standard library, and bounded where its work grows faster than they do."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.headerregistry import Address, AddressHeader, DateHeader
from email.message import EmailMessage
from email.policy import EmailPolicy

MAX_ADDRESSES = 8192
"""Characters of a header with addresses that are looked at."""
MAX_HEADER = 2000
"""Characters of any other header that are looked at."""
MAX_SHOWN = 1000
"""Characters of a decoded header that are kept."""
MAX_SECONDS = 5.0
"""Seconds that the headers of one mail, with those of its parts, may take."""

_ADDRESSES = frozenset({"from", "to", "cc"})
_CONTROLS = re.compile(r"[\x00-\x1f\x7f\x80-\x9f\u2028\u2029]+")


class Unparsable(Exception):
    """A mail that is not taken apart; the text says why."""


class BoundedPolicy(EmailPolicy):
    """`email.policy.default`, with headers cut to a bound, each of them parsed once, and none that raises.

    Made anew for every mail: `known` is where its parsed headers are.
    """

    known: dict[tuple[str, str], object] | None = None
    deadline: float = 0.0

    @classmethod
    def fresh(cls) -> BoundedPolicy:
        """The policy for one mail."""
        policy = cls()
        object.__setattr__(
            policy, "known", {}
        )  # policies refuse to be changed, and know only their own attributes
        object.__setattr__(policy, "deadline", time.monotonic() + MAX_SECONDS)
        return policy

    def header_fetch_parse(self, name: str, value: str) -> object:  # type: ignore[override]
        """A header as the message's methods get it. Raises `Unparsable` when all of them took too long."""
        if hasattr(value, "name"):
            return value
        name = name.lower()
        value = value[: MAX_ADDRESSES if name in _ADDRESSES else MAX_HEADER]
        if self.known is None:
            return self._parsed(name, value)
        found = self.known.get((name, value))
        if found is None:
            if time.monotonic() > self.deadline:
                raise Unparsable("its headers take too long to read")
            found = self.known[name, value] = self._parsed(name, value)
        return found

    def _parsed(self, name: str, value: str) -> object:
        try:
            return super().header_fetch_parse(name, value)
        except Exception:
            # The registry raises whatever it stumbles over, also RecursionError: then it is a header like any other.
            return self.header_factory("x-unknown", _CONTROLS.sub(" ", clean(value)).replace("=?", "= ?"))


def clean(text: str) -> str:
    """The text with a UTF-8 form: bytes that nobody has decoded are read as UTF-8."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape" if _only_escapes(text) else "replace").decode(
        "utf-8", "replace"
    )


def _only_escapes(text: str) -> bool:
    return all("\udc80" <= character <= "\udcff" for character in text if "\ud800" <= character <= "\udfff")


def line(text: str) -> str:
    """The text as one line, of at most `MAX_SHOWN` characters."""
    return _CONTROLS.sub(" ", clean(text))[:MAX_SHOWN].strip()


def header(message: EmailMessage, name: str) -> str:
    """A header's decoded value as one line; empty where there is none."""
    value = message.get(name)
    return "" if value is None else line(str(value))


def addresses(message: EmailMessage, name: str) -> Iterator[str]:
    """The addresses of a header, as people write them."""
    value = message.get(name)
    if isinstance(value, AddressHeader):
        for address in value.addresses:
            shown = line(_shown(address))
            if shown:
                yield shown
    elif value is not None:
        yield line(str(value))


def _shown(address: Address) -> str:
    return f"{address.display_name} <{address.addr_spec}>" if address.display_name else address.addr_spec


def date(message: EmailMessage) -> datetime | None:
    """When the mail was written, as it says itself (UTC); None where it does not say."""
    value = message.get("date")
    found = value.datetime if isinstance(value, DateHeader) else None
    if found is None:
        return None
    try:
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (OverflowError, ValueError):
        return None
