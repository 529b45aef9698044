"""A listener's machine, a bad stream, polls and a killer: a random program of them, and what must hold."""

from __future__ import annotations

import math
from random import Random

from mcptrio.sources.listener import Event, ListenerSettings, Statistics
from mcptrio.sources.listener.machine import Machine
from mcptrio.sources.listener.memory import Checkpoint
from tests.sources.listener.service import Service, Shape

URIS = 3


class Model:
    """Runs in virtual time. `lagging`: polls do not show yet what has just happened."""

    def __init__(self, shape: Shape, random: Random, *, lagging: bool) -> None:
        self.random = random
        self.shape = shape
        self.lag = 3 if lagging else 0
        self.service = Service(shape)
        # With nothing to tell the order, a killed task does not know which facts the first pages of a poll, taken
        # in before the last ones, have shown: so there are no kills then, or no such pages.
        orderable = shape.versioned or (shape.numbered and shape.numbered_polls)
        limit = random.choice((8, 1000))
        self.killable = orderable or limit == 1000
        self.settings = ListenerSettings(memory=128, limit=limit, numbered_polls=shape.numbered_polls)
        self.statistics = Statistics()
        self.now = 1000.0
        self.checkpoint = Checkpoint()
        self.announced: list[Event] = []
        self._ids: set[str] = set()
        self._last: dict[str, int] = {}
        self.based: int | None = None
        self.kills = 0
        for number in range(random.randrange(6)):
            self.service.happen(number % URIS)
        self.start()

    def start(self) -> None:
        """A new run, from the checkpoint."""
        self.machine = Machine(self.settings, self.statistics, self.checkpoint, Random(1))
        self.open = False
        self.wire: list[Event] = []
        self.asked: tuple[object | None] | None = None
        if self.checkpoint.cursor is None:
            self.based = None

    def run(self, steps: int) -> None:
        """A program of so many steps; afterwards all is well, and everything must be told."""
        weighted = [
            (self.happens, 10),
            (self.brings, 12),
            (self.gives, 10),
            (self.asks, 5),
            (self.answers, 5),
            (self.opens, 3),
            (self.closes, 0.4),
            (self.repeats, 1),
            (self.fails, 0.7),
            (self.passes, 2),
            (self.is_killed, 0.3),
        ]
        actions = [action for action, _ in weighted]
        for action in self.random.choices(actions, [weight for _, weight in weighted], k=steps):
            action()
        self.ends_well()

    # The service, and its stream.

    def happens(self) -> None:
        event = self.service.happen(self.random.randrange(URIS))
        if self.open:
            self.wire += [event] * self.random.choice((1, 1, 1, 1, 0, 2))

    def opens(self) -> None:
        if not self.open:
            self.machine.opened()
            self.open = True

    def closes(self) -> None:
        self.machine.closed("gone")
        self.open = False
        self.wire.clear()

    def brings(self) -> None:
        if self.wire and self.machine.room:
            orderable = self.shape.numbered or self.shape.versioned
            place = self.random.choice((0, 0, 0, 1, 2)) if orderable else 0
            self.machine.event(self.wire.pop(min(place, len(self.wire) - 1)), self.now)

    def repeats(self) -> None:
        if self.open and self.announced:
            self.machine.event(self.random.choice(self.announced[-30:]), self.now)

    # Polls.

    def asks(self) -> None:
        if self.asked is None and (self.machine.due <= self.now or self.may_ask_early()):
            self.asked = (self.machine.ask(),)

    def may_ask_early(self) -> bool:
        return self.machine.due < math.inf and self.random.random() < 0.3

    def answers(self) -> None:
        if self.asked is None:
            return
        (cursor,), self.asked = self.asked, None
        answer = self.service.answer(
            cursor,
            page=self.random.choice((1, 3, 100)),
            lag=self.random.randint(0, self.lag),
            overlap=0 if cursor is None else self.random.randrange(3),
        )
        if self.based is None and not answer.more:
            self.based = self.service.at(answer.cursor)
        self.machine.answered(answer, self.now)

    def fails(self) -> None:
        if self.asked is not None:
            self.machine.refused(self.now, "no")
            self.asked = None

    # Time, facts, kills.

    def passes(self) -> None:
        self.now += self.random.choice((0.1, 0.6, 3.0, 12.0, 40.0, 400.0))
        self.machine.tick(self.now)

    def gives(self) -> None:
        for _ in range(self.random.randint(1, 6)):
            given = self.machine.give()
            if given is None:
                self.checkpoint = self.machine.checkpoint
                return
            if self.killable and self.random.random() < 0.01:
                self.is_killed()  # before it was reported
                return
            self.accept(*given)

    def accept(self, event: Event, checkpoint: Checkpoint) -> None:
        place = self.service.place(event)
        assert event.id not in self._ids, f"{event} again"
        assert place > self._last.get(event.uri, -1), f"{event} is older than what was announced"
        self._ids.add(event.id)
        self._last[event.uri] = place
        self.announced.append(event)
        self.checkpoint = checkpoint

    def is_killed(self) -> None:
        if not self.killable:
            return
        self.kills += 1
        self.start()

    # The end.

    def ends_well(self) -> None:
        """The stream is open and polls work: all is announced or superseded, and the word is live."""
        self.fails()
        self.opens()
        self.wire.clear()
        lagged, self.lag = self.lag, 0
        for _ in range(300):
            self.gives_all()
            if self.machine.due <= self.now:
                self.asks()
                self.answers()
                continue
            word = self.machine.word()
            wake = min(self.machine.wake, self.machine.due)
            if word is not None and word.state == "live" and wake > self.now + 60:
                break
            self.now = max(wake, self.now)
            self.machine.tick(self.now)
        else:
            raise AssertionError(f"it never became live again: {self.machine.word()}")
        self.now = self.machine.due  # the poll that finds what was dropped without a trace
        while self.machine.due <= self.now:
            self.asks()
            self.answers()
            self.gives_all()
        assert self.based is not None
        last = {event.uri: event for event in self.service.log}
        strict = self.shape.numbered and not lagged and not self.statistics.given_up
        for event in self.service.log[self.based :]:
            assert event.id in self._ids or not (strict or last[event.uri] is event), f"{event} is lost"
        assert self.service.at(self.checkpoint.cursor) == len(self.service.log)

    def gives_all(self) -> None:
        while (given := self.machine.give()) is not None:
            self.accept(*given)
        self.checkpoint = self.machine.checkpoint
