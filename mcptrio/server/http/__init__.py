"""MCP over Streamable HTTP, in both revisions on one path.

A 2026-07-28 POST is a peer of its own for as long as it takes: `ExchangePeer`, over one response. A 2025-11-25 session
is a `SessionPeer`: its POSTs and its standing stream come and go, and it stays. Who owns what: `StreamableHttp` owns the
tables of both; a session's event store, replies and subscriptions are the session's, and end with it.
"""

from mcptrio.server.http.streamable import StreamableHttp

__all__ = ["StreamableHttp"]
