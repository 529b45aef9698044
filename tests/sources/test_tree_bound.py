"""Clients decide which parts are wanted; how many run at once is bounded, and what waits is told of and served in turn."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from mcptrio.introspection.source_document import source_document
from mcptrio.live import Feed, SourceState
from mcptrio.sources.branch import FULL
from mcptrio.sources.spec import MOST
from mcptrio.supervision import Event
from tests.sources.rig import Rig

MockClock = trio.testing.MockClock
settled = trio.testing.wait_all_tasks_blocked


@pytest.fixture
def rig() -> Rig:
    return Rig()


class Parts:
    """Which parts run, and how many at most ever did."""

    def __init__(self, *, stops_within: float = 0.0) -> None:
        self.running: set[int] = set()
        self.most = 0
        self._stops_within = stops_within

    async def run(self, feed: Feed, number: int) -> None:
        self.running.add(number)
        self.most = max(self.most, len(self.running))
        try:
            feed.live()
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(self._stops_within, shield=True):
                await trio.sleep_forever()
            self.running.discard(number)


def add(rig: Rig, most: int | None = None, *, stops_within: float = 0.0) -> Parts:
    parts = Parts(stops_within=stops_within)
    rig.registry.add_source("each", parts.run, pattern="x:{number}", each=True, linger=30, most=most)
    return parts


def state(rig: Rig, uri: str) -> tuple[SourceState, str]:
    feed = rig.branch("each").feed_of(uri)
    assert feed is not None
    return feed.state, feed.reason


async def test_ten_thousand_wanted_uris_start_no_more_tasks_than_may_run(
    rig: Rig, autojump_clock: MockClock
) -> None:
    parts = add(rig)
    uris = [f"x:{number}" for number in range(10_000)]
    async with rig.running():
        rig.subscribe(*uris)
        await settled()
        assert parts.running == set(range(MOST))
        description = rig.tree.describe("each")
        assert description is not None
        assert (description.state, description.wanted) == (SourceState.DEGRADED, 10_000)
        assert sum(name == "each" for name, _, _ in rig.states) < 10, "it is told once that the others wait"
        assert (len(source_document(description).parts), source_document(description).truncated) == (
            1000,
            True,
        )
        rig.unsubscribe(*uris)
        assert sum(name == "each" for name, _, _ in rig.states) < 20
        await trio.sleep(31)
        assert (parts.running, parts.most) == (set(), MOST)
    rig.expect_no_wants()


async def test_what_waits_says_so_and_is_started_in_turn_as_soon_as_somebody_has_no_more_use_for_a_task(
    rig: Rig, autojump_clock: MockClock
) -> None:
    parts = add(rig, 2)
    async with rig.running():
        rig.subscribe("x:1", "x:2", "x:3", "x:4")
        await settled()
        assert parts.running == {1, 2}
        assert state(rig, "x:3") == state(rig, "x:4") == (SourceState.DEGRADED, FULL)
        assert rig.tree.feeds["each"].state == "degraded"
        at = trio.current_time()
        rig.unsubscribe("x:1")
        await settled()
        assert trio.current_time() == at, "nothing lingers while something waits"
        assert (parts.running, state(rig, "x:3")) == ({2, 3}, (SourceState.LIVE, ""))
        rig.unsubscribe("x:4")
        rig.unsubscribe("x:2")
        await settled()
        assert parts.running == {2, 3}, "nothing waits: it lingers"
        assert rig.tree.feeds["each"].state == "live"
        rig.unsubscribe("x:3")
    assert parts.most == 2
    rig.expect_no_wants()


async def test_reads_of_ever_other_uris_run_no_more_tasks_than_may_run_and_all_get_one(
    rig: Rig, autojump_clock: MockClock
) -> None:
    parts = add(rig, 5, stops_within=0.5)
    async with rig.running():
        for number in range(50):
            async with rig.tree.hold(f"x:{number}"):
                assert number in parts.running, "it waited for the task that lingered longest to end"
        assert parts.most == 5
    rig.expect_no_wants()


async def test_a_read_of_what_waits_for_its_turn_does_not_wait(rig: Rig, autojump_clock: MockClock) -> None:
    add(rig, 1)
    async with rig.running():
        rig.subscribe("x:1")
        await settled()
        at = trio.current_time()
        async with rig.tree.hold("x:2"):
            assert trio.current_time() == at
            assert state(rig, "x:2") == (SourceState.DEGRADED, FULL)
        rig.unsubscribe("x:1")
    rig.expect_no_wants()


async def test_a_task_that_ends_by_itself_and_one_that_crashes_for_ever_make_room_or_do_not(
    rig: Rig, autojump_clock: MockClock
) -> None:
    begun: list[str] = []

    async def run(feed: Feed, id: str) -> None:
        begun.append(id)
        if id == "crashes":
            raise OSError("no")
        await trio.sleep(10)

    rig.registry.add_source("each", run, pattern="x:{id}", each=True, most=1)
    async with rig.running():
        rig.subscribe("x:a", "x:b", "x:crashes", "x:c")
        await trio.sleep(25)
        assert begun[:3] == ["a", "b", "crashes"]
        await trio.sleep(100)
        assert "c" not in begun, "what is about to be restarted has its place"
        rig.unsubscribe("x:crashes")
        await settled()
        assert begun[-1] == "c"
        rig.unsubscribe("x:a", "x:b", "x:c")
    rig.expect_no_wants()


async def test_what_waited_when_the_tree_ended_waits_again_when_it_runs_again(
    rig: Rig, autojump_clock: MockClock
) -> None:
    parts = add(rig, 1)
    rig.subscribe("x:1", "x:2")
    for _ in range(2):
        async with rig.running():
            assert (parts.running, state(rig, "x:2")) == ({1}, (SourceState.DEGRADED, FULL))
        assert parts.running == set()
        assert state(rig, "x:2")[0] is SourceState.IDLE
    rig.unsubscribe("x:1", "x:2")
    rig.expect_no_wants()


async def test_all_parts_failing_of_one_cause_are_each_paced_by_their_backoff_and_give_nothing_up(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async def run(feed: Feed, number: int) -> None:
        raise OSError("the service is down")

    rig.registry.add_source("each", run, pattern="x:{number}", each=True)
    async with rig.running():
        rig.subscribe(*(f"x:{number}" for number in range(MOST)))
        await trio.sleep(5)
        restarts = sum(report.event is Event.RESTARTING for report in rig.reported)
        assert restarts > MOST
        assert not any(report.event is Event.ESCALATED for report in rig.reported)
        rig.unsubscribe(*(f"x:{number}" for number in range(MOST)))
    rig.expect_no_wants()
