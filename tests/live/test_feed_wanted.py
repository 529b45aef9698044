"""Which URIs of a source somebody wants, as its task sees it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.live import Change, Feed


@pytest.fixture
def feed() -> Iterator[Feed]:
    send, receive = trio.open_memory_channel[Change](1)
    yield Feed("mail", send)
    send.close()
    receive.close()


def test_a_uri_is_wanted_from_the_first_who_wants_it_to_the_last(feed: Feed) -> None:
    assert feed.wanted == frozenset()
    assert feed.want("a:1")
    assert not feed.want("a:1")
    assert feed.want("a:2")
    assert feed.wanted == {"a:1", "a:2"}
    assert feed.wanted_count == 2
    assert not feed.unwant("a:1")
    assert feed.wanted == {"a:1", "a:2"}
    assert feed.unwant("a:1")
    assert feed.wanted == {"a:2"}
    assert feed.unwant("a:2")
    assert (feed.wanted, feed.wanted_count) == (frozenset(), 0)
    with pytest.raises(KeyError):
        feed.unwant("a:2")


async def test_a_task_hears_of_what_changed_since_it_asked(feed: Feed) -> None:
    heard: list[frozenset[str]] = []

    async def follow() -> None:
        while True:
            heard.append(await feed.wanted_changed())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        await trio.testing.wait_all_tasks_blocked()
        assert heard == []  # nothing is wanted, as a task expects that has not asked
        feed.want("a:1")
        await trio.testing.wait_all_tasks_blocked()
        feed.want("a:2")
        feed.want("a:2")
        feed.unwant("a:1")
        await trio.testing.wait_all_tasks_blocked()
        feed.unwant("a:2")  # still wanted by the other one
        await trio.testing.wait_all_tasks_blocked()
        assert heard == [{"a:1"}, {"a:2"}]
        nursery.cancel_scope.cancel()


async def test_what_is_wanted_already_is_news_to_a_task_that_never_asked_and_not_to_one_that_did(
    feed: Feed,
) -> None:
    feed.want("a:1")
    with trio.testing.assert_checkpoints():
        assert await feed.wanted_changed() == {"a:1"}

    async def asks_first() -> None:
        assert feed.wanted == {"a:1"}
        await feed.wanted_changed()
        raise AssertionError("nothing has changed")

    async def asks_never(got: list[frozenset[str]]) -> None:
        got.append(await feed.wanted_changed())

    got: list[frozenset[str]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(asks_first)
        nursery.start_soon(asks_never, got)
        await trio.testing.wait_all_tasks_blocked()
        assert got == [{"a:1"}]
        nursery.cancel_scope.cancel()


async def test_what_came_and_went_again_meanwhile_is_no_change(feed: Feed) -> None:
    assert feed.wanted == frozenset()
    feed.want("a:1")
    feed.unwant("a:1")
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            assert await feed.wanted_changed() == {"a:2"}

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        feed.want("a:1")
        feed.unwant("a:1")
        await trio.testing.wait_all_tasks_blocked()
        feed.want("a:2")


async def test_a_cancelled_wait_leaves_the_change_for_the_next_one(feed: Feed) -> None:
    feed.want("a:1")
    with trio.CancelScope() as scope:
        scope.cancel()
        await feed.wanted_changed()
    assert scope.cancelled_caught
    assert await feed.wanted_changed() == {"a:1"}


async def test_tasks_that_have_ended_are_forgotten(feed: Feed) -> None:
    async def ask() -> None:
        await trio.lowlevel.checkpoint()
        assert feed.wanted == frozenset()

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(ask)
    await trio.testing.wait_all_tasks_blocked()
    assert feed._asked is not None and len(feed._asked) < 100


Step = tuple[str, int]


@given(st.lists(st.tuples(st.sampled_from(["want", "unwant", "turn"]), st.integers(0, 2)), max_size=30))
def test_who_follows_always_ends_with_what_is_wanted(steps: list[Step]) -> None:
    """However wants come and go, and whenever the task gets its turn."""

    async def main() -> None:
        send, receive = trio.open_memory_channel[Change](1)
        feed = Feed("mail", send)
        counts = dict.fromkeys(("a:0", "a:1", "a:2"), 0)
        seen: frozenset[str] = frozenset()

        async def follow() -> None:
            nonlocal seen
            while True:
                before, seen = seen, await feed.wanted_changed()
                assert seen != before

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            for step, number in steps:
                uri = f"a:{number}"
                if step == "want":
                    counts[uri] += 1
                    assert feed.want(uri) is (counts[uri] == 1)
                elif step == "unwant" and counts[uri]:
                    counts[uri] -= 1
                    assert feed.unwant(uri) is (counts[uri] == 0)
                elif step == "turn":
                    await trio.testing.wait_all_tasks_blocked()
                    assert seen == {uri for uri, count in counts.items() if count}
            await trio.testing.wait_all_tasks_blocked()
            assert seen == {uri for uri, count in counts.items() if count} == feed.wanted
            nursery.cancel_scope.cancel()
        send.close()
        receive.close()

    trio.run(main)
