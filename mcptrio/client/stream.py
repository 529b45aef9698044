"""A stream whose sends have a deadline, and whose end is noticed during a WebSocket handshake."""

from __future__ import annotations

import trio

from mcptrio.client.errors import ConnectionLost
from mcptrio.wire.send_guard import SendGuard, SendStalled


class DeadlineStream(trio.abc.Stream):
    """Passes bytes on to `inner`; a send that is cut makes every later send fail.

    Every byte of the connection goes through here, the WebSocket library's own pongs included. A cut send
    leaves half a frame on the wire and the library would splice the next message into it, so after one
    (deadline or cancellation) each send raises `trio.BrokenResourceError`. `timeout` in seconds.

    Until `handshaken` is set, the end of the stream is raised as `ConnectionLost`: the library would wait
    for its handshake for ever.
    """

    def __init__(self, inner: trio.abc.Stream, timeout: float) -> None:
        self._inner = inner
        self._sending = SendGuard(inner, timeout)
        self.stalled = False
        self.handshaken = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of `data` within the deadline.

        Raises:
            trio.BrokenResourceError: not within the deadline, after a cut send, or the stream is broken.
        """
        was_cut = self._sending.cut
        try:
            await self._sending.send_all(data)
        except SendStalled:
            self.stalled = True
            raise
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            if was_cut:
                raise
            raise self._broken(error) from error

    async def wait_send_all_might_not_block(self) -> None:
        """As the inner stream."""
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """As the inner stream.

        Raises:
            ConnectionLost: the stream ended during the handshake.
        """
        try:
            data = await self._inner.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._broken(error) from error
        if not data and not self.handshaken:
            raise ConnectionLost("closed by the server during the WebSocket handshake")
        return data

    def _broken(self, error: Exception) -> Exception:
        if self.handshaken:
            return trio.BrokenResourceError(str(error))
        return ConnectionLost("the connection broke during the WebSocket handshake")

    async def aclose(self) -> None:
        """Close the inner stream."""
        await self._inner.aclose()
