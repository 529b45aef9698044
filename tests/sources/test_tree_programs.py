"""Random lives of the tree: who comes, reads and goes, and what crashes, returns or overstays, in any order."""

from __future__ import annotations

import math
from collections import Counter
from functools import partial

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from mcptrio.live import Feed
from mcptrio.sources.parts import Parts
from mcptrio.supervision import Supervisor
from tests.sources.rig import Rig

pytestmark = pytest.mark.unmeasured

LINGER = 5.0
URIS = ("a:1", "a:2", "x:1", "x:2")

Step = tuple[str, str, float]

steps = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "subscribe",
                "unsubscribe",
                "read",
                "list",
                "kill",
                "return",
                "crash",
                "hang",
                "sleep",
                "restart",
            ]
        ),
        st.sampled_from(URIS),
        st.sampled_from([0.0, 0.1, 1.0, LINGER - 0.5, LINGER + 0.5, 40.0]),
    ),
    max_size=40,
)


class World:
    """A source with one task, one with a task for each URI, and the wishes of the program."""

    def __init__(self, stops_within: float) -> None:
        self.stops_within = stops_within
        self.rig = Rig()
        self.bodies: Counter[str] = Counter()
        self.wish: dict[str, str] = {}
        """What the body of a part is to do next: `crash` or `return`."""
        self.wishes = trio.lowlevel.ParkingLot()
        self.rig.registry.add_source("one", self.one, pattern="a:{id}", linger=LINGER)
        self.rig.registry.add_source("each", self.each, pattern="x:{id}", each=True, linger=LINGER)
        self.subscribed: list[str] = []
        self.reads = 0

    async def one(self, feed: Feed) -> None:
        await self.body("one", feed)

    async def each(self, feed: Feed, id: int) -> None:
        await self.body(f"x:{id}", feed)

    async def body(self, part: str, feed: Feed) -> None:
        self.bodies[part] += 1
        assert self.bodies[part] == 1, "never two bodies of one part"
        try:
            await trio.sleep(0.2)
            feed.live()
            while True:
                match self.wish.pop(part, None):
                    case "crash":
                        raise ConnectionError("as was wished")
                    case "return":
                        return
                await self.wishes.park()
        finally:
            try:
                with trio.move_on_after(self.stops_within, shield=True):
                    await trio.sleep_forever()
            finally:
                self.bodies[part] -= 1

    def supervisor_of(self, part: str) -> Supervisor:
        if part == "one":
            return self.rig.tree.supervisor
        branch = self.rig.branch("each")
        assert isinstance(branch, Parts)
        return branch.supervisor

    async def read(self, uri: str | None, seconds: float) -> None:
        tree = self.rig.tree
        self.reads += 1
        with trio.move_on_after(seconds):
            async with tree.hold_list() if uri is None else tree.hold(uri):
                await trio.sleep_forever()
        self.reads -= 1

    def wanted(self, part: str) -> bool:
        return any(uri.startswith("a:") if part == "one" else uri == part for uri in self.subscribed)

    async def run(self, program: list[Step]) -> None:
        while True:
            async with self.rig.running() as nursery:
                rest = await self.live(program, nursery)
            self.rig.expect_no_tasks()
            assert sum(self.bodies.values()) == 0
            if rest is None:
                return
            program = rest

    async def live(self, program: list[Step], nursery: trio.Nursery) -> list[Step] | None:
        """One run of the tree; returns what is left of the program if that wants another one."""
        for number, (what, uri, seconds) in enumerate(program):
            part = "one" if uri.startswith("a:") else uri
            match what:
                case "subscribe":
                    self.rig.subscribe(uri)
                    self.subscribed.append(uri)
                case "unsubscribe" if uri in self.subscribed:
                    self.rig.unsubscribe(uri)
                    self.subscribed.remove(uri)
                case "read":
                    nursery.start_soon(self.read, uri, seconds)
                case "list":
                    nursery.start_soon(self.read, None, seconds)
                case "kill" if self.bodies[part]:
                    self.supervisor_of(part).exit_child(part, LookupError("killed"))
                case "crash" | "return":
                    self.wish[part] = what
                    self.wishes.unpark_all()
                case "restart":
                    return program[number + 1 :]
            if seconds:
                await trio.sleep(seconds)
            await trio.testing.wait_all_tasks_blocked()
            self.check()
        await trio.sleep(40)
        for uri in self.subscribed:
            self.rig.unsubscribe(uri)
        self.subscribed.clear()
        assert self.reads == 0
        self.rig.expect_no_wants()
        await trio.sleep(LINGER + 20)
        assert sum(self.bodies.values()) == 0, "nobody wants anything"
        assert self.rig.children() == ["each"]
        assert self.rig.parts("each") == []
        assert {feed.state for feed in self.rig.tree.feeds.values()} == {"idle"}
        assert all(branch.next_due() == math.inf for branch in self.rig.tree._branches.values())
        return None

    def check(self) -> None:
        for part in ("one", "x:1", "x:2"):
            known = [child.name for child in self.supervisor_of(part).children()]
            if self.wanted(part):
                # It runs, is about to be started again, ends in order to be started again, or has returned.
                assert part in known
            assert known.count(part) <= 1
            assert not self.bodies[part] or part in known


@settings(max_examples=300)
@given(steps, st.sampled_from([0.0, 3.0, 8.0]))
def test_whatever_happens_what_is_wanted_has_one_task_and_nothing_is_left(
    program: list[Step], stops_within: float
) -> None:
    """Tasks end at once, within the time that they are given for it, or beyond that."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(partial(World(stops_within).run, program), clock=clock)
