"""How often each may ask: a token bucket per key."""

from __future__ import annotations

import math
import re

FASTEST = 1_000_000.0
"""Bound of a rate, per second."""
SLOWEST = 1e-6
LARGEST = 1_000_000
"""Bound of a burst."""
MOST_KEYS = 10_000

_KEPT = 0.75
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_FORM = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?) ?(?:/ ?(s|m|h|d))?")


def per_second(value: str | float) -> float:
    """A rate as people write it: `"100/s"`, `"600/m"`, `"1000/h"`, or a number per second.

    Raises:
        ValueError: it is no rate, or out of bounds; the text shows how one is written.
    """
    if isinstance(value, str):
        form = _FORM.fullmatch(value.strip().lower())
        if form is None:
            raise ValueError(f"{value[:50]!r} is no rate: write one such as '100/s', '600/m' or '1000/h'")
        found = float(form[1]) / _UNITS[form[2] or ""]
    else:
        found = float(value)
    if not SLOWEST <= found <= FASTEST:
        raise ValueError(f"a rate is between {SLOWEST:g} and {FASTEST:g} a second: write one such as '100/s'")
    return found


class RateLimit:
    """Buckets by key, such as a principal or an address: each holds `burst`, and fills by `rate` a second.

    A key that is not known has a full bucket, so full ones are forgotten. At most `most` are known: beyond, the full
    ones are forgotten and, should that not do, those that are nearest to full. That is in their clients' favour.
    """

    def __init__(self, rate: float, burst: int, most: int = MOST_KEYS) -> None:
        """`rate` is per second.

        Raises:
            ValueError: a number is out of bounds.
        """
        if not SLOWEST <= rate <= FASTEST:
            raise ValueError(f"a rate is between {SLOWEST:g} and {FASTEST:g} a second, not {rate:g}")
        if not 1 <= burst <= LARGEST:
            raise ValueError(f"a burst is between 1 and {LARGEST}, not {burst}")
        if most < 1:
            raise ValueError("at least one bucket must be kept")
        self.rate = rate
        self.burst = burst
        self._most = most
        self._interval = 1.0 / rate
        # A time that a client was told to wait must do, whatever the rounding.
        self._latest = (burst + 0.01) * self._interval
        self._full_at: dict[str, float] = {}

    def __len__(self) -> int:
        """Buckets that are known."""
        return len(self._full_at)

    def take(self, key: str, now: float) -> float:
        """Take one from a bucket: 0.0 if it was there, else the seconds until it would be, and nothing is taken.

        `now` is in seconds of any clock that does not go back.
        """
        full_at = max(self._full_at.get(key, now), now) + self._interval
        ahead = full_at - now
        if ahead > self._latest:
            return ahead - self.burst * self._interval
        if key not in self._full_at and len(self._full_at) >= self._most:
            self._forget(now)
        self._full_at[key] = full_at
        return 0.0

    def _forget(self, now: float) -> None:
        left = {key: at for key, at in self._full_at.items() if at > now}
        if len(left) >= self._most:
            # Many at once, so that the next new key need not look through all of them again.
            kept = math.floor(self._most * _KEPT)
            left = dict(sorted(left.items(), key=lambda each: each[1], reverse=True)[:kept])
        self._full_at = left
