"""Cancelled anywhere: nothing is left, and the next request works."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count

import pytest
import trio
from trio.testing import MockClock

from mcptrio import App, Context
from mcptrio.app.root import RootEnded
from mcptrio.client import Client, ConnectionLost, open_client
from tests.adversary.world import (
    HOT,
    NOTHING,
    PATIENCE,
    left,
    make_app,
    modern,
    open_world,
    rpc,
    settled,
    text,
    until,
)
from tests.concurrency.crowd import cancelled_at, living

pytestmark = pytest.mark.unmeasured

MAX_STEPS = 3000


async def _at_every_step(
    operation: Callable[[], Awaitable[None]], check: Callable[[], Awaitable[None]]
) -> int:
    """Run `operation` cancelled at its first, second, ... step until it is through; `check` after each."""
    for step in count(1):
        assert step < MAX_STEPS
        finished = False
        with cancelled_at(step):
            await operation()
            finished = True
        await check()
        if finished:
            return step
    raise AssertionError("unreachable")


async def _works(client: Client) -> None:
    result = await client.call_tool("echo", {"text": "next"})
    assert result.content[0].text == "next"  # type: ignore[union-attr]


revisions = pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28", "auto"])


@revisions
async def test_connecting_cancelled_at_any_step_leaves_nothing(
    autojump_clock: MockClock, revision: str
) -> None:
    app = make_app()
    tasks = living()

    async def operation() -> None:
        async with app.connect(revision=revision) as client, client.subscribe(HOT) as updates:
            app.updated_nowait(HOT)
            await anext(updates)

    async def check() -> None:
        await trio.testing.wait_all_tasks_blocked()
        assert left(app) == NOTHING
        assert living() == tasks

    steps = await _at_every_step(operation, check)
    assert steps > 50
    async with app.connect(revision=revision) as client:
        await _works(client)


async def test_a_guest_of_a_running_app_cancelled_at_any_step_disturbs_nobody(
    autojump_clock: MockClock,
) -> None:
    app = make_app()
    async with app.connect(revision="2026-07-28") as host:
        await _works(host)
        await trio.testing.wait_all_tasks_blocked()
        tasks, before = living(), left(app)

        async def operation() -> None:
            async with app.connect(revision="2026-07-28") as guest, guest.subscribe(HOT):
                await _works(guest)

        async def check() -> None:
            await _works(host)
            await trio.testing.wait_all_tasks_blocked()
            assert left(app) == before
            assert living() == tasks

        await _at_every_step(operation, check)
    assert left(app) == NOTHING


async def test_the_host_of_an_app_cancelled_at_any_step_ends_its_guests_and_leaves_nothing(
    autojump_clock: MockClock,
) -> None:
    app = make_app()
    tasks = living()
    ended: list[str] = []

    async def guest() -> None:
        try:
            async with app.connect(revision="2026-07-28") as client, client.subscribe(HOT):
                await _works(client)
                await trio.sleep_forever()
        except (RootEnded, ConnectionLost) as error:
            ended.append(type(error).__name__)

    async def operation() -> None:
        async with app.connect(revision="2026-07-28") as host:
            for _ in range(3):
                guests.start_soon(guest)
            await _works(host)
            await trio.testing.wait_all_tasks_blocked()
            raise LookupError("the host fails")

    async def attempt() -> None:
        try:
            await operation()
        except* LookupError:  # in a group, where it and the cancellation come together
            pass

    async def check() -> None:
        with trio.fail_after(PATIENCE):
            await trio.testing.wait_all_tasks_blocked()
        # A guest that came after the end is a host itself, and lives.
        guests.cancel_scope.cancel()

    for step in count(1):
        finished = False
        async with trio.open_nursery() as guests:
            with cancelled_at(step):
                await attempt()
                finished = True
            await check()
        assert left(app) == NOTHING
        await trio.testing.wait_all_tasks_blocked()
        assert living() == tasks
        if finished:
            break
    assert ended, "guests are told"


@revisions
async def test_subscribing_cancelled_at_any_step_leaves_no_subscription(
    autojump_clock: MockClock, revision: str
) -> None:
    app = make_app()
    async with app.connect(revision=revision) as client:
        await _works(client)
        await trio.testing.wait_all_tasks_blocked()
        tasks = living()

        async def operation() -> None:
            async with client.subscribe(HOT, "hot://2") as updates:
                app.updated_nowait("hot://2")
                assert (await anext(updates)).uri == "hot://2"

        async def check() -> None:
            await _works(client)
            await trio.testing.wait_all_tasks_blocked()
            assert not app.hub.subscriptions()
            assert client.statistics().subscriptions == 0
            assert living() == tasks

        await _at_every_step(operation, check)


@revisions
@pytest.mark.parametrize("method", ["call", "read", "list", "prompt"])
async def test_requests_cancelled_at_any_step_leave_no_request(
    autojump_clock: MockClock, revision: str, method: str
) -> None:
    app = make_app()
    async with app.connect(revision=revision) as client:
        await _works(client)
        await client.list_resources()  # what can change the list runs for a session that has asked for it
        await trio.testing.wait_all_tasks_blocked()
        tasks = living()
        operations: dict[str, Callable[[], Awaitable[object]]] = {
            "call": partial(client.call_tool, "echo", {"text": "x"}),
            "read": partial(client.read_resource, HOT),
            "list": client.list_resources,
            "prompt": partial(client.get_prompt, "greet", {"name": "x"}),
        }

        async def operation() -> None:
            await operations[method]()

        async def check() -> None:
            await _works(client)
            await trio.testing.wait_all_tasks_blocked()
            assert left(app).requests == 0
            assert client.statistics().calls == 0
            assert living() == tasks

        if method == "prompt":  # a plain function runs in a thread, which no clock waits for
            autojump_clock.autojump_threshold = 0.05
        await _at_every_step(operation, check)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_serving_cancelled_at_any_step_leaves_nothing(host: str) -> None:
    app = make_app()
    tasks = living()

    async def operation() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(app.serve, host, 0))
            nursery.cancel_scope.cancel()

    async def check() -> None:
        assert left(app) == NOTHING
        assert app.server.endpoints == [app.server._memory]
        await until(lambda: living() == tasks)

    steps = await _at_every_step(operation, check)
    assert steps > 20


async def test_serving_clients_cancelled_at_any_step_leaves_nothing() -> None:
    app = make_app()
    tasks = living()

    async def operation() -> None:
        async with trio.open_nursery() as nursery:
            address = await nursery.start(partial(app.serve, port=0))
            connect = open_client(address.websocket, revision="2026-07-28", reconnect=False)
            async with connect as client, client.subscribe(HOT):
                await _works(client)
            nursery.cancel_scope.cancel()

    async def check() -> None:
        await settled(app, NOTHING)
        assert app.server.endpoints == [app.server._memory]
        await until(lambda: living() == tasks)

    await _at_every_step(operation, check)


async def test_a_cancelled_request_answers_nothing_and_its_handler_is_cancelled(
    autojump_clock: MockClock,
) -> None:
    async with open_world(sockets=False) as world:
        raw = await world.open()
        async with raw.stream:
            await raw.initialize()
            for id, request in ((1, modern), ("1", rpc), (2, rpc)):
                tag = f"t{id!r}"
                await raw.send(text(request("tools/call", id, name="hold", arguments={"tag": tag})))
                await world.entered_is(tag)
                await raw.send(text(rpc("notifications/cancelled", requestId=id)))
                await raw.send(text(rpc("ping", "between")))
                assert (await raw.message())["id"] == "between"
            await trio.sleep(1)
            assert len(world.cancelled) == 3
            await raw.send(text(rpc("ping", "after")))
            assert (await raw.message())["id"] == "after"


async def test_a_cancelled_request_that_goes_on_regardless_sends_no_progress_and_no_answer(
    autojump_clock: MockClock,
) -> None:
    ended = trio.Event()

    def prepare(app: App) -> None:
        @app.tool
        async def stubborn(context: Context) -> str:
            await context.progress(1)
            with trio.move_on_after(60, shield=True):
                await trio.sleep(5)
                await context.progress(2)
            ended.set()
            return "done"

    async with open_world(sockets=False, prepare=prepare) as world:
        raw = await world.open()
        async with raw.stream:
            await raw.initialize()
            call = rpc("tools/call", 1, name="stubborn", _meta={"progressToken": "p"})
            await raw.send(text(call))
            assert (await raw.message())["method"] == "notifications/progress"
            await raw.send(text(rpc("notifications/cancelled", requestId=1)))
            await ended.wait()
            await trio.testing.wait_all_tasks_blocked()
            await raw.send(text(rpc("ping", "after")))
            message = await raw.message()
            assert message.get("id") == "after", message


async def test_a_cancellation_that_comes_with_its_request_in_one_read_is_not_lost(
    autojump_clock: MockClock,
) -> None:
    async with open_world(sockets=False) as world:
        raw = await world.open()
        async with raw.stream:
            call = modern("tools/call", 1, name="hold", arguments={"tag": "never"})
            cancel = rpc("notifications/cancelled", requestId=1)
            await raw.send(text(call) + text(cancel) + text(rpc("ping", "after")))
            assert (await raw.message())["id"] == "after"
            await trio.testing.wait_all_tasks_blocked()
            assert world.entered == world.cancelled
            assert left(world.app).requests == 0


async def test_a_client_that_gives_up_tells_the_server_and_stays_usable(autojump_clock: MockClock) -> None:
    async with open_world(sockets=False) as world:
        with trio.move_on_after(1) as scope:
            await world.witness.call_tool("hold", {"tag": "patience"})
        assert scope.cancelled_caught
        await world.witness_is_served()
        assert world.cancelled == ["patience"]
