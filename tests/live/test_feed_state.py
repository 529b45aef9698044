"""What a feed says of its source: the word, since when, and how old what it has may be."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import trio
import trio.testing

from mcptrio.live import Change, Feed, Hub, Pump, SourceState


@pytest.fixture
def told() -> list[tuple[str, SourceState, str]]:
    return []


@pytest.fixture
def feed(told: list[tuple[str, SourceState, str]]) -> Iterator[Feed]:
    pump = Pump(Hub())
    yield pump.feed("mail", lambda *state: told.append(state))
    pump.close()


def test_a_state_is_told_once_for_each_change_of_it(
    feed: Feed, told: list[tuple[str, SourceState, str]]
) -> None:
    feed.idle("")
    assert told == []  # it is what it begins with
    feed.starting()
    feed.live()
    feed.live()
    feed.polling()
    feed.degraded("slow")
    feed.degraded("slow")
    feed.degraded("slower")
    feed.failed("gone")
    feed.starting()
    feed.idle("nobody wants it")
    assert told == [
        ("mail", SourceState.STARTING, ""),
        ("mail", SourceState.LIVE, ""),
        ("mail", SourceState.POLLING, ""),
        ("mail", SourceState.DEGRADED, "slow"),
        ("mail", SourceState.DEGRADED, "slower"),
        ("mail", SourceState.FAILED, "gone"),
        ("mail", SourceState.STARTING, ""),
        ("mail", SourceState.IDLE, "nobody wants it"),
    ]
    assert (feed.state, feed.reason) == (SourceState.IDLE, "nobody wants it")


def test_the_words_are_these() -> None:
    assert [state.value for state in SourceState] == [
        "starting",
        "live",
        "polling",
        "degraded",
        "failed",
        "idle",
    ]


def test_a_feed_that_nobody_watches_keeps_its_state() -> None:
    pump = Pump(Hub())
    feed = pump.feed("mail")
    feed.failed("why")
    assert (feed.state, feed.reason, feed.since) == (SourceState.FAILED, "why", -math.inf)
    pump.close()


async def test_since_is_when_the_word_changed_and_not_when_its_reason_did(
    feed: Feed, autojump_clock: trio.testing.MockClock
) -> None:
    assert feed.since == -math.inf
    before = datetime.now(UTC)
    feed.degraded("slow")
    at, at_wall = feed.since, feed.since_at
    assert at == trio.current_time()
    assert before <= at_wall <= datetime.now(UTC)
    await trio.sleep(5)
    feed.degraded("slower")
    assert (feed.since, feed.since_at) == (at, at_wall)
    feed.live()
    assert feed.since == at + 5
    assert feed.since_at >= at_wall


def test_what_works_is_not_old_and_what_does_not_is_as_old_as_its_last_working(feed: Feed) -> None:
    feed.starting()
    assert feed.as_of is None  # it never worked
    feed.failed("gone")
    assert feed.as_of is None
    for works in (feed.live, feed.polling):
        works()
        assert feed.as_of is None
        before = datetime.now(UTC)
        feed.degraded("slow")
        at = feed.as_of
        assert at is not None and before <= at <= datetime.now(UTC)
        feed.failed("gone")
        feed.starting()
        feed.idle("nobody wants it")
        assert feed.as_of == at


def test_what_is_degraded_and_up_to_date_is_not_old(feed: Feed) -> None:
    feed.degraded("one of three is missing", current=True)
    assert feed.as_of is None
    before = datetime.now(UTC)
    feed.degraded("one of three is missing")  # no longer up to date, for the same reason
    at = feed.as_of
    assert at is not None and before <= at
    assert (feed.state, feed.reason) == (SourceState.DEGRADED, "one of three is missing")


@pytest.mark.parametrize("word", ["live", "polling", "degraded", "failed"])
async def test_waiting_for_the_first_state_ends_with_any_word_of_the_source(feed: Feed, word: str) -> None:
    started = trio.Event()

    async def wait() -> None:
        await feed.wait_started()
        started.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        feed.starting()
        feed.idle("its function has returned")
        feed.starting()
        await trio.testing.wait_all_tasks_blocked()
        assert not started.is_set()
        getattr(feed, word)(*(["why"] if word in ("degraded", "failed") else []))
        await started.wait()
    with trio.testing.assert_checkpoints():
        await feed.wait_started()


async def test_waiting_for_the_end_of_some_states_can_be_cancelled_and_leaves_nothing(
    feed: Feed, autojump_clock: trio.testing.MockClock
) -> None:
    feed.starting()
    with trio.move_on_after(5) as scope:
        await feed.wait_while(SourceState.STARTING)
    assert scope.cancelled_caught
    assert feed._state_lot is not None and len(feed._state_lot) == 0
    feed.idle("x")
    await feed.wait_while(SourceState.STARTING)


def test_a_reason_that_is_no_text_is_refused_with_what_to_write_and_changes_nothing(
    feed: Feed, told: list[tuple[str, SourceState, str]]
) -> None:
    feed.live()
    told.clear()
    with pytest.raises(TypeError, match=r"why a source is degraded is text, not OSError: use str\(\.\.\.\)"):
        feed.degraded(OSError("gone"))  # type: ignore[arg-type]
    assert (feed.state, feed.as_of, told) == (SourceState.LIVE, None, [])


async def test_who_watches_changes_hears_of_each_that_was_accepted_and_of_no_other() -> None:
    send, receive = trio.open_memory_channel[Change](1)
    feed = Feed("mail", send)
    heard: list[str] = []
    unwatch = feed.watch(lambda change: heard.append(change.uri))
    await feed.updated("a:1")
    with trio.CancelScope() as scope:
        scope.cancel()
        await feed.updated("a:2")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.updated, "a:3")
        await trio.testing.wait_all_tasks_blocked()
        assert heard == ["a:1"]
        receive.receive_nowait()
    assert heard == ["a:1", "a:3"]
    unwatch()
    unwatch()
    receive.receive_nowait()
    await feed.updated("a:4")
    assert heard == ["a:1", "a:3"]
    send.close()
    receive.close()
