"""How much one server gives away: the limits of the protocol's own side, beside those of the wire."""

from __future__ import annotations

from dataclasses import dataclass, field

from mcptrio.wire import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Limits and times of a server. Times are seconds of Trio's clock."""

    limits: Limits = field(default_factory=Limits)
    """The wire's limits: sizes, connections, deadlines."""
    max_requests: int = 64
    """Requests of one peer that may be running at once; the one too many is refused."""
    max_listens: int = 64
    """`subscriptions/listen` requests of one peer that may be open at once."""
    max_subscriptions: int = 10_000
    """Resource subscriptions of one peer, over its session and all its listens."""
    max_selections: int = 10_000
    """Those of them that are the extension's, `io.mcptrio/live`."""
    max_filter_nodes: int = 2_048
    """Filters within the filters of those, in all: each may cost every change that is selected."""
    max_questions: int = 64
    """Questions to one client that may be without answer at once (2025-11-25)."""
    question_timeout: float = 600.0
    """How long a client may take to answer a question; then it is taken back, or its state is refused."""
    state_key: bytes | None = field(default=None, repr=False)
    """Signs the `requestState` of requests that ask for input (2026-07-28), at least 32 bytes; None: a random one. Servers
    that stand in for one another need the same."""
    cache_bytes: int = 16 * 1024 * 1024
    """Memory for what is kept of resources with `cache=`, over all of them; what was used least recently goes first."""
    page_size: int = 500
    """Items in one page of a list."""
    list_changed_interval: float = 1.0
    """At most one `list_changed` of a kind in this time; the first goes at once and the last is never lost."""
    session_timeout: float = 600.0
    """A session over HTTP (2025-11-25) ends when its client had no request and no stream open for this long."""
    max_sessions: int = 10_000
    """Sessions over HTTP at once; the next one is refused with 503."""
    max_sessions_each: int = 1_000
    """Those of one principal, or without tokens of one address: then its oldest without a connection is ended. A proxy
    in front of everybody is one address."""
    stored_events: int = 256
    """Messages that a session over HTTP keeps for a client that comes back for them."""
    stored_bytes: int = 256 * 1024
    """Bytes of such messages; the newest one is kept whatever its size."""
    stream_after: float = 0.1
    """A request of a session over HTTP that is not answered by then is answered by a stream, which can be resumed."""
    drain_timeout: float = 1.5
    """From the request to stop to the last connection's end: what is still open then is cut."""
    drain_requests: float = 0.7
    """How long running requests may take to end while the server drains; then they are cancelled."""
    slow_step: float = 0.1
    """A step of a task that keeps Trio's thread for longer is logged with the task's name."""
    introspection: bool = True
    """Offer what the server knows of itself as resources, `mcptrio://...`. Alerts are kept in any case."""
