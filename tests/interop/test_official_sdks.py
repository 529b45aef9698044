"""The official SDKs against a server of the test process: everything that a client does with a live server."""

from __future__ import annotations

from functools import partial

import pytest
import trio
import trio.testing

from mcptrio import Address, App, ToolError

from .conftest import StartClient
from .processes import Driven

TODAY = "note://today"
MODES = {"legacy": "2025-11-25", "auto": "2026-07-28", "2026-07-28": "2026-07-28"}


class Notes:
    """An app whose one note can be rewritten."""

    def __init__(self) -> None:
        self.app = App("notes", instructions="Notes that change.")
        self.text = "draft 0"
        self._version = 0

        @self.app.tool
        async def add(a: int, b: int) -> int:
            """Add two numbers."""
            return a + b

        @self.app.tool
        async def fail() -> str:
            """Fail in words."""
            raise ToolError("the pen is dry")

        @self.app.resource(TODAY)
        async def today() -> str:
            return self.text

        @self.app.resource("note://archive/{day}")
        async def archived(day: str) -> str:
            return f"note of {day}"

        @self.app.prompt
        async def greet(name: str) -> str:
            return f"Say hello to {name}."

    def rewrite(self) -> None:
        """Change the note, and say so."""
        self._version += 1
        self.text = f"draft {self._version}"
        self.app.updated_nowait(TODAY)


@pytest.fixture
async def notes() -> Notes:
    return Notes()


@pytest.fixture
async def address(notes: Notes, nursery: trio.Nursery) -> Address:
    address = await nursery.start(partial(notes.app.serve, port=0))
    assert isinstance(address, Address)
    return address


async def check_requests(client: Driven, revision: str) -> None:
    """What every generation of the SDK can ask and understand."""
    version, name, instructions = await client.do("initialize")
    assert (version, instructions) in ((revision, "Notes that change."), (revision, None))
    assert name in ("notes", None)
    assert await client.do("lists") == {
        "tools": ["add", "fail"],
        "resources": [
            TODAY,
            "mcptrio://supervision",
            "mcptrio://subscriptions",
            "mcptrio://sessions",
            "mcptrio://alerts",
            "mcptrio://sources/mcptrio",
        ],
        "templates": ["note://archive/{day}", "mcptrio://sources/{name}"],
        "prompts": ["greet"],
    }
    answer = await client.do("call", name="add", arguments={"a": 2, "b": 3})
    structured = {"result": 5} if revision == "2025-11-25" else 5
    assert answer == {"texts": ["5"], "structured": structured, "is_error": False}
    answer = await client.do("call", name="fail", arguments={})
    assert answer == {"texts": ["the pen is dry"], "structured": None, "is_error": True}
    assert await client.do("read", uri=TODAY) == ["draft 0"]
    assert await client.do("read", uri="note://archive/monday") == ["note of monday"]
    assert await client.do("prompt", name="greet", arguments={"name": "Ada"}) == ["Say hello to Ada."]
    refused = await client.attempt("read", uri="note://nowhere")
    assert refused["error"] == {
        "code": -32002 if revision == "2025-11-25" else -32602,
        "message": "Resource not found: note://nowhere",
    }


async def check_subscription(client: Driven, notes: Notes) -> None:
    """Every change while subscribed, none after."""
    notes.rewrite()  # nobody is told of what was before
    await client.do("subscribe", uri=TODAY)
    assert len(notes.app.hub.subscribers(TODAY)) == 1
    for _ in range(3):
        notes.rewrite()
        assert await client.update() == TODAY
        assert await client.do("read", uri=TODAY) == [notes.text]
    assert client.updates_nowait() == []

    await client.do("unsubscribe", uri=TODAY)
    await client.do("round_trip")
    assert notes.app.hub.subscribers(TODAY) == ()
    client.notices_nowait()
    notes.rewrite()
    await client.do("round_trip")  # messages keep their order: an update would come before this answer
    assert client.updates_nowait() == []
    assert client.notices_nowait() == []

    await client.do("subscribe", uri=TODAY)
    notes.rewrite()
    assert await client.update() == TODAY


async def check_end(client: Driven, notes: Notes) -> None:
    """The client leaves as it came, and nothing of it stays."""
    assert await client.leave() == 0
    with trio.fail_after(10):
        while notes.app.hub.subscriptions():
            await trio.testing.wait_all_tasks_blocked(0.01)


async def test_the_official_sdk_1_lists_calls_reads_and_is_told_of_changes(
    sdk_1: StartClient, notes: Notes, address: Address
) -> None:
    async with sdk_1(address.websocket) as client:
        await check_requests(client, "2025-11-25")
        await check_subscription(client, notes)
        await check_end(client, notes)


@pytest.mark.parametrize("mode", MODES)
async def test_the_official_sdk_2_under_trio_lists_calls_reads_and_is_told_of_changes(
    sdk_2: StartClient, notes: Notes, address: Address, mode: str
) -> None:
    async with sdk_2(address.websocket, mode) as client:
        await check_requests(client, MODES[mode])
        await check_subscription(client, notes)
        await check_end(client, notes)


async def test_both_sdks_and_both_revisions_hear_one_change_side_by_side(
    sdk_1: StartClient, sdk_2: StartClient, notes: Notes, address: Address
) -> None:
    async with (
        sdk_1(address.websocket) as old,
        sdk_2(address.websocket, "legacy") as legacy,
        sdk_2(address.websocket, "2026-07-28") as modern,
    ):
        await old.do("initialize")
        clients = [old, legacy, modern]
        for client in clients:
            await client.do("subscribe", uri=TODAY)
        assert len(notes.app.hub.subscribers(TODAY)) == 3
        notes.rewrite()
        for client in clients:
            assert await client.update() == TODAY
        await legacy.do("unsubscribe", uri=TODAY)
        notes.rewrite()
        for client in (old, modern):
            assert await client.update() == TODAY
        await legacy.do("round_trip")
        assert legacy.updates_nowait() == []


async def test_a_server_that_stops_ends_the_sdks_subscription_after_its_last_update(
    sdk_2: StartClient, notes: Notes, nursery: trio.Nursery
) -> None:
    stopping = trio.CancelScope()

    async def serve(*, task_status: trio.TaskStatus[Address]) -> None:  # noqa: ASYNC128  # the app says it
        with stopping:
            await notes.app.serve(port=0, task_status=task_status)

    address = await nursery.start(serve)
    async with sdk_2(address.websocket, "2026-07-28") as client:
        assert await client.do("subscribe", uri=TODAY) == [TODAY]
        notes.rewrite()
        stopping.cancel()
        # The SDK tells a final result, which is this, from a connection that was lost.
        assert await client.ended() == TODAY
        assert await client.update() == TODAY
