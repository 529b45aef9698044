"""The official SDK 2.3 under Trio: `sdk_2.py SERVER MODE`. Driven as control.py says.

A server is a URL, with ws or with http, or as JSON the parameters of one over stdio. The SDK has no WebSocket any more,
but takes any pair of message streams: `websocket` is one over trio-websocket.
"""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import mcp_types as types
import trio
import trio.testing
from control import obey, say
from mcp import Client, StdioServerParameters
from mcp.client.subscriptions import ResourceUpdated
from mcp.shared.message import SessionMessage
from trio_websocket import ConnectionClosed, open_websocket_url


@asynccontextmanager
async def websocket(url: str) -> AsyncIterator[tuple[object, object]]:
    """A transport as the SDK wants it: a stream of received messages and a stream for those to send."""
    to_client, received = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    sending, from_client = anyio.create_memory_object_stream[SessionMessage](0)
    async with open_websocket_url(url, subprotocols=["mcp"]) as connection:

        async def receive() -> None:
            async with to_client:
                try:
                    while True:
                        text = await connection.get_message()
                        message = types.jsonrpc_message_adapter.validate_json(text, by_name=False)
                        await to_client.send(SessionMessage(message))
                except ConnectionClosed:
                    pass

        async def send() -> None:
            async with from_client:
                async for each in from_client:
                    message = each.message.model_dump(by_alias=True, mode="json", exclude_unset=True)
                    await connection.send_message(json.dumps(message))

        async with trio.open_nursery() as nursery, received, sending:
            nursery.start_soon(receive)
            nursery.start_soon(send)
            yield received, sending
            nursery.cancel_scope.cancel()


def reached(server: str) -> object:
    """A server as the SDK's client takes it."""
    if server.startswith("ws:"):
        return websocket(server)
    return server if server.startswith("http:") else StdioServerParameters(**json.loads(server))


async def main(server: str, mode: str) -> None:
    legacy = mode == "legacy"

    async def handle(message: object) -> None:
        if isinstance(message, types.ResourceUpdatedNotification):
            # The handler sees all that comes, also what belongs to no listen, or to none any more.
            say(**{"updated" if legacy else "noticed": message.params.uri})
        elif isinstance(message, Exception):
            say(broken=str(message))

    async with (
        Client(reached(server), mode=mode, message_handler=handle) as client,
        trio.open_nursery() as nursery,
    ):
        listens: dict[str, trio.Event] = {}

        async def initialize() -> object:
            info = client.server_info
            return [client.protocol_version, info and info.name, client.instructions]

        async def lists() -> object:
            return {
                "tools": [tool.name for tool in (await client.list_tools()).tools],
                "resources": [one.uri for one in (await client.list_resources()).resources],
                "templates": [
                    one.uri_template for one in (await client.list_resource_templates()).resource_templates
                ],
                "prompts": [prompt.name for prompt in (await client.list_prompts()).prompts],
            }

        async def call(name: str, arguments: dict[str, object]) -> object:
            result = await client.call_tool(name, arguments)
            texts = [block.text for block in result.content if isinstance(block, types.TextContent)]
            return {"texts": texts, "structured": result.structured_content, "is_error": result.is_error}

        async def read(uri: str) -> object:
            result = await client.read_resource(uri)
            return [one.text for one in result.contents if isinstance(one, types.TextResourceContents)]

        async def prompt(name: str, arguments: dict[str, str]) -> object:
            result = await client.get_prompt(name, arguments)
            return [one.content.text for one in result.messages if isinstance(one.content, types.TextContent)]

        async def subscribe(uri: str) -> object:
            if legacy:
                await client.subscribe_resource(uri)
                return None
            return await nursery.start(listen, uri)

        async def listen(uri: str, *, task_status: trio.TaskStatus[object]) -> None:
            async with client.listen(resource_subscriptions=[uri]) as subscription:
                listens[uri] = trio.Event()
                task_status.started(subscription.honored.resource_subscriptions)
                async with trio.open_nursery() as listening:

                    async def report() -> None:
                        async for event in subscription:
                            if isinstance(event, ResourceUpdated):
                                say(updated=event.uri)
                        say(ended=uri)

                    listening.start_soon(report)
                    await listens[uri].wait()
                    listening.cancel_scope.cancel()

        async def unsubscribe(uri: str) -> object:
            if legacy:
                await client.unsubscribe_resource(uri)
            else:
                listens.pop(uri).set()
                # The listen's task sends its cancellation before the next request can be made.
                await trio.testing.wait_all_tasks_blocked()
            return None

        async def round_trip() -> object:
            await client.list_tools(cache_mode="bypass")
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
        nursery.cancel_scope.cancel()


trio.run(main, *sys.argv[1:])
