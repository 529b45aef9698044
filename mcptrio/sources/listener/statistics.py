"""What a listener has counted, for metrics; it outlives the task."""

from __future__ import annotations

from mcptrio.live import SourceState


class Statistics:
    """Counters that only rise, and the seconds spent in each state. Owned by whoever installs the source."""

    def __init__(self) -> None:
        self.events = 0
        """Events the stream brought."""
        self.announced = 0
        self.duplicates = 0
        """Events of the stream about facts that had come before."""
        self.late = 0
        """Facts not announced because a later one of their URI had been."""
        self.unusable = 0
        """Events whose URI can name no resource."""
        self.found = 0
        """Facts that a poll brought first."""
        self.filled = 0
        """Gaps (of a reconnect, or in the numbers) closed by a poll."""
        self.given_up = 0
        """Gaps for which events waited as long as they may."""
        self.opened = 0
        """How often the stream was opened: all but the first are reconnects."""
        self.polls = 0
        self.polls_failed = 0
        self.cursors_lost = 0
        self._seconds: dict[SourceState, float] = {}
        self._state: SourceState | None = None
        self._since = 0.0

    @property
    def reconnects(self) -> int:
        """How often the stream was opened again."""
        return max(0, self.opened - 1)

    def counts(self) -> dict[str, int]:
        """All counters, by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, int)}

    def enter(self, state: SourceState | None, now: float) -> None:
        """The listener is in that state from now on; None: it does not run."""
        if self._state is not None:
            self._seconds[self._state] = self._seconds.get(self._state, 0.0) + now - self._since
        self._state = state
        self._since = now

    def seconds(self, now: float) -> dict[SourceState, float]:
        """The seconds spent in each state until now (Trio's time), while the task ran."""
        found = dict(self._seconds)
        if self._state is not None:
            found[self._state] = found.get(self._state, 0.0) + now - self._since
        return found
