"""Messages as lines: how they are cut, and how a wire of them ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.wire import Limits, Link, Sweeper, TransportStream, memory_transport_pair
from mcptrio.wire.stdio import LineSplitter, StdioWire, line

LIMIT = 8
parts = st.lists(
    st.sampled_from([b"\n", b"\r", b"\r\n", b"a", b" ", b"\xff\0", b"bc", b"d" * 7]), max_size=40
)


@dataclass
class Cut:
    """What a splitter makes of bytes."""

    limit: int = LIMIT
    lines: list[bytes] = field(default_factory=list)
    oversized: int = 0

    def __post_init__(self) -> None:
        self.splitter = LineSplitter(self.limit, self.too_long)

    def too_long(self) -> None:
        self.oversized += 1

    def feed(self, data: bytes) -> None:
        self.lines += self.splitter.feed(data)
        assert sum(map(len, self.splitter._parts)) <= self.limit + 1

    def end(self) -> Cut:
        self.lines += self.splitter.end()
        assert self.splitter.end() == []
        return self


@given(parts, st.data())
def test_lines_are_cut_alike_however_the_bytes_arrive(pieces: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(pieces)
    cut = Cut()
    rest = whole
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        cut.feed(rest[:size])
        rest = rest[size:]
    cut.end()
    plain = [each.removesuffix(b"\r") for each in whole.split(b"\n")]
    assert cut.lines == [each for each in plain if len(each) <= LIMIT and each.strip()]
    assert cut.oversized == sum(len(each) > LIMIT for each in plain)


def test_a_line_of_exactly_the_limit_is_taken_whatever_its_end_is() -> None:
    for end in (b"\n", b"\r\n", b""):
        cut = Cut()
        cut.feed(b"12345678" + end)
        cut.end()
        assert (cut.lines, cut.oversized) == ([b"12345678"], 0)
        cut.feed(b"123456789" + end)
        cut.end()
        assert (cut.lines, cut.oversized) == ([b"12345678"], 1)


def test_a_line_without_end_is_dropped_once_and_takes_no_memory() -> None:
    cut = Cut()
    for _ in range(1000):
        cut.feed(b"x" * 1000)
    assert (cut.lines, cut.oversized) == ([], 1)
    cut.feed(b"x\nnext\n")
    assert (cut.lines, cut.oversized) == ([b"next"], 1)


def test_a_message_is_one_line_whatever_its_layout() -> None:
    laid_out = json.dumps({"a": ["b\nc", 1]}, indent=2).encode()
    sent = line(laid_out)
    assert sent.count(b"\n") == 1 and sent.endswith(b"\n")
    assert json.loads(sent) == {"a": ["b\nc", 1]}


class House:
    """A wire in memory with its sweeper, and the client's end. `lines` is what was received, until the end."""

    def __init__(self, nursery: trio.Nursery, limits: Limits, capacity: int) -> None:
        ours, theirs = memory_transport_pair(capacity)
        self.client = TransportStream(theirs)
        self.sweeper = Sweeper()
        self.lines: list[bytes] = []
        self.oversized = 0
        self.ended = trio.Event()
        self.link = Link(ours, nursery.start_soon, limits)
        self.wire = StdioWire(
            self.link, limits=limits, on_oversized=self.too_long, on_closed=self.sweeper.discard
        )
        self.sweeper.add(self.wire)
        nursery.start_soon(self.sweeper.run)
        nursery.start_soon(self.receive)

    def too_long(self) -> None:
        self.oversized += 1

    async def receive(self) -> None:
        while lines := await self.wire.receive():
            self.lines += lines
        self.wire.close(1000, "end of input")
        self.ended.set()

    async def end(self) -> tuple[int | None, str]:
        await self.ended.wait()
        await self.wire.wait_closed()
        return self.wire.close_code, self.wire.close_reason

    async def rest(self) -> bytes:
        data = b""
        while chunk := await self.client.receive_some():
            data += chunk
        return data


@asynccontextmanager
async def opened(limits: Limits | None = None, capacity: int = 65_536) -> AsyncIterator[House]:
    async with trio.open_nursery() as nursery:
        house = House(nursery, limits or Limits(), capacity)
        yield house
        house.wire.abort()
        await house.ended.wait()
        assert house.sweeper.statistics().watched == 0
        assert house.wire.pending_bytes == 0
        assert not house.wire.push_text(b"{}")
        nursery.cancel_scope.cancel()


async def test_messages_go_both_ways_a_line_each(autojump_clock: trio.testing.MockClock) -> None:
    async with opened() as house:
        await house.client.send_all(b'{"a":1}\n{"b"')
        await trio.testing.wait_all_tasks_blocked()
        assert house.lines == [b'{"a":1}']
        await house.client.send_all(b":2}\r\n\n  \n")
        await trio.testing.wait_all_tasks_blocked()
        assert house.lines == [b'{"a":1}', b'{"b":2}']
        assert house.wire.push_text(b"{}")
        assert house.wire.push_frame(line(b"[1]") + line(b"[2]"))
        assert await house.client.receive_some() == b"{}\n[1]\n[2]\n"


async def test_a_line_that_is_too_long_is_told_and_the_next_is_received(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with opened(Limits(max_message=10)) as house:
        await house.client.send_all(b"before\n" + b"x" * 11 + b"\nbehind\n" + b"y" * 100_000 + b"\nlast\n")
        await trio.testing.wait_all_tasks_blocked()
        assert house.lines == [b"before", b"behind", b"last"]
        assert house.oversized == 2


async def test_a_last_line_without_its_end_is_received(autojump_clock: trio.testing.MockClock) -> None:
    async with opened() as house:
        await house.client.send_all(b"one\ntwo")
        await house.client.send_eof()
        assert await house.end() == (1000, "end of input")
        assert house.lines == [b"one", b"two"]


async def test_what_is_pending_at_the_end_of_input_still_goes_out(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with opened(capacity=10) as house:
        assert house.wire.push_text(b"x" * 1000)
        await house.client.send_eof()
        await house.ended.wait()
        assert not house.wire.push_text(b"too late")
        assert await house.rest() == b"x" * 1000 + b"\n"
        assert await house.end() == (1000, "end of input")


async def test_a_client_that_leaves_without_reading_holds_the_end_up_only_so_long(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with opened(Limits(close_timeout=3.0), capacity=10) as house:
        house.wire.push_text(b"x" * 1000)
        began = trio.current_time()
        await house.client.send_eof()
        assert await house.end() == (1000, "end of input")
        assert 3.0 <= trio.current_time() - began <= 4.0


async def test_a_close_flushes_and_ends_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async with opened() as house:
        house.wire.push_text(b"last words")
        before = trio.current_time()
        house.wire.close(1001, "the server is shutting down")
        house.wire.close(1011, "too late")
        assert house.wire.closed
        assert await house.end() == (1001, "the server is shutting down")
        assert trio.current_time() == before
        assert await house.rest() == b"last words\n"


async def test_a_close_waits_for_a_reader_up_to_its_deadline_and_hears_nothing_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with opened(capacity=10) as house:
        house.wire.push_text(b"x" * 1000)
        began = trio.current_time()
        house.wire.close(1001, "the server is shutting down")
        await house.client.send_all(b"ignored\n")
        assert await house.end() == (1001, "the server is shutting down")
        assert 1.0 <= trio.current_time() - began <= 2.0
        assert house.lines == []


async def test_a_client_that_accepts_nothing_for_too_long_is_given_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with opened(Limits(stall_timeout=60.0), capacity=10) as house:
        house.wire.push_text(b"x" * 1000)
        for _ in range(5):  # slow is not stalled
            await trio.sleep(50)
            await house.client.receive_some(10)
        began = trio.current_time()
        assert await house.end() == (1008, "stalled")
        assert 59.0 <= trio.current_time() - began <= 61.0


async def test_a_client_too_far_behind_is_closed_and_its_memory_is_bounded(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with opened(Limits(high_water=1000, max_pending=5000), capacity=10) as house:
        while house.wire.push_text(b"x" * 99):
            assert house.wire.pending_bytes <= 5000
        assert await house.end() == (1008, "too far behind")


async def test_a_message_beyond_all_bounds_ends_the_wire(autojump_clock: trio.testing.MockClock) -> None:
    async with opened(Limits(high_water=1000, max_pending=5000)) as house:
        assert not house.wire.push_text(b"x" * 5000)
        assert await house.end() == (1008, "too far behind")


async def test_a_producer_waits_for_a_slow_reader(autojump_clock: trio.testing.MockClock) -> None:
    async with opened(Limits(high_water=100), capacity=10) as house:
        house.wire.push_text(b"x" * 500)
        with trio.move_on_after(10) as impatient:
            await house.wire.wait_below_high_water()
        assert impatient.cancelled_caught
        house.client.transport.recv_into(bytearray(10))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.rest)
            await house.wire.wait_below_high_water()
            assert house.wire.pending_bytes < 100
            nursery.cancel_scope.cancel()


async def test_a_client_that_has_gone_is_noticed_at_the_next_message(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with opened() as house:
        house.client.transport.abort()
        house.wire.push_text(b"{}")
        assert await house.end() == (1006, "connection lost")


async def test_an_abort_ends_everything_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async with opened(capacity=10) as house:
        house.wire.push_text(b"x" * 1000)
        house.wire.abort()
        house.wire.abort()
        house.wire.close(1000)
        assert await house.end() == (1006, "aborted")


async def test_receiving_that_is_cancelled_loses_nothing(autojump_clock: trio.testing.MockClock) -> None:
    ours, theirs = memory_transport_pair()
    client = TransportStream(theirs)
    async with trio.open_nursery() as nursery:
        limits = Limits()
        wire = StdioWire(
            Link(ours, nursery.start_soon, limits),
            limits=limits,
            on_oversized=pytest.fail,
            on_closed=lambda wire: None,
        )
        received: list[bytes] = []
        for number in range(50):
            await client.send_all(b"%d\n" % number)
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as racing:
                    racing.start_soon(_cancel_soon, scope, number % 3)
                    received += await wire.receive()
        while len(received) < 50:
            received += await wire.receive()
        assert received == [b"%d" % number for number in range(50)]
        wire.abort()


async def _cancel_soon(scope: trio.CancelScope, steps: int) -> None:
    for _ in range(steps):
        await trio.lowlevel.checkpoint()
    scope.cancel()
