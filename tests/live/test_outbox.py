"""An outbox keeps the contract of a Trio receive channel, and conflates."""

from __future__ import annotations

import functools

import pytest
import trio
import trio.testing

from mcptrio.live import Change, Delivery, Entry, Outbox, OutboxStatistics


@functools.cache
def entry(offset: int) -> Entry:
    return Entry(offset, Change(uri="a:b"))


async def test_receiving_gives_what_is_pending_and_is_a_checkpoint() -> None:
    outbox = Outbox()
    outbox.send_nowait("a", entry(1))
    with trio.testing.assert_checkpoints():
        assert await outbox.receive() == Delivery("a", entry(1))


async def test_receiving_waits_for_a_delivery() -> None:
    outbox = Outbox()
    received: list[Delivery] = []

    async def receive() -> None:
        received.append(await outbox.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        assert outbox.statistics() == OutboxStatistics(0, 0, 1)
        assert received == []
        outbox.send_nowait("a", entry(1))
        outbox.send_nowait("a", entry(2))
    assert received == [Delivery("a", entry(2))]
    assert outbox.statistics() == OutboxStatistics(0, 1, 0)


async def test_a_newer_entry_takes_the_place_of_the_older_in_the_queue() -> None:
    outbox = Outbox()
    assert [outbox.send_nowait(key, entry(n)) for n, key in enumerate("abcab")] == [False] * 3 + [True] * 2
    assert outbox.statistics() == OutboxStatistics(3, 2, 0)
    assert [await outbox.receive() for _ in range(3)] == [
        Delivery("a", entry(3)),
        Delivery("b", entry(4)),
        Delivery("c", entry(2)),
    ]
    with pytest.raises(trio.WouldBlock):
        outbox.receive_nowait()


async def test_a_key_alone_is_a_delivery_too() -> None:
    outbox = Outbox()
    outbox.send_nowait("a")
    assert await outbox.receive() == Delivery("a", None)


async def test_receiving_in_a_cancelled_scope_takes_nothing() -> None:
    outbox = Outbox()
    outbox.send_nowait("a", entry(1))
    with trio.CancelScope() as scope:
        scope.cancel()
        await outbox.receive()
    assert scope.cancelled_caught
    assert outbox.receive_nowait() == Delivery("a", entry(1))


async def test_wherever_a_receiver_is_cancelled_nothing_is_lost_or_doubled() -> None:
    class CancelAtStep(trio.abc.Instrument):
        """Cancels a scope before the n-th step of a task."""

        def __init__(self, task: trio.lowlevel.Task, steps: int, scope: trio.CancelScope) -> None:
            self.task, self.steps, self.scope = task, steps, scope

        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            if task is self.task:
                self.steps -= 1
                if self.steps == 0:
                    self.scope.cancel()

    outcomes = set()
    for step in range(1, 8):
        for waits in (False, True):
            outbox = Outbox()
            received: list[Delivery] = []

            async def receive(
                step: int = step, outbox: Outbox = outbox, received: list[Delivery] = received
            ) -> None:
                with trio.CancelScope() as scope:
                    instrument = CancelAtStep(trio.lowlevel.current_task(), step, scope)
                    trio.lowlevel.add_instrument(instrument)
                    try:
                        received.append(await outbox.receive())
                        received.append(await outbox.receive())
                    finally:
                        trio.lowlevel.remove_instrument(instrument)

            if not waits:
                outbox.send_nowait("a", entry(1))
                outbox.send_nowait("b", entry(2))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(receive)
                await trio.testing.wait_all_tasks_blocked()
                if waits:
                    outbox.send_nowait("a", entry(1))
                    outbox.send_nowait("b", entry(2))
                    await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            left = [outbox.receive_nowait() for _ in range(len(outbox))]
            assert [*received, *left] == [Delivery("a", entry(1)), Delivery("b", entry(2))]
            assert outbox.statistics().tasks_waiting_receive == 0
            outcomes.add(len(received))
    assert outcomes == {1, 2}  # cancelled behind the first, and not at all


async def test_a_receiver_cancelled_after_it_was_woken_does_not_keep_the_delivery_from_another() -> None:
    outbox = Outbox()
    received: list[Delivery] = []

    async def receive(scope: trio.CancelScope) -> None:
        with scope:
            received.append(await outbox.receive())

    async with trio.open_nursery() as nursery:
        first, second = trio.CancelScope(), trio.CancelScope()
        nursery.start_soon(receive, first)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(receive, second)
        await trio.testing.wait_all_tasks_blocked()
        assert outbox.statistics().tasks_waiting_receive == 2
        outbox.send_nowait("a", entry(1))
        first.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert received == [Delivery("a", entry(1))] or len(outbox) == 1
        outbox.send_nowait("b", entry(2))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    left = [outbox.receive_nowait() for _ in range(len(outbox))]
    assert [delivery.key for delivery in [*received, *left]] == ["a", "b"]


async def test_several_receivers_are_served_in_the_order_in_which_they_came() -> None:
    outbox = Outbox()
    served: list[tuple[int, object]] = []

    async def receive(number: int) -> None:
        served.append((number, (await outbox.receive()).key))

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(receive, number)
            await trio.testing.wait_all_tasks_blocked()
        for key in "abc":
            outbox.send_nowait(key)
            await trio.testing.wait_all_tasks_blocked()
    assert served == [(0, "a"), (1, "b"), (2, "c")]


async def test_closing_ends_all_receivers_and_forgets_everything() -> None:
    outbox = Outbox(lambda: None)

    async def receive() -> None:
        with pytest.raises(trio.EndOfChannel):
            await outbox.receive()

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        outbox.close()
        outbox.close()
    assert outbox.send_nowait("a", entry(1)) is False
    assert len(outbox) == 0
    assert outbox.on_ready is None
    with pytest.raises(trio.EndOfChannel):
        outbox.receive_nowait()
    with pytest.raises(trio.EndOfChannel):
        await outbox.receive()


def test_closing_drops_what_is_pending() -> None:
    outbox = Outbox()
    outbox.send_nowait("a", entry(1))
    outbox.close()
    assert outbox.statistics() == OutboxStatistics(0, 0, 0)
    with pytest.raises(trio.EndOfChannel):
        outbox.receive_nowait()


def test_it_says_once_that_it_stopped_being_empty() -> None:
    calls: list[int] = []
    outbox = Outbox(lambda: calls.append(len(outbox)))
    for key in "aab":
        outbox.send_nowait(key)
    assert calls == [1]
    outbox.receive_nowait()
    outbox.send_nowait("c")
    assert calls == [1]
    while len(outbox):
        outbox.receive_nowait()
    outbox.send_nowait("a")
    assert calls == [1, 1]


def test_purging_forgets_one_key_and_is_idempotent() -> None:
    outbox = Outbox()
    outbox.send_nowait("a", entry(1))
    outbox.send_nowait("b", entry(2))
    outbox.purge("a")
    outbox.purge("a")
    assert outbox.receive_nowait() == Delivery("b", entry(2))
    assert len(outbox) == 0


async def test_a_purge_behind_a_wakeup_leaves_the_receiver_waiting() -> None:
    outbox = Outbox()
    received: list[Delivery] = []

    async def receive() -> None:
        received.append(await outbox.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        outbox.send_nowait("a")
        outbox.purge("a")
        await trio.testing.wait_all_tasks_blocked()
        assert outbox.statistics().tasks_waiting_receive == 1
        outbox.send_nowait("b")
    assert received == [Delivery("b", None)]
