"""The official SDK 1.30 under asyncio, by its own transports: `sdk_1.py SERVER`. Driven as control.py says.

A server is a URL, with ws or with http, or as JSON the parameters of one over stdio.
"""

import asyncio
import json
import sys
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from control import obey, say
from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.client.websocket import websocket_client
from pydantic import AnyUrl


@asynccontextmanager
async def transport(server: str) -> AsyncIterator[tuple[object, object]]:
    """The streams to and from a server."""
    if server.startswith("ws:"):
        async with websocket_client(server) as (reading, writing):
            yield reading, writing
    elif server.startswith("http:"):
        async with streamable_http_client(server) as (reading, writing, _):
            yield reading, writing
    else:
        async with stdio_client(StdioServerParameters(**json.loads(server))) as (reading, writing):
            yield reading, writing


async def handle(message: object) -> None:
    if isinstance(message, types.ServerNotification) and isinstance(
        message.root, types.ResourceUpdatedNotification
    ):
        say(updated=str(message.root.params.uri))
    elif isinstance(message, Exception):
        say(broken=str(message))


async def main(server: str) -> None:
    async with (
        transport(server) as (reading, writing),
        ClientSession(reading, writing, message_handler=handle) as session,
    ):

        async def initialize() -> object:
            result = await session.initialize()
            return [result.protocolVersion, result.serverInfo.name, result.instructions]

        async def lists() -> object:
            return {
                "tools": [tool.name for tool in (await session.list_tools()).tools],
                "resources": [str(one.uri) for one in (await session.list_resources()).resources],
                "templates": [
                    one.uriTemplate for one in (await session.list_resource_templates()).resourceTemplates
                ],
                "prompts": [prompt.name for prompt in (await session.list_prompts()).prompts],
            }

        async def call(name: str, arguments: dict[str, object]) -> object:
            result = await session.call_tool(name, arguments)
            texts = [block.text for block in result.content if isinstance(block, types.TextContent)]
            return {"texts": texts, "structured": result.structuredContent, "is_error": result.isError}

        async def read(uri: str) -> object:
            result = await session.read_resource(AnyUrl(uri))
            return [one.text for one in result.contents if isinstance(one, types.TextResourceContents)]

        async def prompt(name: str, arguments: dict[str, str]) -> object:
            result = await session.get_prompt(name, arguments)
            return [one.content.text for one in result.messages if isinstance(one.content, types.TextContent)]

        async def subscribe(uri: str) -> object:
            await session.subscribe_resource(AnyUrl(uri))
            return None

        async def unsubscribe(uri: str) -> object:
            await session.unsubscribe_resource(AnyUrl(uri))
            return None

        async def round_trip() -> object:
            await session.send_ping()
            return None

        await obey(
            {
                "initialize": initialize,
                "lists": lists,
                "call": call,
                "read": read,
                "prompt": prompt,
                "subscribe": subscribe,
                "unsubscribe": unsubscribe,
                "round_trip": round_trip,
            }
        )


# The SDK warns that its WebSocket client will go; that is what we are here for.
warnings.simplefilter("ignore", DeprecationWarning)
asyncio.run(main(sys.argv[1]))
