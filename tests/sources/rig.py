"""A tree of sources over a hub, without a server; and bodies that tell what happens to them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing

from mcptrio.catalog import Catalog
from mcptrio.live import Feed, Hub, Outbox, Pump, SourceState
from mcptrio.sources import Registry, SourceTree
from mcptrio.sources.branch import Branch
from mcptrio.sources.parts import Parts
from mcptrio.supervision import Report, Reports


class Rig:
    """A registry, its tree, and what they are made of."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.pump = Pump(self.hub)
        self.registry = Registry(Catalog())
        self.reports = Reports()
        self.reported: list[Report] = []
        self.reports.subscribe(self.reported.append)
        self.tree = SourceTree(self.registry, self.hub, self.pump, self.reports)
        self.states: list[tuple[str, SourceState, str]] = []
        self.tree.on_state(lambda *state: self.states.append(state))
        self._subscribers: dict[str, list[Outbox]] = {}

    def subscribe(self, *uris: str) -> None:
        """One subscriber more for each of these."""
        for uri in uris:
            outbox = Outbox()
            self.hub.subscribe(uri, outbox)
            self._subscribers.setdefault(uri, []).append(outbox)

    def unsubscribe(self, *uris: str) -> None:
        """One subscriber less for each of these."""
        for uri in uris:
            self.hub.leave(self._subscribers[uri].pop())

    def children(self) -> list[str]:
        """The names of the children of the tree."""
        return [child.name for child in self.tree.supervisor.children()]

    def parts(self, source: str) -> list[str]:
        """The names of the children of a source with a task for each URI."""
        branch = self.branch(source)
        assert isinstance(branch, Parts)
        return [child.name for child in branch.supervisor.children()]

    def branch(self, source: str) -> Branch:
        return self.tree._branches[source]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[trio.Nursery]:
        """Hub and tree, running. Leaving ends them, and looks for what they left behind."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.pump.run)
            await nursery.start(self.tree.run)
            await trio.testing.wait_all_tasks_blocked()
            yield nursery
            nursery.cancel_scope.cancel()
        self.expect_no_tasks()

    def expect_no_tasks(self) -> None:
        """No child is left, and nothing is to be stopped later; what is wanted is what somebody does want."""
        expect_no_tasks(self.tree)

    def expect_no_wants(self) -> None:
        """Nobody wants anything."""
        expect_no_wants(self.tree)


def expect_no_tasks(tree: SourceTree) -> None:
    """See `Rig`."""
    assert tree.supervisor.children() == ()
    for branch in tree._branches.values():
        assert branch.next_due() == float("inf")
        if isinstance(branch, Parts):
            assert branch.supervisor.children() == ()


def expect_no_wants(tree: SourceTree) -> None:
    """See `Rig`. A source that always runs wants itself."""
    assert tree._lists == 0
    for name, branch in tree._branches.items():
        assert branch.feed.wanted_count == 0, name
        wants = sum(branch._demand.wants(part) for part in branch._demand)
        assert wants == int(branch.spec.always), name
        if isinstance(branch, Parts):
            assert branch._counted_in == {}
            assert all(feed.wanted_count == 0 for feed in branch._feeds.values())


class Body:
    """A body that counts how often it began, says that it is live, and ends when it is told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.running = 0
        self.times: list[float] = []
        self.values: list[dict[str, object]] = []
        self.crash: Exception | None = None
        self.ends_after = float("inf")
        self.stops_within = 0.0
        self.live_after = 0.0

    async def run(self, feed: Feed) -> None:
        """The body of a source with one task."""
        self.begun += 1
        self.running += 1
        self.times.append(trio.current_time())
        try:
            await trio.sleep(self.live_after)
            if self.crash is not None:
                raise self.crash
            feed.live()
            await trio.sleep(self.ends_after)
        finally:
            try:
                with trio.move_on_after(self.stops_within, shield=True):
                    await trio.sleep_forever()
            finally:
                self.running -= 1

    async def part(self, feed: Feed, id: int) -> None:
        """The body of a source with a task for each URI of `x:{id}`."""
        self.values.append({"id": id})
        await self.run(feed)
