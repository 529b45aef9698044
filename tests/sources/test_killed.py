"""The poller and the email mock, killed wherever it may be in a running app, announce each change exactly once."""

from __future__ import annotations

from random import Random

import pytest
import trio
import trio.testing

from mcptrio import App
from mcptrio.live import pump
from mcptrio.simulators import EmailMockSettings, email_mock
from mcptrio.simulators.email_mock import LIVE_FEED
from mcptrio.sources.poller import Poller, PollerSettings
from tests.sources.killing import Record, crash_at_every_report, killed_at_step, watched
from tests.sources.poller.origin import URL, Origin, releases
from tests.sources.rig import expect_no_tasks

pytestmark = pytest.mark.unmeasured

MockClock = trio.testing.MockClock

VERSIONS: list[list[dict[str, int]]] = [
    [{"id": 1}, {"id": 2}],
    [{"id": 1, "v": 2}, {"id": 2}, {"id": 3}, {"id": 4}],
    [{"id": 4}, {"id": 1, "v": 3}],
    [],
    [{"id": number} for number in range(5, 9)],
]
"""What the origin shows, one document after the other; the first is the baseline."""
CHANGES = [
    [("updated", 1), ("created", 3), ("created", 4)],
    [("updated", 1), ("deleted", 2), ("deleted", 3)],
    [("deleted", 1), ("deleted", 4)],
    [("created", 5), ("created", 6), ("created", 7), ("created", 8)],
]
"""What is to be announced from one to the next, in any order within it."""
TOTAL = sum(map(len, CHANGES))


def polling_app(origin: Origin) -> App:
    app = App("house")
    settings = PollerSettings(
        name="releases", url=URL, uri="releases://{id}", items="/releases", id="/id", every=10, jitter=0
    )
    Poller(settings, open_client=origin.open_client, random=Random(1)).install(app.registry)
    return app


async def polls_to_the_end(origin: Origin, record: Record) -> None:
    """Show one version after the other, each once the one before has been announced; see what was announced."""
    await trio.sleep(200)  # the baseline has been seen by then, however often it was killed
    expected: list[list[tuple[str, str]]] = []
    for values, changes in zip(VERSIONS[1:], CHANGES, strict=True):
        origin.body = releases(*values)
        expected.append(sorted((kind, f"releases://{id}") for kind, id in changes))
        await record.wait(sum(map(len, expected)))
    await trio.sleep(200)
    told = record.told()
    for each in expected:
        now, told = told[: len(each)], told[len(each) :]
        assert sorted(now) == each
    assert told == []


@pytest.mark.parametrize("capacity", [0, 256])
async def test_a_poller_killed_after_any_step_announces_each_change_once(
    capacity: int,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(pump, "CAPACITY", capacity)
    killed = 0
    for step in range(1, 90, 1 if capacity else 3):
        origin = Origin(releases(*VERSIONS[0]))
        app = polling_app(origin)
        record = Record(app)
        with killed_at_step(app.sources.supervisor, "releases", step, kills=6) as killer:
            async with watched(record, "releases://1"):
                await polls_to_the_end(origin, record)
        killed += killer.killed
        expect_no_tasks(app.sources)
        caplog.clear()
    assert killed > 80


@pytest.mark.parametrize("when", ["before", "behind", "both"])
async def test_a_poller_that_crashes_at_every_report_announces_each_change_once(
    when: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    crashed = crash_at_every_report(monkeypatch, when)
    origin = Origin(releases(*VERSIONS[0]))
    app = polling_app(origin)
    record = Record(app)
    async with watched(record, "releases://1"):
        await polls_to_the_end(origin, record)
    assert len(crashed) == TOTAL * (2 if when == "both" else 1)


async def test_a_poller_that_nobody_wanted_for_a_while_announces_what_it_missed_once(
    autojump_clock: MockClock,
) -> None:
    origin = Origin(releases(*VERSIONS[0]))
    app = polling_app(origin)
    record = Record(app)
    async with app._root.hold():
        for values in VERSIONS:
            origin.body = releases(*values)
            with app.changes("releases://1"):
                await trio.sleep(1)
            await trio.sleep(1000)
            asked = len(origin.requests)
            await trio.sleep(1000)
            assert len(origin.requests) == asked, "nothing is asked for nobody"
    assert sorted(record.told()) == sorted(
        (kind, f"releases://{id}") for changes in CHANGES for kind, id in changes
    )


MAILS = 12


def mailing_app() -> App:
    app = App("house")
    email_mock.install(app.registry, EmailMockSettings(rate=1, burst_every=3, burst_size=2, keep=5))
    return app


def check_mail(record: Record) -> None:
    """Every message came once and in order, went once and in order, and each moved the live feed."""
    told = record.told()
    created = [uri for kind, uri in told if kind == "created"]
    deleted = [uri for kind, uri in told if kind == "deleted"]
    updated = [uri for kind, uri in told if kind == "updated"]
    assert created == [f"email://messages/{number}" for number in range(1, len(created) + 1)]
    assert deleted == created[: len(deleted)]
    assert len(created) - len(deleted) in (5, 6), "the last change may be behind the last but one"
    assert updated == [LIVE_FEED] * len(updated)
    assert 0 <= len(created) - len(updated) <= 1


@pytest.mark.parametrize("capacity", [0, 256])
async def test_an_email_mock_killed_after_any_step_announces_each_change_once(
    capacity: int,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(pump, "CAPACITY", capacity)
    killed = 0
    for step in range(1, 40):
        app = mailing_app()
        record = Record(app)
        with killed_at_step(app.sources.supervisor, "email", step, kills=6) as killer:
            async with watched(record):
                await record.wait(3 * MAILS)
                await trio.sleep(20)
        check_mail(record)
        killed += killer.killed
        caplog.clear()
    assert killed > 100


@pytest.mark.parametrize("when", ["before", "behind", "both"])
async def test_an_email_mock_that_crashes_at_every_report_announces_each_change_once(
    when: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    crashed = crash_at_every_report(monkeypatch, when)
    app = mailing_app()
    record = Record(app)
    async with watched(record):
        await record.wait(3 * MAILS)
    check_mail(record)
    assert len(crashed) >= 3 * MAILS
