"""mcptrio: a realtime MCP server on Trio, where things that change are live MCP resources."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcptrio.access import Access, RateLimit, Tokens
    from mcptrio.app import Address, App
    from mcptrio.catalog import (
        Ask,
        Audio,
        Context,
        DeclarationError,
        Declined,
        Elicited,
        Header,
        Image,
        InvalidArgument,
        MissingCapability,
        QuestionFailed,
        ResourceNotFound,
        Root,
        Roots,
        Sample,
        Sampled,
        ToolError,
    )
    from mcptrio.client import (
        Client,
        ConnectionLost,
        ExtensionMissing,
        RpcError,
        Subscription,
        TimedOut,
        Update,
        Watch,
        WatchEvent,
        open_client,
    )
    from mcptrio.live import Change, Changes, Entry, Feed, InvalidUri
    from mcptrio.server import ServerSettings
    from mcptrio.sources import Registry, Secret
    from mcptrio.wire import Limits

__version__ = "0.1.0"

__all__ = [
    "Access",
    "Address",
    "App",
    "Ask",
    "Audio",
    "Change",
    "Changes",
    "Client",
    "ConnectionLost",
    "Context",
    "DeclarationError",
    "Declined",
    "Elicited",
    "Entry",
    "ExtensionMissing",
    "Feed",
    "Header",
    "Image",
    "InvalidArgument",
    "InvalidUri",
    "Limits",
    "MissingCapability",
    "QuestionFailed",
    "RateLimit",
    "Registry",
    "ResourceNotFound",
    "Root",
    "Roots",
    "RpcError",
    "Sample",
    "Sampled",
    "Secret",
    "ServerSettings",
    "Subscription",
    "TimedOut",
    "Tokens",
    "ToolError",
    "Update",
    "Watch",
    "WatchEvent",
    "__version__",
    "open_client",
]

_ROOMS = {
    "Access": "access",
    "Address": "app",
    "App": "app",
    "Ask": "catalog",
    "Audio": "catalog",
    "Change": "live",
    "Changes": "live",
    "Client": "client",
    "Context": "catalog",
    "Declined": "catalog",
    "Elicited": "catalog",
    "Entry": "live",
    "Feed": "live",
    "Header": "catalog",
    "Image": "catalog",
    "InvalidArgument": "catalog",
    "Limits": "wire",
    "MissingCapability": "catalog",
    "QuestionFailed": "catalog",
    "RateLimit": "access",
    "Registry": "sources",
    "ResourceNotFound": "catalog",
    "Root": "catalog",
    "Roots": "catalog",
    "Sample": "catalog",
    "Sampled": "catalog",
    "Secret": "sources",
    "ServerSettings": "server",
    "Tokens": "access",
    "ToolError": "catalog",
    "ConnectionLost": "client",
    "DeclarationError": "catalog",
    "ExtensionMissing": "client",
    "InvalidUri": "live",
    "RpcError": "client",
    "Subscription": "client",
    "TimedOut": "client",
    "Update": "client",
    "Watch": "client",
    "WatchEvent": "client",
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
