"""What is at the door while the server ends."""

from __future__ import annotations

import json

import pytest
import trio.testing
from trio.testing import MockClock

from tests.server.http.rig import ACCEPT, http
from tests.server.rig import INITIALIZE, Json, request

LISTEN = request("l", "subscriptions/listen", {"notifications": {"toolsListChanged": True}}, modern=True)


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (LISTEN, "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n"),
        (request(1, "initialize", INITIALIZE), ""),
    ],
    ids=["exchange", "session"],
)
async def test_a_request_whose_body_comes_after_the_drain_has_begun_is_refused_and_leaves_nothing(
    message: Json, fields: str, autojump_clock: MockClock
) -> None:
    async with http() as home:
        stream = (await home.connect()).stream
        body = json.dumps(message).encode()
        head = (
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Accept: {ACCEPT}\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
        )
        await stream.send_all(head.encode() + body[:10])
        await trio.testing.wait_all_tasks_blocked()
        await home.endpoint.drain()
        await stream.send_all(body[10:])
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 503 ")
        assert await stream.receive_some() == b""
        assert not home.endpoint.http.exchanges
        assert not home.endpoint.peers
