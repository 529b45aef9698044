"""Messages by Streamable HTTP, in both revisions. Specification: basic/transports (2025-11-25 and 2026-07-28)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec
import trio

from mcptrio.client.carrier.carrier import Carrier, Received
from mcptrio.client.carrier.headers import Header, Mirror, Seen, header_value, look
from mcptrio.client.carrier.refusal import refusal_of, told_of
from mcptrio.client.carrier.websocket import Connect
from mcptrio.client.errors import ConnectionLost
from mcptrio.client.limits import Limits
from mcptrio.protocol import (
    ErrorResponse,
    Notification,
    ProtocolError,
    Request,
    RequestId,
    Response,
    decode,
)
from mcptrio.protocol.results import InitializeResult
from mcptrio.wire.dial import Endpoint
from mcptrio.wire.event_stream import EventDecoder, EventTooBig
from mcptrio.wire.http_client import Answer, HttpClient, HttpFailure

RESUME_AFTER = 1.0
"""Seconds before a stream is opened again, if the server does not say how many."""

MAX_RESUME_AFTER = 60.0
TRIES = 3
"""How often in a row opening a stream again may fail before the connection counts as lost."""

STREAM_TIMEOUT = 5.0
"""Seconds that messages wait for the stream of notifications to open, so that nothing is missed in between."""

MAX_REFUSAL = 64 * 1024
"""Bytes of an answer that is not to be delivered but told."""

_JSON, _SSE = "application/json", "text/event-stream"
_BOTH = f"{_JSON}, {_SSE}".encode()


class _Post:
    """A request on its way. `modern` decides whether leaving cancels it."""

    __slots__ = ("answered", "headers", "id", "method", "modern", "over", "scope")

    def __init__(self, request: Request, seen: Seen, headers: list[Header]) -> None:
        self.id = request.id
        self.method = request.method
        self.modern = seen.version is not None
        self.headers = headers
        self.answered = False
        self.over = False
        self.scope = trio.CancelScope()


class HttpCarrier(Carrier):
    """One server by HTTP. Each request is a POST and a task; other messages are posted one by one, in order.

    2026-07-28: requests with the envelope; cancelling one closes its response. 2025-11-25: `initialize` makes a
    session; a stream of notifications is kept open for it and resumed where the server allows (`missed` is called
    where it does not), as is the stream of an answer; closing ends the session.

    It is over when an answer breaks off, when the session is gone, or when the server refuses the client rather
    than a request. `open` says nothing about the server: the first message will.
    """

    def __init__(
        self, endpoint: Endpoint, connect: Connect, *, token: str | None = None, limits: Limits | None = None
    ) -> None:
        super().__init__(endpoint.http_url, limits)
        headers: list[Header] = [("User-Agent", b"mcptrio")]
        if token is not None:
            headers.append(("Authorization", f"Bearer {token}".encode()))
        self._http = HttpClient(endpoint, connect, headers=headers, send_timeout=self._limits.send_timeout)
        self._posts: dict[RequestId, _Post] = {}
        self._session: list[Header] = []  # the version, and the session's id if the server gave one
        self._mirror = Mirror()
        self._is_settled = True
        self._settled = trio.lowlevel.ParkingLot()
        self._received: Received = _drop
        self._missed: Callable[[], None] = _nothing

    async def _carry(self, received: Received, missed: Callable[[], None]) -> None:
        self._received, self._missed = received, missed
        self._opened.set()
        async with trio.open_nursery() as nursery:
            while (data := await self._next_after()) is not None:
                message = decode(data)
                seen = look(message) if isinstance(message, Request | Notification) else Seen()
                if isinstance(message, Request):
                    post = _Post(message, seen, self._headers(message, seen))
                    self._posts[message.id] = post
                    nursery.start_soon(self._request, post, data, name=f"POST {message.method[:40]}")
                    # What follows `initialize` belongs to the session that its answer names.
                    while message.method == "initialize" and not post.over and self._close is None:
                        await self._work.park()
                elif isinstance(message, Notification) and message.method == "notifications/cancelled":
                    await self._cancel(seen.request_id, data)
                else:
                    await self._post(data)
                    if isinstance(message, Notification) and message.method == "notifications/initialized":
                        opened = trio.Event()
                        nursery.start_soon(self._listen, opened, name="GET")
                        with trio.move_on_after(STREAM_TIMEOUT):
                            await opened.wait()
            nursery.cancel_scope.cancel(reason="closed by this client")

    async def _next_after(self) -> bytes | None:
        """The next message, once the last one is on its way."""
        if not self._outbox:
            self._settled.unpark_all()
            self._is_settled = True
        data = await self._next()
        self._is_settled = False
        return data

    async def settle(self) -> None:
        """Wait until what is queued was taken, and the stream of notifications is open if there will be one."""
        await trio.lowlevel.checkpoint()
        while self.is_usable and (self._outbox or not self._is_settled):
            await self._settled.park()

    def forget(self, id: RequestId) -> None:
        """Leave its answer."""
        if (post := self._posts.get(id)) is not None:
            post.scope.cancel(reason="not waited for")

    def _describe(self, cause: Exception | None) -> ConnectionLost:
        if isinstance(cause, ConnectionLost):
            return cause
        if cause is None:
            return ConnectionLost(f"{self.url}: the connection was abandoned")
        return ConnectionLost(f"{self.url}: {str(cause) or type(cause).__name__}")

    async def _release(self) -> None:
        self._settled.unpark_all()
        with trio.move_on_after(self._limits.close_timeout):
            if len(self._session) > 1 and self._close is not None and not self._violated:
                try:
                    async with self._ask("DELETE", self._session) as answer:
                        await answer.beginning(MAX_REFUSAL)
                except HttpFailure:
                    pass  # it ends by itself, later
        await self._http.aclose()

    # -- what is sent ----------------------------------------------------------------------------------

    def _headers(self, request: Request, seen: Seen) -> list[Header]:
        headers = [("Accept", _BOTH), ("Content-Type", _JSON.encode())]
        if seen.version is None:
            return headers if request.method == "initialize" else headers + self._session
        headers.append(("MCP-Protocol-Version", seen.version.encode()))
        headers.append(("Mcp-Method", header_value(request.method)))
        if seen.name is not None:
            headers.append(("Mcp-Name", header_value(seen.name)))
            if request.method == "tools/call":
                headers += self._mirror.headers(seen.name, seen.arguments)
        return headers

    def _ask(
        self, method: str, headers: list[Header], body: bytes = b""
    ) -> AbstractAsyncContextManager[Answer]:
        return self._http.ask(method, headers, body)

    async def _cancel(self, id: RequestId | None, data: bytes) -> None:
        """A request is no longer wanted: leaving its answer says so in the newer revision, a message in the older."""
        post = None if id is None else self._posts.get(id)
        if post is not None and not post.modern:
            await self._post(data)
        if post is not None:
            post.scope.cancel(reason="cancelled")
        await trio.lowlevel.checkpoint()

    async def _post(self, data: bytes) -> None:
        """Post what is not answered, and wait until the server has taken it."""
        headers = [("Accept", _BOTH), ("Content-Type", _JSON.encode()), *self._session]
        with trio.move_on_after(self._limits.send_timeout):
            async with self._ask("POST", headers, data) as answer:
                if answer.status in (401, 403) or answer.status >= 500 or self._is_gone(answer.status):
                    raise self._refused(await answer.beginning(MAX_REFUSAL), answer)
                await answer.beginning(MAX_REFUSAL)  # it says nothing; a refusal of a notification neither
            return
        raise self._lost(f"the server took nothing for {self._limits.send_timeout:g} s")

    async def _request(self, post: _Post, data: bytes) -> None:
        try:
            with post.scope:
                await self._answer(post, data)
        except EventTooBig as error:
            raise self._lost(str(error)) from error
        finally:
            post.over = True
            self._work.unpark_all()
        if self._posts.get(post.id) is post:
            del self._posts[post.id]

    # -- what is answered ------------------------------------------------------------------------------

    async def _answer(self, post: _Post, data: bytes) -> None:
        decoder = EventDecoder(self._limits.max_message)
        try:
            async with self._ask("POST", post.headers, data) as answer:
                if answer.status == 200 and answer.content_type == _SSE:
                    await self._events(answer, decoder, post)
                elif answer.status == 200 and answer.content_type == _JSON:
                    self._deliver(await answer.read(self._limits.max_message), answer)
                else:
                    self._refuse(post, answer, await answer.beginning(MAX_REFUSAL))
        except HttpFailure:
            if post.answered:
                return
            if post.modern or decoder.last_id is None:
                raise
        if not post.answered:
            if post.modern or decoder.last_id is None:
                raise self._lost(f"{post.method[:100]}: the answer ended before it was complete")
            await self._resume(decoder, post)

    async def _events(self, answer: Answer, decoder: EventDecoder, post: _Post | None) -> None:
        """Deliver a stream of events, to its end."""
        while True:
            if self.ready is not None:
                await self.ready()
            data = await answer.chunk()
            if not data:
                return
            for event in decoder.feed(data):
                self._deliver(event, answer)
            if post is not None and post.answered:
                with trio.move_on_after(self._limits.close_timeout):
                    await answer.beginning(
                        MAX_REFUSAL
                    )  # nothing follows; at its end the connection can be kept
                return

    async def _resume(self, decoder: EventDecoder, post: _Post) -> None:
        """Wait for an answer whose stream has ended, on one that continues it."""
        failures = 0
        while not post.answered:
            await trio.sleep(_pause(decoder))
            decoder = _continued(decoder, self._limits.max_message)
            try:
                async with self._stream(decoder) as answer:
                    if answer.status != 200 or answer.content_type != _SSE:
                        raise self._refused(await answer.beginning(MAX_REFUSAL), answer)
                    failures = 0
                    await self._events(answer, decoder, post)
            except HttpFailure:
                failures += 1
                if failures == TRIES and not post.answered:
                    raise

    async def _listen(self, opened: trio.Event) -> None:
        """Keep the stream of what answers nothing, if the server has one."""
        decoder = EventDecoder(self._limits.max_message)
        failures, again = 0, False
        while True:
            try:
                async with self._stream(decoder) as answer:
                    if answer.status == 405:
                        return
                    if answer.status != 200 or answer.content_type != _SSE:
                        raise self._refused(await answer.beginning(MAX_REFUSAL), answer)
                    opened.set()
                    if again and decoder.last_id is None:
                        self._missed()
                    failures, again = 0, True
                    await self._events(answer, decoder, None)
            except EventTooBig as error:
                raise self._lost(str(error)) from error
            except HttpFailure:
                failures += 1
                if failures == TRIES:
                    raise
            finally:
                opened.set()
            await trio.sleep(_pause(decoder))
            decoder = _continued(decoder, self._limits.max_message)

    def _stream(self, decoder: EventDecoder) -> AbstractAsyncContextManager[Answer]:
        headers = [("Accept", _SSE.encode()), *self._session]
        if decoder.last_id is not None:
            headers.append(("Last-Event-ID", decoder.last_id))
        return self._ask("GET", headers)

    def _deliver(self, data: bytes, answer: Answer | None) -> None:
        """Hand over a message, as one line."""
        if self._violated:
            return
        try:
            message = decode(data)
            if b"\n" in data or b"\r" in data:
                data = msgspec.json.format(data, indent=-1)
        except (ProtocolError, msgspec.MsgspecError) as error:
            self.violate(1007, str(error))
            return
        if isinstance(message, Response | ErrorResponse) and message.id is not None:
            # Whichever stream brings it: a server that continues an answer may choose another.
            post = self._posts.pop(message.id, None)
            if post is not None:
                post.answered = True
                if isinstance(message, Response):
                    self._learn(post, message, answer)
        self._received(data)

    def _learn(self, post: _Post, response: Response, answer: Answer | None) -> None:
        if post.method == "tools/list":
            self._mirror.learn(response.result)
        elif post.method == "initialize" and not post.modern and answer is not None:
            try:
                version = msgspec.json.decode(response.result, type=InitializeResult).protocol_version
            except (msgspec.MsgspecError, RecursionError):
                return  # whoever asked will say so
            self._session = [("MCP-Protocol-Version", header_value(version))]
            if (id := answer.header("mcp-session-id")) is not None:
                self._session.append(("Mcp-Session-Id", id))

    # -- what is refused -------------------------------------------------------------------------------

    def _is_gone(self, status: int) -> bool:
        return status == 404 and len(self._session) > 1

    def _refuse(self, post: _Post, answer: Answer, body: bytes) -> None:
        """An answer that is not 200: the server's error for this request, or the end of the connection."""
        error = None
        if post.modern or not self._is_gone(answer.status):
            error = refusal_of(post.id, post.method, answer, body)
        if error is None:
            raise self._refused(body, answer)
        self._deliver(error, None)

    def _refused(self, body: bytes, answer: Answer) -> ConnectionLost:
        if self._is_gone(answer.status):
            return self._lost("the server has ended the session")
        return self._lost(told_of(answer, body), answer.status)

    def _lost(self, why: str, status: int | None = None) -> ConnectionLost:
        return ConnectionLost(f"{self.url}: {why}", status=status)


def _pause(decoder: EventDecoder) -> float:
    return RESUME_AFTER if decoder.retry is None else min(decoder.retry, MAX_RESUME_AFTER)


def _continued(decoder: EventDecoder, max_size: int) -> EventDecoder:
    """The decoder of the next stream: what was begun on the last one is not continued, but sent again."""
    other = EventDecoder(max_size)
    other.last_id, other.retry = decoder.last_id, decoder.retry
    return other


def _drop(data: bytes) -> None:
    """Before it runs nothing is received."""


def _nothing() -> None:
    """Nor is anything missed."""
