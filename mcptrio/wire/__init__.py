"""Bytes: the one port, its connections, the requests on them, and what becomes of those. Knows nothing of MCP.

Who owns what: a `Listener` owns its accept loops, its counts and its `Sweeper`'s set. A connection's task owns
its `Link` (transport, codec, send buffer) and alone reads from it; whoever has its `WebSocket` or `ResponseStream` may
push to it and end it, synchronously. The deadlines of all that is open and waits are kept by the one task of the
`Sweeper`.

Clients dial with `mcptrio.wire.dial` and `mcptrio.wire.http`, which are not imported here, so that a server does
not pay for them. `mcptrio.wire.http` is the only place that imports httpx.
"""

from mcptrio.wire.exchange import Exchange, PeerGone
from mcptrio.wire.head import Refused
from mcptrio.wire.hosts import HostCheck
from mcptrio.wire.limits import Limits, raise_nofile_limit
from mcptrio.wire.link import Link
from mcptrio.wire.listener import ConnectionEvent, EventKind, Listener, ListenerStatistics, Route
from mcptrio.wire.memory import MemoryTransport, TransportStream, memory_transport_pair
from mcptrio.wire.response_stream import ResponseStream
from mcptrio.wire.send_buffer import SendBuffer, SendBufferStatistics
from mcptrio.wire.sweeper import Sweeper, SweeperStatistics
from mcptrio.wire.transport import SocketTransport, Transport
from mcptrio.wire.websocket import WebSocket, text_frame

__all__ = [
    "ConnectionEvent",
    "EventKind",
    "Exchange",
    "HostCheck",
    "Limits",
    "Link",
    "Listener",
    "ListenerStatistics",
    "MemoryTransport",
    "PeerGone",
    "Refused",
    "ResponseStream",
    "Route",
    "SendBuffer",
    "SendBufferStatistics",
    "SocketTransport",
    "Sweeper",
    "SweeperStatistics",
    "Transport",
    "TransportStream",
    "WebSocket",
    "memory_transport_pair",
    "raise_nofile_limit",
    "text_frame",
]
