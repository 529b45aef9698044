"""SystemExit, of a library say, ends the request or source that raised it and nobody else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from mcptrio import App, Feed, ServerSettings
from tests.server.rig import House, Wire, cancelled, running, updated
from tests.server.work import BOTH, call, connect


def house() -> App:
    app = App("house", settings=ServerSettings(introspection=False))

    @app.tool
    async def tool() -> str:
        raise SystemExit(3)

    @app.tool(concurrency=1, timeout=5)
    async def bounded() -> str:
        raise SystemExit("usage: no")

    @app.resource("a:fixed")
    async def fixed() -> str:
        raise SystemExit(3)

    @app.resource("b:{id}")
    async def one(id: str) -> str:
        raise SystemExit(3)

    @one.list
    async def ids() -> list[str]:
        raise SystemExit(3)

    @app.prompt
    async def prompt() -> str:
        raise SystemExit(3)

    return app


async def others_are_served(home: House, other: Wire) -> None:
    assert await other.result("ping") == {}
    home.app.updated_nowait("a:fixed")
    assert await other.receive() == updated("a:fixed")


@BOTH
async def test_a_tool_that_exits_fails_its_call(modern: bool, caplog: pytest.LogCaptureFixture) -> None:
    async with running(house()) as home:
        wire, other = await connect(home, modern), await home.connect(initialized=True)
        await other.subscribe("a:fixed")
        for name in ("tool", "bounded", "bounded"):
            result = await wire.result("tools/call", {"name": name}, modern=modern)
            assert result["isError"] is True
            assert "correlation id" in str(result["content"])
        assert "SystemExit" in caplog.text
        assert "tools" in await wire.result("tools/list", modern=modern)
        await others_are_served(home, other)


async def _leave() -> None:
    raise SystemExit(3)


@BOTH
@pytest.mark.parametrize("others", [_leave, trio.sleep_forever, trio.lowlevel.checkpoint])
async def test_a_tool_that_exits_in_a_nursery_fails_its_call(
    modern: bool, others: Callable[[], Awaitable[None]]
) -> None:
    app = house()

    @app.tool
    async def grouped() -> str:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_leave)
            nursery.start_soon(others)
        return ""

    async with running(app) as home:
        wire, other = await connect(home, modern), await home.connect(initialized=True)
        await other.subscribe("a:fixed")
        result = await wire.result("tools/call", {"name": "grouped"}, modern=modern)
        assert result["isError"] is True
        await others_are_served(home, other)


async def test_a_tool_that_exits_while_it_is_cancelled_is_cancelled() -> None:
    app = house()

    async def leave_when_cancelled() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise SystemExit(3)

    @app.tool
    async def grouped() -> str:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave_when_cancelled)
            nursery.start_soon(trio.sleep_forever)
        return ""

    async with running(app) as home:
        wire, other = await home.connect(initialized=True), await home.connect(initialized=True)
        await other.subscribe("a:fixed")
        await wire.send(call(1, "grouped"))
        await trio.testing.wait_all_tasks_blocked()
        await wire.send(cancelled(1))
        assert await wire.rest() == []
        assert wire.peer.requests == {}
        await others_are_served(home, other)


@BOTH
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("resources/read", {"uri": "a:fixed"}),
        ("resources/read", {"uri": "b:1"}),
        ("prompts/get", {"name": "prompt"}),
    ],
)
async def test_a_resource_or_prompt_that_exits_fails_its_request(
    modern: bool, method: str, params: dict[str, object]
) -> None:
    async with running(house()) as home:
        wire, other = await connect(home, modern), await home.connect(initialized=True)
        await other.subscribe("a:fixed")
        code, message, data = await wire.error(method, params, modern=modern)
        assert (code, message) == (-32603, "Internal error")
        assert isinstance(data, dict)
        assert "correlationId" in data
        await others_are_served(home, other)


async def test_a_list_that_exits_hides_only_its_own_resources() -> None:
    async with running(house()) as home:
        wire = await home.connect(initialized=True)
        result = await wire.result("resources/list")
        assert [resource["uri"] for resource in result["resources"]] == ["a:fixed"]  # type: ignore[attr-defined]


async def test_a_source_that_exits_has_failed_and_comes_back() -> None:
    app = house()
    starts = 0

    @app.source()
    async def leaving(feed: Feed) -> None:
        nonlocal starts
        starts += 1
        feed.live()
        if starts == 1:
            raise SystemExit("usage: no")
        await trio.sleep_forever()

    @app.source("c:{id}")
    async def staying(feed: Feed) -> None:
        while True:
            await trio.sleep(1)
            await feed.updated("c:1")

    async with running(app) as home:
        await trio.testing.wait_all_tasks_blocked()
        feed = app.sources.feeds["leaving"]
        assert (feed.state.value, feed.reason) == ("failed", "SystemExit: usage: no")
        other = await home.connect(initialized=True)
        await other.subscribe("c:1", "a:fixed")
        for _ in range(40):
            assert await other.receive() == updated("c:1")
        assert (starts, feed.state.value) == (2, "live")


@pytest.mark.parametrize("at_the_end", [False, True])
async def test_a_source_that_exits_in_a_nursery_has_failed_and_hurts_nobody(at_the_end: bool) -> None:
    app = house()
    starts = 0

    async def leave() -> None:
        try:
            if at_the_end:
                await trio.sleep_forever()
        finally:
            raise SystemExit(3)

    @app.source()
    async def leaving(feed: Feed) -> None:
        nonlocal starts
        starts += 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave)
            nursery.start_soon(trio.sleep_forever)

    async with running(app) as home:
        await trio.testing.wait_all_tasks_blocked()
        assert app.sources.feeds["leaving"].state.value == ("starting" if at_the_end else "failed")
        other = await home.connect(initialized=True)
        await other.subscribe("a:fixed")
        await trio.sleep(60)
        assert (starts > 2) is not at_the_end
        await others_are_served(home, other)
