"""One task for all deadlines."""

import pytest
import trio
from trio.testing import MockClock

from mcptrio.wire import Sweeper, SweeperStatistics


class Watched:
    """Something with deadlines that notes when they were checked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.checks: list[float] = []
        self.aborted = False
        self._error = error

    def check_deadlines(self, now: float) -> None:
        self.checks.append(now)
        if self._error is not None:
            raise self._error

    def abort(self) -> None:
        self.aborted = True


async def test_every_watched_connection_is_checked_once_per_interval(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    sweeper = Sweeper(interval=2)
    watched = [Watched() for _ in range(1000)]
    for one in watched:
        sweeper.add(one)
        sweeper.add(one)
    nursery.start_soon(sweeper.run)
    await trio.sleep(5)
    sweeper.discard(watched[0])
    sweeper.discard(watched[0])
    await trio.sleep(2)
    assert watched[0].checks == [2, 4]
    assert all(one.checks == [2, 4, 6] for one in watched[1:])
    assert sweeper.statistics() == SweeperStatistics(watched=999, rounds=3)


async def test_a_check_that_fails_ends_its_connection_only(
    nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    sweeper = Sweeper()
    bad, good = Watched(RuntimeError("a bug")), Watched()
    sweeper.add(bad)
    sweeper.add(good)
    nursery.start_soon(sweeper.run)
    await trio.sleep(2.5)
    assert bad.aborted
    assert not good.aborted
    assert good.checks == [1, 2]
    assert caplog.records[0].levelname == "ERROR"


async def test_it_can_be_restarted_over_what_it_watches(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    sweeper = Sweeper()
    one = Watched()
    sweeper.add(one)
    for _ in range(2):
        with trio.move_on_after(1.5):
            await sweeper.run()
    assert one.checks == [1, 2.5]
