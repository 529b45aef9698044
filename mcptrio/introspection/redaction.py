"""Texts of others, fit to be shown: one line of printable characters, bounded, without secrets. Nothing here raises."""

from __future__ import annotations

import re

from mcptrio.masking import mask_text, printable

LONGEST = 500
"""Characters shown of one text."""
LONGEST_NAME = 100
"""Characters shown of a name or a version."""

_CONNECTION = re.compile(r"(?:connection|memory) .*(#[0-9]+)", re.DOTALL)


def shown(text: str, longest: int = LONGEST) -> str:
    """A text that somebody else made up: a URI, a reason, a client's name."""
    # Masked before it is cut, so that no secret loses what it is recognised by.
    text = " ".join(mask_text(text).split())
    text = printable(text.encode(errors="backslashreplace").decode())
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def child_name(name: str) -> str:
    """The name of a supervisor's child. Of a connection's its number alone: the rest is somebody's address."""
    connection = _CONNECTION.fullmatch(name)
    return f"connection {connection[1]}" if connection else shown(name)


def error_type(error: BaseException) -> str:
    """The name of an exception's type; of a group with a single member that of the member."""
    return shown(type(_sole(error)).__name__, LONGEST_NAME)


def error_text(error: BaseException) -> str:
    """What an exception says; of a group with a single member what the member says."""
    try:
        return shown(str(_sole(error)))
    except Exception:  # somebody's __str__
        return ""


def error_line(error: BaseException) -> str:
    """Both in one line."""
    text = error_text(error)
    return f"{error_type(error)}: {text}" if text else error_type(error)


def _sole(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
