"""How many restarts within how long are too many. Sans-IO: times are passed in."""

from __future__ import annotations

from collections import deque


class Intensity:
    """A sliding window over restarts: at most `max_restarts` within any `within` seconds.

    As in OTP the window is closed at both ends: a restart exactly `within` seconds ago still counts.
    Keeps at most `max_restarts + 1` times.

    Raises:
        ValueError: a negative `max_restarts`, or a `within` that is not positive.
    """

    __slots__ = ("_times", "max_restarts", "within")

    def __init__(self, max_restarts: int, within: float) -> None:
        if max_restarts < 0:
            raise ValueError("max_restarts must be at least 0")
        if not within > 0:
            raise ValueError("within must be more than 0 seconds")
        self.max_restarts = max_restarts
        self.within = within
        self._times: deque[float] = deque(maxlen=max_restarts + 1)

    @property
    def count(self) -> int:
        """The restarts in the window that ends with the latest one, that one included."""
        return len(self._times)

    def record(self, now: float) -> bool:
        """Count a restart at `now`, not earlier than the one before; False when it is one too many."""
        while self._times and now - self._times[0] > self.within:
            self._times.popleft()
        self._times.append(now)
        return len(self._times) <= self.max_restarts

    def forget(self) -> None:
        """Forget all restarts."""
        self._times.clear()
