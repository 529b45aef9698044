"""A listener's tasks in virtual time: streams that end, break, hang and overflow; polls that fail; kills anywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
import trio.testing

from mcptrio.live import Change, Feed, SourceState
from mcptrio.sources.listener import Answer, CursorLost, Event, ListenerSettings, Statistics, Unavailable, run
from tests.sources.listener.service import Service, Shape

MockClock = trio.testing.MockClock


class World:
    """A service, a stream and polls on it that misbehave as told, and a feed whose changes are kept."""

    def __init__(self, shape: Shape | None = None, *, capacity: float = 1000) -> None:
        self.service = Service(shape or Shape(versioned=True))
        self.send, self.receive = trio.open_memory_channel[Change](capacity)
        self.states: list[tuple[SourceState, str]] = []
        self.feed = Feed("house", self.send, lambda _, state, why: self.states.append((state, why)))
        self.statistics = Statistics()
        self.settings = ListenerSettings()
        self.told: list[str] = []
        self.opened: list[float] = []
        self.polled: list[float] = []
        self.refuse_stream: Exception | None = None
        self.refuse_poll: Exception | None = None
        self.opening = 0.0
        self.polling = 0.0
        self._wires: list[trio.MemorySendChannel[object]] = []

    def happen(self, name: int = 1, *, sent: bool = True) -> str:
        event = self.service.happen(name)
        if sent:
            self.bring(event)
        return event.id

    def bring(self, event: object) -> None:
        for wire in self._wires:
            wire.send_nowait(event)

    def close(self) -> None:
        """The service closes the stream, cleanly."""
        while self._wires:
            self._wires.pop().close()

    @asynccontextmanager
    async def open_stream(self) -> AsyncIterator[AsyncIterator[Event]]:
        self.opened.append(trio.current_time())
        await trio.sleep(self.opening)
        if self.refuse_stream is not None:
            raise self.refuse_stream
        send, receive = trio.open_memory_channel[object](1000)
        self._wires.append(send)
        try:
            yield receive  # type: ignore[misc]
        finally:
            if send in self._wires:
                self._wires.remove(send)
            send.close()
            receive.close()

    async def poll(self, cursor: object | None) -> Answer:
        self.polled.append(trio.current_time())
        await trio.sleep(self.polling)
        if self.refuse_poll is not None:
            raise self.refuse_poll
        return self.service.answer(cursor)

    async def run(self) -> None:
        await run(
            self.feed,
            self.open_stream,
            self.poll,
            self.settings,
            statistics=self.statistics,
            random=Random(1),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.run)
            await trio.sleep(0.01 + self.opening + self.polling)
            yield
            nursery.cancel_scope.cancel(reason="the test is over")

    def announced(self) -> list[str]:
        """The ids of all facts announced until now."""
        while True:
            try:
                change = self.receive.receive_nowait()
            except trio.WouldBlock:
                return self.told
            assert change.event_id is not None
            self.told.append(change.event_id.partition("#")[0])


async def test_what_was_there_is_the_baseline_and_what_the_stream_brings_is_announced(
    autojump_clock: MockClock,
) -> None:
    world = World()
    world.happen()
    async with world.running():
        assert world.states[-1] == (SourceState.LIVE, "")
        assert world.announced() == []
        later = [world.happen(), world.happen(2)]
        await trio.sleep(0.01)
        assert world.announced() == later
        assert len(world.polled) <= 2, "one for the baseline, one behind the opening"


async def test_a_stream_that_comes_back_is_live_once_what_it_missed_was_announced(
    autojump_clock: MockClock,
) -> None:
    world = World()
    async with world.running():
        first = world.happen()
        await trio.sleep(1)
        world.close()
        await trio.sleep(0.01)
        assert world.states[-1] == (SourceState.POLLING, "the stream has ended")
        missed = world.happen(2, sent=False)
        world.polling = 2.0
        await trio.sleep(0.6)
        assert len(world.opened) == 2
        after = world.happen(3)
        await trio.sleep(1)
        assert world.feed.state is SourceState.POLLING, "it may have missed something"
        await trio.sleep(5)
        assert world.announced() == [first, missed, after]
        assert world.feed.state is SourceState.LIVE
        assert (world.statistics.reconnects, world.statistics.filled) == (1, 1)


async def test_while_the_stream_is_down_polls_are_made_at_intervals(autojump_clock: MockClock) -> None:
    world = World()
    world.refuse_stream = ConnectionError("no route")
    async with world.running():
        assert world.states[-1] == (SourceState.POLLING, "ConnectionError: no route")
        told = []
        for _ in range(10):
            told.append(world.happen())
            await trio.sleep(60)
            assert world.announced() == told
        assert 15 <= len(world.polled) <= 25
        assert len(world.opened) < 60


async def test_a_silent_drop_is_found_by_a_poll_while_the_stream_is_up(autojump_clock: MockClock) -> None:
    world = World()
    async with world.running():
        dropped = world.happen(sent=False)
        await trio.sleep(400)
        assert world.announced() == [dropped]
        assert world.statistics.found == 1


async def test_a_stream_that_ends_at_once_is_not_opened_in_a_hot_loop(autojump_clock: MockClock) -> None:
    world = World()

    @asynccontextmanager
    async def open_stream() -> AsyncIterator[AsyncIterator[Event]]:
        async with world.open_stream() as events:
            world.close()
            yield events

    with trio.move_on_after(600):
        await run(world.feed, open_stream, world.poll, random=Random(1))
    assert 5 < len(world.opened) < 60
    assert len(world.polled) < 120


async def test_a_missing_number_is_asked_for_and_later_ones_wait_for_it(autojump_clock: MockClock) -> None:
    world = World(Shape(numbered=True))
    world.happen()
    async with world.running():
        await trio.sleep(100)
        polls = len(world.polled)
        ids = [world.happen(), world.happen(sent=False), world.happen()]
        await trio.sleep(0.4)
        assert world.announced() == ids[:1]
        await trio.sleep(0.2)
        assert world.announced() == ids
        assert len(world.polled) == polls + 1


async def test_what_cannot_be_found_is_waited_for_no_longer_than_patience_and_said(
    autojump_clock: MockClock,
) -> None:
    world = World(Shape(numbered=True))
    world.happen()
    async with world.running():
        world.refuse_poll = ConnectionError("down")
        ids = [world.happen(sent=False), world.happen()]
        await trio.sleep(29)
        assert world.announced() == []
        await trio.sleep(2)
        assert world.announced() == ids[1:]
        assert world.states[-1] == (SourceState.DEGRADED, "numbers 1 to 1 were neither sent nor found")
        world.refuse_poll = None
        await trio.sleep(120)
        assert world.states[-1] == (SourceState.LIVE, "")
        assert world.announced() == ids[1:], "older than what was announced of its URI"
        assert (world.statistics.given_up, world.statistics.late) == (1, 1)


@pytest.mark.parametrize("capacity", [0, 1000])
@pytest.mark.parametrize("shape", [Shape(), Shape(versioned=True), Shape(numbered=True)], ids=repr)
async def test_killed_anywhere_it_announces_each_fact_once_and_in_order(
    shape: Shape, capacity: int, autojump_clock: MockClock
) -> None:
    world = World(shape, capacity=capacity)
    random = Random(7)
    world.opening, world.polling = 0.03, 0.02
    ids: list[str] = []
    places: list[str] = []
    kills = 0

    async def receive() -> None:
        async for change in world.receive:
            assert change.event_id is not None
            places.append(change.event_id.partition("#")[0])
            await trio.sleep(random.choice((0, 0.01)))

    async def happen() -> None:
        for number in range(400):
            ids.append(world.happen(0 if shape.versioned else number % 3, sent=random.random() > 0.05))
            await trio.sleep(random.choice((0, 0.01, 0.05)))
            if random.random() < 0.02:
                world.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        with trio.move_on_after(1):
            await world.run()
        nursery.start_soon(happen)
        while len(ids) < 400:
            with trio.move_on_after(random.uniform(0, 0.4)):
                await world.run()
            kills += 1
        with trio.move_on_after(1000):
            await world.run()
        nursery.cancel_scope.cancel(reason="the test is over")
    assert kills > 20
    assert len(places) == len(set(places))
    by_uri: dict[str, int] = {}
    for id in places:
        event = world.service.log[int(id[1:])]
        assert by_uri.get(event.uri, -1) < int(id[1:])
        by_uri[event.uri] = int(id[1:])
    last = {event.uri: event.id for event in world.service.log}
    assert set(last.values()) <= set(places)
    if shape.numbered:
        assert places == ids


async def test_a_stream_or_poll_that_hangs_is_left(autojump_clock: MockClock) -> None:
    world = World()
    world.opening = 1e6
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.run)
        await trio.sleep(31)
        assert world.states[-1] == (SourceState.POLLING, "the stream could not be opened within 30 s")
        world.polling = 1e6
        await trio.sleep(70)
        state, why = world.states[-1]
        assert state is SourceState.DEGRADED
        assert "a poll took longer than 30 s" in why
        nursery.cancel_scope.cancel(reason="the test is over")


async def test_a_silent_stream_counts_as_broken_where_the_settings_say_so(autojump_clock: MockClock) -> None:
    world = World()
    world.settings = ListenerSettings(silence="20s")
    async with world.running():
        await trio.sleep(19)
        world.happen()
        await trio.sleep(19)
        assert len(world.opened) == 1
        await trio.sleep(3)
        assert len(world.opened) == 2


async def test_what_somebody_has_to_mend_is_failed_and_its_secrets_are_not_shown(
    autojump_clock: MockClock,
) -> None:
    world = World()
    world.refuse_stream = world.refuse_poll = Unavailable("401 for token=abcdef", lasting=True)
    async with world.running():
        state, why = world.states[-1]
        assert state is SourceState.FAILED
        assert "401 for token=" in why
        assert "abcdef" not in why
        world.refuse_poll = None
        await trio.sleep(120)
        assert world.feed.state is SourceState.DEGRADED
        assert world.feed.reason.startswith("asking at intervals only: 401")
        assert world.feed.as_of is None
        world.refuse_stream = None
        await trio.sleep(120)
        assert world.feed.state is SourceState.LIVE


async def test_a_service_that_asks_to_be_left_alone_is(autojump_clock: MockClock) -> None:
    world = World()
    world.refuse_stream = world.refuse_poll = Unavailable("busy", retry_after=500)
    async with world.running():
        await trio.sleep(499)
        assert (len(world.opened), len(world.polled)) == (1, 1)


async def test_a_lost_cursor_is_said_and_what_can_be_known_is_announced(autojump_clock: MockClock) -> None:
    world = World()
    async with world.running():
        first = world.happen()
        await trio.sleep(1)
        missed = world.happen(2, sent=False)
        world.refuse_poll = CursorLost("too old")
        await trio.sleep(400)
        assert world.feed.state is SourceState.DEGRADED
        world.refuse_poll = None
        await trio.sleep(100)
        assert world.announced() == [first, missed]
        assert world.statistics.cursors_lost == 1
        assert world.feed.state is SourceState.LIVE


async def test_what_is_no_event_or_no_answer_or_names_nothing_stops_nothing(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    async with world.running():
        world.bring(Event(uri="not a uri", id="x"))
        world.bring("rubbish")
        await trio.sleep(0.01)
        assert world.states[-1] == (SourceState.POLLING, "TypeError: the stream brought a str, not an Event")
        monkeypatch.setattr(world.service, "answer", lambda _: Answer("2001-01-01T0", ("rubbish",)))
        await trio.sleep(100)
        assert world.feed.state is SourceState.DEGRADED
        monkeypatch.undo()
        await trio.sleep(120)
        assert world.feed.state is SourceState.LIVE
        after = world.happen()
        await trio.sleep(1)
        assert world.announced() == [after]
        assert world.statistics.unusable == 1


async def test_a_hub_that_is_behind_stops_the_reading_of_the_stream(autojump_clock: MockClock) -> None:
    world = World(capacity=0)
    world.settings = ListenerSettings(limit=10)
    async with world.running():
        for _ in range(500):
            world.happen()
        await trio.sleep(100)
        assert world.statistics.events <= 12


async def test_seconds_are_counted_in_each_state_while_the_task_runs(autojump_clock: MockClock) -> None:
    world = World()
    world.refuse_stream = ConnectionError("no")
    async with world.running():
        await trio.sleep(100)
        world.refuse_stream = None
        await trio.sleep(100)
    await trio.sleep(1000)
    seconds = world.statistics.seconds(trio.current_time())
    assert seconds[SourceState.POLLING] >= 100
    assert seconds[SourceState.LIVE] >= 40
    assert sum(seconds.values()) == pytest.approx(200, abs=1)


async def test_a_busy_stream_is_polled_before_its_facts_are_forgotten(autojump_clock: MockClock) -> None:
    world = World(capacity=100_000)
    world.settings = ListenerSettings(memory=200, check_every="1d")
    async with world.running():
        for _ in range(50):
            for _ in range(10):
                world.happen()
            await trio.sleep(1)
        assert len(world.announced()) == 500
        assert len(world.polled) >= 5
    async with world.running():
        await trio.sleep(10)
        assert len(world.announced()) == 500


async def test_a_checkpoint_of_another_source_is_refused(autojump_clock: MockClock) -> None:
    world = World()
    world.feed.checkpoint = 3
    with pytest.raises(TypeError, match="not a listener's"):
        await world.run()
