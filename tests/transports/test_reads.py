"""A cached resource over every transport: who has heard of a change never gets what was before it."""

from __future__ import annotations

import trio
import trio.testing
from trio.testing import MockClock

from tests.transports.clients import Way, everywhere, world
from tests.transports.conversation import contents_of
from tests.transports.rooms import NOTE, Rooms

settled = trio.testing.wait_all_tasks_blocked


@everywhere
async def test_a_read_that_began_before_a_change_is_given_to_nobody_who_asks_after_it(
    way: Way, autojump_clock: MockClock
) -> None:
    rooms = Rooms()
    async with world(rooms.app) as here:
        client = await here.open(way)
        told = await client.subscribe(NOTE)
        rooms.note_gate = trio.Event()
        await client.send("early", "resources/read", {"uri": NOTE})
        await settled()
        rooms.change_note("second")
        assert await told.next() == NOTE
        await client.send("late", "resources/read", {"uri": NOTE})
        await settled()
        assert rooms.runs == 2
        rooms.note_gate.set()
        early, late = await client.answer("early"), await client.answer("late")
        assert (contents_of(early), contents_of(late)) == ("first", "second")
        if way.modern:
            assert early["result"]["ttlMs"] == 0  # type: ignore[index]
            assert late["result"]["ttlMs"] == 60_000  # type: ignore[index]
        assert await client.read(NOTE) == "second"
        assert rooms.runs == 2


@everywhere
async def test_a_run_that_outlives_two_changes_fills_the_cache_with_none_of_them(
    way: Way, autojump_clock: MockClock
) -> None:
    rooms = Rooms()
    async with world(rooms.app) as here:
        client = await here.open(way)
        gates = []
        for number in range(3):
            gates.append(rooms.note_gate)
            rooms.note_gate = gates[number] = trio.Event()
            await client.send(number, "resources/read", {"uri": NOTE})
            await settled()
            rooms.change_note(str(number))
        for number in (1, 2, 0):  # the oldest comes last
            gates[number].set()
            await client.answer(number)
        rooms.note_gate.set()
        assert await client.read(NOTE) == "2"
        assert rooms.runs == 4


@everywhere
async def test_whoever_reads_after_it_was_told_reads_what_it_was_told_of(
    way: Way, autojump_clock: MockClock
) -> None:
    rooms = Rooms()
    async with world(rooms.app) as here:
        client = await here.open(way)
        other = await here.open(Way("http", not way.modern))
        told = await client.subscribe(NOTE)
        for number in range(10):
            rooms.change_note(str(number))
            assert await told.next() == NOTE
            assert [await client.read(NOTE), await other.read(NOTE), await client.read(NOTE)] == [
                str(number)
            ] * 3
        assert rooms.runs == 10


@everywhere
async def test_who_cancels_the_run_that_others_wait_for_leaves_them_an_answer(
    way: Way, autojump_clock: MockClock
) -> None:
    rooms = Rooms()
    async with world(rooms.app) as here:
        client = await here.open(way)
        other = await here.open(Way("http", not way.modern))
        rooms.note_gate = trio.Event()
        await client.send("begins", "resources/read", {"uri": NOTE})
        await settled()
        await other.send("waits", "resources/read", {"uri": NOTE})
        await settled()
        assert rooms.runs == 1
        await client.cancel("begins")
        await settled()
        rooms.note_gate.set()
        assert contents_of(await other.answer("waits")) == "first"
        assert rooms.runs == 2
        await client.answers[str, "begins"].nothing()
