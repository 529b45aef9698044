"""The official SDKs as hosts of `mcptrio bridge`, which carries them to a server by WebSocket or HTTP."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from .conftest import StartClient
from .test_transports import ENVIRONMENT, check_all, served

BEHIND = pytest.mark.parametrize("transport", ["websocket", "endpoint"])


@asynccontextmanager
async def bridged(transport: str) -> AsyncIterator[str]:
    """The command that a host starts, with the server behind it."""
    async with served(transport) as url:
        arguments = ["-m", "mcptrio", "bridge", url]
        yield json.dumps({"command": sys.executable, "args": arguments, "env": ENVIRONMENT})


@BEHIND
async def test_the_official_sdk_1_hears_all_through_a_bridge(sdk_1: StartClient, transport: str) -> None:
    async with bridged(transport) as command, sdk_1(command) as client:
        await check_all(client, "2025-11-25")


@BEHIND
@pytest.mark.parametrize(("mode", "revision"), [("legacy", "2025-11-25"), ("auto", "2026-07-28")])
async def test_the_official_sdk_2_hears_all_through_a_bridge(
    sdk_2: StartClient, transport: str, mode: str, revision: str
) -> None:
    async with bridged(transport) as command, sdk_2(command, mode) as client:
        await check_all(client, revision)
