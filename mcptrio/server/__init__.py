"""MCP spoken to peers: dispatch, sessions, subscribers, the flusher.

A `Peer` is one wire and owns what lives with it: its session, its listens, its running requests. What all peers share (dispatch, the
flusher, list changes, batches) belongs to the `Server`, whose tree of tasks is drawn in server.py. Nothing here knows where changes come from.
"""

from mcptrio.server.endpoint import MCP_PATH
from mcptrio.server.server import Server
from mcptrio.server.settings import ServerSettings

__all__ = ["MCP_PATH", "Server", "ServerSettings"]
