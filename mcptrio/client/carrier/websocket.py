"""Messages by WebSocket. Specification: docs/websocket-binding.md."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

import trio
import trio_websocket

from mcptrio.client.carrier.carrier import Carrier, Received
from mcptrio.client.errors import ConnectionLost
from mcptrio.client.limits import Limits
from mcptrio.client.stream import DeadlineStream
from mcptrio.wire.dial import Endpoint

Connect = Callable[[], Awaitable[trio.abc.Stream]]
"""Gives a stream to the server: one for each connection of the network."""


class WebSocketCarrier(Carrier):
    """One WebSocket. Three tasks: the reader (it never waits for a write), the writer (the only one that sends
    messages, so a cancelled call can never cut a frame) and the heartbeat.

    What is no message ends it with 1007, a binary one with 1003, a missed pong or a stalled send without a
    close frame. `token` is sent with the upgrade.
    """

    def __init__(
        self, endpoint: Endpoint, connect: Connect, *, token: str | None = None, limits: Limits | None = None
    ) -> None:
        super().__init__(endpoint.websocket_url, limits)
        self._endpoint = endpoint
        self._connect = connect
        self._headers = [] if token is None else [(b"Authorization", f"Bearer {token}".encode())]
        self._written = trio.Event()
        self._stream: DeadlineStream | None = None
        self._ws: trio_websocket.WebSocketConnection | None = None

    async def _carry(self, received: Received, missed: Callable[[], None]) -> None:
        self._stream = DeadlineStream(await self._connect(), self._limits.send_timeout)
        async with trio.open_nursery() as nursery:
            ws = await trio_websocket.wrap_client_stream(
                nursery,
                cast(trio.SocketStream, self._stream),
                self._endpoint.host_header,
                self._endpoint.target,
                subprotocols=["mcp"],
                extra_headers=self._headers,
                max_message_size=self._limits.max_message,
                receive_buffer_size=64 * 1024,
            )
            self._ws = ws
            self._stream.handshaken = True
            self._opened.set()
            nursery.start_soon(self._write, ws)
            nursery.start_soon(self._beat, ws)
            await self._read(ws, received)
            if self._close is not None:
                with trio.move_on_after(self._limits.close_timeout):
                    await self._written.wait()
            nursery.cancel_scope.cancel(reason="the WebSocket is closed")

    async def _release(self) -> None:
        if self._stream is not None:
            await trio.aclose_forcefully(self._stream)

    def _describe(self, cause: Exception | None) -> ConnectionLost:
        closed = None if self._ws is None else self._ws.closed
        if self._stream is not None and self._stream.stalled:
            return ConnectionLost(f"{self.url}: the server took nothing for {self._limits.send_timeout:g} s")
        if isinstance(cause, trio_websocket.ConnectionRejected):
            return _rejected(self.url, cause)
        if cause is not None:
            return ConnectionLost(f"{self.url}: {str(cause) or type(cause).__name__}")
        if closed is None:
            return ConnectionLost(f"{self.url}: the connection was abandoned")
        if closed.code == 1006:
            return ConnectionLost(f"{self.url}: the connection broke", code=1006)
        reason = closed.reason or ""
        said = f" ({reason})" if reason else ""
        return ConnectionLost(f"{self.url}: closed with {closed.code}{said}", code=closed.code, reason=reason)

    # -- the tasks -------------------------------------------------------------------------------------

    async def _write(self, ws: trio_websocket.WebSocketConnection) -> None:
        try:
            while (data := await self._next()) is not None:
                await ws.send_message(data.decode())
            assert self._close is not None
            with trio.move_on_after(self._limits.close_timeout):
                await ws.aclose(*self._close)
        except trio_websocket.ConnectionClosed:
            pass  # the reader takes what has arrived, and then ends the connection
        finally:
            self._written.set()

    async def _beat(self, ws: trio_websocket.WebSocketConnection) -> None:
        while True:
            await trio.sleep(self._limits.heartbeat)
            with trio.move_on_after(self._limits.pong_timeout) as waiting:
                try:
                    await ws.ping()
                except trio_websocket.ConnectionClosed:
                    return
            if waiting.cancelled_caught:
                self._error = self._error or ConnectionLost(
                    f"{self.url}: no pong within {self._limits.pong_timeout:g} s"
                )
                self._scope.cancel(reason="ping timeout")
                return

    async def _read(self, ws: trio_websocket.WebSocketConnection, received: Received) -> None:
        while not self._violated:
            if self.ready is not None:
                await self.ready()
            try:
                message = await ws.get_message()
            except trio_websocket.ConnectionClosed:
                return
            if isinstance(message, bytes):
                self.violate(1003, "binary message")
            else:
                received(message.encode())


def _rejected(url: str, cause: trio_websocket.ConnectionRejected) -> ConnectionLost:
    body = (cause.body or b"")[:300].decode("utf-8", "replace").strip()
    said = f": {body}" if body else ""
    hint = ": a token is missing or wrong" if cause.status_code == 401 else ""
    return ConnectionLost(
        f"{url}: the server refused the WebSocket with HTTP {cause.status_code}{hint}{said}",
        status=cause.status_code,
    )
