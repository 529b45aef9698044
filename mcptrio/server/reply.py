"""A reply: where one request's answer goes, and what belongs to the request before that.

On a WebSocket and on stdio all of it goes the one way there is, so the peer is its own reply. Over Streamable HTTP each
request has a response of its own.
"""

from __future__ import annotations

from typing import Protocol

from mcptrio.protocol import RpcError


class Reply(Protocol):
    """Where one request is answered. Synchronous but for the waiting; raises nothing."""

    def push(self, payload: bytes) -> None:
        """Send a message that belongs to the request: progress, a log message, a question to the client."""

    def answer(self, payload: bytes, error: RpcError | None = None) -> None:
        """Send the answer, which refuses the request if there is an `error`. Nothing follows it."""

    def abandon(self) -> None:
        """There will be no answer, because the request was cancelled."""

    def close_stream(self, retry: float | None = None) -> None:
        """End the response stream before the answer, if the client can come back for it; elsewhere nothing happens."""

    async def wait_not_behind(self) -> None:
        """Wait until the client has accepted enough of what it was sent. A checkpoint in any case."""
