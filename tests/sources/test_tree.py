"""The tree of sources: what somebody wants runs, once; what nobody wants any more is stopped; all of it supervised."""

from __future__ import annotations

import pytest
import structlog
import trio
import trio.testing

from mcptrio.live import Feed, SourceState
from mcptrio.sources import LINGER
from mcptrio.supervision import ChildState, Event
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


async def test_a_source_by_demand_does_not_run_with_nobody_there(
    rig: Rig, body: Body, autojump_clock: MockClock
) -> None:
    async with rig.running():
        rig.subscribe("b:1")
        await trio.sleep(1000)
        assert body.begun == 0
        assert rig.children() == []
        assert rig.tree.feeds["mail"].state is SourceState.IDLE
        rig.unsubscribe("b:1")
    rig.expect_no_wants()


async def test_a_source_without_a_pattern_always_runs(rig: Rig, autojump_clock: MockClock) -> None:
    inlet, both = Body(), Body()
    rig.registry.add_source("inlet", inlet.run)
    rig.registry.add_source("both", both.run, pattern="a:{id}", always=True)
    async with rig.running():
        rig.subscribe("a:1")
        assert rig.tree.feeds["both"].wanted == {"a:1"}
        rig.unsubscribe("a:1")
        await trio.sleep(1000)
        assert (inlet.begun, inlet.running, both.begun, both.running) == (1, 1, 1, 1)
        assert rig.children() == ["inlet", "both"]
    assert (inlet.running, both.running) == (0, 0)
    rig.expect_no_wants()


async def test_a_burst_of_a_thousand_subscriptions_starts_it_once_in_the_same_step(
    rig: Rig, body: Body, autojump_clock: MockClock
) -> None:
    async with rig.running():
        rig.subscribe(*(f"a:{number % 100}" for number in range(1000)))
        assert rig.children() == ["mail"], "started by the first of them, at once"
        assert rig.tree.feeds["mail"].state is SourceState.STARTING
        await settled()
        assert (body.begun, rig.tree.feeds["mail"].state) == (1, SourceState.LIVE)
        assert len(rig.tree.feeds["mail"].wanted) == 100
        rig.unsubscribe(*(f"a:{number % 100}" for number in range(1000)))
        await trio.sleep(LINGER - 1)
        assert body.running == 1
        await trio.sleep(2)
        assert (body.begun, body.running) == (1, 0)
        assert rig.children() == []
        assert (rig.tree.feeds["mail"].state, rig.tree.feeds["mail"].reason) == ("idle", "nobody wants it")
    rig.expect_no_wants()


async def test_the_linger_begins_with_the_end_of_the_last_and_a_want_clears_it(
    rig: Rig, autojump_clock: MockClock
) -> None:
    body = Body()
    rig.registry.add_source("mail", body.run, pattern="a:{id}", linger=5)
    async with rig.running():
        rig.subscribe("a:1", "a:2")
        rig.unsubscribe("a:1")
        await trio.sleep(100)
        assert body.running == 1
        for _ in range(10):
            rig.unsubscribe("a:2")
            await trio.sleep(4.5)
            rig.subscribe("a:2")
            await trio.sleep(100)
        assert (body.begun, body.running) == (1, 1)
        rig.unsubscribe("a:2")
        await trio.sleep(4.9)
        assert body.running == 1
        await trio.sleep(0.2)
        assert body.running == 0
    rig.expect_no_wants()


async def test_without_a_linger_it_stops_at_once(rig: Rig, autojump_clock: MockClock) -> None:
    body = Body()
    rig.registry.add_source("mail", body.run, pattern="a:{id}", linger=0)
    async with rig.running():
        rig.subscribe("a:1")
        await settled()
        rig.unsubscribe("a:1")
        await settled()
        assert (body.begun, body.running) == (1, 0)


async def test_each_source_lingers_for_its_own_time(rig: Rig, autojump_clock: MockClock) -> None:
    short, long = Body(), Body()
    rig.registry.add_source("long", long.run, pattern="a:{id}", linger=50)
    rig.registry.add_source("short", short.run, pattern="a:{id}", linger=5)
    async with rig.running():
        rig.subscribe("a:1")
        rig.unsubscribe("a:1")
        await trio.sleep(6)
        assert (short.running, long.running) == (0, 1)
        await trio.sleep(45)
        assert (short.running, long.running) == (0, 0)


async def test_a_want_while_it_stops_starts_it_again_as_soon_as_it_has_ended(
    rig: Rig, autojump_clock: MockClock
) -> None:
    body = Body()
    body.stops_within = 3
    rig.registry.add_source("mail", body.run, pattern="a:{id}", linger=5)
    async with rig.running():
        rig.subscribe("a:1")
        await settled()
        rig.unsubscribe("a:1")
        await trio.sleep(6)
        [child] = rig.tree.supervisor.children()
        assert (child.state, rig.tree.feeds["mail"].state) == (ChildState.STOPPING, "idle")
        rig.subscribe("a:1")
        assert rig.tree.feeds["mail"].state is SourceState.STARTING
        rig.unsubscribe("a:1")
        rig.subscribe("a:1", "a:2")
        await settled()
        assert body.begun == 1, "not beside the one that is ending"
        await trio.sleep(2.5)
        assert (body.begun, body.running) == (2, 1)
        assert body.times[1] == pytest.approx(body.times[0] + 8)
        rig.unsubscribe("a:1", "a:2")
        await trio.sleep(10)
        assert (body.begun, body.running) == (2, 0)
    rig.expect_no_wants()


async def test_a_source_that_overstays_its_end_is_started_again_after_it(
    rig: Rig, autojump_clock: MockClock
) -> None:
    body = Body()
    body.stops_within = 60
    rig.registry.add_source("mail", body.run, pattern="a:{id}", linger=0)
    async with rig.running():
        rig.subscribe("a:1")
        await settled()
        rig.unsubscribe("a:1")
        await trio.sleep(10)
        rig.subscribe("a:1")
        await trio.sleep(10)
        assert [report.event for report in rig.reported] == [Event.STARTED, Event.OVERSTAYED]
        assert body.begun == 1
        await trio.sleep(45)
        assert (body.begun, body.running) == (2, 1)
        body.stops_within = 0
        rig.unsubscribe("a:1")


async def test_a_source_added_while_the_tree_runs_joins_it(rig: Rig, autojump_clock: MockClock) -> None:
    wanted, unwanted, inlet, lists = Body(), Body(), Body(), Body()
    rig.subscribe("a:1")
    async with rig.running():
        release = rig.tree.want_list()
        rig.registry.add_source("wanted", wanted.run, pattern="a:{id}")
        rig.registry.add_source("each", unwanted.part, pattern="b:{id}", each=True)
        rig.registry.add_source("inlet", inlet.run)
        rig.registry.add_source("lists", lists.run, pattern="c:{id}")
        await settled()
        assert (wanted.begun, unwanted.begun, inlet.begun, lists.begun) == (1, 0, 1, 1)
        assert rig.tree.names() == ("wanted", "each", "inlet", "lists")
        rig.unsubscribe("a:1")
        release()
        await trio.sleep(LINGER + 1)
        assert (wanted.running, inlet.running, lists.running) == (0, 1, 0)
    rig.expect_no_wants()


async def test_one_uri_may_be_of_many_sources(rig: Rig, body: Body, autojump_clock: MockClock) -> None:
    other = Body()
    rig.registry.add_source("other", other.run, pattern=["b:{id}", "a:{id}"])
    async with rig.running():
        rig.subscribe("a:1")
        await settled()
        assert (body.begun, other.begun) == (1, 1)
        rig.subscribe("b:1")
        rig.unsubscribe("a:1")
        await trio.sleep(LINGER + 1)
        assert (body.running, other.running) == (0, 1)
        rig.unsubscribe("b:1")


async def test_a_source_is_started_in_a_clean_context(rig: Rig, autojump_clock: MockClock) -> None:
    seen: list[dict[str, object]] = []

    async def body(feed: Feed) -> None:
        seen.append(structlog.contextvars.get_contextvars())
        await trio.sleep_forever()

    rig.registry.add_source("mail", body, pattern="a:{id}")
    async with rig.running():
        with structlog.contextvars.bound_contextvars(request=7):
            rig.subscribe("a:1")
        await settled()
        rig.unsubscribe("a:1")
    assert seen == [{"source": "mail"}]


async def test_a_fault_in_here_keeps_nobody_from_subscribing(
    rig: Rig, body: Body, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(uri: str) -> None:
        raise LookupError("a bug")

    monkeypatch.setattr(rig.branch("mail"), "want", broken)
    rig.subscribe("a:1")
    assert rig.hub.statistics().subscriptions == 1
    assert "the sources' demand went wrong" in caplog.text


async def test_a_source_is_described(rig: Rig, body: Body, autojump_clock: MockClock) -> None:
    rig.registry.add_source("inlet", Body().run)
    async with rig.running():
        rig.subscribe("a:1", "a:2")
        await settled()
        found = rig.tree.describe("mail")
        assert found is not None
        assert (found.name, found.state, found.reason, found.demand) == ("mail", "live", "", True)
        assert (found.wanted, found.restarts, found.last_error, found.parts) == (2, 0, "", ())
        assert found.since == rig.tree.feeds["mail"].since_at
        other = rig.tree.describe("inlet")
        assert other is not None and not other.demand
        assert rig.tree.describe("nobody") is None
        rig.unsubscribe("a:1", "a:2")
