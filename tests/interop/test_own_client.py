"""The project's client against servers of the official SDKs, by HTTP and as child processes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from mcptrio.client import RpcError, StdioCommand, open_client

from .conftest import Judge
from .processes import LineProcess

SERVER = Path(__file__).parent / "servers" / "sdk.py"


@asynccontextmanager
async def served(python: Path, transport: str) -> AsyncIterator[str | StdioCommand]:
    """The server as the client is told of it."""
    if transport == "stdio":
        yield StdioCommand((str(python), str(SERVER), "stdio"))
        return
    async with LineProcess(python, SERVER, "http", errors=True) as server:
        while (
            found := re.search(r"running on (http://127\.0\.0\.1:\d+)", await server.errors.next())
        ) is None:
            pass
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.errors.rest)  # or it would stand still when the pipe is full
            yield found[1]
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("transport", ["http", "stdio"])
@pytest.mark.parametrize(
    ("sdk", "revision"), [("mcp-1", "2025-11-25"), ("mcp-2", "2025-11-25"), ("mcp-2", "2026-07-28")]
)
async def test_it_talks_to_a_server_of_the_official_sdk(
    judge: Judge, sdk: str, revision: str, transport: str
) -> None:
    newest = {"mcp-1": "2025-11-25", "mcp-2": "2026-07-28"}[sdk]
    wanted = "auto" if revision == newest else revision
    async with served(judge(sdk), transport) as server, open_client(server, revision=wanted) as client:
        assert client.revision == revision
        assert {tool.name for tool in await client.list_tools()} == {"add", "count"}
        told: list[float] = []
        await client.call_tool(
            "count", {"to": 3}, on_progress=lambda progress, total, text: told.append(progress)
        )
        assert told == [1, 2, 3]
        answers = []

        async def add(a: int) -> None:
            answers.append((a, (await client.call_tool("add", {"a": a, "b": 1})).content[0].text))  # type: ignore[union-attr]

        async with trio.open_nursery() as nursery:
            for a in range(10):
                nursery.start_soon(add, a)
        assert sorted(answers) == [(a, str(a + 1)) for a in range(10)]
        assert (await client.read_resource("note://x")).contents[0].text == "hello"
        with pytest.raises(RpcError):
            await client.read_resource("note://none")
        assert client.statistics().connections == 1
