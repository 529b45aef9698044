"""Request headers in settings: checked by name, their values written out or kept elsewhere."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from mcptrio.sources.secret import Secret, SecretMissing, reveal

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


def check_headers(headers: Mapping[str, str | Secret], ours: Collection[str], who: str) -> None:
    """Accept the setting `headers`. `ours` are the names, in lower case, that `who` sets itself.

    Raises:
        ValueError: a name or a written-out value that no header may have; the text shows no value.
    """
    for name, value in headers.items():
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"`headers`: {name[:100]!r} is no header name")
        if name.lower() in ours:
            raise ValueError(f"`headers`: {name} is set by {who} itself")
        if isinstance(value, str) and _VALUE.fullmatch(value) is None:
            raise ValueError(
                f"`headers`: the value of {name} is empty, or has characters that no header may have"
            )


def revealed_headers(headers: Mapping[str, str | Secret], source: str) -> dict[str, str]:
    """The headers with their secrets, names in lower case. May read small files, so call it before things run.

    Raises:
        SecretMissing: a secret is not where the settings say, or is no header's value; the text names the source.
    """
    revealed: dict[str, str] = {}
    for name, value in headers.items():
        try:
            found = reveal(value)
        except SecretMissing as error:
            raise SecretMissing(f"`headers`: source {source!r}, header {name}: {error}") from None
        if _VALUE.fullmatch(found) is None:
            raise SecretMissing(
                f"`headers`: source {source!r}, header {name}: the secret has characters that no header may have"
            )
        revealed[name.lower()] = found
    return revealed


def shown_headers(headers: Mapping[str, str | Secret]) -> dict[str, object]:
    """The headers for a repr: where a secret is kept may be seen, what is written out may not."""
    return {name: value if isinstance(value, Secret) else "***" for name, value in headers.items()}
