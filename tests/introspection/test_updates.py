"""The source of updates: nothing is lost, nothing is told that did not happen, and nothing runs for nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import trio

from mcptrio.introspection.updates import INTERVAL, Updates
from mcptrio.live import Change, Feed, Hub, Outbox, Pump

A, B = "mcptrio://a", "mcptrio://b"


class Scene:
    """Updates over stamps that a test turns, and what is reported when."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.pump = Pump(self.hub)
        self.feed: Feed = self.pump.feed("mcptrio")
        self.stamps = {A: 0, B: 0}
        self.looks = 0
        self.told: list[tuple[float, str]] = []
        self.updates = Updates(self.hub, self.stamp)
        self.feed.watch(self.reported)

    def stamp(self, uri: str) -> object:
        self.looks += 1
        return self.stamps.get(uri)

    def reported(self, change: Change) -> None:
        self.told.append((trio.current_time(), change.uri))

    @contextmanager
    def subscribed(self, *uris: str) -> Iterator[None]:
        outbox = Outbox()
        for uri in uris:
            self.hub.subscribe(uri, outbox)
            self.feed.want(uri)
        yield
        self.hub.leave(outbox)
        for uri in uris:
            self.feed.unwant(uri)


@contextmanager
def nothing_told(scene: Scene) -> Iterator[None]:
    before = len(scene.told)
    yield
    assert scene.told[before:] == []


async def test_a_change_after_the_subscription_is_told_once_even_before_the_task_runs(
    nursery: trio.Nursery,
) -> None:
    scene = Scene()
    with scene.subscribed(A):
        scene.stamps[A] += 1
        nursery.start_soon(scene.updates.run, scene.feed)
        nursery.start_soon(scene.pump.run)
        await trio.sleep(10)
        assert [uri for _, uri in scene.told] == [A]
    nursery.cancel_scope.cancel()


async def test_what_changed_before_the_subscription_or_did_not_change_is_not_told(
    nursery: trio.Nursery,
) -> None:
    scene = Scene()
    nursery.start_soon(scene.updates.run, scene.feed)
    nursery.start_soon(scene.pump.run)
    await trio.sleep(1)
    scene.stamps[A] += 1
    with scene.subscribed(A, B), nothing_told(scene):
        await trio.sleep(10)
    scene.stamps[A] += 1
    with scene.subscribed(A), nothing_told(scene):
        await trio.sleep(10)
    nursery.cancel_scope.cancel()


async def test_each_resource_is_told_of_at_most_once_an_interval_and_the_last_change_always(
    nursery: trio.Nursery,
) -> None:
    scene = Scene()
    nursery.start_soon(scene.updates.run, scene.feed)
    nursery.start_soon(scene.pump.run)
    with scene.subscribed(A, B):
        for _ in range(100):
            scene.stamps[A] += 1
            scene.stamps[B] += 1
            await trio.sleep(0.03)
        await trio.sleep(INTERVAL)
        for uri in (A, B):
            times = [at for at, each in scene.told if each == uri]
            assert 6 <= len(times) <= 7
            assert all(later - earlier >= INTERVAL for earlier, later in pairwise(times))
        with nothing_told(scene):
            await trio.sleep(10)
    nursery.cancel_scope.cancel()


async def test_nothing_is_looked_at_while_nobody_is_subscribed(nursery: trio.Nursery) -> None:
    scene = Scene()
    nursery.start_soon(scene.updates.run, scene.feed)
    nursery.start_soon(scene.pump.run)
    with scene.subscribed("other://a"):
        await trio.sleep(100)
    assert scene.looks == 0
    scene.feed.want(A)  # somebody reads, for long
    await trio.sleep(100)
    assert scene.looks == 0
    scene.feed.unwant(A)
    with scene.subscribed(A):
        await trio.sleep(100)
    assert scene.looks > 100
    looks = scene.looks
    await trio.sleep(100)
    assert scene.looks <= looks + 1
    nursery.cancel_scope.cancel()


async def test_a_uri_that_nothing_is_at_is_not_remembered_until_something_is(nursery: trio.Nursery) -> None:
    scene = Scene()
    nursery.start_soon(scene.updates.run, scene.feed)
    nursery.start_soon(scene.pump.run)
    late = "mcptrio://late"
    with scene.subscribed(late, A, "other://late"):
        assert scene.updates._told == {A: 0}
        scene.stamps[late] = 5
        scene.updates.appeared()
        await trio.sleep(10)
        assert [uri for _, uri in scene.told] == [late]
    assert scene.updates._told == {}
    nursery.cancel_scope.cancel()


async def test_a_task_that_is_stopped_while_it_reports_leaves_the_rest_to_the_next(
    nursery: trio.Nursery,
) -> None:
    scene = Scene()
    with scene.subscribed(A, B):
        scene.stamps[A] += 1
        scene.stamps[B] += 1
        # The channel is full, and nobody empties it.
        while True:
            with trio.move_on_after(1) as scope:
                await scene.feed.updated("other://x")
            if scope.cancelled_caught:
                break
        scene.told.clear()
        with trio.move_on_after(10):
            await scene.updates.run(scene.feed)
        assert scene.told == []
        nursery.start_soon(scene.pump.run)
        nursery.start_soon(scene.updates.run, scene.feed)
        await trio.sleep(10)
        assert [uri for _, uri in scene.told] == [A, B]
    nursery.cancel_scope.cancel()


async def test_who_leaves_and_comes_again_during_a_report_hears_of_no_change_before_it() -> None:
    scene = Scene()
    outbox = Outbox()
    scene.hub.subscribe(A, outbox)
    scene.stamps[A] += 1

    def leave_and_come_again(change: Change) -> None:
        scene.hub.unsubscribe(A, outbox)
        scene.stamps[A] += 1
        scene.hub.subscribe(A, outbox)

    scene.feed.watch(leave_and_come_again)
    scene.feed.want(A)
    with trio.move_on_after(INTERVAL * 3.5):
        await scene.updates.run(scene.feed)
    assert len(scene.told) == 1


async def test_many_spellings_of_one_uri_hold_up_nobody(nursery: trio.Nursery) -> None:
    scene = Scene()
    uris = [f"mcptrio://{number}" for number in range(1000)]
    scene.stamps |= dict.fromkeys(uris, 0)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await trio.sleep(INTERVAL)
            for _ in range(20):
                turns += 1
                await trio.lowlevel.checkpoint()

    with scene.subscribed(*uris):
        seen: set[int] = set()
        stamp = scene.updates._stamp
        scene.updates._stamp = lambda uri: (seen.add(turns), stamp(uri))[1]
        nursery.start_soon(others)
        nursery.start_soon(scene.updates.run, scene.feed)
        await trio.sleep(INTERVAL * 1.5)
        assert len(seen) >= 5
    nursery.cancel_scope.cancel()
