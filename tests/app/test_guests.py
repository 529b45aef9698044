"""Guests of an app whose host is cancelled: they are told, whatever they were doing."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from mcptrio import App, open_client
from mcptrio.app import Address, RootEnded
from mcptrio.app.root import Root
from tests.server.rig import expect_nothing_left


async def host(app: App, *, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
    with trio.CancelScope() as scope:
        async with app.connect():
            task_status.started(scope)
            await trio.sleep_forever()


@pytest.mark.parametrize("used", [False, True])
async def test_serving_as_a_guest_whose_host_is_cancelled_is_told_that_the_app_ended(used: bool) -> None:
    app = App("house")
    ended: list[str] = []

    async def serve(*, task_status: trio.TaskStatus[Address]) -> None:  # noqa: ASYNC128 - handed on
        with pytest.raises(RootEnded, match="whoever started it was cancelled"):
            await app.serve(port=0, task_status=task_status)
        ended.append("serve")

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            hosting = await nursery.start(host, app)
            address = await nursery.start(serve)
            if used:
                async with open_client(address.websocket, reconnect=False) as client:
                    await client.ping()
            hosting.cancel()
    assert ended == ["serve"]
    expect_nothing_left(app)


async def test_a_guest_that_ends_in_order_when_it_is_cancelled_is_told_all_the_same() -> None:
    async def body(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await trio.sleep_forever()

    root = Root(body)
    hosting = trio.CancelScope()
    told: list[str] = []

    async def hold(*, task_status: trio.TaskStatus[None]) -> None:
        with hosting:
            async with root.hold():
                task_status.started()
                await trio.sleep_forever()

    async def visit(*, task_status: trio.TaskStatus[None]) -> None:
        with pytest.raises(RootEnded):
            async with root.hold():
                task_status.started()
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 20):
                    while root.running:  # noqa: ASYNC110 - an event would be a checkpoint
                        await trio.lowlevel.checkpoint()
                # It leaves without a checkpoint, so no cancellation reaches it.
        told.append("guest")

    async with trio.open_nursery() as nursery:
        await nursery.start(hold)
        await nursery.start(visit)
        hosting.cancel()
    assert told == ["guest"]


async def test_a_guest_that_is_cancelled_itself_is_not_told_that_the_app_ended() -> None:
    app = App("house")
    async with app.connect() as client:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(partial(app.serve, port=0))
                scope.cancel()
        assert scope.cancelled_caught
        await client.ping()
