"""Clients that have opted in, in both revisions, over raw WebSockets in memory; and at the end a look for what is left."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio.testing

from mcptrio import App, ServerSettings
from mcptrio.live import Change
from mcptrio.server.subscriptions import Subscriptions
from tests.extension.judge import CALLED, CHANGE, EXTENSION, SUBSCRIPTIONS
from tests.server.rig import (
    ACKNOWLEDGED,
    CAPABILITIES_KEY,
    INITIALIZE,
    TAG,
    UPDATED,
    House,
    Json,
    Wire,
    cancelled,
    request,
    running,
)

EXTENSIONS: Json = {"extensions": {EXTENSION: {}}}
DECLARED: Json = {CAPABILITIES_KEY: EXTENSIONS}
"""In `_meta` of a request of 2026-07-28."""
OPENING: Json = {**INITIALIZE, "capabilities": EXTENSIONS}
"""Params of `initialize`."""

BOTH = pytest.mark.parametrize("modern", [False, True], ids=["2025-11-25", "2026-07-28"])


def house(settings: ServerSettings | None = None) -> App:
    """An app with mail, and notes without a handler."""
    app = App("house", settings=settings)

    @app.resource("mail://{box}/{id}")
    async def mail(box: str, id: str) -> str:
        return f"{box} {id}"

    app.catalog.add_pattern("note:{id}")
    return app


def expect_no_selections(app: App) -> None:
    """Nothing of the extension is left, in any table."""
    selections = app.hub.selections
    assert len(selections) == 0
    assert selections._held == {}
    assert list(selections.wanted()) == []
    assert selections.next_due() == math.inf
    assert selections.tally.waiting == 0


@asynccontextmanager
async def living(app: App) -> AsyncIterator[House]:
    """The app, running. Leaving ends all connections and looks for what they left behind."""
    async with running(app) as home:
        yield home
        home.end_connections()
        await trio.testing.wait_all_tasks_blocked(0.01)
        expect_no_selections(app)


def publish(app: App, uri: str, kind: str = "updated", data: object = None, **members: object) -> int:
    """Publish a change; its offset."""
    entry = app.hub.publish(Change(uri=uri, kind=kind, data=data, **members))  # type: ignore[arg-type]
    assert entry is not None
    return entry.offset


def publish_while_subscribing(app: App, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on a change is published right before and right after each subscribing, in the same step."""
    select = Subscriptions._select

    def select_and_publish(self: Subscriptions, *args: object) -> object:
        publish(app, uri)
        honoured = select(self, *args)  # type: ignore[arg-type]
        publish(app, uri)
        return honoured

    monkeypatch.setattr(Subscriptions, "_select", select_and_publish)


def update(message: Json) -> tuple[str, Json]:
    """The URI of an update, and what the extension adds to it."""
    assert message["method"] == UPDATED, message
    params = message["params"]
    assert isinstance(params, dict)
    return params["uri"], params["_meta"][CHANGE]


def changes(messages: list[Json]) -> list[Json]:
    """What the extension adds to each of these updates."""
    return [update(message)[1] for message in messages]


def offsets(messages: list[Json], label: str | None = None) -> list[object]:
    """The offsets that were told, of one label or of all."""
    return [each["offset"] for each in changes(messages) if label in (None, each["label"])]


def place(cursor: object) -> int:
    """The number in a cursor."""
    return int(str(cursor).partition(".")[2])


class Client:
    """A client that has opted in, in one of the revisions. Its subscriptions are a session's, or one listen's."""

    def __init__(self, wire: Wire, modern: bool, id: object = "l") -> None:
        self.wire = wire
        self.modern = modern
        self.id = id
        self._early: list[Json] = []
        self._calls = 0

    async def ask(self, *asked: Json) -> list[Json]:
        """Subscribe; what is honoured. In the newer revision this is the listen."""
        if not self.modern:
            return [await self._ask_one(each) for each in asked]
        await self.wire.send(listening(self.id, *asked))
        params = (await self._next(lambda message: message.get("method") == ACKNOWLEDGED))["params"]
        assert isinstance(params, dict)
        assert params["_meta"] == {TAG: self.id}
        honoured = params["notifications"][SUBSCRIPTIONS]
        assert isinstance(honoured, list)
        return honoured

    async def _ask_one(self, asked: Json) -> Json:
        result = await self._call("resources/subscribe", selecting(asked))
        assert set(result) == {"_meta"}
        meta = result["_meta"]
        assert isinstance(meta, dict) and set(meta) == {SUBSCRIPTIONS}
        honoured = meta[SUBSCRIPTIONS]
        assert isinstance(honoured, dict)
        return honoured

    async def _call(self, method: str, params: Json) -> Json:
        self._calls += 1
        id = f"call {self._calls}"
        await self.wire.send(request(id, method, params))
        answer = await self._next(lambda message: "id" in message)
        assert answer["id"] == id and "result" in answer, answer
        result = answer["result"]
        assert isinstance(result, dict)
        return result

    async def _next(self, is_it: Callable[[Json], bool]) -> Json:
        """The next message of a kind; updates before it are kept for `rest`."""
        while not is_it(message := await self.wire.receive()):
            assert message.get("method") == UPDATED, message
            self._early.append(message)
        return message

    async def rest(self, seconds: float = 0.5) -> list[Json]:
        """All updates that have come, and that come until nothing does for some seconds."""
        early, self._early = self._early, []
        return early + await self.wire.rest(seconds)

    async def refused(self, *asked: object) -> tuple[int, str, object]:
        """The code, message and data with which these are refused."""
        if self.modern:
            await self.wire.send(listening(self.id, *asked))
        else:
            (only,) = asked
            self.id = f"{self.id}+"
            await self.wire.send(request(self.id, "resources/subscribe", selecting(only)))
        answer = await self.wire.receive()
        assert answer.get("id") == self.id and "error" in answer, answer
        error = answer["error"]
        assert isinstance(error, dict)
        return error["code"], error["message"], error.get("data")

    async def end(self, *uris: str) -> None:
        """End what goes by these URIs; in the newer revision, the listen. Nothing may come any more."""
        if self.modern:
            await self.wire.send(cancelled(self.id))
            await trio.testing.wait_all_tasks_blocked()
        else:
            for uri in uris:
                assert await self._call("resources/unsubscribe", {"uri": uri}) == {}

    def updated(self, uri: str, change: Json) -> Json:
        """An update as it is expected on the wire; `at` is whatever it is."""
        tag: Json = {TAG: self.id} if self.modern else {}
        return {"jsonrpc": "2.0", "method": UPDATED, "params": {"uri": uri, "_meta": {**tag, CHANGE: change}}}


def listening(id: object, *asked: object, **plain: object) -> Json:
    """A listen with subscriptions of the extension, and `plain` members of the filter."""
    wanted: Json = {**plain, SUBSCRIPTIONS: list(asked)}
    return request(id, "subscriptions/listen", {"notifications": wanted, "_meta": DECLARED}, modern=True)


def called(asked: object) -> str:
    """The URI that a subscription goes by."""
    assert isinstance(asked, dict)
    return str(asked["uri"]) if asked.get("uri") is not None else f"{CALLED}{asked.get('label')}"


def selecting(asked: object) -> Json:
    """Params of a `resources/subscribe` by the extension."""
    uri = called(asked) if isinstance(asked, dict) else f"{CALLED}x"
    return {"uri": uri, "_meta": {SUBSCRIPTIONS: asked}}


async def client(home: House, modern: bool, *, capacity: int = 65_536) -> Client:
    """A new connection, with its session in the older revision."""
    wire = await home.connect(capacity=capacity)
    if not modern:
        await wire.result("initialize", OPENING)
    return Client(wire, modern)


def glob(text: str = "mail://**", label: str = "g", **members: object) -> Json:
    """A subscription to a glob."""
    return {"label": label, "glob": text, **members}
