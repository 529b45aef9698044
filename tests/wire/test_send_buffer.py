"""Ready bytes, first in first out, bounded; one task only while something is queued."""

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from mcptrio.wire import MemoryTransport, SendBuffer, SendBufferStatistics, memory_transport_pair
from mcptrio.wire.codec import IDENTITY, Codec


class Peer:
    """A SendBuffer, the other end of its transport, and what it reported."""

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        capacity: int = 10,
        limit: int = 1000,
        high_water: int = 50,
        codec: Codec = IDENTITY,
    ) -> None:
        self.transport, self.other = memory_transport_pair(capacity)
        self.overflows = 0
        self.errors: list[OSError] = []
        self.flushed = 0
        self.tasks = 0
        self._nursery = nursery
        self.buffer = SendBuffer(
            self.transport,
            self._start,
            high_water=high_water,
            limit=limit,
            on_overflow=self._overflowed,
            on_broken=self.errors.append,
            codec=codec,
        )
        self.buffer.on_flushed = self._flushed

    def _start(self, run: Callable[[], Awaitable[None]]) -> None:
        self.tasks += 1
        self._nursery.start_soon(run)

    def _overflowed(self) -> None:
        self.overflows += 1

    def _flushed(self) -> None:
        self.flushed += 1

    async def read(self) -> bytes:
        """All that arrives until nothing more does; the end of the bytes shows as `<eof>`."""
        data = b""
        scratch = bytearray(1000)
        while True:
            try:
                size = self.other.recv_into(scratch)
            except BlockingIOError:
                await trio.testing.wait_all_tasks_blocked()
                try:
                    size = self.other.recv_into(scratch)
                except BlockingIOError:
                    return data
            if not size:
                return data + b"<eof>"
            data += scratch[:size]


async def test_what_fits_goes_at_once_and_starts_no_task(nursery: trio.Nursery) -> None:
    peer = Peer(nursery)
    assert peer.buffer.push(b"hello")
    assert peer.buffer.push(b"")
    assert peer.buffer.statistics() == SendBufferStatistics(0, 0, open=True, broken=False)
    assert await peer.read() == b"hello"
    assert peer.tasks == 0
    await peer.buffer.wait_empty()


async def test_a_short_send_is_continued_by_one_task_in_order(nursery: trio.Nursery) -> None:
    peer = Peer(nursery)
    pushes = [b"%03d " % number for number in range(100)]
    for data in pushes:
        assert peer.buffer.push(data)
    assert peer.buffer.pending_bytes == 390
    assert peer.buffer.statistics().pending_pushes == 98
    assert peer.tasks == 1
    assert await peer.read() == b"".join(pushes)
    assert peer.buffer.pending_bytes == 0
    await trio.testing.wait_all_tasks_blocked()
    peer.buffer.push(b"x" * 30)
    assert peer.tasks == 2
    assert await peer.read() == b"x" * 30


async def test_small_pushes_leave_joined(nursery: trio.Nursery) -> None:
    peer = Peer(nursery, capacity=1000, limit=10_000_000)
    sends = 0
    original = peer.buffer._send

    def count(data: bytes | bytearray | memoryview) -> int:
        nonlocal sends
        sends += 1
        return original(data)

    peer.buffer._send = count  # type: ignore[method-assign]
    peer.buffer.push(b"x" * 1000)
    for _ in range(500):
        peer.buffer.push(b"ab")
    data = await peer.read()
    assert len(data) == 2000
    assert sends <= 4


async def test_beyond_the_limit_a_push_is_refused_and_reported_once(nursery: trio.Nursery) -> None:
    peer = Peer(nursery, capacity=10, limit=100)
    assert not peer.buffer.push(b"x" * 101)  # even if the transport might take it
    assert peer.buffer.push(b"x" * 100)
    assert peer.buffer.pending_bytes == 90
    assert peer.buffer.push(b"y" * 10)
    assert not peer.buffer.push(b"z")
    assert peer.overflows == 1
    peer.buffer.finish(b"the last word")
    assert await peer.read() == b"x" * 100 + b"y" * 10 + b"the last word"
    assert peer.overflows == 1


async def test_a_failed_send_breaks_it_once_and_for_all(nursery: trio.Nursery) -> None:
    peer = Peer(nursery)
    peer.other.abort()
    assert not peer.buffer.push(b"x")
    assert not peer.buffer.push(b"y")
    assert len(peer.errors) == 1
    assert peer.buffer.broken
    peer.buffer.finish(b"z", eof=True)
    assert peer.flushed == 0


async def test_a_send_that_fails_while_draining_drops_the_rest(nursery: trio.Nursery) -> None:
    peer = Peer(nursery)
    for _ in range(5):
        peer.buffer.push(b"x" * 9)
    peer.other.abort()
    await peer.buffer.wait_empty()
    assert peer.buffer.broken
    assert peer.buffer.pending_bytes == 0
    assert len(peer.errors) == 1
    assert isinstance(peer.errors[0], BrokenPipeError)


async def test_an_aborted_transport_ends_the_drain_quietly(nursery: trio.Nursery) -> None:
    peer = Peer(nursery)
    peer.buffer.push(b"x" * 99)
    await trio.testing.wait_all_tasks_blocked()
    peer.transport.abort()
    await peer.buffer.wait_empty()
    assert peer.buffer.broken
    assert peer.errors == []


async def test_finish_refuses_and_flushes_what_is_pending_then_half_closes(nursery: trio.Nursery) -> None:
    peer = Peer(nursery)
    peer.buffer.push(b"x" * 20)
    peer.buffer.finish(b"bye", eof=True)
    assert not peer.buffer.flushed
    peer.buffer.finish(b"ignored")
    assert not peer.buffer.push(b"refused")
    assert peer.flushed == 0
    assert await peer.read() == b"x" * 20 + b"bye<eof>"
    assert peer.flushed == 1
    assert peer.buffer.flushed
    assert peer.buffer.statistics().open is False


@pytest.mark.parametrize("last", [b"", b"bye"])
async def test_finish_with_nothing_pending_flushes_at_once(nursery: trio.Nursery, last: bytes) -> None:
    peer = Peer(nursery)
    peer.buffer.finish(last)
    assert peer.flushed == 1
    assert await peer.read() == last
    peer.buffer.finish(eof=True)
    assert peer.flushed == 1
    assert await peer.read() == b"<eof>"


async def test_the_half_close_may_be_asked_for_later(nursery: trio.Nursery) -> None:
    peer = Peer(nursery)
    peer.buffer.push(b"x" * 20)
    peer.buffer.finish()
    peer.buffer.finish(eof=True)
    assert await peer.read() == b"x" * 20 + b"<eof>"


async def test_a_last_word_that_goes_out_short_is_drained(nursery: trio.Nursery) -> None:
    peer = Peer(nursery)
    peer.buffer.finish(b"x" * 25)
    assert peer.flushed == 0
    assert await peer.read() == b"x" * 25
    assert peer.flushed == 1


async def test_a_last_word_that_fails_is_reported_as_broken(nursery: trio.Nursery) -> None:
    peer = Peer(nursery)
    peer.other.abort()
    peer.buffer.finish(b"x")
    assert len(peer.errors) == 1
    assert peer.flushed == 0


async def test_discard_wakes_whoever_waits(nursery: trio.Nursery) -> None:
    peer = Peer(nursery)
    peer.buffer.push(b"x" * 99)
    woken: list[str] = []

    async def wait(what: Callable[[], Awaitable[None]], name: str) -> None:
        await what()
        woken.append(name)

    nursery.start_soon(wait, peer.buffer.wait_below_high_water, "low")
    nursery.start_soon(wait, peer.buffer.wait_empty, "empty")
    nursery.start_soon(wait, peer.buffer.wait_empty, "empty too")
    await trio.testing.wait_all_tasks_blocked()
    assert woken == []
    peer.buffer.discard()
    peer.buffer.discard()
    await trio.testing.wait_all_tasks_blocked()
    assert sorted(woken) == ["empty", "empty too", "low"]


@pytest.mark.parametrize("behind", [0, 99], ids=["at first", "when woken"])
async def test_what_one_of_many_who_wait_pushes_holds_back_the_others(
    behind: int, nursery: trio.Nursery
) -> None:
    peer = Peer(nursery, limit=150)
    peer.buffer.push(b"x" * behind)

    async def produce() -> None:
        await peer.buffer.wait_below_high_water()
        assert peer.buffer.push(b"y" * 60)

    for _ in range(10):
        nursery.start_soon(produce)
    await trio.testing.wait_all_tasks_blocked()
    data = b""
    while data.count(b"y") < 600:
        data += await peer.read()
    assert data == b"x" * behind + b"y" * 600
    assert peer.overflows == 0


async def test_it_knows_when_the_transport_last_took_a_byte(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    peer = Peer(nursery)
    await trio.sleep(5)
    peer.buffer.push(b"x" * 30)
    assert peer.buffer.last_accepted_at == 5
    await trio.sleep(5)
    assert peer.buffer.last_accepted_at == 5
    peer.other.recv_into(bytearray(1))
    await trio.testing.wait_all_tasks_blocked()
    assert peer.buffer.last_accepted_at == 10


async def test_a_false_alarm_of_writability_costs_nothing(nursery: trio.Nursery) -> None:
    class Nervous:
        def __init__(self, inner: MemoryTransport) -> None:
            self.inner, self.alarms = inner, 3
            self.peername, self.recv_into, self.send_eof = inner.peername, inner.recv_into, inner.send_eof
            self.send, self.abort, self.wait_readable = inner.send, inner.abort, inner.wait_readable

        async def wait_writable(self) -> None:
            if self.alarms:
                self.alarms -= 1
                await trio.lowlevel.checkpoint()
            else:
                await self.inner.wait_writable()

    server, client = memory_transport_pair(10)
    buffer = SendBuffer(
        Nervous(server),
        nursery.start_soon,
        high_water=1,
        limit=100,
        on_overflow=lambda: None,
        on_broken=lambda error: None,
    )
    buffer.push(b"x" * 15)
    await trio.testing.wait_all_tasks_blocked()
    client.recv_into(bytearray(10))
    await buffer.wait_empty()


async def test_a_buffer_that_is_discarded_while_it_drains_sends_no_more(nursery: trio.Nursery) -> None:
    peer = Peer(nursery)
    peer.buffer.push(b"x" * 30)
    await trio.testing.wait_all_tasks_blocked()
    peer.buffer.discard()
    assert await peer.read() == b"x" * 10
    assert peer.buffer.pending_bytes == 0
    assert not peer.buffer.push(b"y")


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=40), st.integers(0, 30)), max_size=30),
    st.integers(1, 20),
)
def test_whatever_was_taken_arrives_whole_and_in_order(steps: list[tuple[bytes, int]], capacity: int) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            peer = Peer(nursery, capacity=capacity, limit=100)
            taken, arrived = b"", b""
            scratch = bytearray(64)
            for data, read in steps:
                if peer.buffer.push(data):
                    taken += data
                assert peer.buffer.pending_bytes <= 100
                if read:
                    try:
                        size = peer.other.recv_into(memoryview(scratch)[:read])
                    except BlockingIOError:
                        size = 0
                    arrived += scratch[:size]
                await trio.testing.wait_all_tasks_blocked()
            peer.buffer.finish(eof=True)
            assert arrived + await peer.read() == taken + b"<eof>"

    trio.run(main)


class Numbered:
    """A codec that numbers what it seals, as TLS does: nothing may be left out or come twice."""

    ended = False

    def __init__(self) -> None:
        self.sealed = 0
        self.ends = 0

    def seal(self, data: bytes, /) -> bytes:
        self.sealed += 1
        return b"%d:%b;" % (self.sealed, data)

    def open(self, data: bytearray, /) -> tuple[bytes | bytearray, bytes]:
        raise NotImplementedError

    def end(self) -> bytes:
        self.ends += 1
        return b"bye" if self.ends == 1 else b""


async def test_what_is_taken_is_sealed_once_and_what_is_refused_never(nursery: trio.Nursery) -> None:
    codec = Numbered()
    peer = Peer(nursery, capacity=3, limit=20, high_water=0, codec=codec)
    assert not peer.buffer.push(b"x" * 21)
    assert codec.sealed == 0
    assert peer.buffer.push(b"first")
    assert peer.buffer.push(b"second")
    assert not peer.buffer.push(b"third, too long")
    peer.buffer.push_sealed(b"raw;")
    peer.buffer.finish(b"last", eof=True)
    peer.buffer.finish(b"later", eof=True)
    peer.buffer.push_sealed(b"too late")
    assert not peer.buffer.push(b"too late")
    assert await peer.read() == b"1:first;2:second;raw;3:last;bye<eof>"
    assert (codec.sealed, codec.ends, peer.flushed) == (3, 1, 1)


@pytest.mark.parametrize("capacity", [100, 1])
async def test_the_codec_says_goodbye_where_the_half_close_is_asked_for_later(
    nursery: trio.Nursery, capacity: int
) -> None:
    peer = Peer(nursery, capacity=capacity, codec=Numbered())
    peer.buffer.finish(b"last")
    peer.buffer.finish()
    assert await peer.read() == b"1:last;"
    peer.buffer.finish(eof=True)
    assert await peer.read() == b"bye<eof>"
    assert peer.flushed == 1
