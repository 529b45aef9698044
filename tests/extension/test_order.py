"""Order: nothing before the acknowledgement, nothing after the end, and one step where one subscription follows another."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

from mcptrio import App
from tests.extension.judge import CALLED, SUBSCRIPTIONS
from tests.extension.rig import (
    BOTH,
    Client,
    changes,
    client,
    glob,
    house,
    listening,
    living,
    offsets,
    place,
    publish,
    publish_while_subscribing,
    selecting,
    update,
)
from tests.server.rig import TAG, House, Json, cancelled, request, updated

URI = "mail://a/1"
POLICIES: list[Json] = [
    {"policy": "conflate"},
    {"policy": "every"},
    {"policy": {"batch": {"windowMs": 100, "maxWaitMs": 300}}},
]


async def drained(home: House, one: Client) -> list[Json]:
    """All that comes while the server ends."""
    messages: list[Json] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(home.app.server.endpoints[0].drain)
        with pytest.raises(ConnectionClosed):
            while True:
                messages.append(await one.wire.receive())
    return messages


@BOTH
@pytest.mark.parametrize("members", POLICIES, ids=lambda members: str(members["policy"])[:9])
async def test_nothing_comes_before_the_acknowledgement_although_changes_come_in_the_same_step(
    members: Json, modern: bool, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = house()
    first = publish(app, URI)
    publish_while_subscribing(app, URI, monkeypatch)
    async with living(app) as home:
        one = await client(home, modern)
        (honoured,) = await one.ask(glob(**members))  # which fails if anything comes before
        assert place(honoured["cursor"]) == first + 1
        assert offsets(await one.rest()) == [first + 2]


@BOTH
async def test_what_was_missed_comes_behind_the_acknowledgement_and_then_what_happens(
    modern: bool, autojump_clock: MockClock
) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, modern)
        (honoured,) = await one.ask(glob(policy="every"))
        await one.end(f"{CALLED}g")
        missed = [publish(app, URI) for _ in range(5)]
        (honoured,) = await one.ask(glob(policy="every", since=honoured["cursor"]))
        assert (honoured["recovered"], place(honoured["cursor"])) == (True, 0)
        later = [publish(app, URI) for _ in range(5)]  # before anything that was missed is told
        assert offsets(await one.rest()) == missed + later


@BOTH
@pytest.mark.parametrize("members", POLICIES, ids=lambda members: str(members["policy"])[:9])
async def test_nothing_comes_after_the_end_of_a_subscription(
    members: Json, modern: bool, autojump_clock: MockClock
) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, modern)
        await one.ask(glob(**members), {"label": "uri", "uri": URI, **members})
        await one.wire.send_at_once(  # what is published below is not told before this is read
            *(
                [cancelled("l")]
                if modern
                else [
                    request(number, "resources/unsubscribe", {"uri": uri})
                    for number, uri in enumerate((f"{CALLED}g", URI))
                ]
            )
        )
        for _ in range(3):
            publish(app, URI)
        told = await one.rest(2)
        behind = [] if modern else told[[each.get("id") for each in told].index(1) :]
        assert modern or behind == [{"jsonrpc": "2.0", "id": 1, "result": {}}]
        publish(app, URI)
        assert await one.rest(2) == []
        assert len(app.hub.selections) == 0


async def test_what_waits_is_forgotten_with_its_subscription(autojump_clock: MockClock) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, False)
        waits: Json = {"batch": {"windowMs": 60_000, "maxWaitMs": 60_000}}
        await one.ask(glob(policy=waits), glob(label="other", policy=waits))
        publish(app, URI)
        await one.end(f"{CALLED}g")
        assert offsets(await one.rest(70), "g") == []
        await one.end(f"{CALLED}other")


async def test_one_listen_s_end_leaves_the_others(autojump_clock: MockClock) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, True)
        other = Client(one.wire, True, 1)
        third = Client(one.wire, True, "1")
        for each in (one, other, third):
            await each.ask(glob())
        await other.end()
        publish(app, URI)
        tags = [message["params"]["_meta"][TAG] for message in await one.rest()]  # type: ignore[index]
        assert tags == ["l", "1"]


@pytest.mark.parametrize("members", POLICIES, ids=lambda members: str(members["policy"])[:9])
async def test_at_the_server_s_end_all_that_is_owed_comes_then_the_final_result_and_then_nothing(
    members: Json, autojump_clock: MockClock
) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, True)
        await one.ask(glob(**members), {"label": "uri", "uri": URI})
        published = [publish(app, f"mail://a/{number}", data={"n": number}) for number in range(200)]
        told = await drained(home, one)
        final = told.pop()
        assert final["id"] == "l" and "result" in final
        assert offsets(told, "g") == published
        assert offsets(told, "uri") == [2]


async def test_at_the_server_s_end_what_was_missed_is_told_too(autojump_clock: MockClock) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, True)
        (honoured,) = await one.ask(glob())
        await one.end()
        missed = [publish(app, f"mail://a/{number}") for number in range(1000)]
        since = honoured["cursor"]
        batch: Json = {"batch": {"windowMs": 60_000, "maxWaitMs": 60_000}}
        await one.wire.send(
            listening("l", glob(label="e", policy="every", since=since), glob(policy=batch, since=since))
        )
        await trio.testing.wait_all_tasks_blocked()
        told = (await drained(home, one))[1:]
        assert told.pop()["id"] == "l"
        assert offsets(told, "e") == offsets(told, "g") == missed


@pytest.mark.parametrize("then", ["glob", "uri"])
async def test_subscribing_again_under_a_label_takes_its_place_in_one_step(
    then: str, autojump_clock: MockClock
) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, False)
        await one.ask(glob("mail://*/1", "x", policy="every"))
        before = [publish(app, URI) for _ in range(3)]
        again: Json = {"label": "x", **({"uri": "mail://b/2"} if then == "uri" else {"glob": "mail://b/*"})}
        told, answered = [], False
        await one.wire.send(request("again", "resources/subscribe", selecting(again)))
        for message in await one.rest():
            if message.get("id") == "again":
                answered = True
                begins = message["result"]["_meta"][SUBSCRIPTIONS]["cursor"]  # type: ignore[index]
                assert place(begins) == before[-1]
            else:
                assert not answered, "of the former subscription, behind the answer"
                told.append(message)
        assert answered and offsets(told) == before[: len(told)]
        publish(app, URI)
        offset = publish(app, "mail://b/2")
        (change,) = changes(await one.rest())
        assert (change["offset"], change["prev"]) == (offset, before[-1])
        assert len(app.hub.selections) == 1


async def test_what_waited_for_the_former_subscription_of_a_label_is_not_told_by_the_new_one(
    autojump_clock: MockClock,
) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, False)
        slow: Json = {"batch": {"windowMs": 1000, "maxWaitMs": 1000}}
        await one.ask(glob(policy=slow))
        old = publish(app, URI)
        (honoured,) = await one.ask(glob(policy=slow))
        assert place(honoured["cursor"]) == old
        new = publish(app, URI)
        (change,) = changes(await one.rest(3))
        assert (change["offset"], change["prev"]) == (new, old)


async def test_a_refused_subscription_leaves_the_former_one_of_its_label(autojump_clock: MockClock) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, False)
        await one.ask(glob())
        for broken in (glob(filter={}), glob("other://*"), glob(since=f"{app.hub.epoch}.999")):
            await one.refused(broken)
        offset = publish(app, URI)
        assert offsets(await one.rest()) == [offset]


async def test_unsubscribing_from_a_uri_ends_all_that_the_session_has_for_exactly_it(
    autojump_clock: MockClock,
) -> None:
    app = house()
    async with living(app) as home:
        one, other = await client(home, False), await client(home, False)
        await one.wire.subscribe(URI)
        exact = [{"label": label, "uri": URI} for label in ("a", "b")]
        await one.ask(*exact, {"label": "c", "uri": "mail://a/2"}, glob(URI, "same"), glob())
        await other.ask(exact[0])
        await one.end(URI)
        offset = publish(app, URI)
        assert [update(each)[1]["label"] for each in await one.rest()] == ["same", "g"]
        assert offsets(await other.rest()) == [offset]
        await one.end(f"{CALLED}same", f"{CALLED}g", "mail://a/2", URI, f"{CALLED}nothing", f"{CALLED}g")
        publish(app, URI)
        assert await one.rest() == []
        assert len(app.hub.selections) == 1


async def test_unsubscribing_from_the_uri_of_a_label_ends_that_one_alone_whatever_it_selects(
    autojump_clock: MockClock,
) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, False)
        await one.wire.subscribe(URI)
        await one.ask(*({"label": label, "uri": URI} for label in ("a", "b")))
        await one.end(f"{CALLED}a")
        publish(app, URI)
        told = await one.rest()
        assert updated(URI) in told
        assert [update(each)[1]["label"] for each in told if each != updated(URI)] == ["b"]


async def test_unsubscribing_from_the_uri_of_a_label_leaves_plain_subscriptions(
    autojump_clock: MockClock,
) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, False)
        await one.wire.subscribe(URI)
        await one.ask(glob())
        await one.end(f"{CALLED}g")
        publish(app, URI)
        assert await one.rest() == [updated(URI)]


@BOTH
async def test_offsets_of_one_subscription_rise_whatever_its_policy(
    modern: bool, autojump_clock: MockClock
) -> None:
    """The tap follows the chain of `prev`; here it is seen that there was enough to follow."""
    app: App = house()
    async with living(app) as home:
        one = await client(home, modern)
        await one.ask(*(glob(label=f"p{number}", **members) for number, members in enumerate(POLICIES)))
        for round in range(20):
            for number in range(round % 5):
                publish(app, f"mail://a/{number}")
            await trio.sleep(0.03)
        told = await one.rest(2)
        for label in ("p0", "p1", "p2"):
            numbers = [int(str(number)) for number in offsets(told, label)]
            assert numbers == sorted(set(numbers)) and numbers[-1] == app.hub.offset
        assert len(offsets(told, "p1")) == app.hub.offset
        assert len(offsets(told, "p2")) < app.hub.offset


async def test_conflate_merges_what_waits_and_tells_the_newest_of_each_uri(autojump_clock: MockClock) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, True)
        await one.ask(glob(fields="all"))
        for number in range(30):
            publish(app, f"mail://a/{number % 3}", data=number)
        told = changes(await one.rest())
        assert [(each["offset"], each["prev"], each["data"]) for each in told] == [
            (28, 0, 27),
            (29, 28, 28),
            (30, 29, 29),
        ]


async def test_batch_tells_together_after_its_window_and_no_later_than_its_longest_wait(
    autojump_clock: MockClock,
) -> None:
    app = house()
    async with living(app) as home:
        one = await client(home, True)
        await one.ask(glob(policy={"batch": {"windowMs": 200, "maxWaitMs": 1000}}))
        began = trio.current_time()
        publish(app, "mail://a/1")
        publish(app, "mail://a/2")
        assert update(await one.wire.receive())[0] == "mail://a/1"
        assert update(await one.wire.receive())[0] == "mail://a/2"
        assert trio.current_time() - began == pytest.approx(0.2)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:

            async def steadily() -> None:
                while True:
                    publish(app, "mail://a/3")
                    await trio.sleep(0.15)

            nursery.start_soon(steadily)
            await one.wire.receive()
            assert trio.current_time() - began == pytest.approx(1.0)
            await one.wire.receive()
            assert trio.current_time() - began == pytest.approx(2.0, abs=0.16)
            nursery.cancel_scope.cancel()
        await one.rest(2)
