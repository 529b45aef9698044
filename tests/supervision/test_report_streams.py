"""Reports handed to many, and reports to iterate over."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from mcptrio.supervision import Event, Report, Reports, ReportStream, Supervisor
from tests.supervision.actors import AT_ONCE, Actor, Record, running


def numbered(n: int) -> Report:
    return Report(float(n), "root", "child", Event.STARTED, None, None, n)


def numbers(reports: list[Report]) -> list[int]:
    return [report.restarts for report in reports]


async def read(stream: ReportStream) -> list[int]:
    return [report.restarts async for report in stream]


async def test_one_tells_of_a_whole_tree_to_all_in_one_order(autojump_clock: MockClock) -> None:
    reports, records, actor = Reports(), [Record(), Record()], Actor()
    inner = Supervisor("inner", [actor.spec("worker", backoff=AT_ONCE)], on_report=reports.publish)
    outer = Supervisor("outer", [inner.child_spec()], on_report=reports.publish)
    for record in records:
        reports.subscribe(record)
    with reports.stream(100) as stream:
        async with running(outer):
            await actor.crash(RuntimeError("boom"))
        stream.close()
        streamed = [report async for report in stream]
    assert records[0].reports == records[1].reports == streamed
    assert [(report.supervisor, report.event) for report in streamed] == [
        ("inner", Event.STARTED),
        ("outer", Event.STARTED),
        ("inner", Event.EXITED),
        ("inner", Event.RESTARTING),
        ("inner", Event.STARTED),
        ("inner", Event.STOPPED),
        ("outer", Event.STOPPED),
    ]
    assert stream.missed == 0


async def test_all_hear_of_everything_in_one_order_even_if_one_of_them_acts_on_it(
    autojump_clock: MockClock,
) -> None:
    reports, first, last, actor = Reports(), Record(), Record(), Actor()

    def act(report: Report) -> None:
        if report.event is Event.EXITED:
            supervisor.start_child_nowait(Actor().spec("stand-in"))
            supervisor.stop_child_nowait("child")

    supervisor = Supervisor("root", [actor.spec("child")], on_report=reports.publish)
    for subscriber in (first, act, last):
        reports.subscribe(subscriber)
    async with running(supervisor):
        await actor.crash(RuntimeError("boom"))
        assert [(report.child, report.event) for report in first.reports[1:]] == [
            ("child", Event.EXITED),
            ("child", Event.RESTARTING),
            ("stand-in", Event.STARTED),
            ("child", Event.STOPPED),
        ]
    assert first.reports == last.reports


def test_unsubscribing_is_idempotent_and_touches_nobody_else() -> None:
    reports, one, other = Reports(), Record(), Record()
    unsubscribe = reports.subscribe(one)
    reports.subscribe(other)
    reports.publish(numbered(1))
    unsubscribe()
    unsubscribe()
    reports.publish(numbered(2))
    assert (numbers(one.reports), numbers(other.reports)) == ([1], [1, 2])


def test_one_callback_may_subscribe_twice() -> None:
    reports, record = Reports(), Record()
    unsubscribe = reports.subscribe(record)
    reports.subscribe(record)
    reports.publish(numbered(1))
    unsubscribe()
    reports.publish(numbered(2))
    assert numbers(record.reports) == [1, 1, 2]


def test_who_is_unsubscribed_by_another_callback_hears_nothing_any_more() -> None:
    reports, record = Reports(), Record()
    unsubscribe = list[Callable[[], None]]()

    def stop_the_other(report: Report) -> None:
        for one in unsubscribe:
            one()

    reports.subscribe(stop_the_other)
    unsubscribe.append(reports.subscribe(record))
    reports.publish(numbered(1))
    assert record.reports == []


def test_who_subscribes_in_a_callback_hears_of_the_next_report() -> None:
    reports, record = Reports(), Record()

    def hand_over(report: Report) -> None:
        unsubscribe()
        reports.subscribe(record)

    unsubscribe = reports.subscribe(hand_over)
    reports.publish(numbered(1))
    reports.publish(numbered(2))
    assert numbers(record.reports) == [2]


def test_a_subscriber_that_raises_is_logged_and_counted_and_the_others_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(report: Report) -> None:
        raise LookupError("broken")

    reports, record = Reports(), Record()
    reports.subscribe(broken)
    reports.subscribe(record)
    with caplog.at_level(logging.ERROR):
        reports.publish(numbered(1))
        reports.publish(numbered(2))
    assert numbers(record.reports) == [1, 2]
    assert reports.errors_total == 2
    assert caplog.records[0].getMessage() == "a subscriber of reports failed on child started"
    assert caplog.records[0].exc_info is not None


async def test_a_stream_waits_for_reports_and_ends_when_it_is_closed(autojump_clock: MockClock) -> None:
    reports, got = Reports(), list[int]()
    stream = reports.stream(10)

    async def follow() -> None:
        async for report in stream:
            got.append(report.restarts)
        got.append(-1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        await wait_all_tasks_blocked()
        reports.publish(numbered(1))
        await wait_all_tasks_blocked()
        assert got == [1]
        reports.publish(numbered(2))
        reports.publish(numbered(3))
        stream.close()
        stream.close()
        reports.publish(numbered(4))
        await wait_all_tasks_blocked()
        assert got == [1, 2, 3, -1]
        assert await read(stream) == []


async def test_when_the_buffer_is_full_the_oldest_go_and_are_counted(autojump_clock: MockClock) -> None:
    reports = Reports()
    with reports.stream(3) as stream, reports.stream(100) as patient:
        for n in range(10):
            reports.publish(numbered(n))
        assert (stream.missed, patient.missed) == (7, 0)
        reports.publish(numbered(10))
        stream.close()
        patient.close()
        assert await read(stream) == [8, 9, 10]
        assert await read(patient) == list(range(11))
        assert (stream.missed, patient.missed) == (8, 0)


@pytest.mark.parametrize("size", [0, -1])
def test_a_stream_without_room_is_refused(size: int) -> None:
    reports = Reports()
    with pytest.raises(ValueError, match="a buffer of at least 1"):
        reports.stream(size)
    reports.publish(numbered(1))
    assert reports.errors_total == 0


async def test_a_cancelled_read_has_taken_nothing(autojump_clock: MockClock) -> None:
    reports = Reports()
    with reports.stream(10) as stream:
        with trio.move_on_after(1) as scope:
            await anext(stream)
        assert scope.cancelled_caught
        reports.publish(numbered(1))
        with trio.CancelScope() as scope:
            scope.cancel(reason="before it reads")
            await anext(stream)
        assert scope.cancelled_caught
        with assert_checkpoints():
            assert (await anext(stream)).restarts == 1


async def test_a_read_cancelled_in_the_moment_of_a_report_loses_nothing(autojump_clock: MockClock) -> None:
    reports = Reports()
    for publish_first in (True, False):
        with reports.stream(10) as stream:
            got = list[int]()

            async def follow(stream: ReportStream, got: list[int], scope: trio.CancelScope) -> None:
                with scope:
                    got.append((await anext(stream)).restarts)

            async with trio.open_nursery() as nursery:
                scope = trio.CancelScope()
                nursery.start_soon(follow, stream, got, scope)
                await wait_all_tasks_blocked()
                if publish_first:
                    reports.publish(numbered(1))
                    scope.cancel(reason="in the same moment")
                else:
                    scope.cancel(reason="in the same moment")
                    reports.publish(numbered(1))
            stream.close()
            assert got + await read(stream) == [1]


async def test_several_readers_of_one_stream_share_the_reports(autojump_clock: MockClock) -> None:
    reports, got = Reports(), list[int]()

    async def follow(stream: ReportStream) -> None:
        got.extend(await read(stream))

    with reports.stream(100) as stream:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(follow, stream)
            for n in range(30):
                reports.publish(numbered(n))
                if n % 7 == 0:
                    await wait_all_tasks_blocked()
            stream.close()
    assert sorted(got) == list(range(30))


async def test_a_stream_closed_by_a_callback_takes_no_more(autojump_clock: MockClock) -> None:
    reports = Reports()
    stream: ReportStream | None = None

    def close(report: Report) -> None:
        assert stream is not None
        stream.close()

    reports.subscribe(close)
    stream = reports.stream(10)
    reports.publish(numbered(1))
    assert await read(stream) == []


async def test_supervisors_never_wait_for_a_reader(autojump_clock: MockClock) -> None:
    reports, actor = Reports(), Actor()
    supervisor = Supervisor(
        "root", [actor.spec("child", backoff=AT_ONCE)], max_restarts=1000, on_report=reports.publish
    )
    with reports.stream(5) as stream:
        async with running(supervisor):
            for _ in range(100):
                await actor.finish()
        assert len(actor.starts) == 101
        assert stream.missed == 1 + 3 * 100 + 1 - 5
