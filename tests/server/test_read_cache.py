"""The read cache: one run for all, nothing old, and whoever leaves takes nothing from the others."""

from __future__ import annotations

import math
from collections.abc import Hashable

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from mcptrio.live import Change, Hub, Outbox
from mcptrio.protocol import Failure, RpcError
from mcptrio.protocol.types import ResourceContents
from mcptrio.server.kept_reads import PUBLIC
from mcptrio.server.read_cache import ReadCache

URI = "note:1"
SECONDS = 10.0


class Desk:
    """A cache, and a handler that takes time: it gives the version of the resource that it saw as it began."""

    def __init__(self, takes: float = 1.0, limit: int = 10**6) -> None:
        self.hub = Hub()
        self.cache = ReadCache(self.hub, limit)
        self.takes = takes
        self.versions: dict[str, int] = {}
        self.runs = 0
        self.answers: list[int] = []
        self.failure: Exception | None = None

    def publish(self, uri: str = URI) -> None:
        self.versions[uri] = self.versions.get(uri, 0) + 1
        self.hub.publish(Change(uri=uri))

    async def handler(self, uri: str = URI, takes: float | None = None) -> list[ResourceContents]:
        self.runs += 1
        seen = str(self.versions.get(uri, 0))
        await trio.sleep(self.takes if takes is None else takes)
        if self.failure is not None:
            raise self.failure
        return [ResourceContents(uri=uri, text=seen)]

    async def read(
        self, scope: Hashable = None, uri: str = URI, takes: float | None = None
    ) -> tuple[int, float]:
        """The version that was got, and for how long it is good."""
        contents, good_for = await self.cache.read(uri, scope, 1, SECONDS, lambda: self.handler(uri, takes))
        assert isinstance(contents[0].text, str)
        self.answers.append(int(contents[0].text))
        return self.answers[-1], good_for

    def expect_nothing_left(self) -> None:
        assert self.cache._waited == {}
        assert self.cache._table.running == 0


async def test_what_was_read_is_given_again_until_its_time_is_over() -> None:
    desk = Desk()
    assert await desk.read() == (0, SECONDS)
    await trio.sleep(4)
    assert (await desk.read())[1] == pytest.approx(SECONDS - 4)
    await trio.sleep(5.5)
    assert (await desk.read())[1] == pytest.approx(0.5)
    assert desk.runs == 1
    await trio.sleep(0.75)
    assert await desk.read() == (0, SECONDS)
    assert desk.runs == 2
    assert desk.answers == [0] * 4
    desk.expect_nothing_left()


async def test_those_who_read_the_same_at_the_same_time_share_one_run() -> None:
    desk = Desk()
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(desk.read)
    assert desk.answers == [0] * 20
    assert desk.runs == 1
    statistics = desk.cache.statistics()
    assert (statistics.misses, statistics.coalesced, statistics.hits) == (1, 19, 0)
    assert (statistics.entries, statistics.dropped) == (1, 0)
    desk.expect_nothing_left()


async def test_a_run_that_began_before_a_change_is_for_those_alone_who_came_before_it() -> None:
    desk = Desk()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.read)
        nursery.start_soon(desk.read)
        await trio.testing.wait_all_tasks_blocked()
        desk.publish()
        assert await desk.read() == (1, SECONDS)
    assert sorted(desk.answers) == [0, 0, 1]
    assert desk.runs == 2
    assert (await desk.read())[0] == 1
    assert desk.runs == 2, "what the later run gave is kept, and the earlier one has not replaced it"
    desk.expect_nothing_left()


async def test_a_run_that_ends_after_a_later_one_does_not_take_its_place() -> None:
    desk = Desk(takes=5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.read)
        await trio.testing.wait_all_tasks_blocked()
        desk.publish()
        assert (await desk.read(takes=1))[0] == 1
    assert desk.answers == [1, 0]
    assert (await desk.read())[0] == 1
    assert desk.runs == 2


async def test_what_changed_while_it_was_read_is_good_for_no_time() -> None:
    desk = Desk()
    async with trio.open_nursery() as nursery:
        good: list[float] = []

        async def reader() -> None:
            good.append((await desk.read())[1])

        nursery.start_soon(reader)
        nursery.start_soon(reader)
        await trio.testing.wait_all_tasks_blocked()
        desk.publish()
    assert good == [0, 0]
    assert desk.cache.statistics().entries == 0


async def test_what_changed_between_the_end_of_the_run_and_an_answer_is_good_for_no_time() -> None:
    desk = Desk()
    good: list[float] = []

    async def first() -> None:
        await desk.read()
        desk.publish()

    async def second() -> None:
        good.append((await desk.read())[1])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(second)
    assert (good, desk.runs) == ([0], 1)


async def test_a_publish_drops_what_is_kept_before_any_subscriber_hears_of_it() -> None:
    desk = Desk()
    kept_when_told: list[int] = []
    outbox = Outbox(lambda: kept_when_told.append(desk.cache.statistics().entries))
    desk.hub.subscribe(URI, outbox)
    await desk.read()
    assert desk.cache.statistics().entries == 1
    desk.publish()
    assert kept_when_told == [0]
    assert desk.cache.statistics().dropped == 1
    assert (await desk.read())[0] == 1
    desk.hub.leave(outbox)


async def test_a_change_counts_for_exactly_its_uri_and_for_all_scopes() -> None:
    desk = Desk()
    for scope in ("ann", "bob", None, PUBLIC):
        await desk.read(scope)
    assert desk.runs == 4
    desk.publish("note:2")
    desk.publish("note:11")
    await desk.read("ann")
    assert desk.runs == 4
    desk.publish()
    for scope in ("ann", "bob", None, PUBLIC):
        assert (await desk.read(scope))[0] == 1
    assert desk.runs == 8


async def test_a_repeated_change_is_none() -> None:
    desk = Desk()
    desk.hub.publish(Change(uri=URI, event_id="1"))
    await desk.read()
    desk.hub.publish(Change(uri=URI, event_id="1"))
    await desk.read()
    assert desk.runs == 1


async def test_where_the_one_who_runs_is_cancelled_another_runs_and_nobody_else_notices() -> None:
    desk = Desk()
    scopes = [trio.CancelScope() for _ in range(2)]

    async def leaving(scope: trio.CancelScope) -> None:
        with scope:
            await desk.read()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leaving, scopes[0])
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(leaving, scopes[1])  # one of those who wait
        for _ in range(5):
            nursery.start_soon(desk.read)
        await trio.sleep(0.5)
        assert desk.runs == 1
        for scope in scopes:
            scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert desk.runs == 2
    assert desk.answers == [0] * 5
    desk.expect_nothing_left()


async def test_a_refusal_is_kept_for_nobody_and_told_to_all_who_wait() -> None:
    desk = Desk()
    desk.failure = refusal = RpcError.of(Failure.RESOURCE_NOT_FOUND, "gone", data={"uri": URI})
    raised: list[RpcError] = []

    async def reader() -> None:
        with pytest.raises(RpcError) as caught:
            await desk.read()
        raised.append(caught.value)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(reader)
    assert desk.runs == 1
    assert len(set(map(id, raised))) == 3, "each has an error of its own, with its own traceback"
    for error in raised:
        assert (error.message, error.code, error.data, error.failure) == (
            refusal.message,
            refusal.code,
            refusal.data,
            refusal.failure,
        )
    desk.failure = None
    assert (await desk.read())[0] == 0
    assert desk.runs == 2
    desk.expect_nothing_left()


async def test_what_else_comes_out_of_a_run_is_for_its_own_read_alone() -> None:
    desk = Desk()
    desk.failure = OSError("of the first one")

    async def first() -> None:
        with pytest.raises(OSError, match="of the first one"):
            await desk.read()
        desk.failure = None

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(desk.read)
    assert desk.answers == [0]
    assert desk.runs == 2
    desk.expect_nothing_left()


async def test_clearing_keeps_nothing_of_what_was_read_or_is_being_read() -> None:
    desk = Desk()
    await desk.read(uri="note:2")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.read)
        await trio.testing.wait_all_tasks_blocked()
        desk.cache.clear()
    assert desk.cache.statistics().entries == 0
    desk.expect_nothing_left()


async def test_nothing_is_asked_of_publishing_until_something_is_cached() -> None:
    desk = Desk()
    assert desk.hub._watching == []
    for _ in range(3):
        await desk.read()
    assert len(desk.hub._watching) == 1


async def test_a_read_always_lets_others_run() -> None:
    desk = Desk()
    await desk.read()
    with trio.testing.assert_checkpoints():
        await desk.read()


TIMES = st.integers(0, 6)
READS = st.tuples(
    st.sampled_from(["note:1", "note:2"]),
    st.sampled_from([None, "ann"]),
    TIMES,  # when it begins
    st.integers(1, 4),  # how long its handler would take
    st.none() | st.integers(0, 5),  # after how long it is cancelled
)


@settings(max_examples=60)
@given(
    reads=st.lists(READS, max_size=12), changes=st.lists(TIMES, max_size=5), limit=st.sampled_from([0, 10**6])
)
def test_no_read_gets_what_is_older_than_the_last_change_before_it_began(
    reads: list[tuple[str, str | None, int, int, int | None]], changes: list[int], limit: int
) -> None:
    async def main() -> None:
        desk = Desk(limit=limit)
        finished = 0

        async def change(at: int) -> None:
            await trio.sleep(at + 0.5)
            desk.publish("note:1")

        async def read(uri: str, scope: str | None, at: int, takes: int, leaves: int | None) -> None:
            nonlocal finished
            await trio.sleep(at)
            least = desk.versions.get(uri, 0)
            with trio.move_on_after(math.inf if leaves is None else leaves):
                version, good_for = await desk.read(scope, uri, takes)
                assert version >= least
                # What has changed by the end of the read is not said to be good.
                assert version == desk.versions.get(uri, 0) or good_for == 0
                finished += leaves is None

        async with trio.open_nursery() as nursery:
            for each in changes:
                nursery.start_soon(change, each)
            for one in reads:
                nursery.start_soon(read, *one)
        assert finished == sum(leaves is None for *_, leaves in reads), "who stays gets an answer"
        desk.expect_nothing_left()
        statistics = desk.cache.statistics()
        assert statistics.misses == desk.runs
        assert statistics.entries == 0 or limit

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
