"""A service in memory that a receiver connects to, told by each test how to behave; and what the receiver reports."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from random import Random

import msgspec
import trio
import trio.testing
import trio_websocket

from mcptrio.live import Change, Feed, SourceState
from mcptrio.sources.websocket import Receiver, WebsocketSettings

URL = "wss://service.test/events?token=hush"
SHOWN = "wss://service.test/events?..."

WebSocket = trio_websocket.WebSocketConnection
Talk = Callable[[WebSocket], Awaitable[None]]
Serve = Callable[[trio.abc.Stream], Awaitable[None]]

WRITTEN: Mapping[str, object] = {
    "kind": "websocket",
    "name": "chat",
    "url": URL,
    "type": "/event",
    "id": "/seq",
    "data": "/data",
    "route": [
        {"type": "posted", "uri": "chat://{channel}/last", "values": {"channel": "/data/channel"}},
        {
            "type": "closed",
            "uri": "chat://{channel}/last",
            "values": {"channel": "/data/channel"},
            "change": "deleted",
        },
    ],
}


def made(**settings: object) -> WebsocketSettings:
    """The settings of the tests, and others."""
    return msgspec.convert({**WRITTEN, **settings}, WebsocketSettings)


def event(seq: object, channel: object = "town", type: object = "posted", **data: object) -> str:
    """A message of the service."""
    return json.dumps({"event": type, "seq": seq, "data": {"channel": channel, **data}})


def talking(talk: Talk) -> Serve:
    """Accept a WebSocket, talk, and close it."""

    async def serve(stream: trio.abc.Stream) -> None:
        try:
            async with trio.open_nursery() as nursery:
                request = await trio_websocket.wrap_server_stream(nursery, stream)
                ws = await request.accept(subprotocol=next(iter(request.proposed_subprotocols), None))
                await talk(ws)
                with trio.move_on_after(1):
                    await ws.aclose()
                nursery.cancel_scope.cancel()
        except* (trio_websocket.ConnectionClosed, trio.BrokenResourceError):
            pass

    return serve


async def read_request(stream: trio.abc.Stream) -> bytes:
    """The head of a request, to its end."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = await stream.receive_some(4096)
        if not data:
            raise trio.BrokenResourceError("no request")
        head += data
    return head


def answering(*pieces: bytes, gap: float = 0.0, then: float = 0.0) -> Serve:
    """Answer with bytes, each piece after a gap (s), and hang up after a while."""

    async def serve(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        for piece in pieces:
            await trio.sleep(gap)
            await stream.send_all(piece)
        await trio.sleep(then)

    return serve


def accepting(*pieces: bytes, gap: float = 0.0, then: float = 0.0, forever: bytes = b"") -> Serve:
    """Accept a WebSocket by hand and send bytes as they are; `forever` until the client has gone."""

    async def serve(stream: trio.abc.Stream) -> None:
        head = await read_request(stream)
        found = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)
        assert found is not None
        accept = base64.b64encode(hashlib.sha1(found[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        await stream.send_all(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        for piece in pieces:
            await trio.sleep(gap)
            await stream.send_all(piece)
        while forever:
            await trio.sleep(gap)
            await stream.send_all(forever)
        await trio.sleep(then)

    return serve


def frame(payload: bytes, *, opcode: int = 1, fin: bool = True) -> bytes:
    """A frame as a server sends it."""
    first = bytes([opcode | (0x80 if fin else 0)])
    if len(payload) < 126:
        return first + bytes([len(payload)]) + payload
    if len(payload) < 65_536:
        return first + b"\x7e" + len(payload).to_bytes(2, "big") + payload
    return first + b"\x7f" + len(payload).to_bytes(8, "big") + payload


class Service:
    """Serves connection after connection: each as `serve` says at that time."""

    def __init__(self, serve: Serve) -> None:
        self.serve = serve
        self.times: list[float] = []
        self.gone = 0
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Have connections until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    async def connect(self) -> trio.abc.Stream:
        """Connect to it."""
        await trio.lowlevel.checkpoint()
        self.times.append(trio.current_time())
        assert self._nursery is not None
        near, far = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self._one, far)
        return near

    async def _one(self, stream: trio.abc.Stream) -> None:
        try:
            await self.serve(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.gone += 1
            await trio.aclose_forcefully(stream)


class Bench:
    """A receiver and its service, with a feed whose changes and states are kept."""

    def __init__(self, serve: Serve, *, capacity: float = math.inf, **settings: object) -> None:
        self.service = Service(serve)
        self.settings = made(**settings)
        self.receiver = Receiver(self.settings, connect=self.service.connect, random=Random(1))
        # Not bounded: a test reports as much as it sends.
        self.send, self.receive = trio.open_memory_channel[Change](capacity)
        self.states: list[tuple[SourceState, str]] = []
        self.feed = Feed("chat", self.send, lambda name, state, why: self.states.append((state, why)))

    async def run(self, duration: float) -> None:
        """Run both for that long, then cut the receiver, then the service."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.service.run)
            with trio.move_on_after(duration):
                await self.receiver.run(self.feed)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel(reason="enough")

    def reported(self) -> list[tuple[str, str]]:
        """What was reported since the last call."""
        found: list[tuple[str, str]] = []
        while True:
            try:
                change = self.receive.receive_nowait()
            except trio.WouldBlock:
                return found
            found.append((change.kind, change.uri))
