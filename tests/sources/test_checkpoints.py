"""A source that keeps a checkpoint, killed wherever it may be, announces each change of its origin exactly once."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from mcptrio import App, Feed
from mcptrio.live import pump
from mcptrio.sources.parts import Parts
from tests.sources.killing import Record, crash_at_every_report, killed_at_step, watched
from tests.sources.rig import expect_no_tasks

MockClock = trio.testing.MockClock

LENGTH = 12


class Log:
    """An origin that can be read from any place on, in pages."""

    def __init__(self) -> None:
        self.entries = [f"log:{number}" for number in range(LENGTH)]

    async def read(self, after: int) -> list[tuple[int, str]]:
        """A page of entries with the place behind each."""
        await trio.sleep(0.01)
        return [(place + 1, self.entries[place]) for place in range(after, min(after + 5, LENGTH))]

    async def follow(self, feed: Feed) -> None:
        """The body of a source: as its author would write it."""
        feed.live()
        while True:
            place = feed.checkpoint if isinstance(feed.checkpoint, int) else 0
            page = await self.read(place)
            for behind, uri in page:
                await feed.created(uri, checkpoint=behind)
            if not page:
                await trio.sleep(1)


async def runs_to_its_end(log: Log, record: Record) -> None:
    """Whatever happened to the source, this is what came of it."""
    await record.wait(LENGTH)
    await trio.sleep(10)
    assert record.told() == [("created", uri) for uri in log.entries]


@pytest.mark.parametrize("capacity", [0, 1, 256])
async def test_a_source_killed_after_any_step_announces_each_change_once(
    capacity: int,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(pump, "CAPACITY", capacity)
    killed: set[int] = set()
    for step in range(1, 5 * LENGTH):
        log = Log()
        app = App("house")
        app.source("log:{number}", name="log")(log.follow)
        record = Record(app)
        with killed_at_step(app.sources.supervisor, "log", step) as killer:
            killer.on_kill = lambda feed=app.sources.feeds["log"]: killed.add(feed.checkpoint or 0)  # type: ignore[misc]
            async with watched(record, "log:1"):
                await runs_to_its_end(log, record)
        expect_no_tasks(app.sources)
        caplog.clear()
    everywhere = set(range(LENGTH + 1))
    # With a full channel it is chance whether a report takes one step or two.
    assert killed == everywhere if capacity == 256 else len(killed) > LENGTH / 2


@pytest.mark.parametrize("when", ["before", "behind", "both"])
async def test_a_source_that_crashes_at_every_report_announces_each_change_once(
    when: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    crashed = crash_at_every_report(monkeypatch, when)
    log = Log()
    app = App("house")
    app.source("log:{number}", name="log")(log.follow)
    record = Record(app)
    async with watched(record, "log:1"):
        await runs_to_its_end(log, record)
    assert len(crashed) == LENGTH * (2 if when == "both" else 1)


async def test_a_source_that_is_stopped_and_wanted_again_goes_on_where_it_was(
    autojump_clock: MockClock,
) -> None:
    log = Log()
    app = App("house")
    app.source("log:{number}", name="log", linger=0)(log.follow)
    record = Record(app)
    async with app._root.hold():
        for _ in range(40):
            with app.changes("log:1"):
                await trio.sleep(0.015)
            await trio.testing.wait_all_tasks_blocked()
        with app.changes("log:1"):
            await runs_to_its_end(log, record)


async def test_each_part_goes_on_where_it_was_whichever_is_killed(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    logs = {name: [f"log:{name}/{number}" for number in range(4)] for name in ("a", "b")}

    async def follow(feed: Feed, name: str) -> None:
        feed.live()
        place = feed.checkpoint if isinstance(feed.checkpoint, int) else 0
        for number in range(place, 4):
            await trio.sleep(0.01)
            await feed.created(logs[name][number], checkpoint=number + 1)
        await trio.sleep_forever()

    killed = 0
    for step in range(1, 20):
        app = App("house")
        app.source("log:{name}", each=True)(follow)
        branch = app.sources._branches["follow"]
        assert isinstance(branch, Parts)
        record = Record(app)
        with killed_at_step(branch.supervisor, "log:a", step) as killer:
            async with watched(record, "log:a", "log:b"):
                await record.wait(8)
                await trio.sleep(10)
        for name, entries in logs.items():
            assert [uri for _, uri in record.told() if uri.startswith(f"log:{name}/")] == entries
        killed += killer.killed
        caplog.clear()
    assert killed > 8
