"""A hub with its clients, flusher and clock, of which a program moves all parts; and what must hold whatever it does."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from random import Random

import trio

from mcptrio.live import Allowance, Hub, Outbox, Replay, Selector, Subscription
from mcptrio.live.history import History
from tests.live.knowledge import Knowledge, Published

TURN = 3
"""How much the flusher takes of one subscription in one turn."""


class Line:
    """One outbox of a client, and what its subscriptions are to know."""

    def __init__(self) -> None:
        self.is_ready = False
        self.outbox = Outbox(self.ready)
        self.known: dict[str, Knowledge] = {}

    def ready(self) -> None:
        self.is_ready = True


class Client:
    """Two outboxes that share an allowance, and what it comes back with after each has broken off."""

    def __init__(self, number: int) -> None:
        self.name = f"client {number}"
        self.allowance: Allowance | None = None
        self.lines: dict[int, Line] = {}
        self.left: dict[int, dict[str, Knowledge]] = {}


class World:
    """A hub, a flusher and a clock, of which a program moves all parts."""

    def __init__(self, choose: Random) -> None:
        self.choose = choose
        self.log: list[str] = []
        """The program, as far as it has run."""
        self.seen: Counter[str] = Counter()
        self.now = 100.0
        self.wake_at = math.inf
        self.hub = Hub(lambda: self.now)
        self.selections = self.hub.selections
        self.selections.on_timer = self._set_alarm
        self.is_used = False
        self.interests: set[str] = set()
        self.hub.watch_selections(self._interested)
        self.most = choose.choice((3, 8, 10_000))
        self.most_bytes = choose.choice((6_000, 1 << 30))
        kept, max_age = choose.choice((2, 5, 10_000)), choose.choice((2.0, math.inf))
        self.selections.history = History("", most=kept, max_age=max_age)
        self.most_kept = kept
        self.published = Published(
            can_forget=kept < 100 or max_age < 100, can_exceed=self.most < 100 or self.most_bytes < 100_000
        )
        self.step = choose.choice((1, 3, 256))
        self.clients = [Client(number) for number in range(choose.randint(1, 3))]
        self.log.append(f"most {self.most}, bytes {self.most_bytes}, kept {kept}, max age {max_age}")

    def _set_alarm(self) -> None:
        self.wake_at = self.selections.next_due()

    def _interested(self, selectors: Sequence[Selector], is_wanted: bool) -> None:
        for selector in selectors:
            assert (selector.pattern in self.interests) is not is_wanted
            (self.interests.add if is_wanted else self.interests.remove)(selector.pattern)

    def flush(self, line: Line, turns: int, *, is_lost: bool = False) -> None:
        """Take some keys of an outbox as the flusher does, for the client or into a line that breaks."""
        if not turns:
            return
        line.is_ready = False
        for _ in range(turns):
            try:
                key = line.outbox.receive_nowait().key
            except trio.WouldBlock:
                return
            if isinstance(key, Replay):
                going = [each for each in line.known.values() if each.subscription in key.items]
                assert len(going) == len(key.items) == len(key.index) > 0, "a replay of what has ended"
                for known in going:
                    known.live_since = self.now
                self.selections.advance(key)
                self.seen["paused"] += key in key.allowance.paused
                continue
            assert isinstance(key, Subscription)
            known = line.known[key.label]
            assert known.subscription is key, "a delivery of what has ended"
            for _ in range(self.choose.randint(1, TURN)):
                what = key.deliveries.take(self.now)
                if what is None:
                    break
                if not is_lost:
                    known.told(what)
                    self.seen[str(getattr(what, "reason", "told"))] += 1
            self.selections.settle(key)
        line.is_ready = len(line.outbox) > 0

    def ring(self) -> None:
        if self.now >= self.wake_at:
            self.selections.ring()
            self._set_alarm()

    # Judging

    def known(self) -> list[Knowledge]:
        return [
            known
            for client in self.clients
            for line in client.lines.values()
            for known in line.known.values()
        ]

    def expect_bounds(self) -> None:
        """Nothing takes more than it may, and everything that waits is counted."""
        total = 0
        for client in self.clients:
            allowance = client.allowance
            if allowance is None:
                continue
            waiting = 0
            for line in client.lines.values():
                for known in line.known.values():
                    assert known.subscription is not None
                    count = len(known.subscription.deliveries)
                    assert count <= known.most_waiting
                    waiting += count
                assert len(line.outbox) <= 2 * len(line.known)
                assert line.is_ready or not len(line.outbox), "nobody knows that there is something"
            assert allowance.count == waiting <= self.most
            assert allowance.bytes <= self.most_bytes
            total += waiting
        assert self.selections.tally.waiting == total
        assert len(self.selections._timers) == sum(
            known.subscription is not None and known.subscription.timer is not None for known in self.known()
        )
        assert len(self.selections.history) <= self.most_kept

    def expect_nothing_counted(self, client: Client) -> None:
        allowance = client.allowance
        assert allowance is None or (allowance.count, allowance.bytes, allowance.paused) == (0, 0, {})

    def drain(self) -> None:
        """Everybody takes all there is, and time passes until there is nothing more to wait for."""
        for _ in range(10_000):
            lines = [line for client in self.clients for line in client.lines.values()]
            ready = [line for line in lines if line.is_ready]
            for line in ready:
                self.flush(line, 10)
            self.expect_bounds()
            if ready:
                continue
            self.ring()
            if any(line.is_ready for line in lines):
                continue
            for known in self.known():
                known.expect_on_time(self.now)
            if self.wake_at == math.inf:
                return
            self.now = max(self.now, self.wake_at)
        raise AssertionError("it never comes to rest")

    def expect_nothing_left(self) -> None:
        """Of nobody, looked at from inside."""
        selections = self.selections
        assert (len(selections), selections._held, list(selections.wanted()), self.interests) == (
            0,
            {},
            [],
            set(),
        )
        assert (len(selections._timers), selections.next_due(), selections.tally.waiting) == (0, math.inf, 0)
        index = selections._index
        assert (index._exact, index._ends, index._root.literals, index._root.wildcards) == (
            {},
            {},
            None,
            None,
        )
