"""The limits that one connection, and all of them together, are held to.

Sizes are bytes and times are seconds of Trio's clock. Every one of them is finite: a peer that tests a
limit is answered or dropped, and costs nobody else anything.
"""

import sys
from dataclasses import dataclass

__all__ = ["Limits", "raise_nofile_limit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a peer may cost. The defaults suit a server on an open port."""

    max_connections: int = 10_000
    """Connections open at once; the next one is answered 503 and closed."""
    head_bytes: int = 16_384
    """Size of a request head (request line and header fields); a bigger one is answered 431."""
    head_timeout: float = 10.0
    """From accepting a connection, or the first byte of a later request, to the end of the request head: then 408
    (or nothing, if nothing came). A TLS handshake is within it.
    A plain response of which no byte is accepted for this long is cut."""
    body_timeout: float = 30.0
    """From asking for a request's body to having the whole of it: then 408."""
    idle_timeout: float = 75.0
    """A connection on which no request is under way is closed after this long, without a word."""
    comment_interval: float = 15.0
    """A response stream on which nothing was sent for this long is sent its idle chunk (an SSE comment)."""
    max_message: int = 4 * 1024 * 1024
    """Size of a WebSocket message, reassembled; a bigger one closes with 1009. Also of a request's body (413)."""
    max_fragments: int = 256
    """Frames that one WebSocket message may come in; more of them close with 1009."""
    high_water: int = 1024 * 1024
    """Bytes pending towards one peer above which producers should hold back (`wait_below_high_water`)."""
    max_pending: int = 8 * 1024 * 1024
    """Bytes pending towards one peer that are never exceeded (but for a close frame); a push beyond is refused
    and the peer is closed with 1008 (a response stream: aborted). So this also is the size of the biggest message
    that can be sent."""
    stall_timeout: float = 60.0
    """A peer that has accepted no byte for this long, with bytes pending, is closed with 1008 (a response stream:
    aborted)."""
    heartbeat: float = 30.0
    """A WebSocket peer that has been silent for this long is sent a ping."""
    pong_timeout: float = 20.0
    """A WebSocket peer that stays silent for this long after a ping is closed with 1011."""
    close_timeout: float = 1.0
    """From our close frame to the end of the connection; also how long a plain connection lingers after its
    response."""


def raise_nofile_limit() -> int:
    """Raise this process's limit of open files as far as it may go, and return the limit in force.

    Where the system has no such limit (Windows), `sys.maxsize` is returned. Raises nothing: a limit that
    cannot be raised is simply reported.
    """
    try:
        import resource
    except ImportError:  # pragma: no cover (Windows)
        return sys.maxsize
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # some systems refuse an unlimited soft limit
            return soft
        soft = hard
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft
