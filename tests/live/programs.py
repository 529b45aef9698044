"""Random programs on the hub: clients subscribe by the extension, take what waits, break off, and come back with cursors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from random import Random

import pytest

from mcptrio.live import Allowance, Change, InvalidCursor, selections
from mcptrio.live.cursor import Cursor
from tests.live.knowledge import (
    FIELDS,
    FILTERS,
    POLICIES,
    SELECTORS,
    URIS,
    Asked,
    Knowledge,
    Published,
    wanted,
)
from tests.live.world import Client, Line, World

LABELS = ("x", "y", "z")
KINDS = ("created", "updated", "updated", "deleted")
STEPS = {
    "publish": 30.0,
    "take": 35.0,
    "wait": 12.0,
    "subscribe": 10.0,
    "come_back": 10.0,
    "break_off": 5.0,
    "unsubscribe": 4.0,
    "refuse": 1.0,
    "remind": 1.0,
    "hurry": 1.0,
    "rebuild": 0.5,
    "begin_run": 0.5,
}
"""How often each comes."""


class Program(World):
    """What may happen, and the end."""

    def publish(self, client: Client) -> None:
        choose = self.choose
        for _ in range(choose.choice((1, 1, 2, 5))):
            data = choose.choice((None, {"n": 1}, {"n": choose.randrange(4), "pad": "x" * 700}))
            event_id = choose.choice((None, None, f"event {self.hub.offset % 3}"))
            change = Change(uri=choose.choice(URIS), kind=choose.choice(KINDS), data=data, event_id=event_id)
            entry = self.hub.publish(change)
            self.log.append(f"publish {change.uri} {change.kind} {data and data['n']}: {entry is not None}")
            if entry is not None:
                self.published.entries.append(entry)
                self.published.times.append(self.now)
                self.seen["published"] += 1

    def take(self, client: Client) -> None:
        for line in client.lines.values():
            self.flush(line, self.choose.randint(0, 4))

    def wait(self, client: Client) -> None:
        self.now += self.choose.choice((0.1, 0.25, 1.0, 3.0))
        self.log.append(f"now {self.now:g}")
        if self.choose.random() < 0.7:
            self.ring()

    def subscribe(self, client: Client) -> None:
        """One or two labels, new or again; some of them from a cursor that the client was given at some time."""
        number = self.choose.randrange(2)
        asked: list[tuple[Asked, Cursor | None]] = []
        line = client.lines.get(number)
        for label in self.choose.sample(LABELS, self.choose.choice((1, 1, 2))):
            terms = Asked(
                label,
                *(min(self.choose.choices(range(len(each)), k=2)) for each in (SELECTORS, FILTERS)),
                *(self.choose.randrange(len(each)) for each in (POLICIES, FIELDS)),
            )
            since = None
            former = line and line.known.get(label)
            if former and self.choose.random() < 0.4:
                terms, since = former.asked, former.cursor
            elif self.hub.offset and self.choose.random() < 0.2:
                since = Cursor(self.hub.epoch, self.choose.randint(0, self.hub.offset))
            asked.append((terms, since))
        self.begin(client, number, asked)

    def come_back(self, client: Client) -> None:
        """As it was, or with one of the labels only; perhaps it has lost what it was told last."""
        for number, left in list(client.left.items()):
            labels = list(left)
            if self.choose.random() < 0.2:
                labels = [self.choose.choice(labels)]
            asked = []
            for label in labels:
                known = left[label]
                cursor = known.cursor
                if self.choose.random() < 0.1:
                    cursor = Cursor(cursor.epoch, self.choose.randint(0, cursor.offset))
                asked.append((known.asked, cursor))
            self.begin(client, number, asked)
            del client.left[number]

    def begin(self, client: Client, number: int, asked: list[tuple[Asked, Cursor | None]]) -> None:
        self.log.append(f"{client.name}.{number} subscribes {asked}")
        if not self.is_used:
            self.is_used = True
            self.published.begins = self.hub.offset
        if client.allowance is None:
            client.allowance = Allowance(self.most, self.most_bytes, self.selections.tally)
        line = client.lines.setdefault(number, Line())
        terms = [each.terms(since) for each, since in asked]
        honoured = self.hub.select(line.outbox, terms, client.allowance)
        for (each, since), said in zip(asked, honoured, strict=True):
            known = line.known[each.label] = Knowledge(each, since, self.hub, self.published)
            known.acknowledged(said, self.selections.find(line.outbox, each.label))
            known.live_since = self.now
            self.seen[f"recovered {said.get('recovered')}"] += 1

    def refuse(self, client: Client) -> None:
        """A cursor that was never given out: then nothing has begun and nothing has ended."""
        for line in client.lines.values():
            yet_to_come = Cursor(self.hub.epoch, self.hub.offset + 1)
            asked = [Asked("x", 0, 0, 0, 0).terms(None), Asked("new", 1, 0, 0, 0).terms(yet_to_come)]
            assert client.allowance is not None
            with pytest.raises(InvalidCursor):
                self.hub.select(line.outbox, asked, client.allowance)

    def unsubscribe(self, client: Client) -> None:
        for line in client.lines.values():
            if self.choose.random() < 0.3:
                uri = self.choose.choice(URIS)
                self.selections.unsubscribe_uri(line.outbox, uri)
                gone = [
                    label
                    for label, each in line.known.items()
                    if SELECTORS[each.asked.selector][0] == {"uri": uri}
                ]
            else:
                label = self.choose.choice(LABELS)
                assert self.selections.unsubscribe(line.outbox, label) is (label in line.known)
                gone = [label] if label in line.known else []
            self.log.append(f"{client.name} unsubscribes {gone}")
            for label in gone:
                del line.known[label]

    def break_off(self, client: Client) -> None:
        """One line or all of them, perhaps with something in it."""
        for number in list(client.lines):
            if self.choose.random() < 0.7:
                self.log.append(f"{client.name}.{number} breaks")
                line = client.lines.pop(number)
                self.flush(line, self.choose.randint(0, 2), is_lost=True)
                for _ in range(2):
                    self.hub.leave(line.outbox)
                assert len(line.outbox) == 0
                if line.known:
                    client.left[number] = line.known
        if not client.lines:
            self.expect_nothing_counted(client)

    def hurry(self, client: Client) -> None:
        """The server ends: whatever waits is taken, and the line ends."""
        for line in client.lines.values():
            self.selections.hurry(line.outbox)
            self.flush(line, 100)
        self.break_off(client)

    def remind(self, client: Client) -> None:
        for line in client.lines.values():
            self.log.append(f"{client.name} is reminded")
            self.hub.remind(line.outbox)
            for known in line.known.values():
                known.reminded()

    def rebuild(self, client: Client) -> None:
        self.log.append("rebuild")
        self.hub.rebuild()
        self.published = Published(can_forget=self.published.can_forget, can_exceed=self.published.can_exceed)
        for known in self.known():
            known.restarted(self.published)

    def begin_run(self, client: Client) -> None:
        self.log.append("another run begins")
        self.hub.begin_run()
        self.published.begins = self.hub.offset

    def run(self, steps: Iterable[tuple[str, Random]]) -> Counter[str]:
        """Do all that, then have everybody come back and know everything; returns what has happened how often."""
        for step, self.choose in steps:
            getattr(self, step)(self.choose.choice(self.clients))
            self.expect_bounds()
        for client in self.clients:
            self.come_back(client)
        self.drain()
        for client in self.clients:
            assert client.allowance is None or not client.allowance.paused
        for known in self.known():
            known.expect_all_known()
        counted = Counter({selector.pattern: count for selector, count in self.selections.wanted()})
        assert sorted(counted.values()) == sorted(wanted(self.known()).values())
        assert counted.keys() == self.interests
        for client in self.clients:
            for line in client.lines.values():
                self.hub.leave(line.outbox)
            self.expect_nothing_counted(client)
        self.expect_nothing_left()
        return self.seen


def run(seed: int) -> Counter[str]:
    """Run the program of a seed; returns what has happened how often.

    Raises:
        AssertionError: it went wrong; the message has the seed and the steps.
    """
    choose = Random(seed)
    steps = choose.choices(list(STEPS), list(STEPS.values()), k=choose.randint(1, 60))
    return judge(choose, [(step, choose) for step in steps], f"program {seed}")


def judge(choose: Random, steps: Iterable[tuple[str, Random]], name: str) -> Counter[str]:
    """The same for any steps, each with what chooses in it; before them, `choose` does."""
    program = Program(choose)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(selections, "STEP", program.step)
            return program.run(steps)
    except Exception as error:
        raise AssertionError(f"{name}: {error!r} after\n  " + "\n  ".join(program.log)) from error
