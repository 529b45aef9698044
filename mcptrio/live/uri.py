"""Which strings are resource URIs."""

from __future__ import annotations

import re

MAX_URI_LENGTH = 2048
"""Longest resource URI, in characters: what is subscribed is held, so it is bounded."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
# Space, C0, DEL, C1 and the line separators: none may stand in a URI, and all are ways to forge log lines.
_FORBIDDEN = re.compile("[\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class InvalidUri(ValueError):
    """A string that can name no resource; the message says why and what would."""


def check_uri(uri: str) -> None:
    """Accept an absolute URI of any scheme.

    Raises:
        InvalidUri: empty, relative, longer than `MAX_URI_LENGTH`, or with a space or control character.
    """
    if not uri:
        raise InvalidUri("the URI is empty")
    if len(uri) > MAX_URI_LENGTH:
        raise InvalidUri(f"the URI has {len(uri)} characters, at most {MAX_URI_LENGTH} are allowed")
    found = _FORBIDDEN.search(uri)
    if found:
        raise InvalidUri(f"the URI has a control character or space at position {found.start()}")
    scheme = _SCHEME.match(uri)
    if not scheme:
        raise InvalidUri("the URI is not absolute: it must begin with a scheme, such as email://")
    if scheme.end() == len(uri):
        raise InvalidUri("the URI has nothing behind its scheme")
