"""Log messages of handlers, for clients that want them."""

from __future__ import annotations

import pytest

from mcptrio import App, Context, ServerSettings, ToolError
from mcptrio.protocol.questions import LEVELS
from mcptrio.wire import Limits
from tests.server.asked import Talk, talk
from tests.server.rig import Json, running
from tests.server.work import BOTH

LOG_LEVEL_KEY = "io.modelcontextprotocol/logLevel"


def house() -> App:
    app = App("logging", settings=ServerSettings(limits=Limits(max_pending=65_536)))

    @app.tool
    async def every_level(context: Context) -> str:
        for level in LEVELS:
            await context.log(level, {"said": level}, logger="tests")  # type: ignore[arg-type]
        return "logged"

    @app.tool
    async def wrong(what: str, context: Context) -> str:
        try:
            if what == "level":
                await context.log("loud", "hm")  # type: ignore[arg-type]
            elif what == "size":
                await context.log("error", "a" * 65_536)
            else:
                await context.log("error", object())
        except (ValueError, TypeError) as error:
            raise ToolError(str(error)) from None
        return "logged"

    return app


async def heard(client: Talk, level: str | None) -> list[object]:
    """Which levels arrive of one message of each."""
    client.told.clear()
    params: Json = {"name": "every_level"}
    if client.modern:
        client.meta = lambda **meta: {**Talk.meta(client), **({LOG_LEVEL_KEY: level} if level else {})}  # type: ignore[method-assign]
    elif level:
        assert await client.wire.result("logging/setLevel", {"level": level}) == {}
    await client.request("tools/call", params, {})
    for message in client.told:
        assert message["method"] == "notifications/message"
        told = message["params"]
        assert isinstance(told, dict)
        assert told == {"level": told["level"], "logger": "tests", "data": {"said": told["level"]}}
    return [message["params"]["level"] for message in client.told]  # type: ignore[index]


@BOTH
@pytest.mark.parametrize("level", LEVELS)
async def test_messages_at_and_above_the_level_arrive_before_the_answer(level: str, modern: bool) -> None:
    async with running(house()) as home:
        assert await heard(await talk(home, modern), level) == list(LEVELS[LEVELS.index(level) :])


async def test_a_session_hears_info_until_it_sets_a_level() -> None:
    async with running(house()) as home:
        client = await talk(home, modern=False)
        assert await heard(client, None) == list(LEVELS[1:])
        assert await heard(client, "error") == ["error", "critical", "alert", "emergency"]
        assert await heard(client, None) == ["error", "critical", "alert", "emergency"]
        assert await heard(await talk(home, modern=False), None) == list(LEVELS[1:]), "another session"


async def test_a_stateless_request_hears_nothing_unless_it_asks_and_no_request_asks_for_another() -> None:
    async with running(house()) as home:
        client = await talk(home, modern=True)
        assert await heard(client, None) == []
        assert await heard(client, "alert") == ["alert", "emergency"]
        assert await heard(client, None) == []


@pytest.mark.parametrize("level", ["loud", "", 5, {}])
async def test_a_level_that_is_none_is_refused(level: object) -> None:
    async with running(house()) as home:
        session = await talk(home, modern=False)
        assert (await session.wire.error("logging/setLevel", {"level": level}))[0] == -32602
        assert (await session.wire.error("logging/setLevel", {}))[0] == -32602
        params: Json = {"name": "every_level", "_meta": {LOG_LEVEL_KEY: level}}
        assert (await session.wire.error("tools/call", params, modern=True))[0] == -32602


async def test_the_level_is_the_sessions_own_method() -> None:
    async with running(house()) as home:
        wire = await home.connect()
        assert (await wire.error("logging/setLevel", {"level": "info"}, modern=True))[0] == -32601


@BOTH
@pytest.mark.parametrize(
    ("what", "words"),
    [("level", "use one of debug, info"), ("size", "at most 65024 can be sent"), ("type", "unsupported")],
)
async def test_a_message_that_cannot_be_sent_is_the_handlers_error(
    what: str, words: str, modern: bool
) -> None:
    async with running(house()) as home:
        client = await talk(home, modern)
        if modern:
            client.meta = lambda **meta: {**Talk.meta(client), LOG_LEVEL_KEY: "info"}  # type: ignore[method-assign]
        result = await client.call("wrong", {}, what=what)
        assert result["isError"] is True
        assert words in str(result["content"])
        assert client.told == []
