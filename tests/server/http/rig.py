"""Raw Streamable HTTP over connections in memory: JSON in, status and JSON or events out, by h11."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h11
import trio
import trio.testing

from mcptrio import App
from mcptrio.server.endpoint import Endpoint
from mcptrio.server.http.session_peer import SessionPeer
from mcptrio.server.settings import ServerSettings
from tests.server.rig import INITIALIZE, House, Json, notification, request, running

ACCEPT = "application/json, text/event-stream"


class Answer:
    """A response, or as much of it as has come."""

    def __init__(self, wire: HttpWire, head: h11.Response) -> None:
        self.status = head.status_code
        self.headers = {name.decode(): value.decode() for name, value in head.headers}
        self._wire = wire
        self._text = b""

    @property
    def streams(self) -> bool:
        return self.headers.get("content-type") == "text/event-stream"

    async def body(self) -> bytes:
        while (more := await self._wire.data()) is not None:
            self._text += more
        return self._text

    async def json(self) -> Json:
        message = json.loads(await self.body())
        assert isinstance(message, dict)
        return message

    async def event(self) -> dict[str, str]:
        """The next event's fields; comments are skipped."""
        while True:
            while b"\n\n" not in self._text:
                more = await self._wire.data()
                if more is None:
                    raise EOFError(f"the stream has ended behind {self._text!r}")
                self._text += more
            text, _, self._text = self._text.partition(b"\n\n")
            fields = dict(
                line.split(": ", 1) for line in text.decode().split("\n") if not line.startswith(":")
            )
            if fields:
                return fields

    async def message(self) -> Json:
        """The next event with a message in it."""
        while not (data := (await self.event())["data"]):
            pass
        message = json.loads(data)
        assert isinstance(message, dict)
        return message

    async def ended(self) -> bool:
        try:
            await self.event()
        except EOFError:
            return True
        return False


class HttpWire:
    """One connection, for one request after the other."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._http = h11.Connection(h11.CLIENT)

    async def request(
        self, method: str, body: bytes = b"", path: str = "/mcp", **headers: str | None
    ) -> Answer:
        """Send a request, wait for the head of its response. Underscores in names of fields are hyphens."""
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        fields: dict[str, str | None] = {
            "host": "localhost",
            "accept": ACCEPT,
            "content-type": "application/json",
        }
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body:
            fields["content-length"] = str(len(body))
        head = h11.Request(
            method=method,
            target=path,
            headers=[(name, value) for name, value in fields.items() if value is not None],
        )
        data = self._http.send(head) or b""
        if body:
            data += self._http.send(h11.Data(data=body)) or b""
        await self.stream.send_all(data + (self._http.send(h11.EndOfMessage()) or b""))
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                return Answer(self, event)
            assert isinstance(event, h11.InformationalResponse), event

    async def _event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self.stream.receive_some(65_536))
        return event

    async def data(self) -> bytes | None:
        event = await self._event()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        assert isinstance(event, h11.EndOfMessage), event
        return None

    async def post(self, message: object, **headers: str | None) -> Answer:
        return await self.request("POST", json.dumps(message).encode(), **headers)

    async def modern(
        self, id: object, method: str, params: Json | None = None, **headers: str | None
    ) -> Answer:
        """A 2026-07-28 request with its header fields."""
        params = {} if params is None else params
        fields: dict[str, str | None] = {"mcp_protocol_version": "2026-07-28", "mcp_method": method}
        name = params.get("uri") if method == "resources/read" else params.get("name")
        if isinstance(name, str):
            fields["mcp_name"] = name
        return await self.post(request(id, method, params, modern=True), **fields | headers)


class HttpSession:
    """A 2025-11-25 session, by one connection for each request."""

    def __init__(self, home: HttpHouse, id: str) -> None:
        self.home = home
        self.id = id

    async def post(self, message: object, **headers: str | None) -> Answer:
        return await (await self.home.connect()).post(message, mcp_session_id=self.id, **headers)

    async def call(self, id: object, method: str, params: Json | None = None) -> Json:
        """The answer of a request, in whichever form it comes."""
        answer = await self.post(request(id, method, params))
        assert answer.status == 200, answer.status
        message = await answer.message() if answer.streams else await answer.json()
        assert message["id"] == id
        return message

    async def get(self, last: str | None = None) -> Answer:
        return await (await self.home.connect()).request(
            "GET", mcp_session_id=self.id, last_event_id=last, content_type=None
        )

    async def delete(self) -> Answer:
        return await (await self.home.connect()).request("DELETE", mcp_session_id=self.id, content_type=None)

    @property
    def peer(self) -> SessionPeer:
        peer = self.home.endpoint.http.sessions.find(self.id, None)
        assert peer is not None
        return peer


class HttpHouse:
    """A running app, and the connections to it."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.app = house.app
        self._streams: list[trio.abc.Stream] = []

    @property
    def endpoint(self) -> Endpoint:
        return self.app.server.endpoints[0]

    async def connect(self, capacity: int = 65_536, endpoint: Endpoint | None = None) -> HttpWire:
        stream = await self.house.stream(capacity, endpoint)
        self._streams.append(stream)
        return HttpWire(stream)

    async def initialize(self, **headers: str | None) -> HttpSession:
        answer = await (await self.connect()).post(request(0, "initialize", INITIALIZE), **headers)
        assert answer.status == 200, answer.status
        assert (await answer.json())["id"] == 0
        session = HttpSession(self, answer.headers["mcp-session-id"])
        opened = await session.post(notification("notifications/initialized"))
        assert opened.status == 202, opened.status
        return session

    async def aclose(self) -> None:
        for stream in self._streams:
            await trio.aclose_forcefully(stream)
        for endpoint in self.app.server.endpoints:
            for peer in tuple(endpoint.peers.values()):
                peer.abort()


@asynccontextmanager
async def http(app: App | None = None, settings: ServerSettings | None = None) -> AsyncIterator[HttpHouse]:
    """Run an app; at the end nothing of its connections and sessions may be left."""
    app = App("house", settings=settings) if app is None else app
    async with running(app) as house:
        home = HttpHouse(house)
        yield home
        await home.aclose()
        await trio.testing.wait_all_tasks_blocked(0.01)
        for endpoint in app.server.endpoints:
            assert not endpoint.http.exchanges
            assert not len(endpoint.http.sessions)
        del app.server.endpoints[1:]
