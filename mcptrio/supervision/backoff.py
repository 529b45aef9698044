"""How long to wait before trying again: the one backoff of the project. Sans-IO."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter, forgotten after a stable period. All times in seconds.

    The n-th failure in a row is followed by a wait of at most `initial * factor ** (n - 1)`, never more
    than `maximum`. With `jitter` the wait is drawn evenly from zero to that bound, so that many who failed
    together do not come back together; without it the wait is the bound.

    Raises:
        ValueError: a value that gives no such curve.
    """

    initial: float = 0.1
    maximum: float = 30.0
    factor: float = 2.0
    jitter: bool = True
    reset_after: float = 60.0

    def __post_init__(self) -> None:
        if not 0 <= self.initial <= self.maximum < math.inf:
            raise ValueError("backoff needs 0 <= initial <= maximum, and both finite")
        if not 1 <= self.factor < math.inf:
            raise ValueError("backoff needs a finite factor of at least 1")
        if not self.reset_after >= 0:
            raise ValueError("backoff needs a reset_after of at least 0")

    def bound(self, failures: int) -> float:
        """The longest wait after that many failures in a row; 0.0 before the first."""
        if failures < 1:
            return 0.0
        try:
            return min(self.maximum, self.initial * self.factor ** (failures - 1))
        except OverflowError:
            return self.maximum if self.initial else 0.0

    def delay(self, failures: int, random: Random) -> float:
        """The wait after that many failures in a row; one number is drawn where there is jitter."""
        bound = self.bound(failures)
        return random.uniform(0.0, bound) if self.jitter else bound

    def failures(self, before: int, lasted: float) -> int:
        """The failures in a row when what ran for `lasted` seconds, after `before` failures, fails too."""
        return 1 if lasted >= self.reset_after else before + 1
