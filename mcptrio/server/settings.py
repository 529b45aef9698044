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
    page_size: int = 500
    """Items in one page of a list."""
    list_changed_interval: float = 1.0
    """At most one `list_changed` of a kind in this time; the first goes at once and the last is never lost."""
    drain_timeout: float = 1.5
    """From the request to stop to the last connection's end: what is still open then is cut."""
    drain_requests: float = 0.7
    """How long running requests may take to end while the server drains; then they are cancelled."""
    slow_step: float = 0.1
    """A step of a task that keeps Trio's thread for longer is logged with the task's name."""
    introspection: bool = True
    """Offer what the server knows of itself as resources, `mcptrio://...`. Alerts are kept in any case."""
