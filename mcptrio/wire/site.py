"""What all connections of one listener share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcptrio.wire.hosts import HostCheck
from mcptrio.wire.limits import Limits
from mcptrio.wire.sweeper import Sweeper
from mcptrio.wire.websocket import WebSocket

if TYPE_CHECKING:
    from mcptrio.wire.exchange import Exchange

__all__ = ["Site"]


@dataclass(slots=True)
class Site:
    """What is served, to whom, within which limits; and what came of it so far. Owned by the `Listener`."""

    routes: Mapping[str, Callable[[Exchange], Awaitable[None]]]
    """By exact path, without query."""
    limits: Limits
    hosts: HostCheck
    sweeper: Sweeper
    refuse: Callable[[str, str, int | None], None]
    """Counts and tells of a refusal: the peer's name, the reason, the status that it was answered with."""
    closing: bool = False
    """Whether every connection is to end with the request that it is at."""
    requests: int = 0
    """Answered, or begun to be."""
    websockets: int = 0
    """Open now."""

    def websocket_opened(self, websocket: WebSocket) -> None:
        """One that may have been closed again, by what the client sent behind its request."""
        self.websockets += 1
        if not websocket.closed:
            self.sweeper.add(websocket)

    def websocket_closed(self, websocket: WebSocket) -> None:
        """Its connection has ended."""
        self.websockets -= 1
        self.sweeper.discard(websocket)
