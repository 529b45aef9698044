"""A listener on memory transports (or real sockets), and a client that writes its bytes by hand."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

import trio

from mcptrio.wire import (
    ConnectionEvent,
    EventKind,
    Exchange,
    Limits,
    Listener,
    Route,
    Transport,
    TransportStream,
    WebSocket,
    memory_transport_pair,
)

TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    size: int | None = None,
) -> bytes:
    """A frame as a client sends it; `size` lies about the payload's length."""
    length = len(payload) if size is None else size
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    mask = 0x80 if masked else 0
    if length < 126:
        head += bytes([mask | length])
    elif length < 65_536:
        head += bytes([mask | 126]) + struct.pack("!H", length)
    else:
        head += bytes([mask | 127]) + struct.pack("!Q", length)
    if not masked:
        return head + payload
    key = b"\x11\x22\x33\x44"
    return head + key + bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


def upgrade_request(*extra: str, path: str = "/mcp", host: str = "localhost", drop: str = "") -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ]
    lines = [line for line in lines if not drop or not line.startswith(drop)]
    return "\r\n".join([*lines, *extra, "", ""]).encode("latin-1")


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """One raw connection."""

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self.stream = stream
        self.received = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def more(self) -> bool:
        """Read once; False at the end."""
        data = await self.stream.receive_some()
        self.received += data
        return bool(data)

    async def take(self, size: int) -> bytes:
        while len(self.received) < size:
            assert await self.more(), f"ended with {self.received!r}"
        data, self.received = self.received[:size], self.received[size:]
        return data

    async def take_head(self) -> tuple[int, dict[str, str]]:
        while b"\r\n\r\n" not in self.received:
            assert await self.more(), f"ended with {self.received!r}"
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        return int(first.split(" ")[1]), {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }

    async def response(self, *, bodiless: bool = False) -> Response:
        """A whole response; and the end of the connection behind it, where it says so."""
        status, headers = await self.take_head()
        closes = headers.get("connection") == "close"
        if "transfer-encoding" in headers:
            pieces = []
            while piece := await self.chunk():
                pieces.append(piece)
            body = b"".join(pieces)
        elif closes:
            return Response(status, headers, await self.rest())
        else:
            body = await self.take(0 if bodiless else int(headers.get("content-length", 0)))
        if closes:
            assert await self.rest() == b""
        return Response(status, headers, body)

    async def chunk(self) -> bytes:
        """The next chunk of a response; empty for the last."""
        while b"\r\n" not in self.received:
            assert await self.more(), f"ended with {self.received!r}"
        size, _, self.received = self.received.partition(b"\r\n")
        data = await self.take(int(size, 16))
        assert await self.take(2) == b"\r\n"
        return data

    async def get(self, path: str = "/", *lines: str) -> Response:
        """The response to a GET."""
        await self.send("\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode())
        return await self.response()

    async def rest(self) -> bytes:
        while await self.more():
            pass
        data, self.received = self.received, b""
        return data

    async def frame(self) -> tuple[int, bytes]:
        """The next frame from the server: never masked, never fragmented, no reserved bits."""
        first, second = await self.take(2)
        assert first & 0xF0 == 0x80
        assert second < 128
        size = second
        if size == 126:
            (size,) = struct.unpack("!H", await self.take(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.take(8))
        return first & 0xF, await self.take(size)

    async def closing(self) -> tuple[int, str]:
        """The close frame, after which nothing may follow but the end."""
        opcode, payload = await self.frame()
        assert opcode == CLOSE, (opcode, payload)
        assert await self.rest() == b""
        await self.stream.aclose()
        return struct.unpack("!H", payload[:2])[0], payload[2:].decode()

    async def upgrade(self, *extra: str, behind: bytes = b"") -> dict[str, str]:
        await self.send(upgrade_request(*extra) + behind)
        status, headers = await self.take_head()
        assert status == 101
        return headers


async def echo(exchange: Exchange) -> None:
    """A route that returns every text to its sender."""
    if not exchange.wants_websocket:
        exchange.respond(426, b"use ws\n", headers=[("Upgrade", "websocket")])
        return
    websocket = exchange.accept_websocket()
    while messages := await websocket.receive():
        for message in messages:
            websocket.push_text(message)


@dataclass
class Rig:
    """A listener whose connections run in `nursery`, with its sweeper; what it reported is in `events`."""

    nursery: trio.Nursery
    limits: Limits = field(default_factory=Limits)
    routes: Mapping[str, Route] = field(default_factory=lambda: {"/mcp": echo})
    allowed_hosts: tuple[str, ...] | None = None
    allowed_origins: tuple[str, ...] = ()
    events: list[ConnectionEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = Listener(
            self.routes,
            limits=self.limits,
            start_connection=lambda name, run: self.nursery.start_soon(run, name=name),
            allowed_hosts=self.allowed_hosts,
            allowed_origins=self.allowed_origins,
            on_event=self._note,
        )
        self._changed = trio.Event()
        self.nursery.start_soon(self.listener.sweeper.run)

    def _note(self, event: ConnectionEvent) -> None:
        self.events.append(event)
        self._changed.set()
        self._changed = trio.Event()

    def connect(self, capacity: int = 65_536) -> Client:
        """Connect in memory."""
        server, client = memory_transport_pair(capacity)
        self.nursery.start_soon(self.listener.connection, server)
        return Client(TransportStream(client))

    def serve(self, transport: Transport) -> None:
        self.nursery.start_soon(self.listener.connection, transport)

    async def listen(self) -> int:
        """Serve on a real socket; return its port."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        sockets = [listener.socket for listener in listeners]
        port: int = sockets[0].getsockname()[1]
        self.nursery.start_soon(self.listener.serve, sockets)
        return port

    async def dial(self, port: int, host: str = "127.0.0.1") -> Client:
        """Connect on a real socket, which is closed with the nursery at the latest."""
        return self.hold(await trio.open_tcp_stream(host, port))

    def hold(self, stream: trio.SocketStream) -> Client:
        async def keep() -> None:
            async with stream:
                await trio.sleep_forever()

        self.nursery.start_soon(keep)
        return Client(stream)

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request over a connection of its own; return status and body of the response."""
        client = self.connect()
        await client.send(request)
        response = await client.response()
        await client.stream.aclose()
        return response.status, response.body

    async def still_serves(self) -> None:
        """Somebody else is served as ever."""
        client = self.connect()
        await client.upgrade()
        await client.send(frame(TEXT, b"still there?"))
        assert await client.frame() == (TEXT, b"still there?")
        await client.send(close_frame(1000))
        assert await client.closing() == (1000, "")

    def told(self, kind: EventKind) -> list[tuple[str, int | None]]:
        return [(event.reason, event.code) for event in self.events if event.kind is kind]

    async def wait_closed(self, count: int = 1) -> list[tuple[str, int | None]]:
        """Wait until so many connections have ended; return how."""
        while len(self.told(EventKind.CLOSED)) < count:
            await self._changed.wait()
        return self.told(EventKind.CLOSED)


@dataclass
class Held:
    """A route that hands its WebSocket to the test, and receives for it."""

    websocket: WebSocket | None = None
    opened: trio.Event = field(default_factory=trio.Event)
    messages: list[bytes] = field(default_factory=list)

    async def __call__(self, exchange: Exchange) -> None:
        self.websocket = exchange.accept_websocket()
        self.opened.set()
        while messages := await self.websocket.receive():
            self.messages += messages

    async def get(self) -> WebSocket:
        await self.opened.wait()
        assert self.websocket is not None
        return self.websocket


async def open_websocket(
    nursery: trio.Nursery, limits: Limits | None = None, capacity: int = 65_536
) -> tuple[Rig, Client, WebSocket, Held]:
    """A WebSocket of a server, its client's end, and the route that holds it open."""
    held = Held()
    rig = Rig(nursery, limits or Limits(), routes={"/mcp": held})
    client = rig.connect(capacity)
    await client.upgrade()
    return rig, client, await held.get(), held
