"""The official SDKs against scripts/conformance_server as a process, over every transport and in each revision."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from .conftest import StartClient
from .processes import ROOT, Driven, LineProcess

TICKER = "live://ticker"
COMMAND = (sys.executable, "-m", "mcptrio", "serve", "conformance_server:app")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "MCP_LOG_LEVEL": "error"}

TRANSPORTS = pytest.mark.parametrize("transport", ["websocket", "endpoint", "stdio"])


@asynccontextmanager
async def served(transport: str) -> AsyncIterator[str]:
    """The server as the clients are told of it; over stdio it is they who start it."""
    if transport == "stdio":
        yield json.dumps({"command": COMMAND[0], "args": [*COMMAND[1:], "--stdio"], "env": ENVIRONMENT})
        return
    async with LineProcess(*COMMAND, "--port", "0", environment=ENVIRONMENT) as server:
        yield json.loads(await server.output.next())[transport]
        assert await server.terminate() == 0


async def ticks(client: Driven) -> int:
    """How often the ticker has changed, as the client reads it."""
    result = await client.do("read", uri=TICKER)
    assert isinstance(result, list)
    return int(result[0])


async def check_all(client: Driven, revision: str) -> None:
    """Everything that a client does with a live server."""
    version, *_ = await client.do("initialize")  # type: ignore[misc]
    assert version == revision
    lists = await client.do("lists")
    assert isinstance(lists, dict)
    assert {"add", "test_simple_text"} <= set(lists["tools"])
    assert {TICKER, "live://quiet", "test://static-text"} <= set(lists["resources"])
    assert lists["templates"][0] == "test://template/{id}/data"
    assert "test_simple_prompt" in lists["prompts"]
    answer = await client.do("call", name="add", arguments={"a": 2, "b": 3})
    assert isinstance(answer, dict)
    assert (answer["texts"], answer["is_error"]) == (["5"], False)
    text = "This is the content of the static text resource."
    assert await client.do("read", uri="test://static-text") == [text]

    await client.do("subscribe", uri=TICKER)
    await client.do("subscribe", uri="live://quiet")
    last = -1
    for _ in range(3):
        assert await client.update() == TICKER
        last, before = await ticks(client), last
        assert last > before

    await client.do("unsubscribe", uri=TICKER)
    await client.do("round_trip")
    last = await ticks(client)
    # What was sent before, and came by another connection than the answer, is there by now.
    client.updates_nowait()
    client.notices_nowait()
    while await ticks(client) < last + 3:
        await client.do("round_trip")
    assert client.updates_nowait() == []
    assert client.notices_nowait() == []
    assert await client.leave() == 0


@TRANSPORTS
async def test_the_official_sdk_1_is_told_of_each_change_until_it_unsubscribes(
    sdk_1: StartClient, transport: str
) -> None:
    async with served(transport) as server, sdk_1(server) as client:
        await check_all(client, "2025-11-25")


@TRANSPORTS
@pytest.mark.parametrize(("mode", "revision"), [("legacy", "2025-11-25"), ("auto", "2026-07-28")])
async def test_the_official_sdk_2_is_told_of_each_change_until_it_unsubscribes(
    sdk_2: StartClient, transport: str, mode: str, revision: str
) -> None:
    async with served(transport) as server, sdk_2(server, mode) as client:
        await check_all(client, revision)
