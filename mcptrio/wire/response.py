"""The head of a response, as bytes. Written out because it is on the hottest path of HTTP."""

import re
from collections.abc import Sequence
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time

__all__ = ["CLOSE", "response_head"]

CLOSE = "Connection: close\r\n"

_is_name = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
# What a field may hold, and no more: a line break would let whoever chose the value write the rest of the response.
_is_value = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch
_OURS = frozenset({"connection", "content-length", "transfer-encoding"})


def response_head(
    status: int,
    framing: str,
    content_type: str | None,
    headers: Sequence[tuple[str, str]],
) -> bytes:
    """Return the head of a response, to its empty line. `framing` is header lines that are taken as they are.

    Raises `ValueError` for a status, a field name or a value that is not valid, or a field that is the connection's
    own to set.
    """
    lines = [_status_line(status), _date_line(int(time())), framing]
    if content_type is not None:
        lines.append(_content_type_line(content_type))
    for name, value in headers:
        if not _is_name(name) or not _is_value(value):
            raise ValueError(f"not a valid response: the header field {name!r} cannot be sent")
        if name.lower() in _OURS:
            raise ValueError(f"not a valid response: {name} is set by the connection itself")
        lines.append(f"{name}: {value}\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("latin-1")


@lru_cache(maxsize=128)
def _status_line(status: int) -> str:
    if not 200 <= status <= 999:
        raise ValueError(f"not a valid response: {status} is no final status")
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n"


@lru_cache(maxsize=1)
def _date_line(second: int) -> str:
    return f"Date: {formatdate(second, usegmt=True)}\r\n"


@lru_cache(maxsize=32)
def _content_type_line(content_type: str) -> str:
    if not _is_value(content_type):
        raise ValueError("not a valid response: its content type cannot be sent")
    return f"Content-Type: {content_type}\r\n"
