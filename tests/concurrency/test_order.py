"""What comes before what, and what is never lost, under storms and random schedules."""

from __future__ import annotations

import random

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from mcptrio.server import ServerSettings
from tests.adversary.world import HOT, PATIENCE, Raw, listen, make_app, modern, open_world, rpc, text, until
from tests.concurrency.crowd import connect_many
from tests.wire.rig import upgrade_request

pytestmark = pytest.mark.unmeasured

URIS = ["hot://a", "hot://b", "hot://c"]


def _uri(message: dict[str, object]) -> str:
    params = message["params"]
    assert isinstance(params, dict)
    uri = params["uri"]
    assert isinstance(uri, str)
    return uri


@pytest.mark.parametrize("seed", range(30))
async def test_the_answer_comes_before_the_first_notification_however_tasks_are_scheduled(
    autojump_clock: MockClock, seed: int
) -> None:
    chance = random.Random(seed)
    async with open_world(sockets=False) as world, trio.open_nursery() as nursery:

        async def publish() -> None:
            while True:
                world.app.updated_nowait(chance.choice(URIS))
                for _ in range(chance.randrange(4)):
                    await trio.lowlevel.checkpoint()
                if chance.random() < 0.2:
                    await trio.sleep(0.001)

        nursery.start_soon(publish)
        raw = await world.open()
        async with raw.stream:
            await raw.initialize()
            subscribed: set[str] = set()
            for number in range(30):
                uri = chance.choice(URIS)
                method = chance.choice(["resources/subscribe", "resources/unsubscribe"])
                await raw.send(text(rpc(method, number, uri=uri)))
                while (message := await raw.message()).get("id") != number:
                    told = _uri(message)
                    allowed = subscribed | ({uri} if method == "resources/unsubscribe" else set())
                    assert told in allowed, f"{told} was told before its subscription was answered"
                if method == "resources/subscribe":
                    subscribed.add(uri)
                else:
                    subscribed.discard(uri)
            await raw.send(text(listen("l", *URIS)))
            tags: set[object] = set()
            acknowledged = False
            while len(tags) < 3:
                message = await raw.message()
                params = message["params"]
                assert isinstance(params, dict)
                if "_meta" not in params:
                    assert _uri(message) in subscribed
                elif message["method"] == "notifications/subscriptions/acknowledged":
                    acknowledged = True
                else:
                    assert acknowledged
                    tags.add(params["uri"])
            await raw.send(text(rpc("notifications/cancelled", requestId="l")) + text(rpc("ping", "after")))
            while (message := await raw.message()).get("id") != "after":
                pass
            for _ in range(20):  # nothing of the listen follows
                await raw.send(text(rpc("ping", "more")))
                while (message := await raw.message()).get("id") != "more":
                    assert "_meta" not in message["params"]  # type: ignore[operator]
        nursery.cancel_scope.cancel()


async def _reads_to_the_end(raw: Raw, pause: float, heard: list[int], current: list[int]) -> None:
    """Remember, at each update, which change was the newest when it was read."""
    while True:
        message = await raw.message()
        if message.get("method") == "notifications/resources/updated":
            heard.append(current[0])
        if pause:
            await trio.sleep(pause)


async def test_in_a_storm_every_client_however_slow_ends_with_an_update_behind_the_last_change(
    autojump_clock: MockClock,
) -> None:
    app = make_app(ServerSettings())
    current = [0]
    async with app.connect(), trio.open_nursery() as nursery:
        crowd = await connect_many(app, 30, HOT)
        heard: list[list[int]] = [[] for _ in crowd]
        for number, raw in enumerate(crowd):
            pause = [0.0, 0.0, 0.01, 0.5, 3.0][number % 5]
            nursery.start_soon(_reads_to_the_end, raw, pause, heard[number], current)
        for number in range(1, 10_001):
            current[0] = number
            app.updated_nowait(HOT)
            if number % 100 == 0:
                await trio.sleep(0.001)
            elif number % 7 == 0:
                await trio.lowlevel.checkpoint()
        await until(lambda: all(times and times[-1] == 10_000 for times in heard), patience=5000)
        assert all(len(times) <= 10_000 for times in heard)
        nursery.cancel_scope.cancel()


async def test_in_a_storm_a_client_that_is_far_behind_ends_with_an_update_behind_the_last_change(
    autojump_clock: MockClock,
) -> None:
    async with open_world(sockets=False) as world:
        raw = await world.open()
        async with raw.stream:
            await raw.send(text(listen("l", HOT, "hot://2")))
            for id in range(3):
                await raw.send(text(modern("tools/call", id, name="large", arguments={"size": 50_000})))
            await trio.testing.wait_all_tasks_blocked()
            for number in range(10_000):
                world.app.updated_nowait(HOT)
                if number % 50 == 0:
                    await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked()
            world.app.updated_nowait("hot://2")
            world.app.updated_nowait(HOT)
            assert (await anext(world.updates)).uri == HOT
            told: list[str] = []
            with trio.fail_after(PATIENCE):
                while "hot://2" not in told or HOT not in told:
                    message = await raw.message()
                    if message.get("method") == "notifications/resources/updated":
                        told.append(_uri(message))
            assert len(told) < 100, "what waits is merged"


_steps = st.lists(
    st.tuples(
        st.sampled_from(["publish", "subscribe", "unsubscribe", "listen", "cancel", "run", "read"]),
        st.integers(0, 2),
    ),
    max_size=40,
)


async def _program(steps: list[tuple[str, int]]) -> None:
    """After any program the client has been told of every change behind its subscription, or is told now."""
    app = make_app()
    async with app.connect():
        raw = Raw(app.server.connect())  # type: ignore[arg-type]
        async with raw.stream:
            await raw.send(upgrade_request())
            await raw.take_head()
            await raw.initialize()
            for number, (step, which) in enumerate(steps):
                uri = URIS[which]
                if step == "publish":
                    app.updated_nowait(uri)
                elif step in ("subscribe", "unsubscribe"):
                    await raw.send(text(rpc(f"resources/{step}", number, uri=uri)))
                elif step == "listen":
                    await raw.send(text(listen(f"l{which}", uri)))
                elif step == "cancel":
                    await raw.send(text(rpc("notifications/cancelled", requestId=f"l{which}")))
                elif step == "run":
                    await trio.lowlevel.checkpoint()
                else:
                    await trio.testing.wait_all_tasks_blocked()
            await trio.testing.wait_all_tasks_blocked()
            await raw.is_served()  # reads everything before
            subscribers = {uri: len(app.hub.subscribers(uri)) for uri in URIS}
            for uri in URIS:
                app.updated_nowait(uri)
            told = dict.fromkeys(URIS, 0)
            with trio.fail_after(10):
                for _ in range(sum(subscribers.values())):
                    told[_uri(await raw.message())] += 1
            assert told == subscribers
            await raw.is_served()


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(steps=_steps)
def test_after_any_program_of_subscriptions_each_is_told_once_of_a_change(
    steps: list[tuple[str, int]],
) -> None:
    trio.run(_program, steps, clock=MockClock(autojump_threshold=0))
