"""How a listener is doing, in a word of the feed's and a reason for people. Sans-IO."""

from __future__ import annotations

from msgspec import Struct

from mcptrio.live import SourceState


class Word(Struct, frozen=True):
    """What the feed is to be told. `current`: what it has announced is up to date all the same."""

    state: SourceState
    reason: str = ""
    current: bool = False


class Health:
    """What is known of the stream and of the polls."""

    def __init__(self) -> None:
        self.is_open = False
        self.missed = ""
        """What was given up waiting for, in words, until a poll has told."""
        self._stream_why = ""
        self._stream_lasting = False
        self._polled = False
        self._poll_why = ""
        self._poll_lasting = False

    def stream_opened(self) -> None:
        """The stream is open."""
        self.is_open = True
        self._stream_why = ""

    def stream_closed(self, why: str, lasting: bool) -> None:
        """The stream is down."""
        self.is_open = False
        self._stream_why = why
        self._stream_lasting = lasting

    def poll_answered(self) -> None:
        """Polls work."""
        self._polled = True
        self._poll_why = ""

    def poll_failed(self, why: str, lasting: bool) -> None:
        """Polls do not work."""
        self._poll_why = why
        self._poll_lasting = lasting

    def word(self, *, caught_up: bool) -> Word | None:
        """What to tell; None: what was told before.

        `caught_up`: all that a gap hid has been announced.
        """
        if self._poll_why:
            return self._without_polls(caught_up)
        if self.missed:
            return Word(SourceState.DEGRADED, self.missed)
        if self.is_open:
            return Word(SourceState.LIVE) if caught_up else None
        if not self._polled:
            return None
        if self._stream_lasting:
            reason = f"asking at intervals only: {self._stream_why}"
            return Word(SourceState.DEGRADED, reason, current=True)
        return Word(SourceState.POLLING, self._stream_why)

    def _without_polls(self, caught_up: bool) -> Word:
        if self.is_open and caught_up:
            reason = f"what the stream drops would not be noticed: {self._poll_why}"
            return Word(SourceState.DEGRADED, self.missed or reason, current=not self.missed)
        state = SourceState.FAILED if self._poll_lasting else SourceState.DEGRADED
        both = f"{self._poll_why}; and {self._stream_why}" if self._stream_why else self._poll_why
        return Word(state, both)
