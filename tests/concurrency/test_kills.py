"""A thousand kills of any part of a running server, under load: nobody loses anything silently."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Iterator
from functools import partial
from random import Random

import pytest
import trio
from trio.testing import MockClock

from mcptrio.server.peer import SERVICE_RESTART, Peer
from mcptrio.supervision import ChildState, supervisor, supervisors
from tests.concurrency.audience import Ear, Hearer
from tests.concurrency.crowd import living
from tests.concurrency.kills import Killer, is_of_a_kill
from tests.concurrency.watched import MANY, SUPERVISION, TOOLS, Watched
from tests.server.rig import expect_nothing_left

pytestmark = [pytest.mark.unmeasured, pytest.mark.timeout(600)]  # a machine with more to do is no failure

SEEDS = 10
KILLS = 100
"""For each seed."""
BOUND = 60.0
"""Seconds from a kill until all is as it was and all is told. What is restarted for the tenth time waits for up to
half of it."""
CLIENTS = 8
LOAD = 2.0
"""Seconds between two changes of busy URIs."""


@pytest.fixture
def only_kills_are_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A kill is no error of ours: nothing else is logged as one."""
    yield
    for record in caplog.get_records("call"):
        assert record.levelno < logging.ERROR or is_of_a_kill(record), (record.getMessage(), record.exc_info)
    caplog.clear()


class World:
    """A server under load, with its clients and the program's own subscription, which parts are killed of."""

    def __init__(self, seed: int, kills: int) -> None:
        self.chance = Random(seed)
        self.watched = Watched(seed)
        self.app = self.watched.app
        self.killer = Killer(self.app, self.watched.ledger, self.chance)
        self.hearers = [self._hearer(number) for number in range(CLIENTS)]
        self.rebuilt: set[str | None] = set()
        """The connections' tasks whose clients may have been closed because the hub was made anew."""
        self.closed: set[Peer] = set()
        """Those who must have been."""
        self.slowest = 0.0
        self._kills = kills
        self._rounds = itertools.count()
        rebuild = self.app.hub.rebuild

        def rebuild_and_note() -> None:
            self.rebuilt.update(hearer.child for hearer in self.hearers)
            self.closed.update(self.app.server.endpoints[0].peers.values())
            rebuild()

        self.app.hub.rebuild = rebuild_and_note  # type: ignore[method-assign]

    def _hearer(self, number: int) -> Hearer:
        chance = self.chance
        quiet = [uri for uri in self.watched.quiet if uri != TOOLS]
        mine = [quiet[(2 * number + more) % len(quiet)] for more in (0, 1)]  # so each has somebody who cares
        fickle = [f"{kind}://fickle-{chance.randrange(3)}" for kind in ("part", "part", "demand", "direct")]
        busy = [f"{kind}://busy-{chance.randrange(3)}" for kind in ("always", "demand", "part", "direct")]
        groups = [
            tuple(dict.fromkeys((*mine, *chance.sample(quiet, 3)))),
            (chance.choice(busy), "email://live-feed"),
            (chance.choice(quiet), SUPERVISION),
            MANY,
            (TOOLS,),
        ]
        revision = ("2025-11-25", "2026-07-28")[number % 2]
        return Hearer(
            self.watched, f"client {number}", revision, groups, [*fickle, *busy], chance.randrange(1 << 32)
        )

    async def run(self) -> None:
        """Live through so many kills; then end, and leave nothing."""
        async with self.app._root.hold():
            await trio.testing.wait_all_tasks_blocked()
            tasks = living()
            async with trio.open_nursery() as audience:
                for hearer in self.hearers:
                    await audience.start(hearer.run)
                async with trio.open_nursery() as nursery:
                    await nursery.start(self._hear_as_program)
                    nursery.start_soon(self._load)
                    await self.settle()
                    while self.killer.kills.total() < self._kills:
                        await self._some_kills()
                        await self.settle()
                        if self.chance.random() < 0.15:
                            await trio.sleep(61)  # what has run for so long is restarted soon the next time
                    nursery.cancel_scope.cancel()
                self.watched.check_sequences()
                audience.cancel_scope.cancel()
            await trio.sleep(61)
            expect_nothing_left(self.app)
            self._expect_no_wants()
            assert living() == tasks

    async def _hear_as_program(self, *, task_status: trio.TaskStatus[None]) -> None:
        uris = ("always://quiet-1", "demand://quiet-1", "part://quiet-2", "direct://quiet", "part://busy-1")
        ledger = self.watched.ledger
        self.ear = Ear(ledger, uris, ledger.accepted, 1)
        with self.app.changes(*uris) as changes:
            task_status.started()
            async for entry in changes:
                self.ear.hear(entry.change.uri, gap=False, connection=1)

    async def _load(self) -> None:
        chance = self.chance
        while True:
            await trio.sleep(chance.expovariate(1 / LOAD))
            kind = chance.choice(("always", "demand", "part", "direct"))
            self.watched.happen(f"{kind}://{chance.choice(('busy', 'fickle'))}-{chance.randrange(3)}")

    async def _some_kills(self) -> None:
        for hearer in self.hearers:
            hearer.calm = False
        if next(self._rounds) % 30 == 10:
            self._let_happen()
            await self.killer.storm()
            self._let_happen()
        for _ in range(self.chance.randint(1, 5)):
            self._let_happen()
            if self.chance.random() < 0.15:
                self.watched.flood()
            await self.killer.kill_soon()
            self.watched.expected[SUPERVISION] = self.watched.ledger.accepted + 1
            self._let_happen()

    def _let_happen(self) -> None:
        for uri in self.chance.sample(self.watched.quiet, self.chance.randrange(5)):
            self.watched.happen_quietly(uri)
        for hearer in self.chance.sample(self.hearers, 3):
            hearer.read_soon()

    # What must be so some time after a kill.

    async def settle(self) -> None:
        """Wait until all parts run and everybody was told everything; then look at the server's tables."""
        for hearer in self.hearers:
            hearer.calm = True
        began = max(self.killer.at, trio.current_time() - 10)
        while missing := list(self._missing()):
            assert trio.current_time() < began + BOUND, f"{BOUND:g} s after the last kill: {missing}"
            if any("still fickle" not in word for word in missing):
                self.slowest = max(self.slowest, trio.current_time() - self.killer.at)
            await trio.sleep(0.2)
        await trio.testing.wait_all_tasks_blocked()
        self._check_tables()
        for hearer in self.hearers:
            hearer.check_losses(self._justified)

    def _missing(self) -> Iterator[str]:
        for each in supervisors(self.app.server.root):
            for child in each.children():
                if child.state is not ChildState.RUNNING:
                    yield f"{each.name}/{child.name} is {child.state.value}"
        yield from self.watched.unreported()
        for uri in self.ear.due():
            yield f"the program: {uri}"
        for hearer in self.hearers:
            if not hearer.resting:
                yield f"{hearer.name} is still fickle"
            for uri in hearer.due():
                yield f"{hearer.name}: {uri}"

    def _justified(self, child: str, error: Exception) -> bool:
        """Whether a client lost its connection because of a kill."""
        if child in self.killer.ended:
            return True
        return child in self.rebuilt and getattr(error, "code", None) == SERVICE_RESTART

    def _check_tables(self) -> None:
        hub = self.app.hub
        peers = self._peers()
        for hearer in self.hearers:
            assert hearer.held(peers[hearer.name]) == hearer.believed(), hearer.name
        pairs = Counter((uri, outbox) for outbox, uris in hub._uris.items() for uri in uris)
        assert pairs == Counter((uri, outbox) for uri, all_ in hub.subscriptions().items() for outbox in all_)
        expected = sum(len(uris) for hearer in self.hearers for uris in hearer.believed()) + len(
            self.ear.uris
        )
        assert hub.statistics().subscriptions == pairs.total() == expected
        server = self.app.server
        assert server.list_changes.watchers() == 3 * len(self.hearers)
        assert server._sweeper.statistics().watched == len(self.hearers)
        assert server.flusher.statistics().current_buffer_used == 0
        assert server.pump.statistics().current_buffer_used == 0
        for name, branch in self.app.sources._branches.items():
            wanted = {uri for uri in hub.subscriptions() if branch.fits(uri)}
            reading = {hearer.reading for hearer in self.hearers}
            assert wanted <= branch.feed.wanted <= wanted | reading, name

    def _peers(self) -> dict[str, Peer]:
        peers = list(self.app.server.endpoints[0].peers.values())
        assert len(peers) == len(self.hearers), "who was killed is gone"
        assert not self.closed.intersection(peers), "who may have lost something is closed"
        return {peer.client.name: peer for peer in peers if peer.client is not None}

    def _expect_no_wants(self) -> None:
        for name, branch in self.app.sources._branches.items():
            assert len(branch._demand) == branch.spec.always, name
            assert not branch.feed.wanted, name
        for each in supervisors(self.app.server.root):
            assert not len(each._machine.timers), each.name


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_whatever_part_is_killed_every_client_is_told_of_every_change_or_of_the_gap(
    autojump_clock: MockClock, only_kills_are_logged: None, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    # All chance comes of the seed: of supervisors' backoff, and of the order in which Trio runs tasks.
    monkeypatch.setattr(supervisor, "Random", partial(Random, seed))
    monkeypatch.setattr(trio._core._run, "_r", Random(seed))
    world = World(seed, KILLS)
    try:
        await world.run()
    except BaseException as error:
        killer = world.killer
        error.add_note(
            f"seed {seed}, after {killer.kills.total()} kills, the last of them {list(killer.last)}"
        )
        raise
    assert all(hearer.reads for hearer in world.hearers)
    print(
        f"seed {seed}: {trio.current_time():.0f} s, slowest {world.slowest:.1f} s, {dict(world.killer.kills)}"
    )
