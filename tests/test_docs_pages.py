"""What docs/handlers.md and docs/asking.md show is run here."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
from trio.testing import MockClock

from mcptrio import App, Client
from mcptrio.protocol.results import CallToolResult
from tests.server.asked import ROOTS, accept, said, talk
from tests.server.rig import running
from tests.server.work import BOTH

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page: str, language: str = "python") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def app_of(page: str) -> App:
    """The app that all the examples of a page together are."""
    module: dict[str, object] = {"__name__": "page"}
    for block in blocks(page):
        exec(compile(block, page, "exec"), module)
    app = module["app"]
    assert isinstance(app, App)
    return app


def text_of(result: CallToolResult) -> str:
    return " ".join(getattr(block, "text", block.__struct_config__.tag or "") for block in result.content)


async def completed(client: Client, reference: dict[str, str], argument: str, value: str) -> object:
    params = {"ref": reference, "argument": {"name": argument, "value": value}}
    result = await client.request("completion/complete", params)
    assert isinstance(result["completion"], dict)
    return result["completion"]["values"]


async def test_the_tools_of_the_page_do_what_it_says(autojump_clock: MockClock) -> None:
    async with app_of("handlers.md").connect() as client:
        found = await client.call_tool("search", {"text": "emma"})
        assert found.structured_content == [{"id": 1, "title": "Emma", "lent": False}]
        async with client.subscribe("books://1") as changes:
            await client.call_tool("lend", {"id": 1})
            assert (await anext(changes)).uri == "books://1"
        assert text_of(await client.call_tool("lend", {"id": 1})) == "It is lent already."
        wrong = await client.call_tool("lend", {"id": 7})
        assert wrong.is_error and text_of(wrong) == "Invalid argument `id`: there is no such book"
        assert text_of(await client.call_tool("count", {})) == "2"
        cover = await client.call_tool("cover", {"id": 1})
        assert text_of(cover) == "image audio resource_link The cover, a reading, and the book."


async def test_a_schema_of_the_page_is_what_arguments_are_held_to(autojump_clock: MockClock) -> None:
    async with app_of("handlers.md").connect() as client:
        told = {tool.name: tool.input_schema for tool in await client.list_tools()}
        assert told["shelf"]["oneOf"] == [{"required": ["isbn"]}, {"required": ["title"]}]
        assert (await client.call_tool("shelf", {"isbn": "1"})).structured_content == {"shelf": 1}
        assert (await client.call_tool("shelf", {"isbn": "1", "title": "Emma"})).is_error
        branch = told["opening_hours"]["properties"]
        assert isinstance(branch, dict) and branch["branch"]["x-mcp-header"] == "Branch"


async def test_the_resources_of_the_page_are_listed_read_and_completed(autojump_clock: MockClock) -> None:
    async with app_of("handlers.md").connect() as client:
        listed = [each.uri for each in await client.list_resources()]
        assert {"books://1", "books://2", "library://rules"} <= set(listed)
        read = await client.read_resource("books://2")
        assert read.contents[0].text == '{"id":2,"title":"Persuasion","lent":false}'
        assert read.ttl_ms == 60_000
        template = {"type": "ref/resource", "uri": "books://{id}"}
        assert await completed(client, template, "id", "2") == ["2"]


async def test_the_prompt_of_the_page_is_filled_in_and_completed(autojump_clock: MockClock) -> None:
    async with app_of("handlers.md").connect() as client:
        given = await client.get_prompt("review", {"id": "1", "tone": "strict"})
        told = [msgspec.to_builtins(message.content)["text"] for message in given.messages]
        assert told == ["Review Emma.", "I shall be strict."]
        prompt = {"type": "ref/prompt", "name": "review"}
        assert await completed(client, prompt, "tone", "s") == ["strict"]
        assert await completed(client, prompt, "id", "") == ["1", "2"]


@BOTH
async def test_declared_questions_are_asked_before_the_tool_starts(
    modern: bool, autojump_clock: MockClock
) -> None:
    async with running(app_of("asking.md")) as home:
        client = await talk(home, modern)
        answers = {
            "Who travels?": accept(name="Ann", seats=2),
            "roots/list": ROOTS,
            "A slogan for a journey, please.": said("Go north!"),
        }
        assert await client.text("book", answers, place="Oslo") == "2 to Oslo for Ann: Go north!"


@BOTH
async def test_a_question_in_the_middle_is_asked_with_what_was_looked_up(
    modern: bool, autojump_clock: MockClock, tmp_path: Path
) -> None:
    (tmp_path / "note").touch()
    async with running(app_of("asking.md")) as home:
        client = await talk(home, modern)
        answers = {"Delete 1 files?": accept(sure=True)}
        assert await client.text("delete", answers, folder=str(tmp_path)) == "deleted 1 files"
        answers = {"Delete 1 files?": accept(sure=False)}
        assert await client.text("delete", answers, folder=str(tmp_path)) == "kept"
