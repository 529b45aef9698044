"""A connection that is ended before its task has made a step."""

from functools import partial

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcptrio import App
from mcptrio.supervision import ChildSpec


class Killed(Exception):
    pass


async def test_a_connection_in_memory_that_is_ended_before_its_first_step_is_closed(
    autojump_clock: MockClock,
) -> None:
    app = App("first step")
    async with app._root.hold():
        stream = app.server.connect()
        peers = app.server._peers
        peers.exit_child(peers.children()[-1].name, Killed())
        with trio.fail_after(5):
            assert await stream.receive_some() == b""


async def test_a_connection_that_is_ended_before_its_first_step_is_closed_and_gives_its_place_back() -> None:
    app = App("first step")
    peers = app.server._peers
    plain = peers.start_child_nowait

    def start_and_kill(spec: ChildSpec) -> None:
        plain(spec)
        peers.exit_child(spec.name, Killed())

    peers.start_child_nowait = start_and_kill  # type: ignore[method-assign]
    async with trio.open_nursery() as nursery:
        address = await nursery.start(partial(app.serve, port=0))
        with trio.fail_after(5):
            stream = await trio.open_tcp_stream("127.0.0.1", address.port)
            assert await stream.receive_some() == b""
        await stream.aclose()
        await wait_all_tasks_blocked()
        assert app.server.endpoints[1].listener.statistics().open == 0
        nursery.cancel_scope.cancel()
