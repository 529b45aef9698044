"""Decorators: with and without arguments, what they return, and what they refuse."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import trio
from msgspec import Struct

from mcptrio import App, Context, Feed, ServerSettings
from mcptrio.app.resource_function import ResourceFunction
from mcptrio.catalog import DeclarationError
from mcptrio.protocol.types import ToolAnnotations


class Report(Struct):
    city: str
    celsius: float


async def test_a_tool_is_declared_with_and_without_arguments_and_stays_a_function() -> None:
    app = App("house")

    @app.tool
    async def plain(text: str) -> str:
        """Say it again."""
        return text

    @app.tool(
        name="renamed",
        title="A title",
        description="What it does.",
        annotations=ToolAnnotations(read_only_hint=True),
        timeout=5,
        concurrency=2,
    )
    async def given(text: str) -> Report:
        return Report(text, 1.5)

    @app.tool()
    async def empty() -> None: ...

    assert await plain("a") == "a"
    assert await given("oslo") == Report("oslo", 1.5)
    async with app.connect() as client:
        one, two, three = await client.list_tools()
        assert (one.name, one.description) == ("plain", "Say it again.")
        assert (two.name, two.title, two.description) == ("renamed", "A title", "What it does.")
        assert isinstance(two.annotations, ToolAnnotations)
        assert two.annotations.read_only_hint is True
        assert isinstance(two.output_schema, dict)
        assert two.output_schema["type"] == "object"
        assert three.name == "empty"
        result = await client.call_tool("renamed", {"text": "oslo"})
        assert result.structured_content == {"city": "oslo", "celsius": 1.5}
        assert (await client.call_tool("empty")).content == []


async def test_the_timeout_and_concurrency_of_a_tool_count(autojump_clock: trio.testing.MockClock) -> None:
    app = App("house")
    running = most = 0

    @app.tool(timeout=5.0)
    async def slow() -> str:
        await trio.sleep_forever()
        return ""

    @app.tool(concurrency=2)
    async def narrow() -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.sleep(1)
        running -= 1
        return ""

    async with app.connect() as client:
        before = trio.current_time()
        result = await client.call_tool("slow")
        assert result.is_error is True
        assert trio.current_time() - before == pytest.approx(5.0)
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(client.call_tool, "narrow")
        assert most == 2


async def test_a_resource_is_one_uri_or_a_template_and_stays_callable() -> None:
    app = App("house", settings=ServerSettings(introspection=False))

    @app.resource("fixed://one", name="One", title="T", description="D", mime_type="text/x-one")
    async def fixed() -> str:
        """Not this one."""
        return "1"

    @app.resource("weather://{city}", mime_type="application/json")
    async def report(city: str) -> Report:
        """The weather."""
        return Report(city, 1.0)

    @report.list
    async def cities() -> list[str]:
        return ["oslo", "weather://bergen"]

    assert isinstance(fixed, ResourceFunction)
    assert await fixed() == "1"
    assert await report("oslo") == Report("oslo", 1.0)
    assert await cities() == ["oslo", "weather://bergen"]
    assert (report.uri, report.__name__, report.__doc__) == ("weather://{city}", "report", "The weather.")
    async with app.connect() as client:
        resources = await client.list_resources()
        assert [each.uri for each in resources] == ["fixed://one", "weather://oslo", "weather://bergen"]
        one = resources[0]
        assert (one.name, one.title, one.description, one.mime_type) == ("One", "T", "D", "text/x-one")
        (template,) = await client.list_resource_templates()
        assert (template.uri_template, template.description) == ("weather://{city}", "The weather.")
        contents = (await client.read_resource("weather://oslo")).contents
        assert (contents[0].mime_type, contents[0].text) == (
            "application/json",
            '{"city":"oslo","celsius":1.0}',
        )


async def test_a_prompt_is_declared_with_and_without_arguments() -> None:
    app = App("house")

    @app.prompt
    async def plain(topic: str, style: str = "short") -> str:
        """Write about it."""
        return f"{topic} {style}"

    @app.prompt(name="renamed", title="T", description="D")
    async def given() -> str:
        return "x"

    assert await plain("a") == "a short"
    assert await given() == "x"
    async with app.connect() as client:
        one, two = await client.list_prompts()
        assert (one.name, one.description) == ("plain", "Write about it.")
        assert [(each.name, each.required) for each in one.arguments] == [
            ("topic", True),
            ("style", False),
        ] or [  # type: ignore[union-attr]
            each.name
            for each in one.arguments  # type: ignore[union-attr]
        ] == ["topic", "style"]
        assert (two.name, two.title, two.description) == ("renamed", "T", "D")
        message = (await client.get_prompt("plain", {"topic": "cats"})).messages[0]
        assert message.content.text == "cats short"  # type: ignore[union-attr]


async def test_sources_are_declared_with_a_pattern_and_a_name() -> None:
    app = App("house", settings=ServerSettings(introspection=False))

    @app.source("mail://{id}")
    async def mail(feed: Feed) -> None:
        await feed.updated("mail://1")

    @app.source(name="other")
    async def named(feed: Feed) -> None: ...

    assert [spec.name for spec in app.registry.sources()] == ["mail", "other"]
    assert app.catalog.could_serve("mail://7")
    assert mail.__name__ == "mail"
    with pytest.raises(ValueError, match="mail"):
        app.source(name="mail")(named)
    with pytest.raises(DeclarationError):
        app.source("mail://{")(named)
    assert [spec.name for spec in app.registry.sources()] == ["mail", "other"]


async def plain(text: str) -> str:
    return text


def no_hint(text) -> str:  # type: ignore[no-untyped-def]
    return str(text)


async def no_variable() -> str:
    return ""


def tools(app: App) -> Iterator[Callable[[], object]]:
    yield lambda: app.tool(plain)  # taken below
    yield lambda: app.tool(name="a name with spaces")(plain)
    yield lambda: app.tool(name="")(plain)
    yield lambda: app.tool(name="t", timeout=0)(plain)
    yield lambda: app.tool(name="t", timeout=float("inf"))(plain)
    yield lambda: app.tool(name="t", concurrency=0)(plain)
    yield lambda: app.resource("relative")(no_variable)
    yield lambda: app.resource("")(no_variable)
    yield lambda: app.resource("a:b c")(no_variable)
    yield lambda: app.resource("a:{id}")(no_variable)
    yield lambda: app.resource("a:{")(no_variable)
    yield lambda: app.resource("a:b")(plain)
    yield lambda: app.resource("taken://one")(no_variable)
    yield lambda: app.prompt(name="taken")(no_variable)
    yield lambda: app.lifespan(_not_a_generator)  # type: ignore[type-var]
    yield lambda: app.lifespan(_not_annotated)
    yield lambda: app.lifespan(_bare)
    yield lambda: app.lifespan(_unknown)


async def _not_a_generator(app: App) -> None: ...


async def _not_annotated(app: App):  # type: ignore[no-untyped-def]
    yield 1


async def _bare(app: App) -> AsyncIterator:  # type: ignore[type-arg]
    yield 1


async def _unknown(app: App) -> AsyncIterator[Nowhere]:  # type: ignore[name-defined]  # noqa: F821
    yield 1


@pytest.mark.parametrize("number", range(18))
def test_a_wrong_declaration_says_what_is_wrong_and_leaves_nothing(number: int) -> None:
    app = App("house", settings=ServerSettings(introspection=False))
    app.tool(plain)
    app.resource("taken://one")(no_variable)
    app.prompt(name="taken")(no_variable)
    declare = list(tools(app))[number]
    with pytest.raises(DeclarationError) as caught:
        declare()
    assert str(caught.value)
    assert len(app.catalog._tools) == len(app.catalog._resources) == len(app.catalog._prompts) == 1
    assert app.catalog.templates() == ()
    assert app._lifespans == []
    assert len(list(tools(app))) == 18


def test_only_a_template_can_be_listed() -> None:
    app = App("house")

    @app.resource("fixed://one")
    async def fixed() -> str:
        return ""

    with pytest.raises(DeclarationError, match="fixed://one"):
        fixed.list(no_variable)

    @app.resource("a:{id}")
    async def template(id: str) -> str:
        return id

    with pytest.raises(DeclarationError):
        template.list(plain)


def test_what_a_lifespan_yields_is_declared_before_the_handlers_that_want_it() -> None:
    app = App("house")

    @app.tool
    async def early(report: Report) -> str:
        return report.city

    async def late(app: App) -> AsyncIterator[Report]:
        yield Report("", 0)

    with pytest.raises(DeclarationError, match="report"):
        app.lifespan(late)


async def test_what_is_offered_can_change_while_the_app_runs() -> None:
    app = App("house", settings=ServerSettings(introspection=False))
    async with app.connect() as client:
        app.tool(plain)
        app.resource("a:b")(no_variable)
        app.resource("b:{text}")(plain)
        app.prompt(no_variable)
        assert [each.name for each in await client.list_tools()] == ["plain"]
        assert (await client.call_tool("plain", {"text": "x"})).content[0].text == "x"  # type: ignore[union-attr]
        app.remove_tool("plain")
        app.remove_resource("a:b")
        app.remove_resource("b:{text}")
        app.remove_prompt("no_variable")
        assert await client.list_tools() == await client.list_resources() == await client.list_prompts() == []
        assert await client.list_resource_templates() == []
    for remove in (app.remove_tool, app.remove_resource, app.remove_prompt):
        with pytest.raises(ValueError, match="none"):
            remove("none")


async def test_the_context_is_injected_and_never_in_a_schema() -> None:
    app = App("house")

    @app.tool
    async def ask(context: Context) -> str:
        await context.progress(1)
        return str(context.principal)

    async with app.connect() as client:
        (tool,) = await client.list_tools()
        assert tool.input_schema.get("properties", {}) == {}
        progress: list[float] = []
        result = await client.call_tool("ask", on_progress=lambda done, total, message: progress.append(done))
        assert result.content[0].text == "None"  # type: ignore[union-attr]
        assert progress == [1]


async def test_a_plain_function_runs_in_a_thread() -> None:
    app = App("house")

    @app.tool
    def plain_def(text: str) -> str:
        assert not trio.lowlevel.in_trio_run()
        return text

    async with app.connect() as client:
        assert (await client.call_tool("plain_def", {"text": "x"})).content[0].text == "x"  # type: ignore[union-attr]
