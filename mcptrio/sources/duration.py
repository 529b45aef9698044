"""Lengths of time as people write them in settings: `"30s"`, `"500ms"`, `"5m"`, or a number of seconds."""

from __future__ import annotations

import math
import re

Duration = str | float
"""A number with its unit (`ms`, `s`, `m`, `h`, `d`), or plain seconds."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_FORM = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?) ?(ms|s|m|h|d)")


def seconds(value: Duration) -> float:
    """A duration in seconds; never negative, always finite.

    Raises:
        ValueError: the value is no duration; the text shows how one is written.
    """
    if not isinstance(value, str):
        if not 0 <= value < math.inf:
            raise ValueError(f"{value} is no duration: give seconds, or a string such as '30s'")
        return float(value)
    form = _FORM.fullmatch(value)
    if form is None:
        raise ValueError(
            f"{value[:50]!r} is no duration: write one such as '500ms', '30s', '5m', '2h' or '1d'"
        )
    return float(form[1]) * _UNITS[form[2]]


def seconds_between(name: str, value: Duration, least: float, most: float) -> float:
    """A setting's duration in seconds, held to its bounds.

    Raises:
        ValueError: no duration, or out of bounds; the text names the setting.
    """
    try:
        found = seconds(value)
    except ValueError as error:
        raise ValueError(f"`{name}`: {error}") from None
    if not least <= found <= most:
        raise ValueError(f"`{name}` is {_said(found)}, but must be between {_said(least)} and {_said(most)}")
    return found


def _said(seconds: float) -> str:
    return f"{seconds / 86_400:g} days" if seconds > 86_400 else f"{seconds:g} s"
