"""mcptrio: a realtime MCP server on Trio, where things that change are live MCP resources."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcptrio.app import Address, App
    from mcptrio.catalog import Context, DeclarationError, InvalidArgument, ResourceNotFound, ToolError
    from mcptrio.client import Client, ConnectionLost, RpcError, Subscription, TimedOut, Update, open_client
    from mcptrio.live import Change, Changes, Entry, Feed, InvalidUri
    from mcptrio.server import ServerSettings
    from mcptrio.sources import Registry, Secret
    from mcptrio.wire import Limits

__version__ = "0.1.0"

__all__ = [
    "Address",
    "App",
    "Change",
    "Changes",
    "Client",
    "ConnectionLost",
    "Context",
    "DeclarationError",
    "Entry",
    "Feed",
    "InvalidArgument",
    "InvalidUri",
    "Limits",
    "Registry",
    "ResourceNotFound",
    "RpcError",
    "Secret",
    "ServerSettings",
    "Subscription",
    "TimedOut",
    "ToolError",
    "Update",
    "__version__",
    "open_client",
]

_ROOMS = {
    "Address": "app",
    "App": "app",
    "Change": "live",
    "Changes": "live",
    "Client": "client",
    "Context": "catalog",
    "Entry": "live",
    "Feed": "live",
    "InvalidArgument": "catalog",
    "Limits": "wire",
    "Registry": "sources",
    "ResourceNotFound": "catalog",
    "Secret": "sources",
    "ServerSettings": "server",
    "ToolError": "catalog",
    "ConnectionLost": "client",
    "DeclarationError": "catalog",
    "InvalidUri": "live",
    "RpcError": "client",
    "Subscription": "client",
    "TimedOut": "client",
    "Update": "client",
    "open_client": "client",
}


def __getattr__(name: str) -> object:
    # A room is imported when it is first asked for: a client need not load the server, nor the command line either.
    try:
        room = _ROOMS[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value: object = getattr(import_module(f"{__name__}.{room}"), name)
    globals()[name] = value
    return value
