"""Optional members that are null, and members that nobody reads: some clients send every member."""

from __future__ import annotations

import pytest
import trio.testing

from mcptrio import App, Context
from mcptrio.protocol.types import ClientInfo
from tests.server.rig import INITIALIZE, Json, notification, request, running
from tests.server.work import BOTH, Work, call, connect, text_of

META = "io.modelcontextprotocol/"


def house() -> App:
    app = App("house")

    @app.tool
    async def report(context: Context) -> str:
        await context.progress(1)
        return "done"

    @app.prompt
    async def ask() -> str:
        return "please"

    return app


@BOTH
@pytest.mark.parametrize("reason", [None, 7, 1.5, True, {"why": 1}, ["x"], "in words"])
async def test_a_cancellation_cancels_whatever_its_reason_is(modern: bool, reason: object) -> None:
    work = Work()
    async with running(work.app) as home:
        wire = await connect(home, modern)
        await wire.send(call(1, "wait", modern=modern))
        await wire.send(notification("notifications/cancelled", {"requestId": 1, "reason": reason}))
        assert await wire.rest() == []
        assert (work.started, work.ended) == (1, ["cancelled"])
        assert wire.peer.requests == {}


@BOTH
@pytest.mark.parametrize("reason", [None, 7])
async def test_a_cancellation_with_an_odd_reason_ends_a_listen(modern: bool, reason: object) -> None:
    work = Work()
    work.app.catalog.add_pattern("a:{id}")
    async with running(work.app) as home:
        wire = await connect(home, modern)
        await wire.listen(1, "a:1")
        await wire.send(notification("notifications/cancelled", {"requestId": 1, "reason": reason}))
        await trio.testing.wait_all_tasks_blocked()
        assert home.app.hub.statistics().subscriptions == 0


@BOTH
@pytest.mark.parametrize(
    "method", ["tools/list", "prompts/list", "resources/list", "resources/templates/list"]
)
async def test_a_cursor_that_is_null_is_none(modern: bool, method: str) -> None:
    async with running(house()) as home:
        wire = await connect(home, modern)
        plain = await wire.result(method, {}, modern=modern)
        assert await wire.result(method, {"cursor": None}, modern=modern) == plain


@BOTH
async def test_arguments_that_are_null_are_none(modern: bool) -> None:
    async with running(house()) as home:
        wire = await connect(home, modern)
        assert text_of(await wire.call("tools/call", {"name": "report", "arguments": None}, modern=modern))
        result = await wire.result("prompts/get", {"name": "ask", "arguments": None}, modern=modern)
        assert len(result["messages"]) == 1  # type: ignore[arg-type]


@BOTH
async def test_an_argument_of_a_prompt_that_is_no_string_is_named(modern: bool) -> None:
    async with running(house()) as home:
        wire = await connect(home, modern)
        for value in (None, 7, {}):
            params: Json = {"name": "ask", "arguments": {"topic": value}}
            code, message, _ = await wire.error("prompts/get", params, modern=modern)
            assert code == -32602
            assert "`topic`" in message


@BOTH
async def test_a_progress_token_that_is_null_asks_for_no_progress(modern: bool) -> None:
    async with running(house()) as home:
        wire = await connect(home, modern)
        params: Json = {"name": "report", "_meta": {"progressToken": None}}
        assert text_of(await wire.call("tools/call", params, modern=modern)) == "done"


async def test_a_meta_that_is_null_is_none() -> None:
    async with running(house()) as home:
        wire = await home.connect()
        await wire.result("initialize", {**INITIALIZE, "_meta": None})
        assert text_of(await wire.call("tools/call", {"name": "report", "_meta": None})) == "done"
        assert "tools" in await wire.result("tools/list", {"_meta": None})


async def test_params_that_are_null_are_none() -> None:
    async with running(house()) as home:
        wire = await home.connect(initialized=True)
        for method in ("ping", "tools/list", "resources/list"):
            await wire.send({**request(1, method), "params": None})
            assert "result" in await wire.receive()
        await wire.send({**notification("notifications/initialized"), "params": None})
        assert await wire.rest() == []


ICON = {"src": "https://x.example/i.png", "theme": "sepia"}
ODD = [
    {"title": None},
    {"description": None, "websiteUrl": None, "icons": None},
    {"title": 7},
    {"icons": [ICON]},
    {"icons": [{"src": None, "sizes": "any"}]},
]


@pytest.mark.parametrize("odd", ODD)
async def test_nothing_but_the_name_and_version_of_a_client_makes_a_difference(odd: Json) -> None:
    info = {"name": "odd", "version": "2", **odd}
    async with running(house()) as home:
        wire = await home.connect()
        await wire.result("initialize", {**INITIALIZE, "clientInfo": info})
        assert wire.peer.session is not None
        assert wire.peer.client == ClientInfo(name="odd", version="2")
        params: Json = {"_meta": {META + "clientInfo": info}}
        assert "tools" in await wire.result("tools/list", params, modern=True)


async def test_a_client_in_an_envelope_may_be_null() -> None:
    async with running(house()) as home:
        wire = await home.connect()
        params: Json = {"_meta": {META + "clientInfo": None}}
        assert "tools" in await wire.result("tools/list", params, modern=True)
