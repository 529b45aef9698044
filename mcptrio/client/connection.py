"""One WebSocket connection to a server: requests by id, notifications, liveness. It knows no revision.

Owned by `Connection.run`, which a nursery of the owner runs. Three tasks work inside: the reader (the only
one that takes messages; it never waits for a write), the writer (the only one that sends messages) and the
heartbeat. All other tasks reach the connection through its methods, which queue bytes and wait for answers;
so a cancelled call can never cut a frame.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

import msgspec
import trio
import trio_websocket

from mcptrio.client.call import Call, OnProgress
from mcptrio.client.errors import ConnectionLost
from mcptrio.client.limits import Limits
from mcptrio.client.stream import DeadlineStream
from mcptrio.protocol import (
    ErrorResponse,
    Failure,
    Notification,
    ProtocolError,
    Request,
    RequestId,
    Response,
    RpcError,
    decode,
    encode_error,
    encode_notification,
    encode_request,
    encode_result,
    read_params,
)
from mcptrio.protocol.params import CancelledParams, ProgressParams
from mcptrio.wire.dial import Endpoint

Connect = Callable[[], Awaitable[trio.abc.Stream]]


class Connection:
    """One connection, from dialling to its end; not used again after that.

    Order: messages leave in the order in which calls were begun; notifications are handed to
    `on_notification` in the order of arrival, synchronously, by the reader.

    A message that is no JSON-RPC message ends the connection with 1007, a binary one with 1003, a missed
    pong or a stalled send without a close frame. Responses without a request (late ones) are ignored.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        connect: Connect,
        *,
        limits: Limits | None = None,
    ) -> None:
        self.url = endpoint.websocket_url
        self.on_notification: Callable[[Notification], None] | None = None
        self.answers_requests = True
        self._connect = connect
        self._endpoint = endpoint
        self._limits = limits or Limits()
        self._ids = itertools.count(1)
        self._calls: dict[RequestId, Call] = {}
        self._outbox: deque[bytes] = deque()
        self._work = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()
        self._opened = trio.Event()
        self._ended = trio.Event()
        self._written = trio.Event()
        self._error: ConnectionLost | None = None
        self._close: tuple[int, str] | None = None
        self._scope: trio.CancelScope | None = None

    # -- life ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Dial, open the WebSocket and serve it until it ends. Raises nothing but Cancelled."""
        cause: Exception | None = None
        stream: DeadlineStream | None = None
        ws: trio_websocket.WebSocketConnection | None = None
        try:
            async with trio.open_nursery() as nursery:
                self._scope = nursery.cancel_scope
                stream = DeadlineStream(await self._connect(), self._limits.send_timeout)
                ws = await trio_websocket.wrap_client_stream(
                    nursery,
                    cast(trio.SocketStream, stream),
                    self._endpoint.host_header,
                    self._endpoint.target,
                    subprotocols=["mcp"],
                    max_message_size=self._limits.max_message,
                    receive_buffer_size=64 * 1024,
                )
                stream.handshaken = True
                self._opened.set()
                nursery.start_soon(self._write, ws)
                nursery.start_soon(self._beat, ws, nursery.cancel_scope)
                await self._read(ws)
                if self._close is not None:
                    with trio.move_on_after(self._limits.close_timeout):
                        await self._written.wait()
                nursery.cancel_scope.cancel(reason="the WebSocket is closed")
        except* Exception as group:
            # One guard for the connection: the library's own task raises for refused upgrades, for pings
            # during our close and for bytes that it did not expect.
            cause = _first(group)
        finally:
            self._finish(cause, ws, stream)
            if stream is not None:
                await trio.aclose_forcefully(stream)

    async def wait_open(self) -> None:
        """Wait until the WebSocket is open.

        Raises:
            ConnectionLost: it could not be opened.
        """
        await self._opened.wait()
        if self._ended.is_set():
            raise self.error.copy()

    async def wait_ended(self) -> None:
        """Wait until the connection is over; `error` then says why."""
        await self._ended.wait()

    @property
    def is_usable(self) -> bool:
        """Whether a request could be begun."""
        return self._opened.is_set() and not self._ended.is_set() and self._close is None

    @property
    def error(self) -> ConnectionLost:
        """Why the connection is over, or is about to be."""
        return self._error or ConnectionLost(f"{self.url}: not connected")

    @property
    def calls(self) -> int:
        """How many requests wait for their answer."""
        return len(self._calls)

    def close_nowait(
        self, code: int = 1000, reason: str = "", *, error: ConnectionLost | None = None
    ) -> None:
        """Close after what is queued has been sent. Idempotent; the first caller wins."""
        if self._close is None and not self._ended.is_set():
            self._close = (code, reason)
            self._error = self._error or error or ConnectionLost(f"{self.url}: closed by this client")
            self._work.unpark_all()
            self._room.unpark_all()

    async def aclose(self) -> None:
        """Close with 1000 and wait for the end; a sleeping peer costs `close_timeout` and what sends cost."""
        self.close_nowait()
        await self._ended.wait()

    def _finish(
        self,
        cause: Exception | None,
        ws: trio_websocket.WebSocketConnection | None,
        stream: DeadlineStream | None,
    ) -> None:
        if self._error is None:
            self._error = self._describe(cause, ws, stream)
        self._ended.set()
        self._opened.set()
        self._outbox.clear()
        self._room.unpark_all()
        calls = list(self._calls.values())
        self._calls.clear()
        for call in calls:
            call.fail(self._error.copy())

    def _describe(
        self,
        cause: Exception | None,
        ws: trio_websocket.WebSocketConnection | None,
        stream: DeadlineStream | None,
    ) -> ConnectionLost:
        closed = None if ws is None else ws.closed
        if stream is not None and stream.stalled:
            lost = ConnectionLost(f"{self.url}: the server took nothing for {self._limits.send_timeout:g} s")
        elif isinstance(cause, trio_websocket.ConnectionRejected):
            body = (cause.body or b"")[:300].decode("utf-8", "replace").strip()
            said = f": {body}" if body else ""
            lost = ConnectionLost(
                f"{self.url}: the server refused the WebSocket with HTTP {cause.status_code}{said}",
                status=cause.status_code,
            )
        elif cause is not None:
            lost = ConnectionLost(f"{self.url}: {str(cause) or type(cause).__name__}")
        elif closed is None:
            lost = ConnectionLost(f"{self.url}: the connection was abandoned")
        elif closed.code == 1006:
            lost = ConnectionLost(f"{self.url}: the connection broke", code=1006)
        else:
            reason = closed.reason or ""
            said = f" ({reason})" if reason else ""
            lost = ConnectionLost(
                f"{self.url}: closed with {closed.code}{said}", code=closed.code, reason=reason
            )
        lost.__cause__ = cause
        return lost

    # -- talking ---------------------------------------------------------------------------------------

    async def begin(
        self,
        method: str,
        params: Mapping[str, object],
        *,
        on_progress: OnProgress | None = None,
        on_done: Callable[[], None] | None = None,
    ) -> Call:
        """Queue a request, waiting for room in the outbox first. If cancelled there, nothing was queued.

        With `on_progress` the request asks for progress; the token is its id. There is no checkpoint after
        the request was queued.

        Raises:
            ConnectionLost: the connection is over.
            TypeError: the params hold something that JSON cannot.
        """
        while self.is_usable and len(self._outbox) >= self._limits.outbox:
            await self._room.park()
        if not self.is_usable:
            await trio.lowlevel.checkpoint()
            raise self.error.copy()
        call = Call(next(self._ids), method, on_progress, on_done)
        if on_progress is not None:
            meta = params.get("_meta")
            known = meta if isinstance(meta, Mapping) else {}
            params = {**params, "_meta": {**known, "progressToken": call.id}}
        data = encode_request(call.id, method, params) if params else encode_request(call.id, method)
        self._calls[call.id] = call
        self._push(data)
        return call

    async def call(
        self,
        method: str,
        params: Mapping[str, object],
        *,
        on_progress: OnProgress | None = None,
        cancellable: bool = True,
    ) -> msgspec.Raw:
        """Send a request and wait for its result. If cancelled, the server is told (unless told otherwise).

        Raises:
            RpcError: the server refused. ConnectionLost: the connection ended first. What `on_progress`
            raises ends the call and is raised here.
        """
        call = await self.begin(method, params, on_progress=on_progress)
        try:
            await call.wait()
        finally:
            self.abandon(call, "the caller no longer waits" if cancellable else None)
        return call.outcome()

    def abandon(self, call: Call, reason: str | None) -> None:
        """Forget a call and, with a reason, tell the server. Synchronous, idempotent; no-op once answered."""
        if self._calls.pop(call.id, None) is not None and reason is not None:
            self.notify_nowait("notifications/cancelled", CancelledParams(request_id=call.id, reason=reason))

    def notify_nowait(self, method: str, params: object = None) -> None:
        """Queue a notification; dropped when the connection is over."""
        self._push(encode_notification(method) if params is None else encode_notification(method, params))

    def _push(self, data: bytes) -> None:
        if not self.is_usable:
            return
        if len(self._outbox) >= 4 * self._limits.outbox:
            self._violate(1008, "too many messages wait to be sent")
            return
        self._outbox.append(data)
        self._work.unpark()

    # -- the tasks -------------------------------------------------------------------------------------

    async def _write(self, ws: trio_websocket.WebSocketConnection) -> None:
        try:
            while self._outbox or self._close is None:
                if self._outbox:
                    data = self._outbox.popleft()
                    self._room.unpark()
                    await ws.send_message(data.decode())
                else:
                    await self._work.park()
            with trio.move_on_after(self._limits.close_timeout):
                await ws.aclose(*self._close)
        except trio_websocket.ConnectionClosed:
            pass  # the reader takes what has arrived, and then ends the connection
        finally:
            self._written.set()

    async def _beat(self, ws: trio_websocket.WebSocketConnection, scope: trio.CancelScope) -> None:
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
                scope.cancel(reason="ping timeout")
                return

    async def _read(self, ws: trio_websocket.WebSocketConnection) -> None:
        while True:
            try:
                message = await ws.get_message()
            except trio_websocket.ConnectionClosed:
                return
            if isinstance(message, bytes):
                self._violate(1003, "binary message")
                return
            try:
                self._dispatch(message.encode())
            except ProtocolError as error:
                self._violate(1007, error.message)
                return

    def _violate(self, code: int, why: str) -> None:
        """End the connection now: nothing that is queued is sent, and what is being sent has a second."""
        self._outbox.clear()
        if self._scope is not None:
            self._scope.deadline = trio.current_time() + self._limits.close_timeout
        self.close_nowait(
            code,
            why.encode()[:120].decode("utf-8", "ignore"),
            error=ConnectionLost(f"{self.url}: {why}", code=code),
        )

    def _dispatch(self, data: bytes) -> None:
        message = decode(data)
        if isinstance(message, Response):
            if (call := self._calls.pop(message.id, None)) is not None:
                call.complete(message.result)
        elif isinstance(message, ErrorResponse):
            if message.id is not None and (call := self._calls.pop(message.id, None)) is not None:
                given = message.error
                details = None if given.data is msgspec.UNSET else given.data
                call.fail(RpcError(given.message, code=given.code, data=details))
        elif isinstance(message, Notification):
            if message.method == "notifications/progress":
                self._progress(message)
            elif self.on_notification is not None:
                self.on_notification(message)
        else:
            self._answer(message)

    def _progress(self, message: Notification) -> None:
        try:
            params = read_params(message.params, ProgressParams)
        except RpcError as error:
            raise ProtocolError(Failure.INVALID_PARAMS, error.message) from None
        call = self._calls.get(params.progress_token)
        if call is None or call.on_progress is None:
            return
        total = None if params.total is msgspec.UNSET else params.total
        text = None if params.message is msgspec.UNSET else params.message
        try:
            call.on_progress(params.progress, total, text)
        except Exception as error:  # the callback is the caller's, so is its mistake
            call.fail(error)

    def _answer(self, request: Request) -> None:
        """The older revision's server may ask; the newer one's may not, and gets no answer."""
        if not self.answers_requests:
            return
        if request.method == "ping":
            self._push(encode_result(request.id, {}))
        else:
            code = Failure.METHOD_NOT_FOUND.legacy
            self._push(encode_error(request.id, code, f"Method not found: {request.method[:200]}"))


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    found = group.exceptions[0]
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
