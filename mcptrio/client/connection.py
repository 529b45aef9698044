"""The table of calls on one connection: requests by id, answers, progress, notifications. It knows no revision.

A connection stands on a carrier, which moves the messages. All tasks reach it through its methods, which
queue bytes and wait for answers; the carrier's reader settles the calls.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import msgspec
import trio

from mcptrio.client.call import Call, OnProgress
from mcptrio.client.carrier import Carrier
from mcptrio.client.errors import ConnectionLost
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


class Connection:
    """One connection, from dialling to its end; not used again after that.

    Order: messages leave in the order in which calls were begun; notifications are handed to
    `on_notification` in the order of arrival, synchronously, by the carrier's reader. `on_missed` is called
    when some of them may have been lost although the connection lives.

    A message that is no JSON-RPC message ends the connection with 1007. Responses without a request (late
    ones) are ignored.
    """

    def __init__(self, carrier: Carrier) -> None:
        self.url = carrier.url
        self.on_notification: Callable[[Notification], None] | None = None
        self.on_missed: Callable[[], None] | None = None
        self.answers_requests = True
        self._carrier = carrier
        self._ids = itertools.count(1)
        self._calls: dict[RequestId, Call] = {}
        self._ended = trio.Event()

    # -- life ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect and serve until the end. Raises nothing but Cancelled."""
        try:
            await self._carrier.run(self._received, self._missed)
        finally:
            self._ended.set()
            calls = list(self._calls.values())
            self._calls.clear()
            for call in calls:
                call.fail(self.error.copy())

    async def wait_open(self) -> None:
        """Wait until requests can be sent.

        Raises:
            ConnectionLost: the connection could not be opened.
        """
        await self._carrier.wait_open()

    async def settle(self) -> None:
        """As `Carrier.settle`.

        Raises:
            ConnectionLost: the connection is over.
        """
        await self._carrier.settle()
        if not self.is_usable:
            raise self.error.copy()

    async def wait_ended(self) -> None:
        """Wait until the connection is over; `error` then says why."""
        await self._ended.wait()

    @property
    def is_usable(self) -> bool:
        """Whether a request could be begun."""
        return self._carrier.is_usable

    @property
    def error(self) -> ConnectionLost:
        """Why the connection is over, or is about to be."""
        return self._carrier.error

    @property
    def calls(self) -> int:
        """How many requests wait for their answer."""
        return len(self._calls)

    def close_nowait(self, *, error: ConnectionLost | None = None) -> None:
        """Close after what is queued has been sent. Idempotent; the first caller wins."""
        self._carrier.close_nowait(error=error)

    async def aclose(self) -> None:
        """Close and wait for the end, which the carrier bounds."""
        self.close_nowait()
        await self._ended.wait()

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
        await self._carrier.wait_room()
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
        self._carrier.push(data)
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
        if self._calls.pop(call.id, None) is None:
            return
        if reason is None:
            self._carrier.forget(call.id)
        else:
            self.notify_nowait("notifications/cancelled", CancelledParams(request_id=call.id, reason=reason))

    def notify_nowait(self, method: str, params: object = None) -> None:
        """Queue a notification; dropped when the connection is over."""
        self._carrier.push(
            encode_notification(method) if params is None else encode_notification(method, params)
        )

    # -- what the server says --------------------------------------------------------------------------

    def _received(self, data: bytes) -> None:
        try:
            self._dispatch(data)
        except ProtocolError as error:
            self._carrier.violate(1007, error.message)

    def _missed(self) -> None:
        if self.on_missed is not None:
            self.on_missed()

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
            self._carrier.push(encode_result(request.id, {}))
        else:
            code = Failure.METHOD_NOT_FOUND.legacy
            self._carrier.push(encode_error(request.id, code, f"Method not found: {request.method[:200]}"))
