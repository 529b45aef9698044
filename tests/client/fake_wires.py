"""What carries the fake server's messages: WebSocket, HTTP, or lines. All in memory, none with code of mcptrio."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h11
import trio
import trio_websocket

from mcptrio.client.carrier import StdioCarrier
from mcptrio.client.target import Target
from tests.client.fake_server import (
    LEGACY,
    META,
    MODERN,
    SUBSCRIPTION_ID,
    FakeServer,
    MemoryStream,
    Message,
    Peer,
)


class WebSocketPeer(Peer):
    """One WebSocket, on trio-websocket."""

    stream: MemoryStream
    ws: trio_websocket.WebSocketConnection

    async def run(self, stream: MemoryStream) -> None:
        self.stream = stream
        try:
            async with trio.open_nursery() as nursery:
                with trio.fail_after(
                    60
                ):  # the library waits for ever when the client goes before its request
                    request = await trio_websocket.wrap_server_stream(nursery, stream)
                assert "mcp" in request.proposed_subprotocols
                self.ws = await request.accept(subprotocol="mcp")
                await self._serve(nursery)
                await trio.sleep(0.01)  # whoever closes waits for the library's reader, which ends below
                nursery.cancel_scope.cancel()
        except* (trio_websocket.ConnectionClosed, trio.BrokenResourceError, trio.TooSlowError):
            pass
        finally:
            self.gone.set()

    async def _serve(self, nursery: trio.Nursery) -> None:
        while True:
            try:
                message = json.loads(await self.ws.get_message())
            except trio_websocket.ConnectionClosed as closed:
                self.close_code = None if closed.reason is None else closed.reason.code
                return
            self.take(message, nursery)

    async def send(self, message: Message) -> None:
        await self.ws.send_message(json.dumps({"jsonrpc": "2.0", **message}))

    async def cut(self) -> None:
        await trio.aclose_forcefully(self.stream)


class LinePeer(Peer):
    """One conversation by lines."""

    stream: MemoryStream
    lock: trio.Lock

    async def run(self, stream: MemoryStream) -> None:
        self.stream, self.lock = stream, trio.Lock()
        rest = b""
        try:
            async with trio.open_nursery() as nursery:
                while data := await stream.receive_some():
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        self.take(json.loads(line), nursery)
                self.close_code = 1000
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.gone.set()
            await trio.aclose_forcefully(stream)

    async def send(self, message: Message) -> None:
        async with self.lock:
            await self.stream.send_all(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    async def cut(self) -> None:
        await trio.aclose_forcefully(self.stream)


class _Reply:
    """An answer by HTTP that is not complete: JSON, or events once something comes before the result."""

    def __init__(self, stream: MemoryStream, connection: h11.Connection) -> None:
        self._stream = stream
        self._h11 = connection
        self._begun = False
        self.done = trio.Event()
        self._lock = trio.Lock()

    async def whole(self, status: int, body: bytes = b"", **headers: str) -> None:
        headers["Content-Length"] = str(len(body))
        head = [(name.replace("_", "-"), value) for name, value in headers.items()]
        await self._send(h11.Response(status_code=status, headers=head))
        if body:
            await self._send(h11.Data(data=body))
        await self.end()

    async def event(self, message: Message) -> None:
        if not self._begun:
            await self.begin()
        await self._send(h11.Data(data=f"data: {json.dumps(message)}\n\n".encode()))

    async def begin(self) -> None:
        self._begun = True
        await self._send(h11.Response(status_code=200, headers=[("Content-Type", "text/event-stream")]))

    async def result(self, message: Message, **headers: str) -> None:
        if self._begun:
            await self.event(message)
            await self.end()
        else:
            await self.whole(200, json.dumps(message).encode(), Content_Type="application/json", **headers)

    async def end(self) -> None:
        await self._send(h11.EndOfMessage())
        self.done.set()

    async def _send(self, event: h11.Event) -> None:
        async with self._lock:
            if data := self._h11.send(event):
                await self._stream.send_all(data)


class HttpPeer(Peer):
    """All streams of one client, until none is left. In 2025-11-25 they are one session.

    A request whose response the client leaves is noted as cancelled, in the newer revision.
    """

    many_streams = True

    def __init__(self, server: FakeServer, nursery: trio.Nursery) -> None:
        super().__init__(server, nursery)
        self.session = f"session-{len(server.peers)}"
        self.began = False
        self.replies: dict[object, _Reply] = {}
        self.get: _Reply | None = None
        self._streams: set[MemoryStream] = set()

    async def run(self, stream: MemoryStream) -> None:
        self._streams.add(stream)
        try:
            async with trio.open_nursery() as nursery:
                connection = h11.Connection(h11.SERVER)
                while await self._exchange(stream, connection, nursery):
                    connection.start_next_cycle()
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            pass
        finally:
            self._streams.discard(stream)
            await trio.aclose_forcefully(stream)
        if not self._streams and not self.gone.is_set():
            await trio.sleep(0.01)  # the client may only have left an answer
            if not self._streams:
                self.close_code = 1000
                self.gone.set()

    async def _exchange(self, stream: MemoryStream, connection: h11.Connection, tasks: trio.Nursery) -> bool:
        """Serve one request; False when the client has gone."""
        request, body = None, b""
        while True:
            event = await self._event(stream, connection)
            if isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        assert request is not None
        headers = {name.decode(): value.decode() for name, value in request.headers}
        assert (request.target, headers["host"]) == (b"/mcp", "localhost")
        reply = _Reply(stream, connection)
        if "mcp-session-id" in headers and (headers["mcp-session-id"] != self.session or not self.began):
            await reply.whole(404)
        elif request.method == b"POST":
            message = json.loads(body)
            self._check_headers(message, headers)
            if "method" not in message or "id" not in message:
                self.take(message, tasks)
                await reply.whole(202)
            else:
                here = await self._serve(message, reply, stream, connection, tasks)
                return here
        elif request.method == b"DELETE":
            await reply.whole(204)
        else:
            assert headers["accept"] == "text/event-stream"
            self.get = reply
            await reply.begin()
            return await self._hold(reply, stream, connection)
        return True

    async def _serve(
        self,
        message: Message,
        reply: _Reply,
        stream: MemoryStream,
        connection: h11.Connection,
        tasks: trio.Nursery,
    ) -> bool:
        id, modern = message["id"], META + "protocolVersion" in message.get("params", {}).get("_meta", {})
        self.replies[id] = reply
        here = False
        try:
            async with trio.open_nursery() as nursery:
                self.take(message, nursery if modern else tasks)
                here = await self._hold(reply, stream, connection)
                nursery.cancel_scope.cancel()
        except* trio.BrokenResourceError:
            pass
        finally:
            del self.replies[id]
        if not here and modern:
            gone = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}
            self.take(gone, tasks)
        return here

    async def _hold(self, reply: _Reply, stream: MemoryStream, connection: h11.Connection) -> bool:
        """Wait for the end of an answer; False when the client leaves it before."""
        here = True

        async def watch() -> None:
            nonlocal here
            await self._event(stream, connection)
            here = False
            reply.done.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await reply.done.wait()
            nursery.cancel_scope.cancel()
        return here

    async def _event(self, stream: MemoryStream, connection: h11.Connection) -> object:
        while (event := connection.next_event()) in (h11.NEED_DATA, h11.PAUSED):
            if event is h11.PAUSED:
                await trio.sleep_forever()
            connection.receive_data(await stream.receive_some())
        return event

    def _check_headers(self, message: Message, headers: dict[str, str]) -> None:
        assert headers["accept"] == "application/json, text/event-stream"
        assert headers["content-type"] == "application/json"
        params = message.get("params", {})
        version = params.get("_meta", {}).get(META + "protocolVersion")
        if version is not None:
            assert headers["mcp-protocol-version"] == version == MODERN
            assert headers["mcp-method"] == message["method"]
            assert "mcp-session-id" not in headers
        elif message.get("method") == "initialize":
            assert "mcp-session-id" not in headers
        else:
            assert headers["mcp-session-id"] == self.session
            assert headers["mcp-protocol-version"] in (LEGACY, "2025-06-18")

    async def send(self, message: Message) -> None:
        message = {"jsonrpc": "2.0", **message}
        params = message.get("params", {})
        key = params.get("_meta", {}).get(SUBSCRIPTION_ID, params.get("progressToken"))
        try:
            if "method" not in message and (reply := self.replies.get(message.get("id"))) is not None:
                if isinstance(message.get("result"), dict) and "protocolVersion" in message["result"]:
                    self.began = True
                    await reply.result(message, Mcp_Session_Id=self.session)
                else:
                    await reply.result(message)
            elif isinstance(key, int) and key in self.replies:
                await self.replies[key].event(message)
            elif self.get is not None:
                await self.get.event(message)
            elif self.replies:
                await list(self.replies.values())[-1].event(message)
        except (trio.BrokenResourceError, h11.LocalProtocolError):
            pass  # the client has left it

    async def cut(self) -> None:
        self.gone.set()
        for stream in list(self._streams):
            await trio.aclose_forcefully(stream)


WIRES: dict[str, type[Peer]] = {"websocket": WebSocketPeer, "http": HttpPeer, "stdio": LinePeer}


def target_of(server: FakeServer, wire: str) -> str | Target:
    """How a client names a fake server."""
    if wire != "stdio":
        return {"websocket": "ws", "http": "http"}[wire] + "://localhost/mcp"

    @asynccontextmanager
    async def streams() -> AsyncIterator[trio.abc.Stream]:
        stream = await server.connect()
        try:
            yield stream
        finally:
            await trio.aclose_forcefully(stream)

    return Target("stdio:fake", lambda: StdioCarrier("stdio:fake", streams))
