"""Sources that end: by a crash, by themselves, by somebody's hand, and with the tree."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from mcptrio.live import SourceState
from mcptrio.sources import LINGER
from mcptrio.supervision import Escalation
from tests.sources.rig import Body, Rig

MockClock = trio.testing.MockClock
settled = trio.testing.wait_all_tasks_blocked


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def body(rig: Rig) -> Body:
    """A source by demand, of `a:{id}`."""
    body = Body()
    rig.registry.add_source("mail", body.run, pattern="a:{id}")
    return body


async def test_a_source_that_crashes_comes_back_as_long_as_somebody_wants_it(
    rig: Rig, body: Body, autojump_clock: MockClock
) -> None:
    body.crash = ConnectionError("refused")
    async with rig.running():
        rig.subscribe("a:1")
        await settled()
        assert rig.states[-1] == ("mail", SourceState.FAILED, "ConnectionError: refused")
        await trio.sleep(100)
        assert body.begun > 5
        description = rig.tree.describe("mail")
        assert description is not None
        assert description.restarts >= body.begun - 1
        assert description.last_error == "ConnectionError: refused"
        rig.unsubscribe("a:1")
        await trio.sleep(LINGER + 1)
        begun = body.begun
        assert rig.children() == []
        assert rig.tree.feeds["mail"].state is SourceState.IDLE
        await trio.sleep(1000)
        assert body.begun == begun
    rig.expect_no_wants()


async def test_a_source_that_is_ended_from_outside_has_failed_and_comes_back(
    rig: Rig, body: Body, autojump_clock: MockClock
) -> None:
    async with rig.running():
        rig.subscribe("a:1")
        await settled()
        rig.tree.supervisor.exit_child("mail", LookupError("killed"))
        await settled()
        feed = rig.tree.feeds["mail"]
        assert (feed.state, feed.reason) == ("failed", "LookupError: killed")
        assert feed.as_of is not None
        await trio.sleep(1)
        assert (body.begun, body.running, feed.state, feed.as_of) == (2, 1, "live", None)
        rig.unsubscribe("a:1")


async def test_a_source_that_returned_stays_idle_until_all_have_gone_and_somebody_comes(
    rig: Rig, body: Body, autojump_clock: MockClock
) -> None:
    body.ends_after = 1
    async with rig.running():
        rig.subscribe("a:1")
        await trio.sleep(2)
        feed = rig.tree.feeds["mail"]
        assert (feed.state, feed.reason) == ("idle", "its function has returned")
        rig.subscribe("a:1", "a:2")
        rig.unsubscribe("a:1", "a:2")
        await trio.sleep(100)
        assert body.begun == 1
        rig.unsubscribe("a:1")
        assert rig.children() == []
        rig.subscribe("a:1")
        await trio.sleep(2)
        assert body.begun == 2
        rig.unsubscribe("a:1")
    rig.expect_no_wants()


async def test_a_source_that_returned_while_it_lingered_is_gone(
    rig: Rig, body: Body, autojump_clock: MockClock
) -> None:
    body.ends_after = 1
    async with rig.running():
        rig.subscribe("a:1")
        rig.unsubscribe("a:1")
        await trio.sleep(2)
        assert rig.children() == []
        rig.subscribe("a:1")
        await settled()
        assert body.begun == 2
        rig.unsubscribe("a:1")


async def test_a_source_that_somebody_stops_by_hand_stays_stopped_and_can_be_started_by_hand(
    rig: Rig, body: Body, autojump_clock: MockClock
) -> None:
    async with rig.running():
        rig.subscribe("a:1")
        await settled()
        await rig.tree.supervisor.stop_child("mail")
        feed = rig.tree.feeds["mail"]
        assert (feed.state, feed.reason) == ("idle", "it was stopped")
        rig.subscribe("a:2")
        await trio.sleep(100)
        assert body.begun == 1
        await rig.tree.supervisor.restart_child("mail")
        await settled()
        assert (body.begun, feed.state) == (2, "live")
        await rig.tree.supervisor.stop_child("mail")
        rig.unsubscribe("a:1", "a:2")
        assert rig.children() == []
        rig.subscribe("a:1")
        await settled()
        assert body.begun == 3
        rig.unsubscribe("a:1")
    rig.expect_no_wants()


async def test_wants_outlive_the_run_and_are_served_by_the_next(
    rig: Rig, body: Body, autojump_clock: MockClock
) -> None:
    rig.subscribe("a:1")
    assert body.begun == 0
    for run in (1, 2, 3):
        async with rig.running():
            assert (body.begun, body.running) == (run, 1)
            assert rig.tree.feeds["mail"].wanted == {"a:1"}
        assert body.running == 0
        assert rig.tree.feeds["mail"].state is SourceState.IDLE
    rig.unsubscribe("a:1")
    async with rig.running():
        await trio.sleep(100)
        assert body.begun == 3
    rig.expect_no_wants()


async def test_what_lingers_when_the_tree_ends_does_not_come_back_with_the_next(
    rig: Rig, body: Body, autojump_clock: MockClock
) -> None:
    async with rig.running():
        rig.subscribe("a:1")
        await settled()
        rig.unsubscribe("a:1")
    async with rig.running():
        assert rig.children() == []
    assert body.begun == 1


async def test_a_source_that_returned_runs_again_with_the_next_run(
    rig: Rig, autojump_clock: MockClock
) -> None:
    body = Body()
    body.ends_after = 0
    rig.registry.add_source("once", body.run)
    for run in (1, 2):
        async with rig.running():
            await trio.sleep(10)
            assert body.begun == run


async def test_wants_that_come_while_the_tree_ends_are_served_by_the_next_run(
    rig: Rig, body: Body, autojump_clock: MockClock
) -> None:
    slow = Body()
    slow.stops_within = 3
    rig.registry.add_source("slow", slow.run)
    async with rig.running() as nursery:
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await trio.sleep_forever()
        rig.subscribe("a:1")
        assert rig.children() == ["slow"]
    assert (body.begun, rig.tree.feeds["mail"].state) == (0, "idle")
    async with rig.running():
        assert (body.begun, slow.begun) == (1, 2)
        rig.unsubscribe("a:1")


async def test_a_tree_that_gives_up_says_so_and_starts_what_is_wanted_when_it_runs_again(
    rig: Rig, body: Body, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(rig.tree.supervisor._machine._intensity, "max_restarts", 0)
    rig.subscribe("a:1")
    with pytest.RaisesGroup(Escalation):
        async with trio.open_nursery() as nursery:
            await nursery.start(rig.tree.run)
            await settled()
            rig.tree.supervisor.exit_child("mail", LookupError("killed"))
            await trio.sleep_forever()
    rig.expect_no_tasks()
    async with rig.running():
        assert body.running == 1
        rig.unsubscribe("a:1")


async def test_who_listens_to_states_and_fails_ends_neither_a_source_nor_the_tree(
    rig: Rig, autojump_clock: MockClock
) -> None:
    def fails(source: str, state: SourceState, reason: str) -> None:
        raise LookupError(source)

    rig.tree.on_state(fails)
    told: list[str] = []
    rig.tree.on_state(lambda source, state, reason: told.append(state))
    inlet = Body()
    rig.registry.add_source("inlet", inlet.run)
    async with rig.running():
        await trio.sleep(10)
        assert (inlet.begun, inlet.running) == (1, 1)
    assert told == ["starting", "live", "idle"]
