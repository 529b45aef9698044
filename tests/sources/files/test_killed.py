"""A source of files, killed wherever it may be in a running app, announces each change exactly once."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from mcptrio import App
from mcptrio.live import pump
from tests.sources.files.disk import Disk, files_of
from tests.sources.killing import Record, crash_at_every_report, killed_at_step, watched

pytestmark = pytest.mark.unmeasured

MockClock = trio.testing.MockClock

EXPECTED = [
    [("created", "c"), ("created", "sub/d"), ("updated", "a")],
    [("deleted", "a"), ("deleted", "sub/d"), ("updated", "b")],
    [("created", "a"), ("deleted", "b"), ("deleted", "c")],
]


def change(disk: Disk, step: int) -> None:
    if step == 0:
        disk.write("a")
        disk.write("c")
        disk.write("sub/d")
        disk.folders["sub"] = (1, 2)
    elif step == 1:
        disk.write("b")
        disk.delete("a")
        disk.delete("sub/d")
        del disk.folders["sub"]
    else:
        disk.write("a")
        disk.delete("b")
        disk.delete("c")


def house(disk: Disk) -> App:
    app = App("house")
    files_of(disk).install(app.registry)
    return app


async def changes_to_the_end(disk: Disk, record: Record) -> None:
    """Let one thing happen after the other, each once the one before has been announced; see what was announced."""
    await trio.sleep(200)  # the baseline has been seen by then, however often it was killed
    total = 0
    for step, expected in enumerate(EXPECTED):
        change(disk, step)
        total += len(expected)
        await record.wait(total)
    await trio.sleep(200)
    told = [(kind, uri.removeprefix("files://docs/")) for kind, uri in record.told()]
    for expected in EXPECTED:
        now, told = told[: len(expected)], told[len(expected) :]
        assert sorted(now) == expected
    assert told == []


@pytest.mark.parametrize("capacity", [0, 256])
async def test_killed_after_any_step_it_announces_each_change_once(
    capacity: int,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(pump, "CAPACITY", capacity)
    killed = 0
    for step in range(1, 80, 1 if capacity else 3):
        disk = Disk("a", "b")
        app = house(disk)
        record = Record(app)
        with killed_at_step(app.sources.supervisor, "docs", step, kills=6) as killer:
            async with watched(record, "files://docs/a"):
                await changes_to_the_end(disk, record)
        killed += killer.killed
        caplog.clear()
    assert killed > 40


@pytest.mark.parametrize("when", ["before", "behind", "both"])
async def test_crashing_at_every_report_it_announces_each_change_once(
    when: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    crashed = crash_at_every_report(monkeypatch, when)
    disk = Disk("a", "b")
    app = house(disk)
    record = Record(app)
    async with watched(record, "files://docs/a"):
        await changes_to_the_end(disk, record)
    assert len(crashed) >= sum(map(len, EXPECTED))
    caplog.clear()
