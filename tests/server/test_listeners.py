"""Serving that ends before it began leaves no endpoint and no open socket. No bytes go over the sockets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from mcptrio import App
from mcptrio.app.address import open_sockets
from tests.server.rig import expect_nothing_left, running


def serve(app: App, sockets: list[trio.socket.SocketType]) -> Callable[[], Awaitable[None]]:
    async def body() -> None:
        await app.server.serve(sockets, allowed_hosts=(), allowed_origins=())

    return body


async def test_serving_that_is_cancelled_before_its_first_step_closes_its_sockets() -> None:
    app = App("house")
    async with running(app):
        for _ in range(20):  # which of its tasks has its step first is Trio's choice
            sockets = await open_sockets("127.0.0.1", 0)
            with trio.CancelScope() as scope:
                scope.cancel()
                await serve(app, sockets)()
            assert scope.cancelled_caught
            assert [sock.fileno() for sock in sockets] == [-1] * len(sockets)
            assert len(app.server.endpoints) == 1


async def test_serving_without_a_running_app_closes_its_sockets() -> None:
    app = App("house")
    sockets = await open_sockets("127.0.0.1", 0)
    with pytest.raises(RuntimeError):
        await serve(app, sockets)()
    assert [sock.fileno() for sock in sockets] == [-1] * len(sockets)
    expect_nothing_left(app)
