"""The end of a server: everybody gets what is theirs, in bounded time."""

from __future__ import annotations

from functools import partial

import trio
from trio.testing import MockClock

from mcptrio import App
from mcptrio.client import open_client
from mcptrio.server import ServerSettings
from tests.adversary.world import (
    HOT,
    NOTHING,
    PATIENCE,
    SETTINGS,
    Raw,
    left,
    listen,
    make_app,
    modern,
    settled,
    text,
    until,
)
from tests.concurrency.crowd import connect_many, living
from tests.wire.rig import close_frame, upgrade_request


async def test_a_thousand_listens_get_their_final_result_then_1001(autojump_clock: MockClock) -> None:
    settings = ServerSettings()
    app = make_app(settings)
    endings: list[tuple[object, int]] = []

    async def end(raw: Raw) -> None:
        assert "result" in await raw.answer("l")
        code = (await raw.frame())[1][:2]
        endings.append(("result", int.from_bytes(code, "big")))
        await raw.send(close_frame(1001))
        assert await raw.rest() == b""

    async with app.connect():
        crowd = await connect_many(app, 1000, HOT, "hot://{}")
        app.updated_nowait(HOT)  # they are owed this, before the end
        before = trio.current_time()
        async with trio.open_nursery() as nursery:
            for raw in crowd:
                nursery.start_soon(end, raw)
            await app.server._memory.drain()
        assert trio.current_time() - before < settings.drain_timeout
        assert endings == [("result", 1001)] * 1000
        assert not app.hub.subscriptions()
    assert left(app) == NOTHING


async def test_the_pending_update_comes_before_the_final_result(autojump_clock: MockClock) -> None:
    app = make_app()
    async with app.connect():
        (raw,) = await connect_many(app, 1, HOT)
        app.updated_nowait(HOT)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(app.server._memory.drain)
            assert (await raw.message())["method"] == "notifications/resources/updated"
            assert (await raw.message())["id"] == "l"
            assert await raw.close_code() == 1001


async def test_a_crowd_that_does_not_read_is_cut_at_the_deadline(autojump_clock: MockClock) -> None:
    app = make_app()
    async with app.connect():
        crowd = await connect_many(app, 30, HOT)
        for raw in crowd:
            for id in range(2):
                await raw.send(text(modern("tools/call", id, name="large", arguments={"size": 60_000})))
        await trio.testing.wait_all_tasks_blocked()
        before = trio.current_time()
        await app.server._memory.drain()
        assert trio.current_time() - before <= SETTINGS.drain_timeout
        await trio.testing.wait_all_tasks_blocked()
        assert left(app) == NOTHING


async def test_a_running_request_gets_its_moment_and_a_new_one_is_refused(autojump_clock: MockClock) -> None:
    app = make_app()

    @app.tool
    async def soon() -> str:
        await trio.sleep(SETTINGS.drain_requests / 2)
        return "in time"

    @app.tool
    async def never() -> str:
        await trio.sleep_forever()
        return ""

    async with app.connect():
        (raw,) = await connect_many(app, 1, HOT)
        await raw.send(text(modern("tools/call", "soon", name="soon")))
        await raw.send(text(modern("tools/call", "never", name="never")))
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(app.server._memory.drain)
            await trio.testing.wait_all_tasks_blocked()
            await raw.send(text(modern("tools/call", "late", name="echo", arguments={"text": "x"})))
            assert (await raw.answer("late"))["error"]["data"]["reason"] == "shutting_down"  # type: ignore[index]
            await raw.send(text(listen("late listen", HOT)))
            assert "error" in await raw.answer("late listen")
            assert "result" in await raw.answer("soon")
            assert await raw.close_code() == 1001


async def test_a_server_on_a_socket_drains_its_clients_and_its_open_handshakes() -> None:
    app = make_app()
    tasks = living()
    ended: list[str] = []

    async def subscriber(url: str, ready: trio.Event) -> None:
        async with open_client(url, reconnect=False) as client, client.subscribe(HOT) as updates:
            ready.set()
            async for _ in updates:
                pass
            ended.append("the listen ended with a result")

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as outer:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as serving:
                    address = await serving.start(partial(app.serve, port=0))
                    events = [trio.Event() for _ in range(20)]
                    for ready in events:
                        outer.start_soon(subscriber, address.websocket, ready)
                    for ready in events:
                        await ready.wait()
                    half = Raw(await trio.open_tcp_stream("127.0.0.1", address.port))
                    await half.send(upgrade_request()[:30])
                    scope.cancel()
            assert await half.rest() == b""
            await half.stream.aclose()
        assert len(ended) == 20
        await settled(app, NOTHING)
        await until(lambda: living() == tasks)


async def test_draining_twice_and_over_a_cancellation_ends_all_the_same(autojump_clock: MockClock) -> None:
    app: App = make_app()
    async with app.connect():
        await connect_many(app, 10, HOT)
        with trio.move_on_after(0.01):
            await app.server._memory.drain()
        await app.server._memory.drain()
        await trio.testing.wait_all_tasks_blocked()
        assert left(app) == NOTHING
