"""A send has a deadline, and a cut one is the last."""

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from mcptrio.wire import TransportStream, memory_transport_pair
from mcptrio.wire.send_guard import SendGuard, SendStalled


def make(timeout: float = 10) -> tuple[SendGuard, TransportStream]:
    near, far = memory_transport_pair(100)
    return SendGuard(TransportStream(near), timeout), TransportStream(far)


async def test_sends_go_through_while_they_are_taken(autojump_clock: MockClock) -> None:
    guard, far = make()
    for _ in range(3):
        with trio.testing.assert_checkpoints():
            await guard.send_all(b"hello")
        assert await far.receive_some() == b"hello"
    assert not guard.cut


async def test_a_send_that_stalls_is_cut_and_every_later_one_fails(autojump_clock: MockClock) -> None:
    guard, far = make(timeout=10)
    with pytest.raises(SendStalled, match="took nothing for 10 s"):
        await guard.send_all(b"x" * 1000)
    assert trio.current_time() == pytest.approx(10)
    assert guard.cut
    assert len(await far.receive_some()) == 100
    with pytest.raises(trio.BrokenResourceError, match="an earlier send was cut"):
        await guard.send_all(b"y")
    assert await_nothing(far)


def await_nothing(far: TransportStream) -> bool:
    """Whether nothing more is on its way."""
    with pytest.raises(BlockingIOError):
        far.transport.recv_into(bytearray(1))
    return True


async def test_a_send_that_is_cancelled_is_the_last_too(autojump_clock: MockClock) -> None:
    guard, _ = make()
    with trio.move_on_after(1):
        await guard.send_all(b"x" * 1000)
    with pytest.raises(trio.BrokenResourceError, match="an earlier send was cut"):
        await guard.send_all(b"y")


async def test_so_is_one_that_fails(autojump_clock: MockClock) -> None:
    guard, far = make()
    await far.aclose()
    with pytest.raises(trio.BrokenResourceError, match="broke"):
        await guard.send_all(b"x")
    with pytest.raises(trio.BrokenResourceError, match="an earlier send was cut"):
        await guard.send_all(b"y")
