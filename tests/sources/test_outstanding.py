"""Changes between deciding and reporting survive whatever happens to the task."""

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.live import Change, Feed
from mcptrio.sources.outstanding import Outstanding


def changes(count: int) -> list[Change]:
    return [Change(uri=f"x://{n}") for n in range(count)]


async def test_everything_is_reported_in_order() -> None:
    send, receive = trio.open_memory_channel[Change](10)
    outstanding = Outstanding()
    outstanding.add(changes(3))
    assert len(outstanding) == 3
    await outstanding.report_to(Feed("s", send))
    assert len(outstanding) == 0
    assert [receive.receive_nowait().uri for _ in range(3)] == ["x://0", "x://1", "x://2"]


async def test_reporting_nothing_is_still_a_checkpoint() -> None:
    send, _ = trio.open_memory_channel[Change](1)
    with trio.testing.assert_checkpoints():
        await Outstanding().report_to(Feed("s", send))


@given(
    total=st.integers(0, 8),
    capacity=st.integers(0, 3),
    takes=st.lists(st.integers(0, 4), max_size=12),
)
def test_however_often_the_task_is_cut_each_change_arrives_once_in_order(
    total: int, capacity: int, takes: list[int]
) -> None:
    async def main() -> list[str]:
        send, receive = trio.open_memory_channel[Change](capacity)
        feed = Feed("s", send)
        outstanding = Outstanding()
        outstanding.add(changes(total))
        arrived: list[str] = []
        for take in takes:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(outstanding.report_to, feed)
                await trio.testing.wait_all_tasks_blocked()
                for _ in range(take):
                    try:
                        arrived.append(receive.receive_nowait().uri)
                    except trio.WouldBlock:
                        await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel(reason="the task is cut")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outstanding.report_to, feed)
            while len(arrived) < total:
                arrived.append((await receive.receive()).uri)
        assert receive.statistics().current_buffer_used == 0
        return arrived

    assert trio.run(main) == [f"x://{n}" for n in range(total)]
