"""What a thread may not do while the app runs, and two runs of one app. On the real clock."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import trio
import trio.testing

from mcptrio import App, ServerSettings
from mcptrio.client import Client

FIX = r"this is a thread.*app\.from_thread\.updated.*async def.*trio\.from_thread\.run_sync"


async def added() -> str:
    return ""


async def one(id: str) -> str:
    return id


DEEDS: dict[str, Callable[[App], object]] = {
    "tool": lambda app: app.tool(added),
    "tool with arguments": lambda app: app.tool(name="given")(added),
    "resource": lambda app: app.resource("x:y")(added),
    "template": lambda app: app.resource("x:{id}")(one),
    "prompt": lambda app: app.prompt(added),
    "prompt with arguments": lambda app: app.prompt(name="given")(added),
    "remove_tool": lambda app: app.remove_tool("old"),
    "remove_resource": lambda app: app.remove_resource("a:old"),
    "remove_resource of a template": lambda app: app.remove_resource("b:{id}"),
    "remove_prompt": lambda app: app.remove_prompt("old"),
}


def house() -> App:
    app = App("house")

    @app.tool
    async def old() -> str:
        return ""

    app.resource("a:old")(added)
    app.resource("b:{id}")(one)
    app.prompt(name="old")(added)
    return app


async def offered(client: Client) -> list[str]:
    return [
        *(tool.name for tool in await client.list_tools()),
        *(resource.uri for resource in await client.list_resources()),
        *(template.uri_template for template in await client.list_resource_templates()),
        *(prompt.name for prompt in await client.list_prompts()),
    ]


@pytest.mark.parametrize("deed", DEEDS)
async def test_declaring_and_removing_in_a_thread_is_refused_and_changes_nothing(deed: str) -> None:
    app = house()

    @app.tool
    def meddle() -> str:
        with pytest.raises(RuntimeError, match=FIX):
            DEEDS[deed](app)
        return "refused"

    async with app.connect() as client, client.subscribe("a:old") as updates:
        before = await offered(client)
        offset = app.hub.offset
        result = await client.call_tool("meddle")
        assert result.content[0].text == "refused"  # type: ignore[union-attr]
        assert await offered(client) == before
        assert (app.hub.offset, updates.pending) == (offset, 0)
        async with client.list_changes() as changes:
            app.tool(name="later")(added)
            with trio.fail_after(10):
                assert await anext(changes) == "tools"
        assert "later" in await offered(client)


@pytest.mark.parametrize("deed", DEEDS)
async def test_the_named_fix_works(deed: str) -> None:
    app = house()

    @app.tool
    def meddle() -> None:
        trio.from_thread.run_sync(DEEDS[deed], app)

    async with app.connect() as client:
        before = await offered(client)
        assert not (await client.call_tool("meddle")).is_error
        assert await offered(client) != before


@pytest.mark.parametrize("deed", DEEDS)
async def test_a_thread_may_do_it_while_the_app_does_not_run(deed: str) -> None:
    app = house()
    async with app.connect():
        pass
    await trio.to_thread.run_sync(DEEDS[deed], app)


def test_an_app_that_is_run_twice_tells_list_changes_in_both_runs() -> None:
    app = house()
    waited: list[float] = []

    async def main() -> None:
        async with app.connect() as client, client.list_changes() as changes:
            await trio.sleep(1000 if not waited else 0)
            began = trio.current_time()
            app.tool(name=f"tool{len(waited)}")(added)
            with trio.move_on_after(100):
                assert await anext(changes) == "tools"
            waited.append(trio.current_time() - began)

    for _ in range(2):  # the second clock is behind the first one's end
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert waited == [pytest.approx(0, abs=1), pytest.approx(0, abs=1)]


def test_the_time_between_two_runs_is_no_slow_step(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = App("house", settings=ServerSettings(slow_step=10.0))
    now = 0.0
    monkeypatch.setattr("mcptrio.server.slow_steps.time", SimpleNamespace(perf_counter=lambda: now))

    async def main() -> None:
        async with app.connect() as client:
            await client.ping()

    for _ in range(3):
        trio.run(main)
        now += 3600.0
    assert app.server._slow_steps.found == 0
    assert "kept the thread" not in caplog.text
