"""An MCP client on Trio, by WebSocket, HTTP and stdio, in both revisions: for the command line, scripts and tests.

    async with open_client("ws://127.0.0.1:8765/mcp") as client:
        async with client.subscribe("weather://oslo") as changes:
            async for update in changes: ...
        async with client.watch(glob="weather://*", fields="all") as events:
            async for event in events: ...

Who owns what: a `Client` is a face; its `Line` owns the subscriptions and makes one connection after the
other; a `Connection` owns the requests in flight on one of them, and stands on a carrier; a `Session` is that connection in the
revision agreed on.
"""

from mcptrio.client.call import OnProgress
from mcptrio.client.carrier import Connect, StdioCommand
from mcptrio.client.client import Client, ClientStatistics, open_client
from mcptrio.client.errors import ConnectionLost, ExtensionMissing, InvalidResponse, TimedOut
from mcptrio.client.limits import Limits
from mcptrio.client.selection import batch
from mcptrio.client.subscription import ListChanges, Subscription, Update
from mcptrio.client.watch import Watch
from mcptrio.client.watch_event import WatchEvent
from mcptrio.protocol import RpcError

__all__ = [
    "Client",
    "ClientStatistics",
    "Connect",
    "ConnectionLost",
    "ExtensionMissing",
    "InvalidResponse",
    "Limits",
    "ListChanges",
    "OnProgress",
    "RpcError",
    "StdioCommand",
    "Subscription",
    "TimedOut",
    "Update",
    "Watch",
    "WatchEvent",
    "batch",
    "open_client",
]
