"""A bridge between a host that speaks by hand and a real server, all in memory."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from mcptrio import App, ResourceNotFound
from mcptrio.bridge import Bridge
from mcptrio.catalog import Context
from mcptrio.client import ConnectionLost
from mcptrio.client.target import find_target
from mcptrio.supervision.backoff import Backoff
from mcptrio.wire import MemoryTransport, TransportStream, memory_transport_pair

LEGACY, MODERN = "2025-11-25", "2026-07-28"
SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}

Message = dict[str, Any]


class Dialler:
    """Connects to an app in memory, and can break all that it has connected."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.down: OSError | None = None
        self.dials = 0
        self._streams: list[trio.abc.Stream] = []

    async def __call__(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.dials += 1
        if self.down is not None:
            raise self.down
        stream = self.app.server.connect()
        self._streams.append(stream)
        return stream

    async def cut(self) -> None:
        """Break all connections without a word."""
        streams, self._streams = self._streams, []
        for stream in streams:
            await trio.aclose_forcefully(stream)

    async def lose(self) -> None:
        """The same, until every client has given up what it could resume."""
        self.down = OSError("restarting")
        await self.cut()
        await trio.sleep(5)
        self.down = None


class Host:
    """A program that started the bridge and speaks by lines."""

    def __init__(self, transport: MemoryTransport, revision: str, capabilities: Message) -> None:
        self.stream = TransportStream(transport)
        self.revision = revision
        self.capabilities = capabilities
        self.heard: list[Message] = []
        self._rest = b""
        self._ids = 0

    async def say(self, method: str, params: Message | None = None, *, id: object = None) -> None:
        params = dict(params or {})
        if self.revision == MODERN and id is not None:
            envelope = {**ENVELOPE, "io.modelcontextprotocol/clientCapabilities": self.capabilities}
            params["_meta"] = {**envelope, **params.get("_meta", {})}
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        await self.write(message | ({} if id is None else {"id": id}))

    async def write(self, message: Message) -> None:
        await self.stream.send_all(json.dumps(message).encode() + b"\n")

    async def hear(self, wanted: Callable[[Message], bool] = lambda message: True) -> Message:
        """The first message of a kind, heard before or to come; the others are kept."""
        with trio.fail_after(300):
            while True:
                for index, message in enumerate(self.heard):
                    if wanted(message):
                        return self.heard.pop(index)
                data = await self.stream.receive_some()
                assert data, "the bridge has ended"
                *lines, self._rest = (self._rest + data).split(b"\n")
                self.heard += [json.loads(line) for line in lines]

    async def answer(self, id: object) -> Message:
        return await self.hear(lambda message: "method" not in message and message.get("id") == id)

    async def notified(self, method: str) -> Message:
        return await self.hear(lambda message: message.get("method") == method)

    async def ask(self, method: str, params: Message | None = None) -> Message:
        """The whole answer to a request."""
        self._ids += 1
        await self.say(method, params, id=self._ids)
        return await self.answer(self._ids)

    async def begin(self) -> None:
        """What comes first."""
        if self.revision == LEGACY:
            info = {"name": "host", "version": "1"}
            capabilities = {"elicitation": {}, **self.capabilities}
            params = {"protocolVersion": LEGACY, "capabilities": capabilities, "clientInfo": info}
            assert (await self.ask("initialize", params))["result"]["protocolVersion"] == LEGACY
            await self.say("notifications/initialized")
        else:
            assert MODERN in (await self.ask("server/discover"))["result"]["supportedVersions"]

    async def subscribe(self, *uris: str) -> object:
        """Returns the listen's id in the newer revision."""
        if self.revision == MODERN:
            self._ids += 1
            await self.say(
                "subscriptions/listen", {"notifications": {"resourceSubscriptions": [*uris]}}, id=self._ids
            )
            acknowledged = await self.notified("notifications/subscriptions/acknowledged")
            assert acknowledged["params"]["_meta"][SUBSCRIPTION_ID] == self._ids
            return self._ids
        for uri in uris:
            assert (await self.ask("resources/subscribe", {"uri": uri}))["result"] == {}
        return None

    async def updated(self, uri: str, listen: object) -> None:
        """An update of this URI comes next of all updates, with the right tag."""
        message = await self.notified("notifications/resources/updated")
        assert message["params"]["uri"] == uri
        assert message["params"].get("_meta", {}).get(SUBSCRIPTION_ID) == listen

    async def nothing(self) -> None:
        """Nothing more comes."""
        with trio.move_on_after(60) as waiting:
            await self.hear()
        assert waiting.cancelled_caught


class Rig:
    """One bridge that runs."""

    def __init__(
        self,
        app: App,
        url: str,
        revision: str,
        token: str | None = None,
        capabilities: Message | None = None,
    ) -> None:
        self.app = app
        self.dial = Dialler(app)
        self.losses: list[str] = []
        self.failure: ConnectionLost | None = None
        self.ended = trio.Event()
        ours, theirs = memory_transport_pair()
        self.host = Host(theirs, revision, capabilities or {})
        self.bridge = Bridge(
            find_target(url, timeout=10, connect=self.dial, token=token),
            ours,
            timeout=10,
            backoff=Backoff(initial=0.5, jitter=False),
            on_lost=lambda error, delay: self.losses.append(str(error)),
            rng=random.Random(1),
        )

    async def run(self) -> None:
        try:
            await self.bridge.run()
        except ConnectionLost as error:
            self.failure = error
        finally:
            self.ended.set()


def notes() -> tuple[App, dict[str, str]]:
    """An app with notes that change, and a few tools."""
    app = App("notes", version="1")
    texts = {"one": "rain", "two": "sun"}

    @app.resource("note://{name}")
    async def note(name: str) -> str:
        """A note."""
        await trio.lowlevel.checkpoint()
        if name not in texts:
            raise ResourceNotFound(f"note://{name}")
        return texts[name]

    @app.tool
    async def count(to: int, *, context: Context) -> int:
        """Counts aloud."""
        for number in range(1, to + 1):
            await context.progress(number, total=to)
        return to

    return app, texts


Start = Callable[..., Awaitable[Rig]]
