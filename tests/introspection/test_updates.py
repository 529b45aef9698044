"""The source of updates: nothing is lost, nothing is told that did not happen, and nothing runs for nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
import trio

from mcptrio.introspection.updates import INTERVAL, Updates
from mcptrio.live import Allowance, Change, Feed, Hub, Outbox, Pump
from mcptrio.live.terms import parse_terms

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
        self.updates = Updates(self.hub, self.stamp, lambda: self.stamps)
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
        yield
        self.hub.leave(outbox)

    def select(self, *selectors: dict[str, str]) -> Outbox:
        """Subscribe by the extension; `hub.leave` ends it."""
        outbox = Outbox()
        asked = [parse_terms({"label": str(n), **each}, "s") for n, each in enumerate(selectors)]
        self.hub.select(outbox, asked, Allowance())
        return outbox

    def uris(self) -> list[str]:
        """What was reported, by URI."""
        return [uri for _, uri in self.told]


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


class TestExtension:
    async def test_a_uri_is_told_of_while_it_is_subscribed_either_way(self, nursery: trio.Nursery) -> None:
        scene = Scene()
        nursery.start_soon(scene.updates.run, scene.feed)
        nursery.start_soon(scene.pump.run)
        selected = scene.select({"uri": A})
        with scene.subscribed(A):
            scene.stamps[A] += 1
            await trio.sleep(10)
            assert scene.uris() == [A], "one change of one resource"
        scene.stamps[A] += 1
        await trio.sleep(10)
        assert scene.uris() == [A, A], "the plain one has left, the other is there"
        with scene.subscribed(A):
            scene.hub.leave(selected)
            scene.stamps[A] += 1
            await trio.sleep(10)
            assert scene.uris() == [A, A, A], "and the other way round"
        scene.stamps[A] += 1
        with nothing_told(scene):
            await trio.sleep(10)
        assert scene.updates._told == scene.updates._asked == {}
        nursery.cancel_scope.cancel()

    async def test_a_second_subscription_to_a_uri_loses_no_change_of_the_first(
        self, nursery: trio.Nursery
    ) -> None:
        scene = Scene()
        nursery.start_soon(scene.updates.run, scene.feed)
        nursery.start_soon(scene.pump.run)
        with scene.subscribed(A):
            scene.stamps[A] += 1
            for selector in ({"uri": A}, {"glob": "mcptrio://*"}):
                scene.select(selector)
            await trio.sleep(10)
            assert scene.uris() == [A]
        nursery.cancel_scope.cancel()

    async def test_a_uri_that_is_subscribed_no_more_is_still_told_of_to_a_pattern(
        self, nursery: trio.Nursery
    ) -> None:
        scene = Scene()
        nursery.start_soon(scene.updates.run, scene.feed)
        nursery.start_soon(scene.pump.run)
        scene.select({"glob": "mcptrio://*"})
        with scene.subscribed(A):
            scene.stamps[A] += 1
        await trio.sleep(10)
        assert scene.uris() == [A]
        nursery.cancel_scope.cancel()

    @pytest.mark.parametrize(
        ("selector", "expected"),
        [
            ({"glob": "mcptrio://**"}, [A, B]),
            ({"glob": "**"}, [A, B]),
            ({"glob": "mcp**a"}, [A]),
            ({"template": "mcptrio://{name}"}, [A, B]),
            ({"template": "mcptrio://b{+rest}"}, []),
            ({"glob": "mcptrio://a"}, [A]),
            ({"glob": "mail://**"}, []),
        ],
        ids=str,
    )
    async def test_a_pattern_is_told_of_what_is_listed_and_fits(
        self, selector: dict[str, str], expected: list[str], nursery: trio.Nursery
    ) -> None:
        scene = Scene()
        scene.stamps[A] += 1  # before the subscription, and so nothing to it
        scene.select(selector)
        nursery.start_soon(scene.updates.run, scene.feed)
        nursery.start_soon(scene.pump.run)
        with nothing_told(scene):
            await trio.sleep(10)
        scene.stamps[A] += 1
        scene.stamps[B] += 1
        await trio.sleep(10)
        assert scene.uris() == expected
        nursery.cancel_scope.cancel()

    async def test_nothing_is_looked_at_for_patterns_of_others_nor_when_the_last_pattern_has_left(
        self, nursery: trio.Nursery
    ) -> None:
        scene = Scene()
        nursery.start_soon(scene.updates.run, scene.feed)
        nursery.start_soon(scene.pump.run)
        scene.select({"glob": "mail://**"}, {"template": "mcp://{id}"}, {"uri": "mail://1"})
        await trio.sleep(100)
        assert scene.looks == 0
        first = scene.select({"glob": "mcptrio://*"}, {"glob": "mcptrio://a*"})
        second = scene.select({"glob": "mcptrio://*"}, {"uri": B})
        await trio.sleep(100)
        assert scene.looks > 100
        scene.hub.leave(first)
        assert scene.updates._told == {A: 0, B: 0}
        scene.hub.select(second, [parse_terms({"label": "0", "glob": "m://"}, "s")], Allowance())
        assert scene.updates._told == {B: 0}, "it is subscribed by itself, too"
        scene.hub.leave(second)
        assert scene.updates._told == {}
        looks = scene.looks
        await trio.sleep(100)
        assert scene.looks <= looks + 1
        nursery.cancel_scope.cancel()

    async def test_what_is_listed_later_is_told_of_to_patterns_and_once(self, nursery: trio.Nursery) -> None:
        scene = Scene()
        nursery.start_soon(scene.updates.run, scene.feed)
        nursery.start_soon(scene.pump.run)
        late = "mcptrio://late"
        scene.select({"glob": "mcptrio://l*"}, {"uri": late})
        scene.stamps[late] = 5
        scene.updates.appeared()
        scene.updates.appeared()
        await trio.sleep(10)
        assert scene.uris() == [late]
        scene.stamps[late] += 1
        await trio.sleep(10)
        assert scene.uris() == [late, late]
        nursery.cancel_scope.cancel()

    async def test_who_leaves_while_a_new_resource_is_reported_leaves_nothing(
        self, nursery: trio.Nursery
    ) -> None:
        scene = Scene()
        late = "mcptrio://late"
        outbox = scene.select({"uri": late})
        scene.stamps[late] = 5
        scene.updates.appeared()
        scene.feed.watch(lambda change: scene.hub.leave(outbox))
        nursery.start_soon(scene.updates.run, scene.feed)
        await trio.sleep(10)
        assert scene.uris() == [late]
        assert scene.updates._told == scene.updates._asked == {}
        nursery.cancel_scope.cancel()

    async def test_of_very_many_resources_the_first_thousand_are_looked_at_for_patterns(
        self, nursery: trio.Nursery
    ) -> None:
        scene = Scene()
        uris = [f"mcptrio://{number}" for number in range(1100)]
        scene.stamps = dict.fromkeys(uris, 0)
        scene.select({"glob": "mcptrio://*"}, {"uri": uris[-1]})
        assert list(scene.updates._told) == [*uris[:1000], uris[-1]]
        nursery.start_soon(scene.updates.run, scene.feed)
        nursery.start_soon(scene.pump.run)
        scene.stamps = dict.fromkeys(uris, 1)
        await trio.sleep(10)
        assert scene.uris() == [*uris[:1000], uris[-1]]
        nursery.cancel_scope.cancel()
