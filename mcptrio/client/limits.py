"""What one connection of a client may cost and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one connection: times in seconds, sizes in characters (message) and messages (outbox).

    `outbox` is how many messages may wait before a new request waits for room. What must not wait
    (cancellations, answers) may be queued beyond it; at four times as many the server is taken for stalled.
    """

    heartbeat: float = 30.0
    pong_timeout: float = 20.0
    send_timeout: float = 30.0
    close_timeout: float = 1.0
    max_message: int = 16 * 1024 * 1024
    outbox: int = 64
