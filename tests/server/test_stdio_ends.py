"""Every way in which a client over lines ends, and what is left then: nothing."""

from __future__ import annotations

import json

import pytest
import trio
import trio.testing

from mcptrio.wire import TransportStream, memory_transport_pair
from tests.server.lines import connected, house
from tests.server.rig import TAG, expect_nothing_left, request, updated

Clock = trio.testing.MockClock


async def test_what_is_answered_soon_after_the_end_of_input_arrives(autojump_clock: Clock) -> None:
    async with connected(house()) as host:
        await host.send(
            request(1, "tools/call", {"name": "wait", "arguments": {"seconds": 0.5}}, modern=True)
        )
        await host.stream.send_eof()
        assert (await host.receive())["id"] == 1
        assert await host.receive_or_end() is None
        assert trio.current_time() == 0.5


async def test_the_end_of_input_cancels_what_takes_longer_and_ends_what_is_listened_to(
    autojump_clock: Clock,
) -> None:
    app = house()
    async with connected(app) as host:
        await host.listen(1, "a:1")
        await host.send(
            request(2, "tools/call", {"name": "wait", "_meta": {"progressToken": 7}}, modern=True)
        )
        await host.receive()
        before = trio.current_time()
        await host.stream.send_eof()
        await host.served.wait()
        assert trio.current_time() == before + app.settings.drain_requests
        app.updated_nowait("a:1")
        assert await host.receive_or_end() is None


async def test_a_server_that_ends_while_a_last_answer_is_awaited_waits_no_longer_than_for_that(
    autojump_clock: Clock,
) -> None:
    async with connected(house()) as host:
        await host.send(
            request(1, "tools/call", {"name": "wait", "arguments": {"seconds": 0.3}}, modern=True)
        )
        await host.stream.send_eof()
        await trio.testing.wait_all_tasks_blocked()
        host.scope.cancel()
        assert (await host.receive())["id"] == 1
        await host.served.wait()
        assert trio.current_time() == 0.3


async def test_what_was_answered_before_the_end_of_input_arrives(autojump_clock: Clock) -> None:
    async with connected(house(), capacity=100) as host:
        await host.send(*(request(id, "tools/list", modern=True) for id in range(50)))
        await host.send(json.dumps(request(50, "tools/list", modern=True)).encode())
        await host.stream.send_eof()
        assert [(await host.receive())["id"] for _ in range(51)] == list(range(51))
        assert await host.receive_or_end() is None


async def test_a_client_that_vanishes_ends_the_serving(autojump_clock: Clock) -> None:
    app = house()
    async with connected(app) as host:
        await host.listen(1, "a:1")
        host.stream.transport.abort()
        await host.served.wait()


async def test_cancelling_drains(autojump_clock: Clock) -> None:
    app = house()
    async with connected(app) as host:
        await host.listen(1, "a:1")
        await host.send(
            request(2, "tools/call", {"name": "wait", "arguments": {"seconds": 0.5}}, modern=True)
        )
        await host.send(request(3, "tools/call", {"name": "wait"}, modern=True))
        await trio.testing.wait_all_tasks_blocked()
        app.updated_nowait("a:1")
        host.scope.cancel()
        assert await host.receive() == updated("a:1", 1)
        final = await host.receive()
        result = final["result"]
        assert isinstance(result, dict)
        assert (final["id"], result["_meta"][TAG]) == (1, 1)
        refused = await host.call("tools/list", modern=True)
        assert refused["data"] == {"reason": "shutting_down"}
        waited = await host.receive()
        assert waited["id"] == 2 and "result" in waited
        assert await host.receive_or_end() is None
        assert trio.current_time() <= app.settings.drain_requests + 0.1


async def test_a_drain_is_not_held_up_by_a_client_that_does_not_read(autojump_clock: Clock) -> None:
    app = house()
    async with connected(app, capacity=100) as host:
        await host.send(request(1, "tools/call", {"name": "big", "arguments": {"size": 10_000}}, modern=True))
        await trio.testing.wait_all_tasks_blocked()
        host.scope.cancel()
        await host.served.wait()
        assert trio.current_time() <= app.settings.drain_timeout + 1.0


async def test_a_reader_that_has_stalled_is_given_up(autojump_clock: Clock) -> None:
    app = house(stall_timeout=60.0)
    async with connected(app, capacity=100) as host:
        await host.send(request(1, "tools/call", {"name": "big", "arguments": {"size": 10_000}}, modern=True))
        await host.served.wait()
        assert 60.0 <= trio.current_time() <= 63.0


async def test_a_hub_that_is_rebuilt_ends_it_so_that_it_knows_of_the_gap(autojump_clock: Clock) -> None:
    app = house()
    async with connected(app) as host:
        await host.listen(1, "a:1")
        app.server._rebuild_hub()
        await host.served.wait()
        assert await host.receive_or_end() is None
    assert app.server.traffic.closes == {"1012": 1}


async def test_without_a_running_server_the_transport_is_ended(autojump_clock: Clock) -> None:
    app = house()
    ours, theirs = memory_transport_pair()
    with pytest.raises(RuntimeError):
        await app.server.serve_stdio(ours)
    assert await TransportStream(theirs).receive_some() == b""
    expect_nothing_left(app)


async def test_a_bug_in_the_connection_is_an_error_of_the_serving(
    autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = house()

    async def broken(self: object, *arguments: object) -> None:
        raise LookupError("a bug")

    monkeypatch.setattr("mcptrio.server.peer.Peer.run", broken)
    ours, _ = memory_transport_pair()
    async with app._root.hold():
        with pytest.raises(RuntimeError, match="the connection on stdio failed"):
            await app.server.serve_stdio(ours)
        await trio.testing.wait_all_tasks_blocked()
        expect_nothing_left(app)


@pytest.mark.parametrize("steps", range(0, 40, 2))
async def test_cancelling_at_any_step_leaves_nothing(steps: int, autojump_clock: Clock) -> None:
    app = house()
    async with connected(app) as host:
        await host.send(request(1, "subscriptions/listen", {"notifications": {}}, modern=True))
        await host.send(request(2, "tools/call", {"name": "wait"}, modern=True))
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        host.scope.cancel()
        await host.served.wait()
