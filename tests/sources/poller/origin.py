"""A server in memory that the poller polls through a real httpx client, and what the poller reports."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from random import Random

import httpx
import trio

from mcptrio.live import Change, Feed, SourceState
from mcptrio.sources.poller import Poller, PollerSettings
from mcptrio.wire.http import open_http_client

URL = "http://origin.test/releases.json"

Answer = Callable[[httpx.Request], Awaitable[httpx.Response]]


async def stream(*pieces: bytes, gap: float = 0.0) -> AsyncIterator[bytes]:
    """A body that comes in pieces, each after a gap (s)."""
    for piece in pieces:
        await trio.sleep(gap)
        yield piece


def respond(
    status: int, *pieces: bytes, gap: float = 0.0, sent: Mapping[str, str] | None = None, **headers: str
) -> httpx.Response:
    """A response whose body comes in pieces; header fields as in `etag='"a"'` or in `sent`."""
    named = {name.replace("_", "-"): value for name, value in (headers | dict(sent or {})).items()}
    return httpx.Response(status, headers=named, content=stream(*pieces, gap=gap))


def releases(*values: object) -> bytes:
    """The document with these items."""
    return json.dumps({"releases": values}).encode()


class Origin:
    """Serves one document with an entity tag, or whatever `answer` says; keeps all requests and their times."""

    def __init__(self, body: bytes = b"") -> None:
        self.body = body
        self.answer: Answer | None = None
        self.requests: list[httpx.Request] = []
        self.times: list[float] = []

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """The handler of a `MockTransport`."""
        self.requests.append(request)
        self.times.append(trio.current_time())
        if self.answer is not None:
            return await self.answer(request)
        etag = f'"{hash(self.body):x}"'
        if request.headers.get("if-none-match") == etag:
            return respond(304, etag=etag)
        return respond(200, self.body, etag=etag)

    def always(self, make: Callable[[], httpx.Response]) -> None:
        """Answer every request with a new response."""

        async def answer(request: httpx.Request) -> httpx.Response:
            await trio.lowlevel.checkpoint()
            return make()

        self.answer = answer

    def open_client(self) -> httpx.AsyncClient:
        """A client whose network is this server."""
        return open_http_client(transport=httpx.MockTransport(self.handle))


class Bench:
    """A poller on an origin, with a feed whose changes and states are kept."""

    def __init__(self, origin: Origin, *, capacity: int = 100, **settings: object) -> None:
        written = {
            "name": "releases",
            "url": URL,
            "items": "/releases",
            "id": "/id",
            "uri": "releases://{id}",
            "every": 10,
            "timeout": 5,
            "jitter": 0,
            **settings,
        }
        self.origin = origin
        self.settings = PollerSettings(**written)  # type: ignore[arg-type]
        self.poller = Poller(self.settings, open_client=origin.open_client, random=Random(1))
        self.send, self.receive = trio.open_memory_channel[Change](capacity)
        self.states: list[tuple[SourceState, str]] = []
        self.feed = Feed("releases", self.send, lambda name, state, why: self.states.append((state, why)))

    async def run(self, duration: float) -> None:
        """Run the task for that long, then cut it."""
        with trio.move_on_after(duration):
            await self.poller.run(self.feed)

    @property
    def state(self) -> tuple[SourceState, str]:
        """The last state."""
        return self.states[-1]

    def reported(self) -> list[tuple[str, str]]:
        """What was reported since the last call."""
        found: list[tuple[str, str]] = []
        while True:
            try:
                change = self.receive.receive_nowait()
            except trio.WouldBlock:
                return found
            found.append((change.kind, change.uri))
