"""How messages travel: a `Carrier` takes whole JSON-RPC messages to a server and brings back what it says.

One carrier is one connection, by WebSocket, HTTP or the standard streams of a child process. It owns its
outbox and its tasks; it knows nothing of calls and sessions, which stand on it (`client.Connection`), as does
whatever passes messages on unread (the bridge).
"""

from mcptrio.client.carrier.carrier import Carrier
from mcptrio.client.carrier.http import HttpCarrier
from mcptrio.client.carrier.stdio import Running, StdioCarrier, StdioCommand
from mcptrio.client.carrier.websocket import Connect, WebSocketCarrier

__all__ = ["Carrier", "Connect", "HttpCarrier", "Running", "StdioCarrier", "StdioCommand", "WebSocketCarrier"]
