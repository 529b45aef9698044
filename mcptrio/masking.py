"""Keeps secrets out of what people and log files see. Pure functions; they never raise and change nothing."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

import msgspec

MASK = "***"
MAX_DEPTH = 8
"""Levels of nesting that are looked into; what lies deeper is not shown at all."""
MAX_TEXT = 16_384
"""Characters of one text that are shown: a peer decides how long what it sends is."""

_ANYWHERE = frozenset(
    (
        *("authorization", "cookie", "cookies", "credential", "credentials", "passphrase"),
        *("passwd", "password", "pwd", "secret", "secrets"),
    )
)
"""Words that make a key a secret's wherever they stand in it (`password_hash`, `Set-Cookie`)."""
_LAST = frozenset(("token", "apikey", "jwt", "bearer"))
"""Words that do so as the last one: `access_token`, but not `token_count`."""
_LAST_TWO = frozenset((("api", "key"), ("private", "key"), ("access", "key"), ("signing", "key")))
_HARMLESS = frozenset((("progress", "token"),))
"""What MCP calls a token and is none."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# All of these take time in proportion to the text: no repetition is followed by what it could itself match.
_SCHEME = re.compile(r"\b(bearer|basic|digest)(\s+)[A-Za-z0-9._~+/=:-]{6,}", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)[^\s/@?#\"']{1,400}(?=@)")
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*")
_KEY = re.compile(r"\b([A-Za-z0-9_-]{1,64})[\"']?\s{0,4}[=:]\s{0,4}")
_VALUE = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'|[^\s\"',;&)\]}]+")
_SECRET_HEADER = re.compile(
    r"(?i)\b(authorization|cookie|set-cookie)([\"']?\s{0,4}:\s{0,4})(?![\s\"'])[^\r\n\"']+"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def is_secret(key: str) -> bool:
    """Whether what has this name is to be masked: in any case, with hyphens, underscores or camelCase."""
    words = [word.lower() for word in _WORD.findall(key[-200:])]
    if not words or tuple(words[-2:]) in _HARMLESS:
        return False
    return words[-1] in _LAST or tuple(words[-2:]) in _LAST_TWO or not _ANYWHERE.isdisjoint(words)


def mask_text(text: str) -> str:
    """The text without the secrets that can be recognised: tokens after Bearer or Basic, JSON web tokens,
    passwords in URLs, `key=value` and `key: value` with a secret's key.
    """
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}... ({len(text)} characters)"
    text = _SECRET_HEADER.sub(rf"\1\2{MASK}", text)
    text = _SCHEME.sub(rf"\1\2{MASK}", text)
    text = _JWT.sub(MASK, text)
    text = _USERINFO.sub(MASK, text)
    return _mask_assigned(text)


def _mask_assigned(text: str) -> str:
    shown: list[str] = []
    taken = at = 0
    while found := _KEY.search(text, at):
        at = found.end()
        value = _VALUE.match(text, at) if is_secret(found[1]) else None
        if value is not None:
            shown += (text[taken:at], MASK)
            taken = at = value.end()
    return "".join((*shown, text[taken:]))


def mask(value: object, *, key: str = "", depth: int = 0) -> object:
    """The value without secrets, made of plain types: texts, numbers, booleans, None, lists and dicts by text.

    `key` is the name under which it stands.
    """
    if value is not None and value != "" and not isinstance(value, bool) and is_secret(key):
        return MASK
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return mask_text(value)
    if depth >= MAX_DEPTH:
        return "..."
    if isinstance(value, msgspec.Struct):
        value = {name: getattr(value, name) for name in value.__struct_fields__}
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {each.name: getattr(value, each.name, None) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {
            _text(name): mask(each, key=_text(name), depth=depth + 1) for name, each in tuple(value.items())
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [mask(each, depth=depth + 1) for each in tuple(value)]
    if isinstance(value, bytes | bytearray):
        return mask_text(bytes(value[:MAX_TEXT]).decode("utf-8", "backslashreplace"))
    return mask_text(_text(value))


def printable(text: str) -> str:
    """The text with control characters spelled out, so that a peer can neither forge a line nor steer a
    terminal. Tabs and line feeds stay.
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # somebody's __str__ or __repr__: a log line must not fail for it
        return f"<{type(value).__name__}>"
