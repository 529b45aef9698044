"""HTTP requests whose answers are streams: one server, connections that are kept, on any stream.

For what httpx is not made for: answers that last for days, whose end is noticed and whose reading is left at
any time without anything remaining (httpx reads through async generators), and servers in memory.
"""

from __future__ import annotations

import select
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeAlias

import h11
import trio

from mcptrio.wire.dial import Endpoint

__all__ = ["Answer", "CannotConnect", "HttpClient", "HttpFailure"]

KEEP = 4.0
"""Seconds that an unused connection is kept: fewer than servers keep theirs."""

MAX_IDLE = 8
"""Unused connections that are kept."""

_CHUNK = 64 * 1024
_MAX_HEAD = 64 * 1024

Headers: TypeAlias = Iterable[tuple[str, bytes]]
_Event: TypeAlias = h11.Event | type[h11.PAUSED]


class HttpFailure(OSError):
    """No answer, or one that broke off or is larger than its bound. The message says why."""


class CannotConnect(HttpFailure):
    """There is nobody to ask."""


class Answer:
    """The head of an answer, and its body bit by bit. Lives inside `HttpClient.ask`."""

    def __init__(self, connection: _Connection, head: h11.Response) -> None:
        self.status = head.status_code
        self._headers = {name.decode("latin-1"): value for name, value in head.headers}
        self._connection = connection

    def header(self, name: str) -> bytes | None:
        """The last header of a name, given in lower case."""
        return self._headers.get(name)

    @property
    def content_type(self) -> str:
        """The media type, without parameters; empty if there is none."""
        value = self._headers.get("content-type", b"")
        return value.partition(b";")[0].strip().lower().decode("latin-1")

    async def chunk(self) -> bytes:
        """The next bytes of the body; empty at its end.

        Raises:
            HttpFailure: it broke off.
        """
        return await self._connection.chunk()

    async def read(self, limit: int) -> bytes:
        """The whole body, of at most `limit` bytes.

        Raises:
            HttpFailure: it broke off, or is larger.
        """
        body = bytearray()
        while data := await self.chunk():
            body += data
            if len(body) > limit:
                raise HttpFailure(f"an answer is larger than {limit} bytes")
        return bytes(body)

    async def beginning(self, limit: int) -> bytes:
        """The first `limit` bytes of the body, or all of it. The rest can still be read.

        Raises:
            HttpFailure: it broke off.
        """
        body = bytearray()
        while len(body) < limit and (data := await self.chunk()):
            body += data
        return bytes(body[:limit])


class HttpClient:
    """Asks one server, on as many connections as there are requests at the same time; none is shared.

    `connect` gives streams, TLS included; `headers` go with every request. Nothing is asked twice, redirects are
    answers, and of a body that was not read to its end the connection is closed: the server sees that.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        connect: Callable[[], Awaitable[trio.abc.Stream]],
        *,
        headers: Headers = (),
        send_timeout: float = 30.0,
    ) -> None:
        self._endpoint = endpoint
        self._connect = connect
        self._headers = [("Host", endpoint.host_header.encode()), *headers]
        self._send_timeout = send_timeout
        self._idle: list[_Connection] = []

    @asynccontextmanager
    async def ask(self, method: str, headers: Headers, body: bytes = b"") -> AsyncIterator[Answer]:
        """Send a request, wait for the head of its answer. How long that may take is the caller's to bound.

        Raises:
            CannotConnect: no connection. HttpFailure: a request that the server does not take within the send timeout, or an
                answer that is no HTTP.
        """
        connection = await self._take()
        try:
            all_headers = [*self._headers, *headers]
            if body or method == "POST":
                all_headers.append(("Content-Length", b"%d" % len(body)))
            request = h11.Request(
                method=method, target=self._endpoint.target, headers=[(n.encode(), v) for n, v in all_headers]
            )
            await connection.send(request, body, self._send_timeout)
            yield Answer(connection, await connection.head())
        except BaseException:
            connection.spoiled = True
            raise
        finally:
            if len(self._idle) < MAX_IDLE and connection.can_be_kept():
                self._idle.append(connection)
            else:
                await trio.aclose_forcefully(connection.stream)

    async def _take(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fresh():
                return connection
            await trio.aclose_forcefully(connection.stream)
        try:
            return _Connection(await self._connect())
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise CannotConnect(str(error) or type(error).__name__) from error

    async def aclose(self) -> None:
        """Close the connections that are not in use. Those in use end with their requests."""
        while self._idle:
            await trio.aclose_forcefully(self._idle.pop().stream)


class _Connection:
    """One stream with HTTP on it, used by one request at a time."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.spoiled = False
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
        self._since = 0.0

    async def send(self, request: h11.Request, body: bytes, timeout: float) -> None:
        """Send a request."""
        data = self._h11.send(request) or b""
        if body:
            data += self._h11.send(h11.Data(data=body)) or b""
        data += self._h11.send(h11.EndOfMessage()) or b""
        with trio.move_on_after(timeout) as sending:
            try:
                await self.stream.send_all(data)
            except trio.BrokenResourceError:
                pass  # it may have answered before it closed: whoever reads finds out
            except trio.ClosedResourceError as error:
                raise HttpFailure("the connection broke") from error
        if sending.cancelled_caught:
            raise HttpFailure(f"the server took nothing for {timeout:g} s")

    async def head(self) -> h11.Response:
        """The head of the answer."""
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise HttpFailure("the connection was closed without an answer")

    async def chunk(self) -> bytes:
        """The next bytes of the body, empty at its end."""
        event = await self._event()
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    async def _event(self) -> _Event:
        data: bytes | None = None
        try:
            while (event := self._h11.next_event()) is h11.NEED_DATA:
                data = bytes(await self.stream.receive_some(_CHUNK))
                self._h11.receive_data(data)
        except h11.RemoteProtocolError as error:
            why = (
                f"the answer is no HTTP: {error}"
                if data != b""
                else "the connection was closed without an answer"
            )
            raise HttpFailure(why) from error
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise HttpFailure("the connection broke") from error
        assert event is not h11.NEED_DATA
        return event  # type: ignore[return-value] # h11 cannot say that NEED_DATA is not among them

    def can_be_kept(self) -> bool:
        """Whether another request can be made on it; then it is ready for that."""
        if self.spoiled or self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        self._since = trio.current_time()
        return True

    def is_fresh(self) -> bool:
        """Whether the server is likely to still be there: not for long unused, and nothing came from it."""
        if trio.current_time() - self._since > KEEP:
            return False
        stream = self.stream
        if isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        if not isinstance(stream, trio.SocketStream):
            return True
        poll = select.poll()
        poll.register(stream.socket.fileno(), select.POLLIN)
        return not poll.poll(0)
