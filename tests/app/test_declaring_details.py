"""What else decorators take and give: completions, icons, given schemas, cache hints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import pytest

from mcptrio import App, Audio, Header, Image
from mcptrio.catalog import Caching, DeclarationError
from mcptrio.protocol import Revision
from mcptrio.protocol.params import CompleteParams, CompletionArgument, PromptReference, ResourceReference
from mcptrio.protocol.types import (
    Annotations,
    AudioContent,
    ContentBlock,
    EmbeddedResource,
    Icon,
    ImageContent,
    ResourceContents,
    ResourceLink,
    TextContent,
)
from tests.catalog.fake_context import FakeContext

ICON = Icon(src="https://a.example/b.png")


async def completed(
    app: App, ref: PromptReference | ResourceReference, argument: str, value: str
) -> list[str]:
    params = CompleteParams(ref=ref, argument=CompletionArgument(name=argument, value=value))
    return (await app.catalog.complete(params, FakeContext())).values


async def test_a_prompt_stays_callable_and_its_arguments_can_be_completed() -> None:
    app = App("house")

    @app.prompt
    async def plan(city: str, days: str) -> str:
        """Plan a trip."""
        return f"{city} {days}"

    @plan.complete("city")
    async def cities(value: str, arguments: Mapping[str, str]) -> list[str]:
        return [f"{value}slo", *arguments]

    plan.complete("days", ["one", "two"])
    assert await plan("oslo", "2") == "oslo 2"
    assert plan.__doc__ == "Plan a trip."
    assert await cities("b", {}) == ["bslo"]
    assert await completed(app, PromptReference(name="plan"), "city", "o") == ["oslo"]
    assert await completed(app, PromptReference(name="plan"), "days", "T") == ["two"]


async def test_the_variables_of_a_template_can_be_completed() -> None:
    app = App("house")

    @app.resource("report://{city}")
    async def report(city: str) -> str:
        return city

    @report.complete("city")
    def cities(value: str) -> list[str]:
        return [value + "slo"]

    ref = ResourceReference(uri="report://{city}")
    assert await completed(app, ref, "city", "o") == ["oslo"]
    with pytest.raises(DeclarationError, match="no argument 'town'"):
        report.complete("town")(cities)


def test_only_a_template_has_something_to_complete() -> None:
    app = App("house")

    @app.resource("a:b")
    async def one() -> str:
        return ""

    with pytest.raises(DeclarationError, match=r"a:b has no variables: only a template has `\.complete`"):
        one.complete("city", [])
    with pytest.raises(DeclarationError, match=r"'a:\{id\}' has many resources; leave size= away"):
        app.resource("a:{id}", size=3)(one.fn)


async def test_icons_annotations_meta_and_size_are_listed() -> None:
    app = App("house")
    meta = {"com.example/a": 1}

    @app.tool(icons=[ICON], meta=meta)
    async def tool() -> None: ...

    @app.prompt(icons=[ICON], meta=meta)
    async def prompt() -> str:
        return ""

    @app.resource("a:b", icons=[ICON], meta=meta, annotations=Annotations(priority=1), size=3)
    async def one() -> str:
        return ""

    @app.resource("a:b/{id}", icons=[ICON], meta=meta, annotations=Annotations(priority=0))
    async def many(id: str) -> str:
        return id

    async with app.connect() as client:
        [listed] = [each for each in await client.list_resources() if each.uri == "a:b"]
        [template] = [
            each for each in await client.list_resource_templates() if each.uri_template == "a:b/{id}"
        ]
        for each in ((await client.list_tools())[0], (await client.list_prompts())[0], listed, template):
            assert each.icons == [ICON]
            assert each.meta == meta
        assert (listed.annotations, listed.size) == (Annotations(priority=1), 3)
        assert template.annotations == Annotations(priority=0)


async def test_a_given_schema_and_a_header_reach_the_catalog() -> None:
    app = App("house")
    schema: dict[str, object] = {"type": "object", "minProperties": 1}

    @app.tool(input_schema=schema, output_schema={"type": "integer"})
    async def count(arguments: dict[str, object]) -> int:
        return len(arguments)

    @app.tool
    async def route(region: Annotated[str, Header("Region")]) -> str:
        return region

    assert app.catalog.tools(Revision.MODERN)[0].input_schema == schema
    assert app.catalog.header_parameters("route") == {"Region": ("region",)}
    async with app.connect() as client:
        assert (await client.call_tool("count", {"a": 1})).structured_content == 1
        assert (await client.call_tool("count")).is_error is True


def test_how_long_a_resource_may_be_kept_is_declared_with_it() -> None:
    app = App("house")

    @app.resource("a:b", ttl=2, public=True, cache=1)
    async def one() -> str:
        return ""

    @app.resource("a:b/{id}", ttl=3)
    async def many(id: str) -> str:
        return id

    assert app.catalog.caching("a:b") == Caching(ttl=2, public=True, cache_seconds=1)
    assert app.catalog.caching("a:b/1") == Caching(ttl=3)


async def test_content_of_all_kinds_reaches_the_client_from_tools_and_prompts() -> None:
    app = App("house")
    mine = Annotations(audience=["assistant"], priority=0.5)
    contents = ResourceContents(uri="a:b", text="b")
    link = ResourceLink(uri="a:b", name="b", size=1, annotations=mine)

    @app.tool
    async def tool() -> list[ContentBlock | ResourceContents | str]:
        return [
            "first",
            Image(b"\x89PNG", "image/png", annotations=mine),
            Audio(b"RIFF", "audio/wav"),
            contents,
            link,
        ]

    @app.prompt
    async def prompt() -> list[ContentBlock | ResourceContents | str]:
        return await tool()

    expected = [
        TextContent(text="first"),
        ImageContent(data="iVBORw==", mime_type="image/png", annotations=mine),
        AudioContent(data="UklGRg==", mime_type="audio/wav"),
        EmbeddedResource(resource=contents),
        link,
    ]
    async with app.connect() as client:
        assert (await client.call_tool("tool")).content == expected
        messages = (await client.get_prompt("prompt")).messages
        assert [message.content for message in messages] == expected
        assert {message.role for message in messages} == {"user"}
