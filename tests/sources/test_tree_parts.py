"""Sources with a task for each wanted URI: started and stopped each for itself, and alone in their crashes."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from mcptrio.live import Feed, SourceState
from mcptrio.sources import LINGER
from mcptrio.sources import parts as parts_module
from mcptrio.supervision import Escalation, Event
from tests.sources.rig import Body, Rig

MockClock = trio.testing.MockClock
settled = trio.testing.wait_all_tasks_blocked


@pytest.fixture
def rig() -> Rig:
    return Rig()


class Watcher:
    """Tells of itself by URI: how often each part was begun, and what each is to do."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.running: set[int] = set()
        self.crash: set[int] = set()
        self.checkpoints: list[tuple[int, object]] = []

    async def run(self, feed: Feed, number: int) -> None:
        self.begun.append(number)
        self.checkpoints.append((number, feed.checkpoint))
        assert feed.name == "each"
        self.running.add(number)
        try:
            if number in self.crash:
                raise ConnectionError(f"no {number}")
            feed.live()
            await feed.updated(f"x:{number}", checkpoint=len(self.begun))
            await trio.sleep_forever()
        finally:
            self.running.discard(number)


@pytest.fixture
def each(rig: Rig) -> Watcher:
    watcher = Watcher()
    rig.registry.add_source("each", watcher.run, pattern="x:{number}", each=True, linger=5)
    return watcher


async def test_each_wanted_uri_has_a_task_of_its_own_with_the_variables_converted(
    rig: Rig, each: Watcher, autojump_clock: MockClock
) -> None:
    async with rig.running():
        assert rig.children() == ["each"], "its supervisor, in which there is nothing yet"
        rig.subscribe("x:1", "x:2", "x:1", "x:one", "y:1")
        assert rig.parts("each") == ["x:1", "x:2"]
        await settled()
        assert sorted(each.begun) == [1, 2]
        assert rig.tree.feeds["each"].wanted == {"x:1", "x:2"}
        rig.unsubscribe("x:1", "x:2")
        await trio.sleep(6)
        assert each.running == {1}
        assert rig.parts("each") == ["x:1"]
        rig.unsubscribe("x:1", "x:one", "y:1")
        await trio.sleep(6)
        assert rig.parts("each") == []
    rig.expect_no_wants()


async def test_a_part_knows_that_it_is_wanted(rig: Rig, autojump_clock: MockClock) -> None:
    seen: list[tuple[str, frozenset[str]]] = []

    async def watch(feed: Feed, id: str) -> None:
        seen.append((id, feed.wanted))
        await trio.sleep_forever()

    rig.registry.add_source("each", watch, pattern="x:{id}", each=True)
    async with rig.running():
        rig.subscribe("x:a", "x:b")
        await settled()
        assert sorted(seen) == [("a", {"x:a"}), ("b", {"x:b"})]
        rig.unsubscribe("x:a", "x:b")


async def test_a_thousand_parts_start_at_once_and_stop_at_once(
    rig: Rig, each: Watcher, autojump_clock: MockClock
) -> None:
    uris = [f"x:{number}" for number in range(1000)]
    async with rig.running():
        rig.subscribe(*uris, *uris)
        await settled()
        assert sorted(each.begun) == list(range(1000))
        rig.unsubscribe(*uris, *uris)
        at = trio.current_time()
        await trio.sleep(5.1)
        assert each.running == set()
        assert trio.current_time() == at + 5.1
    rig.expect_no_wants()


async def test_a_part_that_crashes_is_restarted_alone(
    rig: Rig, each: Watcher, autojump_clock: MockClock
) -> None:
    async with rig.running():
        each.crash.add(2)
        rig.subscribe("x:1", "x:2", "x:3")
        await trio.sleep(10)
        assert each.begun.count(2) > 3
        assert (each.begun.count(1), each.begun.count(3), each.running) == (1, 1, {1, 3})
        crashed = {report.child for report in rig.reported if report.event is Event.RESTARTING}
        assert crashed == {"x:2"}
        assert {report.supervisor for report in rig.reported if report.child == "x:2"} == {"each"}
        each.crash.clear()
        await trio.sleep(60)
        assert each.running == {1, 2, 3}
        rig.unsubscribe("x:1", "x:2", "x:3")
    rig.expect_no_wants()


async def test_the_source_is_as_the_worst_of_its_wanted_parts(
    rig: Rig, each: Watcher, autojump_clock: MockClock
) -> None:
    feed = rig.tree.feeds["each"]
    async with rig.running():
        assert feed.state is SourceState.IDLE
        each.crash.update({2, 3})
        rig.subscribe("x:1")
        assert feed.state is SourceState.STARTING
        await settled()
        assert (feed.state, feed.reason) == ("live", "")
        rig.subscribe("x:2")
        await settled()
        assert (feed.state, feed.reason) == ("failed", "x:2: ConnectionError: no 2")
        rig.subscribe("x:3")
        await settled()
        assert feed.reason == "x:2: ConnectionError: no 2", "the one that has been so for longest"
        rig.unsubscribe("x:2")  # it runs on for a while, but nobody cares
        assert (feed.state, feed.reason) == ("failed", "x:3: ConnectionError: no 3")
        rig.unsubscribe("x:3")
        assert (feed.state, feed.reason) == ("live", "")
        rig.unsubscribe("x:1")
        assert (feed.state, feed.reason) == ("live", ""), "as it was, while what runs lingers"
        await trio.sleep(60)
        assert (feed.state, feed.reason) == ("idle", "nobody wants it")
    assert rig.states[0] == ("each", SourceState.STARTING, "")
    assert rig.states[-1] == ("each", SourceState.IDLE, "nobody wants it")


@pytest.mark.parametrize(
    ("words", "worst"),
    [
        (["live", "polling"], "polling"),
        (["live", "idle"], "live"),
        (["starting", "polling"], "starting"),
        (["starting", "degraded", "live"], "degraded"),
        (["degraded", "failed", "starting"], "failed"),
    ],
)
async def test_which_state_is_worse(
    rig: Rig, autojump_clock: MockClock, words: list[str], worst: str
) -> None:
    async def watch(feed: Feed, word: str) -> None:
        if word == "idle":
            return
        feed.tell(SourceState(word))
        await trio.sleep_forever()

    rig.registry.add_source("each", watch, pattern="x:{word}", each=True)
    async with rig.running():
        uris = [f"x:{word}" for word in words]
        rig.subscribe(*uris)
        await settled()
        assert rig.tree.feeds["each"].state == worst
        rig.unsubscribe(*uris)


async def test_each_part_has_its_own_state_age_and_checkpoint(
    rig: Rig, each: Watcher, autojump_clock: MockClock
) -> None:
    async with rig.running():
        rig.subscribe("x:1", "x:2")
        await settled()
        rig.unsubscribe("x:2")
        await trio.sleep(6)
        one, two = rig.branch("each").feed_of("x:1"), rig.branch("each").feed_of("x:2")
        assert one is not None and two is not None
        assert (one.state, two.state, two.reason) == ("live", "idle", "nobody wants it")
        assert rig.tree.as_of("x:1") is None
        assert rig.tree.as_of("x:2") == two.as_of is not None
        assert {one.checkpoint, two.checkpoint} == {1, 2}
        kept = two.checkpoint
        rig.subscribe("x:2")
        await settled()
        assert each.checkpoints[-1] == (2, kept)
        assert rig.branch("each").feed_of("x:2") is two
        rig.unsubscribe("x:1", "x:2")
    rig.expect_no_wants()


async def test_parts_that_nobody_wants_are_kept_up_to_a_bound_and_the_oldest_begins_anew(
    rig: Rig, each: Watcher, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(parts_module, "KEPT", 3)
    async with rig.running():
        for number in range(5):
            rig.subscribe(f"x:{number}")
            await settled()
            rig.unsubscribe(f"x:{number}")
            await trio.sleep(6)
        known = [number for number in range(5) if rig.branch("each").feed_of(f"x:{number}") is not None]
        assert known == [2, 3, 4]
        rig.subscribe("x:2")  # wanted again: not the oldest any more
        await settled()
        rig.subscribe("x:0")
        await settled()
        assert each.checkpoints[-2:] == [(2, 3), (0, None)]
        rig.unsubscribe("x:2", "x:0")
        await trio.sleep(6)
        known = [number for number in range(5) if rig.branch("each").feed_of(f"x:{number}") is not None]
        assert known == [0, 2, 4]
    rig.expect_no_wants()


async def test_what_is_wanted_or_runs_is_never_dropped(
    rig: Rig, each: Watcher, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(parts_module, "KEPT", 0)
    async with rig.running():
        rig.subscribe("x:1", "x:2")
        await settled()
        rig.unsubscribe("x:2")
        await trio.sleep(4)
        assert rig.branch("each").feed_of("x:2") is not None
        await trio.sleep(2)
        assert rig.branch("each").feed_of("x:2") is None
        assert rig.branch("each").feed_of("x:1") is not None
        rig.unsubscribe("x:1")
    rig.expect_no_wants()


async def test_a_part_that_returned_rests_until_it_is_wanted_anew(
    rig: Rig, autojump_clock: MockClock
) -> None:
    body = Body()
    body.ends_after = 1
    rig.registry.add_source("each", body.part, pattern="x:{id}", each=True)
    async with rig.running():
        rig.subscribe("x:1")
        await trio.sleep(2)
        rig.subscribe("x:1")
        await settled()
        assert body.begun == 1
        assert rig.tree.feeds["each"].state is SourceState.IDLE
        rig.unsubscribe("x:1", "x:1")
        assert rig.parts("each") == []
        rig.subscribe("x:1")
        await settled()
        assert body.begun == 2
        rig.unsubscribe("x:1")


async def test_a_part_that_is_wanted_while_it_stops_starts_again_after_it(
    rig: Rig, autojump_clock: MockClock
) -> None:
    body = Body()
    body.stops_within = 3
    rig.registry.add_source("each", body.part, pattern="x:{id}", each=True, linger=1)
    async with rig.running():
        rig.subscribe("x:1")
        await settled()
        rig.unsubscribe("x:1")
        await trio.sleep(2)
        rig.subscribe("x:1")
        assert rig.tree.feeds["each"].state is SourceState.STARTING
        await trio.sleep(3)
        assert (body.begun, body.running) == (2, 1)
        rig.unsubscribe("x:1")


async def test_the_parts_of_a_run_end_with_it_and_those_that_are_wanted_begin_with_the_next(
    rig: Rig, each: Watcher, autojump_clock: MockClock
) -> None:
    rig.subscribe("x:1", "x:2")
    async with rig.running():
        await settled()
        assert each.running == {1, 2}
        rig.unsubscribe("x:2")
    assert each.running == set()
    async with rig.running():
        await settled()
        assert each.running == {1}
        rig.unsubscribe("x:1")
    rig.expect_no_wants()


async def test_a_source_whose_supervisor_gives_up_has_failed_and_comes_back_with_what_is_wanted(
    rig: Rig, each: Watcher, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    branch = rig.branch("each")
    assert isinstance(branch, parts_module.Parts)
    monkeypatch.setattr(branch.supervisor._machine._intensity, "max_restarts", 0)
    async with rig.running():
        rig.subscribe("x:1", "x:2")
        await settled()
        branch.supervisor.exit_child("x:1", LookupError("killed"))
        await settled()
        assert rig.tree.feeds["each"].state is SourceState.FAILED
        assert branch.last_error.startswith("Escalation: ")
        assert any(report.child == "each" and isinstance(report.error, Escalation) for report in rig.reported)
        rig.subscribe("x:3")
        rig.unsubscribe("x:2")
        await trio.sleep(1)
        assert each.running == {1, 3}
        assert rig.tree.feeds["each"].state is SourceState.LIVE
        branch.supervisor.exit_child("x:1", LookupError("killed"))
        rig.unsubscribe("x:1", "x:3")
        await settled()
        assert rig.tree.feeds["each"].state is SourceState.FAILED
        await trio.sleep(1)
        assert rig.tree.feeds["each"].state is SourceState.IDLE, "it is there again, and nobody wants it"
    rig.expect_no_wants()


async def test_lists_start_no_parts(rig: Rig, each: Watcher, autojump_clock: MockClock) -> None:
    async with rig.running():
        release = rig.tree.want_list()
        async with rig.tree.hold_list():
            await settled()
            assert each.begun == []
        release()
    rig.expect_no_wants()


async def test_parts_are_described_up_to_a_bound(rig: Rig, each: Watcher, autojump_clock: MockClock) -> None:
    async with rig.running():
        uris = [f"x:{number}" for number in range(1100)]
        each.crash.add(1)
        rig.subscribe(*uris)
        await settled()
        found = rig.tree.describe("each")
        assert found is not None
        assert (found.wanted, len(found.parts), found.restarts) == (1100, 1001, 1)
        assert found.last_error == "ConnectionError: no 1"
        states = {part.uri: (part.state, part.reason) for part in found.parts}
        assert states["x:0"] == ("live", "")
        assert states["x:1"] == ("failed", "ConnectionError: no 1")
        rig.unsubscribe(*uris)
    rig.expect_no_wants()


def test_ten_thousand_are_kept() -> None:
    assert parts_module.KEPT == 10_000
    assert LINGER == 30
