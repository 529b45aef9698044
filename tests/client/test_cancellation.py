"""Cancelled at every step: whatever is cut, the client stays usable and nothing is left behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from trio.abc import Instrument

from mcptrio.client import Client
from tests.client.conftest import Open
from tests.client.fake_server import MODERN, FakeServer, answers
from tests.client.test_subscriptions import A, B, held, settle

pytestmark = pytest.mark.unmeasured


class CutAt(Instrument):
    """Cancels a scope before the n-th step that any task makes inside it."""

    def __init__(self, scope: trio.CancelScope, steps: int) -> None:
        self._scope = scope
        self._left = steps
        self.reached = False

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left == 0:
            self.reached = True
            self._scope.cancel()


async def cut_everywhere(
    operation: Callable[[], Awaitable[None]], check: Callable[[], Awaitable[None]]
) -> int:
    """Run the operation again and again, cut one step later each time, until it gets through uncut."""
    for steps in range(1, 2000):
        with trio.CancelScope() as scope:
            cutter = CutAt(scope, steps)
            trio.lowlevel.add_instrument(cutter)
            try:
                await operation()
            finally:
                trio.lowlevel.remove_instrument(cutter)
        await check()
        if not cutter.reached:
            return steps
    raise AssertionError("the operation never ends")


async def test_a_call_may_be_cut_at_every_step(client: Client, server: FakeServer) -> None:
    server.handlers["tools/call"] = answers({"content": []})

    async def operation() -> None:
        await client.call_tool("x", on_progress=lambda *_: None)

    async def check() -> None:
        assert client.statistics() == type(client.statistics())(True, 1, 0, 0)
        await client.call_tool("y")

    assert await cut_everywhere(operation, check) > 5


@pytest.mark.parametrize("uris", [(A,), (A, B)])
async def test_a_subscription_may_be_cut_at_every_step(
    client: Client, server: FakeServer, uris: tuple[str, ...]
) -> None:
    async def operation() -> None:
        async with client.subscribe(*uris) as changes:
            await server.updated(A)
            await anext(changes)

    async def check() -> None:
        await settle()
        assert held(server) == []
        assert client.statistics() == type(client.statistics())(True, 1, 0, 0)

    assert await cut_everywhere(operation, check) > 10
    async with client.subscribe(A) as changes:
        await server.updated(A)
        assert (await anext(changes)).uri == A


async def test_a_subscription_beside_another_may_be_cut_at_every_step(
    client: Client, server: FakeServer
) -> None:
    async with client.subscribe(A) as kept:

        async def operation() -> None:
            async with client.subscribe(A, B):
                pass

        async def check() -> None:
            await settle()
            assert held(server) == [A]
            await server.updated(A)
            assert (await anext(kept)).uri == A

        await cut_everywhere(operation, check)


async def test_a_subscription_that_is_refused_may_be_cut_at_every_step(
    client: Client, server: FakeServer
) -> None:
    server.unknown = {B}

    async def operation() -> None:
        async with client.subscribe(A, B, missing_ok=True):
            pass

    async def check() -> None:
        await settle()
        assert held(server) == []
        assert client.statistics().subscriptions == client.statistics().calls == 0

    await cut_everywhere(operation, check)


async def test_list_changes_may_be_cut_at_every_step(client: Client, server: FakeServer) -> None:
    async def operation() -> None:
        async with client.list_changes() as changes:
            await server.list_changed("tools")
            await anext(changes)

    async def check() -> None:
        await settle()
        assert server.peer.listens == {}
        assert client.statistics().subscriptions == client.statistics().calls == 0

    await cut_everywhere(operation, check)


async def test_connecting_may_be_cut_at_every_step(server: FakeServer, opening: Open, revision: str) -> None:
    tasks = trio.lowlevel.current_statistics().tasks_living

    async def operation() -> None:
        async with opening(revision=revision):
            pass

    async def check() -> None:
        for peer in server.peers:
            await peer.gone.wait()
        await trio.sleep(0.1)
        assert trio.lowlevel.current_statistics().tasks_living == tasks

    assert await cut_everywhere(operation, check) > 20


async def test_a_reconnect_may_be_cut_at_every_step(server: FakeServer, opening: Open, revision: str) -> None:
    tasks = trio.lowlevel.current_statistics().tasks_living

    async def operation() -> None:
        async with opening(revision=revision) as client, client.subscribe(A) as changes:
            await server.peer.drop()
            assert (await anext(changes)).gap

    async def check() -> None:
        for peer in server.peers:
            await peer.gone.wait()
        await trio.sleep(0.1)
        assert trio.lowlevel.current_statistics().tasks_living == tasks
        if server.peers and server.peer.close_code == 1000 and revision != MODERN:
            assert server.peer.subscribed == set()
        server.peers.clear()

    assert await cut_everywhere(operation, check) > 50


async def test_every_asynchronous_method_is_a_checkpoint(client: Client, server: FakeServer) -> None:
    server.handlers["tools/call"] = answers({"content": []})
    with trio.testing.assert_checkpoints():
        await client.call_tool("x")
    with trio.testing.assert_checkpoints():
        changes = await client.subscribe(A).__aenter__()
    await server.updated(A)
    await settle()
    with trio.testing.assert_checkpoints():
        await anext(changes)
    with trio.testing.assert_checkpoints():
        await changes.__aexit__(None, None, None)
    with trio.testing.assert_checkpoints():
        lists = await client.list_changes().__aenter__()
    with trio.testing.assert_checkpoints():
        await lists.__aexit__(None, None, None)
