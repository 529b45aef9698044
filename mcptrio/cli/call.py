"""`mcptrio call` and `mcptrio read`: one question to a server, and its answer on standard output."""

from __future__ import annotations

import base64
import binascii
import difflib
import re
from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from mcptrio.cli.arguments import tool_arguments
from mcptrio.cli.exits import Exit, UserError, say
from mcptrio.cli.output import Output
from mcptrio.cli.remote import NO_ANSWERS, Remote
from mcptrio.client import Client, InvalidResponse
from mcptrio.protocol.types import (
    AudioContent,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceContents,
    TextContent,
    Tool,
)

_QUESTIONS = re.compile(r"\belicit|\bsampling\b|\broots/list\b", re.IGNORECASE)


async def call(
    remote: Remote, tool: str, words: Sequence[str], output: Output, *, as_json: bool = False
) -> int:
    """Call a tool and write what it returns: its text, or with `as_json` its structured content (the whole
    result where it has none). Progress goes to standard error.

    Raises:
        UserError: there is no such tool, the arguments do not fit, or the server cannot be asked.
    """
    async with remote.client() as client:
        declared = await _tool(client, tool)
        arguments = tool_arguments(words, declared.input_schema)
        result = await client.call_tool(tool, arguments, on_progress=_say_progress)
    failed = result.is_error is True
    if as_json:
        structured = result.structured_content
        await output.line(_json(result if structured is UNSET or failed else structured))
    else:
        for block in result.content:
            await output.line(text_of(block))
    if failed:
        say(f"mcptrio: the tool {tool} reported an error{_question_hint(result.content)}")
        return Exit.TOOL_FAILED
    return Exit.OK


async def read(remote: Remote, uri: str, output: Output, *, as_json: bool = False) -> int:
    """Read a resource and write what it holds, byte by byte as it is; with `as_json` the whole result.

    Raises:
        UserError: the server refuses, or cannot be asked.
    """
    async with remote.client() as client:
        result = await client.read_resource(uri)
        if as_json:
            await output.line(_json(result))
            return Exit.OK
        contents = [_bytes_of(each) for each in result.contents]
    data = b"\n".join(contents)
    if output.isatty() and data and not data.endswith(b"\n"):
        data += b"\n"  # so that the prompt stands on its own line
    await output.write(data)
    return Exit.OK


def text_of(block: ContentBlock) -> str:
    """A content block for people; what is no text is described."""
    match block:
        case TextContent():
            return block.text
        case ImageContent() | AudioContent():
            kind = "image" if isinstance(block, ImageContent) else "audio"
            return f"[{kind}, {block.mime_type}, {len(block.data) * 3 // 4} bytes: use --json]"
        case EmbeddedResource(resource=resource):
            if isinstance(resource.text, str):
                return resource.text
            return f"[resource {resource.uri}: use --json]"
        case _:
            return f"[resource {block.uri}: {block.name}]"


def _question_hint(content: Sequence[ContentBlock]) -> str:
    """In the older revision a question that finds nobody is the tool's error, in the server's own words."""
    said = " ".join(block.text for block in content if isinstance(block, TextContent))
    return f": {NO_ANSWERS}" if _QUESTIONS.search(said) else ""


async def _tool(client: Client, name: str) -> Tool:
    tools = {each.name: each for each in await client.list_tools()}
    if name in tools:
        return tools[name]
    close = difflib.get_close_matches(name, tools, 1)
    if close:
        hint = f"did you mean {close[0]}?"
    elif tools:
        hint = f"there are {', '.join(sorted(tools)[:20])}"
    else:
        hint = "it offers none"
    raise UserError(f"the server has no tool {name!r}: {hint}", Exit.REFUSED)


def _bytes_of(contents: ResourceContents) -> bytes:
    if isinstance(contents.text, str):
        return contents.text.encode("utf-8", "surrogateescape")
    if isinstance(contents.blob, str):
        try:
            return base64.b64decode(contents.blob, validate=True)
        except binascii.Error:
            raise InvalidResponse(f"{contents.uri}: its blob is no base64") from None
    return b""


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _say_progress(progress: float, total: float | None, message: str | None) -> None:
    share = f"{progress:g}" if total is None else f"{progress:g}/{total:g}"
    say(f"{share} {message or ''}".rstrip())
