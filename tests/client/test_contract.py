"""The client and the real server, over each carrier in memory; test_processes.py has the same over a process."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from mcptrio.client import open_client
from tests.client.contract import hold_to_contract
from tests.client.notes_app import notes_app


@pytest.mark.parametrize("scheme", ["ws", "http"])
@pytest.mark.parametrize(
    ("wanted", "revision"),
    [("2025-11-25", "2025-11-25"), ("2026-07-28", "2026-07-28"), ("auto", "2026-07-28")],
)
async def test_all_that_a_client_does_works_with_the_real_server(
    scheme: str, wanted: str, revision: str
) -> None:
    app = notes_app()

    async def connect() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return app.server.connect()

    async with app.connect():
        opened = partial(open_client, f"{scheme}://localhost/mcp", connect=connect, revision=wanted)
        await hold_to_contract(opened(), revision)
