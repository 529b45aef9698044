"""Reads and lists: they want their sources while they last, wait for a first word, and learn how old an answer is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import trio
import trio.testing

from mcptrio.live import Feed, SourceState
from mcptrio.sources import LINGER, READ_PATIENCE
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


async def took(rig: Rig, uri: str) -> float:
    """Seconds that a read of this URI waits."""
    before = trio.current_time()
    async with rig.tree.hold(uri):
        return trio.current_time() - before


async def test_a_read_starts_its_source_and_waits_for_its_first_word(
    rig: Rig, body: Body, autojump_clock: MockClock
) -> None:
    body.live_after = 3
    async with rig.running():
        async with rig.tree.hold("a:1"):
            assert rig.tree.feeds["mail"].state is SourceState.LIVE
            assert rig.tree.feeds["mail"].wanted == {"a:1"}
        assert trio.current_time() == pytest.approx(3)
        assert rig.tree.feeds["mail"].wanted == frozenset()
        assert await took(rig, "a:2") == 0, "it works already"
        assert body.begun == 1
        await trio.sleep(LINGER + 1)
        assert body.running == 0
    rig.expect_no_wants()


async def test_many_reads_at_once_start_it_once_and_all_wait(
    rig: Rig, body: Body, autojump_clock: MockClock
) -> None:
    body.live_after = 3
    waited: list[float] = []

    async def read(number: int) -> None:
        waited.append(await took(rig, f"a:{number % 7}"))

    async with rig.running() as nursery:
        for number in range(100):
            nursery.start_soon(read, number)
        await trio.sleep(4)
        assert waited == [pytest.approx(3)] * 100
        assert body.begun == 1
    rig.expect_no_wants()


async def test_the_wait_ends_when_its_patience_does_and_is_not_repeated(
    rig: Rig, body: Body, autojump_clock: MockClock
) -> None:
    body.live_after = 100
    async with rig.running():
        assert await took(rig, "a:1") == pytest.approx(READ_PATIENCE)
        assert await took(rig, "a:1") == 0, "it had its time"
        rig.subscribe("a:1")
        await trio.sleep(200)
        rig.unsubscribe("a:1")
        await trio.sleep(LINGER + 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(took, rig, "a:1")
            await trio.sleep(4)
            assert await took(rig, "a:2") == pytest.approx(1), (
                "the patience is the source's, not the reader's"
            )
    rig.expect_no_wants()


@pytest.mark.parametrize("word", ["failed", "degraded", "polling"])
async def test_the_wait_ends_with_any_word(rig: Rig, word: str, autojump_clock: MockClock) -> None:
    async def say(feed: Feed) -> None:
        await trio.sleep(2)
        feed.tell(SourceState(word), "why")
        await trio.sleep_forever()

    rig.registry.add_source("mail", say, pattern="a:{id}")
    async with rig.running():
        assert await took(rig, "a:1") == pytest.approx(2)


async def test_the_wait_ends_with_a_crash_and_in_backoff_there_is_none(
    rig: Rig, body: Body, autojump_clock: MockClock
) -> None:
    body.live_after = 1
    body.crash = ConnectionError("refused")
    async with rig.running():
        assert await took(rig, "a:1") == pytest.approx(1)
        assert rig.tree.feeds["mail"].state is SourceState.FAILED
        assert await took(rig, "a:1") == 0
        rig.subscribe("a:1")
        await trio.sleep(100)
        rig.unsubscribe("a:1")


async def test_the_wait_ends_when_the_source_returns_without_a_word_and_then_there_is_none(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async def short(feed: Feed) -> None:
        await trio.sleep(2)

    rig.registry.add_source("mail", short, pattern="a:{id}")
    async with rig.running():
        rig.subscribe("a:9")
        assert await took(rig, "a:1") == pytest.approx(2)
        assert await took(rig, "a:1") == 0
        rig.unsubscribe("a:9")
    rig.expect_no_wants()


async def test_a_read_before_the_tree_runs_does_not_wait(
    rig: Rig, body: Body, autojump_clock: MockClock
) -> None:
    assert await took(rig, "a:1") == 0
    rig.expect_no_wants()


async def test_a_source_that_works_costs_a_checkpoint_and_so_does_none(
    rig: Rig, body: Body, autojump_clock: MockClock
) -> None:
    steps = 0

    class Count(trio.abc.Instrument):
        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            nonlocal steps
            steps += task is mine

    async with rig.running():
        rig.subscribe("a:1")
        await settled()
        mine = trio.lowlevel.current_task()
        instrument = Count()
        for uri in ("a:1", "none:1"):
            trio.lowlevel.add_instrument(instrument)
            steps = 0
            async with rig.tree.hold(uri):
                assert steps == 1
            assert steps == 1
            trio.lowlevel.remove_instrument(instrument)
        with trio.testing.assert_checkpoints():
            async with rig.tree.hold("none:1"):
                pass
        with trio.testing.assert_checkpoints():
            async with rig.tree.hold_list():
                pass
        rig.unsubscribe("a:1")


async def test_a_read_that_is_cancelled_wants_nothing_any_more(
    rig: Rig, body: Body, autojump_clock: MockClock
) -> None:
    body.live_after = 100
    async with rig.running():
        with trio.move_on_after(1) as scope:
            async with rig.tree.hold("a:1"):
                raise AssertionError("not yet")
        assert scope.cancelled_caught
        rig.expect_no_wants()
        with trio.move_on_after(1) as scope:
            async with rig.tree.hold_list():
                raise AssertionError("not yet")
        assert scope.cancelled_caught
        rig.expect_no_wants()
        with pytest.raises(LookupError):
            async with rig.tree.hold("none:1"):
                raise LookupError
        await trio.sleep(LINGER + 1)
        assert body.running == 0


async def test_a_read_of_a_part_waits_for_that_part(rig: Rig, autojump_clock: MockClock) -> None:
    async def watch(feed: Feed, seconds: float) -> None:
        await trio.sleep(seconds)
        feed.live()
        await trio.sleep_forever()

    rig.registry.add_source("each", watch, pattern="x:{seconds}", each=True)
    async with rig.running():
        rig.subscribe("x:100")
        assert await took(rig, "x:2") == pytest.approx(2)
        assert await took(rig, "x:2") == 0
        assert await took(rig, "x:100") == pytest.approx(3)
        assert await took(rig, "x:never") == 0
        rig.unsubscribe("x:100")
        await trio.sleep(LINGER + 1)
        assert rig.parts("each") == []
    rig.expect_no_wants()


async def test_a_list_starts_all_that_may_be_listed_and_waits_for_all_of_them_together(
    rig: Rig, autojump_clock: MockClock
) -> None:
    bodies: list[Body] = []
    for number, seconds in enumerate((1, 4, 100, 2)):
        bodies.append(Body())
        bodies[-1].live_after = seconds
        rig.registry.add_source(f"s{number}", bodies[-1].run, pattern=f"s{number}:{{id}}")
    silent = Body()
    silent.live_after = 1000
    rig.registry.add_source("silent", silent.run)  # of nothing that could be listed, as far as one can tell
    async with rig.running():
        await trio.sleep(50)
        before = trio.current_time()
        async with rig.tree.hold_list():
            assert trio.current_time() - before == pytest.approx(READ_PATIENCE)
            states = [rig.tree.feeds[f"s{number}"].state for number in range(4)]
            assert states == ["live", "live", "starting", "live"]
            assert all(feed.wanted == frozenset() for feed in rig.tree.feeds.values())
        before = trio.current_time()
        async with rig.tree.hold_list():
            assert trio.current_time() == before
        await trio.sleep(LINGER + 1)
        assert [body.running for body in bodies] == [0, 0, 0, 0]
    rig.expect_no_wants()


async def test_a_list_waits_for_a_source_that_always_runs_as_well(
    rig: Rig, autojump_clock: MockClock
) -> None:
    body = Body()
    body.live_after = 3
    rig.registry.add_source("mail", body.run, pattern="a:{id}", always=True)
    async with rig.running():
        before = trio.current_time()
        async with rig.tree.hold_list():
            assert trio.current_time() - before == pytest.approx(3)


async def test_who_is_to_be_told_of_the_list_has_it_watched_until_he_goes(
    rig: Rig, body: Body, autojump_clock: MockClock
) -> None:
    async with rig.running():
        one, two = rig.tree.want_list(), rig.tree.want_list()
        await trio.sleep(100)
        assert body.running == 1
        one()
        one()
        await trio.sleep(100)
        assert body.running == 1
        two()
        await trio.sleep(LINGER + 1)
        assert (body.begun, body.running) == (1, 0)
    rig.expect_no_wants()


async def test_an_answer_is_as_old_as_the_last_working_of_the_source_that_does_not_work(
    rig: Rig, autojump_clock: MockClock
) -> None:
    feeds: dict[str, Feed] = {}

    async def keep(feed: Feed) -> None:
        feeds[feed.name] = feed
        await trio.sleep_forever()

    rig.registry.add_source("one", keep, pattern="a:{id}")
    rig.registry.add_source("two", keep, pattern=["a:{id}", "b:{id}"])
    async with rig.running():
        rig.subscribe("a:1")
        await settled()
        assert rig.tree.as_of("a:1") is None, "neither has ever worked"
        feeds["one"].live()
        feeds["two"].polling()
        assert rig.tree.as_of("a:1") is None
        before = datetime.now(UTC)
        feeds["two"].degraded("slow")
        age = rig.tree.as_of("a:1")
        assert age is not None and before <= age <= datetime.now(UTC)
        feeds["one"].failed("gone")
        assert rig.tree.as_of("a:1") == age == rig.tree.as_of("b:1"), "the older one"
        feeds["two"].live()
        later = rig.tree.as_of("a:1")
        assert later is not None and later >= age
        assert rig.tree.as_of("b:1") is None
        assert rig.tree.as_of("c:1") is None
        rig.unsubscribe("a:1")
