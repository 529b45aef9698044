"""Which strings are resource URIs: RFC 3986, absolute, of any scheme."""

from __future__ import annotations

import re

MAX_URI_LENGTH = 2048
"""Longest resource URI, in characters: what is subscribed is held, so it is bounded."""

_CHARACTERS = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")

# RFC 3986, appendix A, behind the scheme. Which characters may stand at all was checked before.
_PCHAR = r"[^/?#\[\]]"
_REST = re.compile(
    rf"(?://(?:[^/?#\[\]@]*@)?(?:[^/?#\[\]@:]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?(?:/{_PCHAR}*)*"  # with an authority
    rf"|(?!//){_PCHAR}*(?:/{_PCHAR}*)*)"  # a path alone
    r"(?:\?[^#\[\]]*)?(?:#[^#\[\]]*)?"
)


class InvalidUri(ValueError):
    """A string that can name no resource; the message says why and what would."""


def check_uri(uri: str) -> None:
    """Accept an absolute URI of any scheme. Time is linear in its length.

    Raises:
        InvalidUri: empty, relative, longer than `MAX_URI_LENGTH`, or not as RFC 3986 wants it: so neither spaces nor
            control characters, and other letters only percent-encoded.
    """
    if not uri:
        raise InvalidUri("the URI is empty")
    if len(uri) > MAX_URI_LENGTH:
        raise InvalidUri(f"the URI has {len(uri)} characters, at most {MAX_URI_LENGTH} are allowed")
    allowed = _CHARACTERS.match(uri)
    end = 0 if allowed is None else allowed.end()
    if end < len(uri):
        raise InvalidUri(
            f"{uri[end]!a} at position {end} may not stand in a URI: percent-encode it (urllib.parse.quote)"
        )
    scheme = _SCHEME.match(uri)
    if not scheme:
        raise InvalidUri("the URI is not absolute: it must begin with a scheme, such as email://")
    if scheme.end() == len(uri):
        raise InvalidUri("the URI has nothing behind its scheme")
    if not _REST.fullmatch(uri, scheme.end()):
        raise InvalidUri("the URI is not as RFC 3986 wants it: look at its brackets, its # and its port")
