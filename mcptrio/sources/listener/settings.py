"""The settings of a listener, for the source that is made of it."""

from __future__ import annotations

from msgspec import Struct

from mcptrio.sources.duration import Duration, seconds_between

_LEAST_MEMORY = 128
_MOST = 1_000_000


class ListenerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a listener listens. Lengths of time as `"30s"` or in seconds; sensible as they are.

    Raises:
        ValueError: a value out of its bounds; the text names it and the bounds.
    """

    every: Duration = "30s"
    """Time between polls while the stream is down."""
    check_every: Duration = "5m"
    """Time between polls while it is up: how long what a stream without numbers dropped may stay unnoticed."""
    patience: Duration = "30s"
    """How long events wait at most for what is missing before them."""
    settle: Duration = "500ms"
    """How long a missing number is waited for before it is asked for: streams reorder."""
    timeout: Duration = "30s"
    """Longest opening or closing of the stream, and longest poll."""
    silence: Duration | None = None
    """A stream that brings nothing for so long counts as broken. None: silence is no sign."""
    retry: Duration = "500ms"
    """First bound of the wait before the stream is opened again, or a failed poll repeated; it doubles."""
    retry_most: Duration = "60s"
    """Greatest bound of those waits."""
    memory: int = 10_000
    """How many facts are remembered as announced."""
    limit: int = 1_000
    """How many events may wait."""
    numbered_polls: bool = True
    """Whether events in answers carry sequence numbers where the stream's do. False: a whole poll fills any hole."""

    def __post_init__(self) -> None:
        for name in ("every", "check_every", "patience", "timeout"):
            seconds_between(name, getattr(self, name), 0.1, 86_400)
        seconds_between("settle", self.settle, 0, 3600)
        if self.silence is not None:
            seconds_between("silence", self.silence, 1, 86_400)
        most = seconds_between("retry_most", self.retry_most, 0.1, 86_400)
        seconds_between("retry", self.retry, 0.05, most)
        if not _LEAST_MEMORY <= self.memory <= _MOST:
            raise ValueError(f"`memory` is {self.memory}, but must be between {_LEAST_MEMORY} and {_MOST}")
        if not 1 <= self.limit <= _MOST:
            raise ValueError(f"`limit` is {self.limit}, but must be between 1 and {_MOST}")
