"""One connection to the service after the other: dialling, opening, first messages, pings, messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import cast

import trio
import trio_websocket

from mcptrio.sources.shown_url import shown_url
from mcptrio.sources.websocket.lost import Lost, closed, unreachable
from mcptrio.sources.websocket.stream import FAREWELL, GuardedStream
from mcptrio.wire.dial import Endpoint

Connect = Callable[[], Awaitable[trio.abc.Stream]]

Take = Callable[[str | bytes], Awaitable[None]]

_PING = b"mcptrio"


class Link:
    """How to connect, and what to say first. Holds no connection between two calls of `run`."""

    def __init__(
        self,
        endpoint: Endpoint,
        connect: Connect,
        *,
        url: str,
        headers: Mapping[str, str],
        subprotocols: Sequence[str],
        first: Sequence[str],
        timeout: float,
        ping: float,
        ping_timeout: float,
        max_size: int,
    ) -> None:
        """`url` is for messages to people; times in seconds, all others as the settings of these names."""
        self._endpoint = endpoint
        self._connect = connect
        self._url = url
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._subprotocols = subprotocols
        self._first = first
        self._timeout = timeout
        self._ping = ping
        self._ping_timeout = ping_timeout
        self._max_size = max_size
        self._busy = False

    async def run(self, on_open: Callable[[], None], take: Take) -> Lost:
        """Connect, and hand each message to `take`, one at a time, until the connection is over; returns why it is.

        `on_open` is called once the first messages have been sent. While `take` works nothing is read, so a service
        that is faster is slowed. A message that was handed over is handed over whole; if cancelled, what was not
        handed over is lost, and the service is told goodbye.

        Raises:
            What `take` raises, and nothing else.
        """
        stream: GuardedStream | None = None
        ws: trio_websocket.WebSocketConnection | None = None
        failure: Exception | None = None
        crash: Exception | None = None
        try:
            async with trio.open_nursery() as nursery:
                with trio.move_on_after(self._timeout) as opening:
                    stream = GuardedStream(await self._connect(), self._url, self._timeout)
                    ws = await self._open(nursery, stream)
                    for text in self._first:
                        await ws.send_message(text)
                if opening.cancelled_caught or stream is None or ws is None:
                    raise Lost(f"{shown_url(self._url)} was not connected within {self._timeout:g} s")
                on_open()
                nursery.start_soon(self._beat, ws, stream)
                while True:
                    message = await ws.get_message()
                    self._busy = True
                    try:
                        await take(message)
                    except Exception as error:
                        crash = error
                        raise
                    finally:
                        self._busy = False
        except* Exception as group:
            # One guard for the connection: the library's own tasks raise for much of what a server can send.
            failure = _first_of(group)
            if stream is not None:
                if ws is None and not isinstance(failure, Lost):
                    failure = stream.unsound()
                failure = stream.lost or failure
        finally:
            if stream is not None:
                with trio.move_on_after(FAREWELL, shield=True):
                    await stream.part(politely=ws is not None and ws.closed is None)
        if crash is not None:
            raise crash
        return self._described(failure, ws)

    async def _open(
        self,
        nursery: trio.Nursery,  # the nursery of `run`: the library's reader lives as long as the connection
        stream: GuardedStream,
    ) -> trio_websocket.WebSocketConnection:
        ws = await trio_websocket.wrap_client_stream(
            nursery,
            cast(trio.SocketStream, stream),
            self._endpoint.host_header,
            self._endpoint.target,
            subprotocols=list(self._subprotocols),
            extra_headers=self._headers,
            # Nothing waits in the library: what it has read and not handed over would be dropped when it gives up.
            message_queue_size=0,
            max_message_size=self._max_size,
            receive_buffer_size=64 * 1024,
        )
        stream.opened()
        return ws

    async def _beat(self, ws: trio_websocket.WebSocketConnection, stream: GuardedStream) -> None:
        """Ping; raise `Lost` when nothing comes back. What was read late because of us does not count."""
        while True:
            await trio.sleep(self._ping)
            before = stream.received
            with trio.move_on_after(self._ping_timeout) as waiting:
                try:
                    await ws.ping(_PING)
                except ValueError:
                    await trio.sleep_forever()  # the last one has not been answered yet
                except trio_websocket.ConnectionClosed:
                    return  # whoever reads has noticed, too
            if waiting.cancelled_caught and stream.received == before and not self._busy:
                raise Lost(
                    f"{shown_url(self._url)} sent nothing for {self._ping_timeout:g} s after a ping: "
                    "the connection is dead"
                )

    def _described(self, failure: Exception | None, ws: trio_websocket.WebSocketConnection | None) -> Lost:
        if isinstance(failure, Lost):
            return failure
        if isinstance(failure, trio_websocket.ConnectionClosed) or failure is None:
            reason = None if ws is None else ws.closed
            code, said = (1006, "") if reason is None else (reason.code, reason.reason or "")
            if code == 1009 and said.startswith("Exceeded maximum message size"):
                return Lost(
                    f"{shown_url(self._url)} sent a message of more than {self._max_size} characters "
                    "(see `max_size`)",
                    lasting=True,
                )
            return closed(self._url, code, said)
        return unreachable(self._url, failure)


def _first_of(group: BaseExceptionGroup[Exception]) -> Exception:
    """The failure that says most: what this source found out itself, before what the library made of it."""
    found: list[Exception] = []
    rest: list[BaseException] = list(group.exceptions)
    while rest:
        error = rest.pop(0)
        if isinstance(error, BaseExceptionGroup):
            rest += error.exceptions
        elif isinstance(error, Exception):
            found.append(error)
    return next((error for error in found if isinstance(error, Lost)), found[0])
