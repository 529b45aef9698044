"""A bridge between ends that do not do as they should."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from mcptrio.bridge import CONNECTION_LOST, Bridge
from mcptrio.client.target import find_target
from mcptrio.supervision.backoff import Backoff
from mcptrio.wire import Limits, memory_transport_pair
from tests.bridge.rig import LEGACY, Host
from tests.client.origin import INITIALIZED, Asked, Handle, Origin, old

Start = Callable[[Handle], Awaitable[tuple[Host, list[str]]]]


@pytest.fixture
def starting(nursery: trio.Nursery, autojump_clock: MockClock) -> Start:
    """A bridge to a server of a test's own, and what it tells of losses."""

    async def start(handle: Handle) -> tuple[Host, list[str]]:
        ours, theirs = memory_transport_pair()
        losses: list[str] = []
        bridge = Bridge(
            find_target("http://localhost/mcp", timeout=10, connect=Origin(nursery, handle).connect),
            ours,
            timeout=10,
            backoff=Backoff(initial=0.5, jitter=False),
            on_lost=lambda error, delay: losses.append(str(error)),
            limits=Limits(max_message=1000),
            rng=random.Random(1),
        )
        nursery.start_soon(bridge.run)
        host = Host(theirs, LEGACY, {})
        await host.begin()
        return host, losses

    return start


async def test_a_line_that_is_too_long_is_refused_and_the_next_one_passes(
    starting: Start, autojump_clock: MockClock
) -> None:
    host, losses = await starting(old())
    await host.say("tools/call", {"name": "x" * 2000}, id=1)
    refused = await host.hear()
    assert refused["error"]["message"] == "Invalid request: a message has at most 1000 bytes"
    assert (await host.ask("tools/list"))["result"] == {}
    await host.stream.aclose()
    assert losses == []


async def test_a_server_that_says_what_is_no_message_is_connected_to_again(
    starting: Start, autojump_clock: MockClock
) -> None:
    async def call(asked: Asked) -> None:
        await asked.answer(200, b"{", ("Content-Type", "application/json"))

    host, losses = await starting(old(call=call))
    answer = await host.ask("tools/call")
    assert answer["error"]["data"] == {"reason": CONNECTION_LOST}
    assert (await host.ask("tools/list"))["result"] == {}
    await host.stream.aclose()
    assert len(losses) == 1
    assert "Parse error" in losses[0]


async def test_a_server_that_does_not_take_the_session_up_again_is_tried_until_it_does(
    starting: Start, autojump_clock: MockClock
) -> None:
    handshakes = 0

    async def initialize(asked: Asked) -> None:
        nonlocal handshakes
        handshakes += 1
        if handshakes in (2, 3):
            error = {"code": -32602, "message": "not yet"}
            await asked.answer(200, {"jsonrpc": "2.0", "id": asked.message["id"], "error": error})
        else:
            await asked.result(INITIALIZED, ("Mcp-Session-Id", f"s{handshakes}"))

    async def call(asked: Asked) -> None:
        await asked.answer(404)

    host, losses = await starting(old(initialize=initialize, call=call))
    answer = await host.ask("tools/call")
    assert answer["error"]["data"] == {"reason": CONNECTION_LOST}
    assert (await host.ask("tools/list"))["result"] == {}
    await host.stream.aclose()
    assert handshakes == 4
    assert ["not yet" in loss for loss in losses] == [False, True, True]


async def test_a_host_that_speaks_faster_than_the_server_takes_waits(
    starting: Start, autojump_clock: MockClock
) -> None:
    taken = 0

    async def progress(asked: Asked) -> None:
        nonlocal taken
        await trio.sleep(0.1)
        taken += 1
        await asked.answer(202)

    host, losses = await starting(old(progress=progress))
    line = json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"x": "y" * 800}})
    sent = 0
    with trio.move_on_after(10):
        while True:
            await host.stream.send_all(line.encode() + b"\n")
            sent += 1
    assert taken > 80
    assert sent < taken + 300  # what the bridge and the pipe hold; without flow control there would be no end
    await host.stream.aclose()
    assert losses == []
