"""An accept loop that fails ends its `serve`, and nothing else."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from trio.testing import MockClock

from mcptrio import App
from mcptrio.wire import Listener


async def test_a_listener_that_fails_ends_its_serve_with_the_cause_and_others_go_on(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(self: Listener, sockets: list[trio.socket.SocketType], *, tls: object) -> None:
        await trio.lowlevel.checkpoint()
        raise OSError("injected")

    monkeypatch.setattr(Listener, "serve", fail)
    app = App("house")
    async with app.connect() as client:
        with pytest.raises(RuntimeError, match="the listener failed") as caught:
            await partial(app.serve, port=0)()
        assert isinstance(caught.value.__cause__, OSError)
        assert await client.list_tools() == []
        assert len(app.server.endpoints) == 1, "the one in memory"
