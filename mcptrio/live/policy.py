"""Policies: what a subscription is told of what has happened while it could not be told."""

from __future__ import annotations

from msgspec import Struct

from mcptrio.live.json_value import described

MOST_WINDOW_MS = 60_000
MOST_WAIT_MS = 600_000

_FORMS = '"conflate", "every", or {"batch": {"windowMs": ..., "maxWaitMs": ...}}'


class Policy(Struct, frozen=True):
    """Whether of several changes of a URI the newest is enough, and how long to wait for more of them.

    With `merges`, what waits is told `window` seconds after the last change, and at most `max_wait` seconds after the first.
    """

    merges: bool = True
    window: float = 0.0
    max_wait: float = 0.0


CONFLATE = Policy()
"""The newest change of each URI, at once."""

EVERY = Policy(merges=False)
"""All changes, at once."""


def batch(window: float, max_wait: float) -> Policy:
    """The newest change of each URI, together. In seconds."""
    return Policy(window=window, max_wait=max_wait)


class InvalidPolicy(ValueError):
    """What was given is no policy; the message begins with the place."""


def parse_policy(value: object, where: str = "policy") -> Policy:
    """Understand the `policy` of a subscription, decoded from JSON.

    Raises:
        InvalidPolicy: it is none, or beyond a bound.
    """
    if value == "conflate":
        return CONFLATE
    if value == "every":
        return EVERY
    if not isinstance(value, dict) or set(value) != {"batch"}:
        raise InvalidPolicy(f"{where}: {_FORMS}, not {described(value)}")
    times = value["batch"]
    if not isinstance(times, dict) or set(times) != {"windowMs", "maxWaitMs"}:
        raise InvalidPolicy(
            f"{where}.batch: an object of exactly windowMs and maxWaitMs, not {described(times)}"
        )
    window = _milliseconds(times["windowMs"], f"{where}.batch.windowMs", 1, MOST_WINDOW_MS)
    max_wait = _milliseconds(times["maxWaitMs"], f"{where}.batch.maxWaitMs", window, MOST_WAIT_MS)
    return batch(window / 1000, max_wait / 1000)


def _milliseconds(value: object, where: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidPolicy(f"{where}: a whole number from {least} to {most}, not {described(value)}")
    return value
