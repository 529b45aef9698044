"""The WebSocket client (`kind = "websocket"`): events that a service sends as JSON messages.

A `Receiver` owns what it has received; its task keeps a `Link`, one connection after the other. The way from a
message to resources is pure, in `router`; what is remembered of events, and held of resources, is in `inbox`. What a
hostile server could do below the messages ends in `stream`.
"""

from mcptrio.sources.websocket.inbox import Counts
from mcptrio.sources.websocket.receiver import Receiver, install
from mcptrio.sources.websocket.route import Route
from mcptrio.sources.websocket.settings import WebsocketSettings

__all__ = ["Counts", "Receiver", "Route", "WebsocketSettings", "install"]
