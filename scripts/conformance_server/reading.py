"""Resources, prompts, and the completion of what they take."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from conformance_server.application import PNG, app, embedded
from mcptrio import Ask, Image
from mcptrio.protocol.types import ContentBlock


@app.resource("test://static-text", mime_type="text/plain")
async def static_text() -> str:
    """A text that stays as it is."""
    return "This is the content of the static text resource."


@app.resource("test://static-binary", mime_type="image/png")
async def static_binary() -> bytes:
    """Bytes."""
    return PNG


@app.resource("test://watched-resource")
async def watched_resource() -> str:
    """A text that can be subscribed."""
    return "Watched resource content"


class Data(Struct, rename="camel"):
    id: str
    template_test: bool
    data: str


@app.resource("test://template/{id}/data")
async def template_data(id: str) -> Data:
    """One resource for each id."""
    return Data(id, template_test=True, data=f"Data for ID: {id}")


@template_data.complete("id")
async def ids(value: str) -> list[str]:
    return [each for each in ("123", "124", "200") if each.startswith(value)]


@app.prompt
async def test_simple_prompt() -> str:
    """A prompt without arguments."""
    return "This is a simple prompt for testing."


@app.prompt
async def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    """A prompt with two arguments."""
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


@test_prompt_with_arguments.complete("arg1")
async def first_arguments(value: str) -> list[str]:
    return [each for each in ("test-value", "test-word", "other") if each.startswith(value)]


@app.prompt
async def test_prompt_with_embedded_resource(resourceUri: str) -> list[ContentBlock | str]:
    """A prompt about a resource, which it brings along."""
    return [
        embedded(resourceUri, "Embedded resource content for testing."),
        "Please process the embedded resource above.",
    ]


@app.prompt
async def test_prompt_with_image() -> list[ContentBlock | str]:
    """A prompt about an image."""
    return [Image(PNG, "image/png"), "Please analyze the image above."]


class Topic(Struct):
    context: str


@app.prompt
async def test_input_required_result_prompt(
    user_context: Annotated[Topic, Ask("What context should the prompt use?")],
) -> str:
    """A prompt that asks first."""
    return f"Write about {user_context.context}."
