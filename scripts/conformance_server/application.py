"""The App itself, and tools that show what a tool can take, tell and return. The first of them needs no arguments."""

from __future__ import annotations

import base64
from typing import Annotated

import trio

from mcptrio import App, Audio, Context, Header, Image, ToolError
from mcptrio.protocol.types import ContentBlock, EmbeddedResource, ResourceContents, TextContent

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
"""One red pixel."""
WAV = base64.b64decode("UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAAAAA==")
"""One sample of silence."""

app = App("mcptrio-conformance", title="mcptrio under the conformance suite")


# What tools return


@app.tool
async def test_simple_text() -> str:
    """Answer with a text."""
    return "This is a simple text response for testing."


@app.tool
async def test_image_content() -> ContentBlock:
    """Answer with an image."""
    return Image(PNG, "image/png")


@app.tool
async def test_audio_content() -> ContentBlock:
    """Answer with a sound."""
    return Audio(WAV, "audio/wav")


@app.tool
async def test_embedded_resource() -> ContentBlock:
    """Answer with a resource."""
    return embedded("test://embedded-resource", "This is an embedded resource content.")


@app.tool
async def test_multiple_content_types() -> list[ContentBlock]:
    """Answer with a text, an image and a resource."""
    return [
        TextContent(text="Multiple content types test:"),
        Image(PNG, "image/png"),
        embedded("test://mixed-content-resource", '{"test": "data", "value": 123}', "application/json"),
    ]


def embedded(uri: str, text: str, mime_type: str = "text/plain") -> EmbeddedResource:
    """A text resource as a block of content."""
    return EmbeddedResource(resource=ResourceContents(uri=uri, mime_type=mime_type, text=text))


@app.tool
async def test_error_handling() -> str:
    """Fail, in words for the model."""
    raise ToolError("This tool intentionally returns an error for testing")


@app.tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


# What tools take

ADDRESS_BOOK_ENTRY: dict[str, object] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


@app.tool(input_schema=ADDRESS_BOOK_ENTRY)
async def json_schema_2020_12_tool(entry: dict[str, object]) -> str:
    """Take what a schema says that no type hint can."""
    return f"{entry.get('name', 'somebody')} can be reached"


@app.tool
async def test_x_mcp_header(region: Annotated[str, Header("Region")]) -> str:
    """Take an argument that proxies may read in the header `Mcp-Param-Region`."""
    return f"in {region}"


# What tools tell while they run


@app.tool
async def test_tool_with_progress(context: Context) -> str:
    """Tell of progress."""
    for done in (0, 50, 100):
        await context.progress(done, total=100, message=f"Completed step {done} of 100")
        await trio.sleep(0.05)
    return "Done with all steps"


@app.tool
async def test_tool_with_logging(context: Context) -> str:
    """Log three messages."""
    for said in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await context.log("info", said)
        await trio.sleep(0.05)
    return "Logged three messages"


@app.tool
async def test_logging_tool(context: Context) -> str:
    """Log, which only who asked for it hears."""
    await context.log("info", "Heard by whoever set a log level")
    return "Logged"


@app.tool
async def test_reconnection(context: Context) -> str:
    """Close the response stream; the client comes back for the answer."""
    await context.close_stream()
    await trio.sleep(0.1)
    return "Reconnection test completed successfully"
