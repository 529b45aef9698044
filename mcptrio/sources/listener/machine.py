"""What a listener decides: what is announced, in which order, when to ask, how it is doing. Sans-IO."""

from __future__ import annotations

import math
from collections import deque
from random import Random

from mcptrio.sources.duration import seconds
from mcptrio.sources.listener.event import Answer, Event, Key
from mcptrio.sources.listener.health import Health, Word
from mcptrio.sources.listener.intake import Intake, is_usable
from mcptrio.sources.listener.memory import Checkpoint, Memory
from mcptrio.sources.listener.settings import ListenerSettings
from mcptrio.sources.listener.statistics import Statistics
from mcptrio.supervision.backoff import Backoff

JITTER = 0.1
"""By which part of itself the time between polls varies: many listeners should not ask at once."""


class Machine:
    """The whole state of one run of a listener. Every method is synchronous and is told the time.

    Told: `opened`, `closed`, `event` of the stream; `ask` and then one of `answered`, `refused`, `cursor_lost` of
    polls; `tick` when `wake` has come. Asked: `give` for the next fact, `due` for when to poll, `room` for whether to
    read on, `word` for the state. What was given before, or is older than what was, never leaves `give`.
    """

    def __init__(
        self, settings: ListenerSettings, statistics: Statistics, checkpoint: Checkpoint, random: Random
    ) -> None:
        self._settings = settings
        self._statistics = statistics
        self._patience = seconds(settings.patience)
        self._settle = seconds(settings.settle)
        self._backoff = Backoff(initial=seconds(settings.retry), maximum=seconds(settings.retry_most))
        self._random = random
        self._memory = Memory(checkpoint.recent, settings.memory)
        self._intake = Intake(self._memory, statistics, beyond=checkpoint.beyond)
        self._health = Health()
        # The cursor to ask with, and the one up to which everything has been given; between them those of answers
        # of which something has not, each with that, and with how many facts it makes sure to be known by a cursor.
        self._cursor = self._safe = checkpoint.cursor
        self._cursors: deque[tuple[object, set[Key], int]] = deque()
        self._sure = self._sure_when_complete = -checkpoint.beyond
        self._baseline = checkpoint.cursor is None
        # The poll that runs, over all its pages.
        self._asking = self._in_flight = self._paged = False
        self._batch: list[Event] = []
        self._polls_begun = 0
        self._given_before = self._opened_before = 0
        # When the next one is due.
        self._asked_at = self._not_before = -math.inf
        self._factor = 1.0
        self._failures = self._fruitless = 0
        # Which poll tells whether what was given up is found after all; none: -1.
        self._recheck = -1
        # A stream that was just opened may have missed something until a poll that began later is answered; what
        # comes meanwhile is held, but not for ever.
        self._opened = 0
        self._gap = self._holding = True
        self._caught_up_at = 0

    # The stream.

    def opened(self) -> None:
        """The stream is open; it may have missed what happened before."""
        self._statistics.opened += 1
        self._opened += 1
        self._gap = self._holding = True
        self._health.stream_opened()

    def closed(self, why: str, *, lasting: bool = False) -> None:
        """The stream has ended, or could not be opened; `why` is shown to people."""
        self._health.stream_closed(why, lasting)

    def event(self, event: Event, now: float) -> None:
        """The stream has brought an event."""
        self._statistics.events += 1
        if not is_usable(event):
            self._statistics.unusable += 1
        elif event.sequence is not None:
            self._intake.take_numbered(event, now)
        elif event.key in self._intake:
            self._statistics.duplicates += 1
        elif self._holding or (self._asking and event.version is None):
            # What the running poll will bring may be older, and nothing in such an event would show it.
            self._intake.hold(event, now)
        else:
            self._intake.push(event)

    @property
    def room(self) -> bool:
        """Whether the stream may be read on."""
        return self._intake.size < self._settings.limit

    # Time.

    @property
    def wake(self) -> float:
        """When `tick` has something to do; infinite for never."""
        waiting = (series.since for series in self._intake.holes.values())
        return min((self._intake.held_since, *waiting)) + self._patience

    def tick(self, now: float) -> None:
        """Wait no longer for what has been waited for long enough."""
        if self._intake.held_since + self._patience <= now:
            self._intake.release()
            if self._holding:
                self._holding = False
                self._give_up("what the stream missed while it was down could not be asked for in time")
        for missing in self._intake.expire(now, self._patience):
            self._give_up(missing)

    def _give_up(self, missed: str) -> None:
        self._statistics.given_up += 1
        self._health.missed = missed
        self._recheck = self._polls_begun + 1

    # Polls.

    @property
    def due(self) -> float:
        """When to poll next; infinite while one runs, and while there is something to give."""
        if self._in_flight or not self._intake.is_empty:
            return math.inf
        if self._asking:
            return self._not_before  # the next page
        every = self._settings.check_every if self._health.is_open else self._settings.every
        at = self._asked_at + self._factor * seconds(every)
        if self._gap or self._recheck >= 0 or self._is_memory_short():
            at = -math.inf
        for series in self._intake.holes.values():
            at = min(at, series.since + (0.0 if series.unsure else self._settle))
        return max(at, self._not_before)

    def ask(self) -> object | None:
        """A poll, or its next page, begins; returns the cursor for it. One of the next three is to follow."""
        self._in_flight = True
        self._not_before = -math.inf
        if not self._asking:
            self._asking = True
            self._statistics.polls += 1
            self._polls_begun += 1
            self._given_before = self._memory.added
            self._opened_before = self._opened
            self._intake.poll_begins()
        return self._cursor

    def answered(self, answer: Answer, now: float) -> None:
        """The poll was answered."""
        if answer.cursor is None or (answer.more and answer.cursor == self._cursor):
            self.refused(now, "a poll's answer has a cursor that leads nowhere")
            return
        self._in_flight = False
        self._paged = True
        self._cursor = answer.cursor
        self._batch.extend(answer.events)
        if not answer.more:
            self._complete(now)
        elif len(self._batch) >= self._settings.limit:
            self._flush(now, complete=False)

    def refused(self, now: float, why: str, *, lasting: bool = False, retry_after: float = 0.0) -> None:
        """The poll failed; `why` is shown to people. It is tried again."""
        self._in_flight = False
        self._asking = bool(self._batch)  # then it goes on with the page that failed
        self._asked_at = now
        self._statistics.polls_failed += 1
        self._failures += 1
        self._pause(now, self._failures, retry_after)
        self._health.poll_failed(why, lasting)
        if not self._holding and not self._asking:
            self._intake.release()

    def cursor_lost(self, now: float, why: str) -> None:
        """The service does not know the cursor; the next poll is asked without one."""
        self._flush(now, complete=False)  # the pages that came
        self.refused(now, why)
        if self._cursor is not None:
            self._cursor = None
            self._statistics.cursors_lost += 1
            self._give_up(f"what happened since the last poll cannot be asked for: {why}")

    def _complete(self, now: float) -> None:
        holes = len(self._intake.holes)
        if self._gap and self._opened == self._opened_before:
            self._gap = self._holding = False
            self._statistics.filled += self._opened > 1
        self._flush(now, complete=True)
        self._intake.poll_ends(numbered=self._settings.numbered_polls)
        self._statistics.filled += max(0, holes - len(self._intake.holes))
        self._asking = False
        self._asked_at = now
        self._factor = self._random.uniform(1 - JITTER, 1 + JITTER)
        self._failures = 0
        self._not_before = -math.inf
        if self._intake.holes or self._is_memory_short():
            self._fruitless += 1
            self._pause(now, self._fruitless)
        else:
            self._fruitless = 0
        if self._polls_begun >= self._recheck and not self._gap:
            self._recheck = -1
            self._health.missed = ""
        self._caught_up_at = self._intake.pushed
        self._health.poll_answered()

    def _flush(self, now: float, *, complete: bool) -> None:
        """Take in the pages that have come; if they are all, what is held goes with them in one order."""
        batch, self._batch = self._batch, []
        moved, self._paged = self._paged, False
        if not moved:
            return
        if self._baseline:
            self._intake.remember(batch, now)
            if not complete:
                return  # a baseline counts as a whole: a restart makes it anew
            self._baseline = False
            batch = []
        release = complete and not self._holding
        outstanding = self._intake.take_in(batch, now, complete=complete, release=release)
        if complete:
            self._sure_when_complete = self._given_before
        self._cursors.append((self._cursor, outstanding, self._sure_when_complete))
        self._advance()

    def _pause(self, now: float, failures: int, least: float = 0.0) -> None:
        delay = self._backoff.delay(failures, self._random)
        self._not_before = now + max(delay, self._backoff.initial / 2, least)

    def _is_memory_short(self) -> bool:
        """Whether half the memory is taken by facts that a poll from the safe cursor would bring again."""
        return self._memory.added - self._sure >= self._settings.memory // 2

    # Facts.

    def give(self) -> tuple[Event, Checkpoint] | None:
        """The next fact to announce, and the checkpoint that goes with it; None while there is none.

        It counts as announced from now on: who is interrupted before it has been starts from the checkpoint before.
        """
        while (event := self._intake.pop()) is not None:
            for _, outstanding, _ in self._cursors:
                outstanding.discard(event.key)
            announced = self._intake.accept(event)
            self._advance()
            if announced:
                return event, self.checkpoint
        return None

    @property
    def checkpoint(self) -> Checkpoint:
        """How far everything given has come."""
        return Checkpoint(
            self._safe, self._memory.recent, min(self._memory.added - self._sure, len(self._memory))
        )

    def _advance(self) -> None:
        while self._cursors and not self._cursors[0][1]:
            self._safe, _, self._sure = self._cursors.popleft()

    def word(self) -> Word | None:
        """What to tell the feed before the next fact is given; None: what was told before."""
        caught_up = not self._gap and self._intake.popped >= self._caught_up_at
        return self._health.word(caught_up=caught_up)
