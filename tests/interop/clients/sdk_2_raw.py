"""Two clients of the official SDK 2.3 in one process: one has declared io.mcptrio/live, one is plain.

`sdk_2_raw.py URL MODE`, driven as control.py says. What either is told is `{"told": "extended" or "plain", "message": ...}`,
as the SDK read it. The subscription of the extension goes by the SDK's generic request.
"""

import sys
from collections.abc import Awaitable, Callable

import mcp_types as types
import trio
from control import obey, say
from mcp import Client
from mcp.client import ClientExtension

SUBSCRIPTIONS = "io.mcptrio/subscriptions"


class Live(ClientExtension):
    """The extension as the SDK declares it."""

    identifier = "io.mcptrio/live"


def teller(who: str) -> Callable[[object], Awaitable[None]]:
    async def handle(message: object) -> None:
        if isinstance(message, Exception):
            say(broken=str(message))
        else:
            say(told=who, message=message.model_dump(mode="json", by_alias=True, exclude_none=True))

    return handle


async def main(url: str, mode: str) -> None:
    async with (
        Client(url, mode=mode, message_handler=teller("extended"), extensions=[Live()]) as extended,
        Client(url, mode=mode, message_handler=teller("plain")) as plain,
        trio.open_nursery() as nursery,
    ):

        async def subscribe(wanted: dict[str, object]) -> object:
            if mode == "legacy":
                params = {
                    "uri": f"mcptrio://subscriptions/{wanted['label']}",
                    "_meta": {SUBSCRIPTIONS: wanted},
                }
                request = types.SubscribeRequest(params=types.SubscribeRequestParams.model_validate(params))
                result = await extended.session.send_request(request, types.EmptyResult)
                return result.model_dump(mode="json", by_alias=True, exclude_none=True)
            filter = {"notifications": {SUBSCRIPTIONS: [wanted]}}
            listen = types.SubscriptionsListenRequest(
                params=types.SubscriptionsListenRequestParams.model_validate(filter)
            )
            # Its result is the end of it, its acknowledgement a message.
            nursery.start_soon(extended.session.send_request, listen, types.SubscriptionsListenResult)
            return None

        async def subscribe_plainly(uri: str) -> object:
            if mode == "legacy":
                await plain.subscribe_resource(uri)
            else:
                await nursery.start(listen_plainly, uri)
            return None

        async def listen_plainly(uri: str, *, task_status: trio.TaskStatus[None]) -> None:
            async with plain.listen(resource_subscriptions=[uri]):
                task_status.started()
                await trio.sleep_forever()

        async def capabilities() -> object:
            return [
                client.server_capabilities.model_dump(mode="json", by_alias=True, exclude_none=True)
                for client in (extended, plain)
            ]

        await obey(
            {"subscribe": subscribe, "subscribe_plainly": subscribe_plainly, "capabilities": capabilities}
        )
        nursery.cancel_scope.cancel()


trio.run(main, *sys.argv[1:])
