"""The root lives as long as somebody uses the app: the first starts it, the last ends it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import trio
import trio.testing

from mcptrio import App, Feed
from mcptrio.app import RootEnded
from mcptrio.app.root import Root


class Body:
    """Counts its lives."""

    def __init__(self) -> None:
        self.starts = 0
        self.ends = 0
        self.fail_early: Exception | None = None
        self.fail = trio.Event()
        self.error: Exception = ValueError("the body failed")
        self.slow_end = 0.0

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        self.starts += 1
        try:
            await trio.lowlevel.checkpoint()
            if self.fail_early is not None:
                raise self.fail_early
            task_status.started()
            await self.fail.wait()
            raise self.error
        finally:
            with trio.move_on_after(60, shield=True):
                await trio.sleep(self.slow_end)
            self.ends += 1


@pytest.fixture
def body() -> Body:
    return Body()


@pytest.fixture
def root(body: Body) -> Root:
    return Root(body.run)


async def test_the_first_holder_starts_it_and_the_last_ends_it(root: Root, body: Body) -> None:
    assert not root.running
    async with root.hold():
        assert root.running
        async with root.hold(), root.hold():
            assert (body.starts, body.ends) == (1, 0)
        assert (body.starts, body.ends) == (1, 0)
    assert (body.starts, body.ends) == (1, 1)
    assert not root.running


async def test_it_can_be_run_again(root: Root, body: Body) -> None:
    for life in range(1, 4):
        async with root.hold():
            assert (body.starts, body.ends) == (life, life - 1)
        assert body.ends == life


async def holder(
    root: Root, leave: trio.Event, log: list[str], name: str, *, task_status: trio.TaskStatus[None]
) -> None:
    try:
        async with root.hold():
            log.append(f"{name} in")
            task_status.started()
            await leave.wait()
        log.append(f"{name} out")
    except RootEnded:
        log.append(f"{name} ended")
    except BaseException:
        log.append(f"{name} cancelled")  # as one exception or as a group of them
        raise


async def test_the_host_waits_for_its_guests(root: Root, body: Body) -> None:
    log: list[str] = []
    first, second, third = trio.Event(), trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(holder, root, first, log, "host")
        await nursery.start(holder, root, second, log, "guest")
        first.set()
        await trio.testing.wait_all_tasks_blocked()
        assert log == ["host in", "guest in"]
        await nursery.start(holder, root, third, log, "late")  # still running: who comes now is a guest too
        second.set()
        await trio.testing.wait_all_tasks_blocked()
        assert body.ends == 0
        third.set()
    assert log == ["host in", "guest in", "late in", "guest out", "late out", "host out"]
    assert (body.starts, body.ends) == (1, 1)


async def test_who_comes_while_it_ends_gets_the_next_life(
    root: Root, body: Body, autojump_clock: trio.testing.MockClock
) -> None:
    body.slow_end = 5.0
    log: list[str] = []
    first, second = trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(holder, root, first, log, "one")
        first.set()
        await trio.sleep(1.0)
        assert not root.running
        await nursery.start(holder, root, second, log, "two")
        assert (body.starts, body.ends) == (2, 1)
        assert trio.current_time() == pytest.approx(5.0)
        second.set()
    assert body.ends == 2


async def test_a_host_that_is_cancelled_tells_its_guests(root: Root, body: Body) -> None:
    log: list[str] = []
    never = trio.Event()
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as hosting:
            await hosting.start(holder, root, never, log, "host")
            for number in range(3):
                await nursery.start(holder, root, never, log, f"guest{number}")
            hosting.cancel_scope.cancel()
    assert sorted(log[4:]) == [*(f"guest{number} ended" for number in range(3)), "host cancelled"]
    assert (body.starts, body.ends) == (1, 1)
    async with root.hold():
        assert body.starts == 2


async def test_a_host_that_is_cancelled_while_it_waits_for_guests_tells_them(root: Root, body: Body) -> None:
    log: list[str] = []
    leave, never = trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as hosting:
            await hosting.start(holder, root, leave, log, "host")
            await nursery.start(holder, root, never, log, "guest")
            leave.set()
            await trio.testing.wait_all_tasks_blocked()
            hosting.cancel_scope.cancel()
    assert set(log[2:]) == {"host cancelled", "guest ended"}


async def test_a_guest_that_is_cancelled_concerns_nobody_else(root: Root, body: Body) -> None:
    async with root.hold():
        with trio.CancelScope() as scope:
            async with root.hold():
                scope.cancel()
                await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        await trio.lowlevel.checkpoint()
        assert root.running


async def test_a_guests_own_error_is_its_own(root: Root) -> None:
    async with root.hold():
        with pytest.raises(KeyError):
            async with root.hold():
                raise KeyError
        assert root.running


async def test_a_hosts_own_error_leaves_as_what_it_was_and_ends_the_guests(root: Root, body: Body) -> None:
    log: list[str] = []
    async with trio.open_nursery() as nursery:
        with pytest.raises(KeyError, match="mine"):
            async with root.hold():
                await nursery.start(holder, root, trio.Event(), log, "guest")
                raise KeyError("mine")
    assert log == ["guest in", "guest ended"]
    assert body.ends == 1


async def test_a_body_that_fails_ends_the_host_with_its_error_and_the_guests_with_theirs(
    root: Root, body: Body
) -> None:
    log: list[str] = []
    async with trio.open_nursery() as nursery:
        with pytest.raises(ValueError, match="the body failed"):
            async with root.hold():
                await nursery.start(holder, root, trio.Event(), log, "guest")
                body.fail.set()
                await trio.sleep_forever()
    assert log == ["guest in", "guest ended"]
    assert not root.running


async def test_a_body_that_fails_before_it_is_ready_fails_whoever_came(root: Root, body: Body) -> None:
    body.fail_early = ValueError("not today")
    outcomes: list[str] = []

    async def come() -> None:
        try:
            async with root.hold():
                outcomes.append("in")
        except (ValueError, RootEnded) as error:
            outcomes.append(type(error).__name__)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(come)
    assert sorted(outcomes) == ["RootEnded", "RootEnded", "ValueError"]
    body.fail_early = None
    async with root.hold():
        assert root.running


async def test_a_host_that_is_cancelled_while_the_body_starts_leaves_nothing(root: Root, body: Body) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        async with root.hold():
            raise AssertionError("not entered")
    assert scope.cancelled_caught
    assert body.starts == body.ends
    async with root.hold():
        assert root.running


async def test_a_guest_that_is_cancelled_while_the_body_starts_leaves_nothing(root: Root) -> None:
    async def guest(scope: trio.CancelScope) -> None:
        with scope:
            async with root.hold():
                await trio.sleep_forever()

    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        async with root.hold():
            nursery.start_soon(guest, scope)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()


# The same through an App


class Pool:
    def __init__(self, name: str) -> None:
        self.name = name


class Cache:
    def __init__(self, pool: str) -> None:
        self.pool = pool


async def test_lifespans_are_entered_in_order_left_in_reverse_and_injected() -> None:
    app = App("house")
    log: list[str] = []

    @app.lifespan
    async def pool(app: App) -> AsyncIterator[Pool]:
        log.append("enter pool")
        yield Pool(app.name)
        log.append("leave pool")

    @app.lifespan
    async def cache(app: App) -> AsyncIterator[Cache]:
        log.append("enter cache")
        yield Cache("c")
        log.append("leave cache")

    @app.tool
    async def ask(days: int, *, pool: Pool, cache: Cache) -> str:
        return f"{days} {pool.name} {cache.pool}"

    @app.resource("a:{id}")
    async def read(id: str, pool: Pool) -> str:
        return pool.name + id

    @app.prompt
    async def prompt(topic: str, cache: Cache) -> str:
        return topic + cache.pool

    @app.source()
    async def source(feed: Feed) -> None:
        log.append("source")
        try:
            await trio.sleep_forever()
        finally:
            log.append("source ends")

    for _ in range(2):
        log.clear()
        async with app.connect() as client:
            (tool,) = await client.list_tools()
            assert tool.input_schema["properties"] == {"days": {"type": "integer"}}
            result = await client.call_tool("ask", {"days": 3})
            assert result.content[0].text == "3 house c"  # type: ignore[union-attr]
            assert (await client.read_resource("a:1")).contents[0].text == "house1"
            message = (await client.get_prompt("prompt", {"topic": "t"})).messages[0]
            assert message.content.text == "tc"  # type: ignore[union-attr]
        assert log == ["enter pool", "enter cache", "source", "source ends", "leave cache", "leave pool"]


async def test_a_lifespan_can_wait_while_it_ends(autojump_clock: trio.testing.MockClock) -> None:
    app = App("house")
    log: list[str] = []

    @app.lifespan
    async def pool(app: App) -> AsyncIterator[Pool]:
        yield Pool("x")
        await trio.sleep(0.5)  # such as saying goodbye to a database
        log.append("closed")

    async with app.connect() as client:
        await client.ping()
    assert log == ["closed"]


@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_lifespan_that_fails_fails_who_started_the_app(where: str) -> None:
    app = App("house")
    left: list[str] = []

    @app.lifespan
    async def outer(app: App) -> AsyncIterator[Cache]:
        try:
            yield Cache("")
        finally:
            left.append("outer")

    @app.lifespan
    async def broken(app: App) -> AsyncIterator[Pool]:
        if where == "before":
            raise OSError("no pool")
        yield Pool("x")
        raise OSError("no pool")

    entered = False
    with pytest.raises(OSError, match="no pool"):
        async with app.connect():
            entered = True
    assert entered is (where == "after")
    assert left == ["outer"]
    assert app.server.endpoints[0].peers == {}


async def test_two_clients_share_one_life() -> None:
    app = App("house")
    log: list[str] = []

    @app.lifespan
    async def pool(app: App) -> AsyncIterator[Pool]:
        log.append("enter")
        try:
            yield Pool("x")
        finally:
            log.append("leave")

    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(app.connect()) for _ in range(3)]
        assert len(app.server.endpoints[0].peers) == 3
        for client in clients:
            await client.ping()
        assert log == ["enter"]
    assert log == ["enter", "leave"]
    assert app.server.endpoints[0].peers == {}


async def test_two_apps_are_two_worlds() -> None:
    one, two = App("one"), App("two")
    for app in (one, two):
        app.catalog.add_pattern("a:{id}")
    async with one.connect() as first, two.connect() as second:
        assert first.server_info is not None
        assert second.server_info is not None
        assert (first.server_info.name, second.server_info.name) == ("one", "two")
        async with first.subscribe("a:1") as updates:
            two.updated_nowait("a:1")
            one.updated_nowait("a:1")
            assert (await updates.__anext__()).uri == "a:1"
            assert two.hub.subscriptions() == {}
