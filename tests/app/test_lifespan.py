"""Lifespans that hold a nursery, wait, fail or never end. They begin before the server and end after it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from mcptrio import App, open_client
from mcptrio.app.root import LIFESPAN_TIMEOUT
from tests.app.test_serve import serve_in_scope
from tests.server.rig import expect_nothing_left


class Pool:
    """What the lifespans yield."""


class Cache:
    """What another one yields."""


class Background:
    """An app with a lifespan that holds a nursery, and what happened in it."""

    def __init__(self) -> None:
        self.app = App("house")
        self.log: list[str] = []
        self.ended = trio.Event()
        self.peers_at_end = -1

        @self.app.lifespan
        async def pool(app: App) -> AsyncIterator[Pool]:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.run)
                yield Pool()  # noqa: ASYNC101, ASYNC119 - the app makes a context manager of it
                self.log.append("behind the yield")
                await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            self.log.append("left")

        @self.app.tool
        async def ask(pool: Pool) -> str:
            return "answer"

    async def run(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self.log.append("background ended")
            self.peers_at_end = sum(len(endpoint.peers) for endpoint in self.app.server.endpoints)
            self.ended.set()


LEFT = ["behind the yield", "background ended", "left"]


async def test_a_lifespan_with_a_nursery_leaves_cleanly_when_its_user_leaves() -> None:
    background = Background()
    for life in range(1, 3):
        async with background.app.connect() as client:
            assert not (await client.call_tool("ask")).is_error
        assert background.log == LEFT * life
    expect_nothing_left(background.app)


async def test_a_lifespan_with_a_nursery_leaves_cleanly_when_its_user_is_cancelled() -> None:
    background = Background()
    with trio.CancelScope() as scope:
        async with background.app.connect() as client:
            await client.ping()
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert background.log == LEFT
    expect_nothing_left(background.app)


async def test_a_lifespan_with_a_nursery_leaves_cleanly_when_its_user_fails() -> None:
    background = Background()
    with pytest.raises(LookupError, match="mine"):
        async with background.app.connect():
            raise LookupError("mine")
    assert background.log == LEFT


async def test_what_a_lifespan_started_still_runs_while_connections_are_drained() -> None:
    background = Background()
    async with trio.open_nursery() as nursery:
        serving = await nursery.start(serve_in_scope, background.app)
        async with open_client(serving.address.websocket, reconnect=False) as client:
            await client.ping()
            assert sum(len(endpoint.peers) for endpoint in background.app.server.endpoints) == 1
            serving.scope.cancel()
            with trio.fail_after(10):
                await background.ended.wait()
    assert background.peers_at_end == 0
    assert background.log == LEFT
    expect_nothing_left(background.app)


async def test_a_request_that_is_drained_can_still_use_what_the_lifespan_started() -> None:
    app = App("house")
    send, receive = trio.open_memory_channel[trio.Event](0)
    asked = trio.Event()

    async def serve() -> None:
        async for done in receive:
            done.set()

    @app.lifespan
    async def pool(app: App) -> AsyncIterator[Pool]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            yield Pool()  # noqa: ASYNC101, ASYNC119 - as above
            nursery.cancel_scope.cancel()

    @app.tool
    async def ask(pool: Pool) -> str:
        asked.set()
        while not any(peer.draining for endpoint in app.server.endpoints for peer in endpoint.peers.values()):  # noqa: ASYNC110
            await trio.lowlevel.checkpoint()
        done = trio.Event()
        await send.send(done)
        await done.wait()
        return "answered"

    answers: list[object] = []
    async with trio.open_nursery() as nursery:
        serving = await nursery.start(serve_in_scope, app)

        async def call() -> None:
            async with open_client(serving.address.websocket, reconnect=False) as client:
                answers.append((await client.call_tool("ask")).content[0].text)  # type: ignore[union-attr]

        nursery.start_soon(call)
        await asked.wait()
        serving.scope.cancel()
    assert answers == ["answered"]


@pytest.mark.parametrize("how", ["connect", "serve"])
async def test_a_lifespan_that_waits_is_cancelled_at_once_and_the_earlier_ones_leave(
    autojump_clock: trio.testing.MockClock, how: str
) -> None:
    background = Background()

    @background.app.lifespan
    async def endless(app: App) -> AsyncIterator[Cache]:
        background.log.append("waits")
        with trio.move_on_after(600):
            await trio.sleep_forever()
        background.log.append("never comes")
        yield Cache()

    with trio.move_on_after(1) as scope:
        if how == "connect":
            async with background.app.connect():
                raise AssertionError("not entered")
        else:
            await background.app.serve(port=0)
    assert scope.cancelled_caught
    assert trio.current_time() == pytest.approx(1)
    assert background.log[0] == "waits"
    assert "never comes" not in background.log
    assert background.ended.is_set()
    assert not background.app._root.running
    expect_nothing_left(background.app)


async def test_a_lifespan_that_fails_leaves_an_earlier_one_with_a_nursery_cleanly() -> None:
    background = Background()

    @background.app.lifespan
    async def broken(app: App) -> AsyncIterator[Cache]:
        await trio.lowlevel.checkpoint()
        raise OSError("no cache")
        yield Cache()

    for _ in range(2):
        background.log.clear()
        with pytest.raises(OSError, match="no cache"):
            async with background.app.connect():
                raise AssertionError("not entered")
        assert background.log == ["background ended"]
    expect_nothing_left(background.app)


async def test_a_background_task_that_fails_ends_the_app_with_its_error() -> None:
    app = App("house")
    fail = trio.Event()

    async def run() -> None:
        await fail.wait()
        raise OSError("the pool burst")

    @app.lifespan
    async def pool(app: App) -> AsyncIterator[Pool]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            yield Pool()  # noqa: ASYNC101, ASYNC119 - as above

    with trio.fail_after(10), pytest.raises(OSError, match="the pool burst"):
        async with app.connect() as client:
            await client.ping()
            fail.set()
            await trio.sleep_forever()
    expect_nothing_left(app)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_what_is_awaited_behind_the_yield_gets_its_time(
    autojump_clock: trio.testing.MockClock, cancelled: bool
) -> None:
    app = App("house")
    log: list[str] = []

    @app.lifespan
    async def pool(app: App) -> AsyncIterator[Pool]:
        yield Pool()
        await trio.sleep(LIFESPAN_TIMEOUT - 1)
        log.append("closed")

    with trio.CancelScope() as scope:
        async with app.connect() as client:
            await client.ping()
            if cancelled:
                scope.cancel()
                await trio.sleep_forever()
    assert log == ["closed"]


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_lifespan_that_never_leaves_is_cut(
    autojump_clock: trio.testing.MockClock, cancelled: bool
) -> None:
    app = App("house")
    left: list[str] = []

    @app.lifespan
    async def outer(app: App) -> AsyncIterator[Cache]:
        try:
            yield Cache()
        finally:
            left.append("outer")

    @app.lifespan
    async def endless(app: App) -> AsyncIterator[Pool]:
        yield Pool()
        with trio.move_on_after(600):
            await trio.sleep_forever()
        left.append("endless")

    with trio.CancelScope() as scope:
        async with app.connect() as client:
            await client.ping()
            began = trio.current_time()
            if cancelled:
                scope.cancel()
                await trio.sleep_forever()
    assert trio.current_time() - began == pytest.approx(LIFESPAN_TIMEOUT, abs=1)
    assert left == ["outer"]
    expect_nothing_left(app)
