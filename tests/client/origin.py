"""An HTTP server in memory that does with each request what a test says: servers that are old, odd or wrong."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import h11
import trio
import trio.testing

Message = dict[str, Any]
LEGACY, MODERN = "2025-11-25", "2026-07-28"
JSON, SSE = ("Content-Type", "application/json"), ("Content-Type", "text/event-stream")


class Asked:
    """A request, and the means to answer it."""

    def __init__(
        self, origin: Origin, request: h11.Request, body: bytes, stream: trio.abc.Stream, h11s: h11.Connection
    ) -> None:
        self.method = request.method.decode()
        self.headers = {name.decode(): value.decode() for name, value in request.headers}
        self.message: Message = json.loads(body) if body else {}
        self.origin = origin
        self._stream = stream
        self._h11 = h11s

    async def answer(self, status: int, body: object = b"", *headers: tuple[str, str]) -> None:
        """A whole answer; what is no bytes is sent as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        if not isinstance(body, bytes):
            headers = (JSON, *headers)
        await self.begin(status, ("Content-Length", str(len(data))), *headers)
        await self.send(data)
        await self.end()

    async def result(self, result: object, *headers: tuple[str, str]) -> None:
        """A JSON-RPC result."""
        await self.answer(200, {"jsonrpc": "2.0", "id": self.message["id"], "result": result}, *headers)

    async def begin(self, status: int = 200, *headers: tuple[str, str]) -> None:
        """The head."""
        await self._send(h11.Response(status_code=status, headers=list(headers)))

    async def send(self, data: bytes) -> None:
        """A bit of the body."""
        if data:
            await self._send(h11.Data(data=data))

    async def event(self, message: Message, *lines: str) -> None:
        """An event with a message, and other lines before it."""
        text = "".join(f"{line}\n" for line in lines)
        await self.send(f"{text}data: {json.dumps({'jsonrpc': '2.0', **message})}\n\n".encode())

    async def end(self) -> None:
        """The body is complete."""
        await self._send(h11.EndOfMessage())

    async def cut(self) -> None:
        """Break the connection in the middle."""
        await trio.aclose_forcefully(self._stream)

    async def _send(self, event: h11.Event) -> None:
        if data := self._h11.send(event):
            await self._stream.send_all(data)


Handle = Callable[[Asked], Awaitable[None]]


class Origin:
    """`connect` is what a client dials. Whatever was asked is in `asked`; `handle` answers."""

    def __init__(self, nursery: trio.Nursery, handle: Handle) -> None:
        self.handle = handle
        self.asked: list[Asked] = []
        self.dials = 0
        self._nursery = nursery

    def said(self) -> list[str]:
        """What was asked, in short: the HTTP method or the message's."""
        return [each.message.get("method", each.method) for each in self.asked]

    async def connect(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.dials += 1
        near, far = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self._serve, far)
        return near

    async def _serve(self, stream: trio.abc.Stream) -> None:
        connection = h11.Connection(h11.SERVER)
        request, body = None, b""
        try:
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(await stream.receive_some())
                elif isinstance(event, h11.Request):
                    request, body = event, b""
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    assert request is not None
                    asked = Asked(self, request, body, stream, connection)
                    self.asked.append(asked)
                    await self.handle(asked)
                    if connection.our_state is not h11.DONE:
                        break
                    connection.start_next_cycle()
                else:
                    break
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has left, or the test has cut it
        await trio.aclose_forcefully(stream)


INITIALIZED = {
    "protocolVersion": LEGACY,
    "capabilities": {"resources": {"subscribe": True}},
    "serverInfo": {"name": "old", "version": "1"},
}
DISCOVERED = {"supportedVersions": [MODERN], "capabilities": {}, "resultType": "complete"}


def old(**methods: Handle) -> Handle:
    """A server of 2025-11-25 with a session and without a stream, but for what is given by the method's last word."""

    async def handle(asked: Asked) -> None:
        method = asked.message.get("method", asked.method)
        if (special := methods.get(method.rpartition("/")[2])) is not None:
            await special(asked)
        elif method == "initialize":
            await asked.result(INITIALIZED, ("Mcp-Session-Id", "s1"))
        elif method == "server/discover":
            await asked.answer(400, b"Bad Request: no session")
        elif method == "GET":
            await asked.answer(405)
        elif "id" in asked.message and "method" in asked.message:
            await asked.result({})
        else:
            await asked.answer(202)

    return handle


def new(**methods: Handle) -> Handle:
    """A server of 2026-07-28, likewise."""

    async def handle(asked: Asked) -> None:
        method = asked.message.get("method", asked.method)
        if (special := methods.get(method.rpartition("/")[2])) is not None:
            await special(asked)
        else:
            await asked.result(DISCOVERED)

    return handle
