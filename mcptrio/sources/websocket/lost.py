"""Why there is no connection (any more), in words for people."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

from mcptrio.sources.poller.conditional import retry_after
from mcptrio.sources.shown_url import shown_url

_PASSING = frozenset({408, 425, 429})
_TO_REPAIR = frozenset({1002, 1003, 1007, 1008, 1009, 1010, 3000, 3003})
"""Close codes of a peer that will say the same next time: a violation, too big, not authorized, forbidden."""
_NAMES = {
    1000: "normal",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1005: "no code given",
    1007: "invalid data",
    1008: "policy violation",
    1009: "message too big",
    1010: "extension missing",
    1011: "internal error",
    1012: "restarting",
    1013: "try again later",
    3000: "unauthorized",
    3003: "forbidden",
}
_HELP = {401: "see `headers`", 403: "see `headers`", 404: "see `url`", 407: "a proxy is in between"}
_SHOWN = 200


class Lost(Exception):
    """A connection that could not be made, or that ended; the text says why.

    `lasting` is whether somebody has to do something about it, as far as one can tell. `retry_after` is how many
    seconds the server asked to be left alone.
    """

    def __init__(self, why: str, *, lasting: bool = False, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.lasting = lasting
        self.retry_after = retry_after


def refused(url: str, status: int, headers: Mapping[str, str]) -> Lost:
    """The server answered the request for a WebSocket with another status than 101. Header names in lower case."""
    try:
        words = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        words = str(status)
    hint = _HELP.get(status, "is it the URL of a WebSocket?" if 200 <= status < 300 else "")
    if 300 <= status < 400:
        hint = f"redirects are not followed{_target(url, headers)}: see `url`"
    return Lost(
        f"{shown_url(url)} answered {words}{f' ({hint})' if hint else ''}",
        lasting=not (status in _PASSING or status >= 500),
        retry_after=retry_after(headers, datetime.now(UTC)),
    )


def _target(url: str, headers: Mapping[str, str]) -> str:
    location = headers.get("location", "")
    try:
        target = urljoin(url, location)
        sound = bool(location) and urlsplit(target).scheme in ("ws", "wss", "http", "https")
        return f" (to {_printable(shown_url(target))})" if sound else ""
    except ValueError:
        return ""


def closed(url: str, code: int, reason: str) -> Lost:
    """The server closed the WebSocket; 1006 is that it did not, and the connection broke."""
    if code == 1006:
        return Lost(f"{shown_url(url)}: the connection broke")
    name = _NAMES.get(code)
    said = f" with {code}{f' ({name})' if name else ''}{f': {_printable(reason)}' if reason else ''}"
    return Lost(f"{shown_url(url)} closed the connection{said}", lasting=code in _TO_REPAIR)


def unreachable(url: str, error: Exception) -> Lost:
    """No connection, or one that was ended by an error on this side of the messages."""
    said = _printable(str(error)) or type(error).__name__
    return Lost(f"{shown_url(url)}: {said}", lasting=_is_about_certificates(error))


def _is_about_certificates(error: BaseException | None) -> bool:
    for _ in range(10):
        if error is None or isinstance(error, ssl.SSLCertVerificationError):
            break
        error = error.__cause__
    return error is not None


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text[:_SHOWN])
