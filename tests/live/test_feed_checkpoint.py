"""A checkpoint is kept with the change it belongs to, or not at all: however and wherever the task ends."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from mcptrio.live import Change, Feed, Hub, InvalidUri, Pump


async def test_a_checkpoint_is_kept_outside_the_task_and_nothing_at_first() -> None:
    pump = Pump(Hub())
    feed = pump.feed("mail")
    assert feed.checkpoint is None
    feed.checkpoint = {"cursor": 7}
    assert feed.checkpoint == {"cursor": 7}
    await feed.updated("a:1", checkpoint=8)
    assert feed.checkpoint == 8
    await feed.created("a:1")  # says nothing of it
    assert feed.checkpoint == 8
    await feed.deleted("a:1", checkpoint=None)
    assert feed.checkpoint is None
    await feed.created("a:1", checkpoint="x")
    await feed.report(Change(uri="a:1"), checkpoint="y")
    assert feed.checkpoint == "y"
    pump.close()


async def test_what_is_refused_moves_no_checkpoint() -> None:
    pump = Pump(Hub())
    feed = pump.feed("mail")
    with pytest.raises(InvalidUri):
        await feed.updated("nonsense", checkpoint=1)
    pump.close()
    with pytest.raises(trio.ClosedResourceError):
        await feed.updated("a:1", checkpoint=1)
    assert feed.checkpoint is None


@pytest.mark.parametrize("capacity", [0, 1, 2])
@pytest.mark.parametrize("step", range(12))
async def test_a_cancellation_at_any_step_leaves_both_or_neither(capacity: int, step: int) -> None:
    """The receiver takes all along, so that the taking, too, may be the step before the cancellation."""
    send, receive = trio.open_memory_channel[Change](capacity)
    feed = Feed("mail", send)
    taken: list[int] = []

    async def report(scope: trio.CancelScope) -> None:
        with scope:
            for number in range(1, 5):
                await feed.updated(f"a:{number}", checkpoint=number)

    async def take() -> None:
        async for change in receive:
            taken.append(int(change.uri[2:]))

    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(report, scope)
        nursery.start_soon(take)
        for _ in range(step):
            await trio.lowlevel.checkpoint()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        send.close()
    assert taken == list(range(1, len(taken) + 1))
    assert (feed.checkpoint or 0) == len(taken)


async def test_the_checkpoint_is_kept_before_anybody_hears_of_the_change() -> None:
    """So a task that is ended by what it does with that finds both."""
    send, receive = trio.open_memory_channel[Change](1)
    feed = Feed("mail", send)
    seen: list[object] = []

    def watch(change: Change) -> None:
        seen.append(feed.checkpoint)
        raise LookupError("a bug")

    feed.watch(watch)
    with pytest.raises(LookupError):
        await feed.updated("a:1", checkpoint=1)
    assert (seen, feed.checkpoint, receive.receive_nowait().uri) == ([1], 1, "a:1")
    send.close()
    receive.close()
