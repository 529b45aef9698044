"""Policies: what a subscription is told of what has happened while it could not be told."""

from __future__ import annotations

from msgspec import Struct


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
