"""What can go wrong on the client's side. What the server refuses is `protocol.RpcError`."""

from __future__ import annotations

import trio


class ConnectionLost(ConnectionError):
    """The connection could not be made, or ended while it was needed. An OSError.

    The message names the URL and the cause. `code` and `reason` are the close frame's (None where there was
    none), `status` is the HTTP status where the server refused the upgrade.
    """

    def __init__(
        self, message: str, *, code: int | None = None, reason: str = "", status: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.status = status

    def copy(self) -> ConnectionLost:
        """The same news for one more listener: an exception instance is raised in one task only."""
        other = ConnectionLost(str(self), code=self.code, reason=self.reason, status=self.status)
        other.__cause__ = self.__cause__
        return other


class TimedOut(trio.TooSlowError):
    """The server did not answer within the timeout; it was told that the answer is no longer wanted."""


class InvalidResponse(Exception):
    """The server's answer is a well-formed message, but no result of the method that was called."""


class ExtensionMissing(Exception):
    """The server does not have the extension `io.mcptrio/live`, and what was asked for needs it."""
