"""What waits is bounded by number and bytes; at a bound there is a gap, which is told and counted, and others notice nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from mcptrio import App, Limits, ServerSettings
from mcptrio.live import allowance
from mcptrio.live.allowance import Tally
from tests.extension.judge import CALLED
from tests.extension.rig import (
    BOTH,
    Client,
    changes,
    client,
    glob,
    house,
    living,
    offsets,
    publish,
    update,
)
from tests.server.rig import House, Json

pytestmark = pytest.mark.unmeasured

SETTINGS = ServerSettings(limits=replace(Limits(), high_water=2000))
URI = "mail://a/1"


def tally(app: App) -> Tally:
    return app.hub.selections.tally


async def slow(home: House, modern: bool, *asked: Json) -> Client:
    """A client that is behind from its acknowledgement on: it reads nothing but that."""
    one = await client(home, modern, capacity=500)
    await one.ask(*asked)
    return one


async def flood(app: App, count: int, data: object = None) -> list[int]:
    """Publish, and let everybody run in between."""
    published = []
    for number in range(count):
        published.append(publish(app, f"mail://a/{number % 50}", data=data))
        if number % 500 == 0:
            await trio.testing.wait_all_tasks_blocked()
    await trio.testing.wait_all_tasks_blocked()
    return published


@BOTH
async def test_more_changes_than_may_wait_become_one_gap_and_others_are_told_all(
    modern: bool, autojump_clock: MockClock
) -> None:
    app = house(SETTINGS)
    async with living(app) as home:
        one = await slow(home, modern, glob(policy="every"), {"label": "quiet", "uri": "mail://b/1"})
        other = await client(home, modern)
        await other.ask(glob(policy="every"))
        heard: list[Json] = []
        published = []
        for _ in range(11):
            published += await flood(app, 1000)
            heard += await other.rest()
        assert offsets(heard) == published
        assert tally(app).gaps == {"pending": 1}
        assert tally(app).given_up > allowance.MOST
        assert tally(app).waiting <= 1000
        told = await one.rest()
        numbers = [int(str(number)) for number in offsets(told)]
        (gap,) = [change for change in changes(told) if "reason" in change]
        at = numbers.index(int(str(gap["offset"])))
        # In order up to the gap and behind it, with nothing missing on either side.
        assert numbers[:at] == published[:at]
        assert numbers[at:] == published[published.index(numbers[at]) :]
        assert (gap["reason"], gap["label"]) == ("pending", "g")
        assert [uri for uri, change in map(update, told) if "reason" in change] == [f"{CALLED}g"]
        assert len(numbers) - 1 + tally(app).given_up == len(published)
        offset = publish(app, "mail://b/1")
        assert offsets(await one.rest(), "quiet") == [offset]


@BOTH
async def test_more_bytes_than_may_wait_become_one_gap(modern: bool, autojump_clock: MockClock) -> None:
    app = house(SETTINGS)
    async with living(app) as home:
        one = await slow(home, modern, glob(policy="every", fields="all"))
        other = await client(home, modern)
        await other.ask(glob(policy="every"))
        text = "x" * 500_000
        for number in range(40):
            publish(app, URI, data=f"{number}{text}")
            await trio.testing.wait_all_tasks_blocked()
            allowed = one.wire.peer.allowance
            assert allowed is not None and allowed.bytes <= allowance.MOST_BYTES
        assert tally(app).gaps == {"pending": 1}
        assert len(offsets(await other.rest())) == 40
        told = changes(await one.rest())
        (gap,) = [each for each in told if "reason" in each]
        assert gap["reason"] == "pending"
        assert told[-1]["offset"] == 40


@BOTH
async def test_data_that_is_not_asked_for_does_not_count(modern: bool, autojump_clock: MockClock) -> None:
    app = house(SETTINGS)
    async with living(app) as home:
        one = await slow(home, modern, glob(policy="every"))
        text = "x" * 500_000
        for number in range(100):
            publish(app, URI, data=f"{number}{text}")
        await trio.testing.wait_all_tasks_blocked()
        assert not tally(app).gaps
        assert len(offsets(await one.rest())) == 100


@pytest.mark.parametrize("policy", ["conflate", {"batch": {"windowMs": 1, "maxWaitMs": 1}}], ids=str)
async def test_who_merges_has_no_gap_however_slow_it_is_and_gets_the_last_state(
    policy: object, autojump_clock: MockClock
) -> None:
    app = house(SETTINGS)
    async with living(app) as home:
        one = await slow(home, True, glob(policy=policy, fields="all"))
        for number in range(20_000):
            publish(app, f"mail://a/{number % 50}", data=number)
            if number % 500 == 0:
                await trio.sleep(0.002)
        assert tally(app).waiting <= 100  # two of each URI at most
        assert tally(app).merged > 19_000
        told = await one.rest()
        last = {uri: change["data"] for uri, change in map(update, told)}
        assert last == {f"mail://a/{number % 50}": number for number in range(19_950, 20_000)}
        assert not tally(app).gaps


async def test_the_subscriptions_of_one_client_share_what_may_wait_and_only_who_is_over_it_has_a_gap(
    autojump_clock: MockClock,
) -> None:
    app = house(SETTINGS)
    async with living(app) as home:
        one = await slow(home, True, glob("mail://b/*", "few", policy="every"))
        two = Client(one.wire, True, "two")
        await two.ask(glob("mail://a/*", "many", policy="every"))
        few = [publish(app, "mail://b/1") for _ in range(10)]
        await flood(app, 10_500)
        told = await one.rest()
        assert offsets(told, "few") == few
        assert [each["label"] for each in changes(told) if "reason" in each] == ["many"]


async def test_a_client_whose_room_is_used_up_leaves_the_rooms_of_others(autojump_clock: MockClock) -> None:
    app = house(SETTINGS)
    async with living(app) as home:
        crowd = [await slow(home, modern, glob(policy="every")) for modern in (False, True) * 2]
        await flood(app, 9_000)
        # Each has almost all that it may have, at the same time.
        assert not tally(app).gaps
        assert tally(app).waiting > 4 * 8_000
        for one in crowd:
            some = [await one.wire.receive() for _ in range(200)]
            assert offsets(some) == list(range(1, 201))


async def test_who_vanishes_with_much_waiting_leaves_nothing(autojump_clock: MockClock) -> None:
    app = house(SETTINGS)
    async with living(app) as home:
        one = await slow(home, True, glob(policy="every"))
        await flood(app, 5_000)
        assert tally(app).waiting > 4_000
        one.wire.vanish()
        await trio.testing.wait_all_tasks_blocked()
        assert tally(app).waiting == len(app.hub.selections) == 0
