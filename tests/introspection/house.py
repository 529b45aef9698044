"""A house with a source that does what a test says, and how its own resources are read and subscribed."""

from __future__ import annotations

import json

import pytest
import trio

from mcptrio import App, Feed, ServerSettings
from mcptrio.protocol.extension import EXTENSION, SUBSCRIPTION_URI, SUBSCRIPTIONS_KEY
from tests.server.rig import (
    CAPABILITIES_KEY,
    INITIALIZE,
    House,
    Json,
    Wire,
    notification,
    request,
    updated,
)

SUPERVISION = "mcptrio://supervision"
SUBSCRIPTIONS = "mcptrio://subscriptions"
SESSIONS = "mcptrio://sessions"
ALERTS = "mcptrio://alerts"
MAIL = "mcptrio://sources/mail"
OWN = "mcptrio://sources/mcptrio"
SECRET = "hunter2-hunter2"

LONG = 5.3
"""Seconds: ten looks and more, and no multiple of them, so that no test acts in the very moment of a look."""

BOTH = pytest.mark.parametrize("modern", [False, True], ids=["2025-11-25", "2026-07-28"])


class Mail:
    """A source that does what a test says."""

    def __init__(self) -> None:
        self.feed: Feed | None = None
        self.fails = trio.Event()

    async def run(self, feed: Feed) -> None:
        self.feed = feed
        self.fails = trio.Event()
        feed.live()
        await self.fails.wait()
        raise ConnectionError(f"https://me:{SECRET}@mail.example.org said\nno")


def house(mail: Mail | None = None, settings: ServerSettings | None = None) -> App:
    app = App("house", settings=settings)
    app.registry.add_source("mail", (mail or Mail()).run, pattern="mail://{id}")

    @app.resource("a:{name}")
    async def resource(name: str) -> str:
        return name

    @app.resource("fixed://one")
    async def fixed() -> str:
        return "one"

    @app.tool
    async def rest() -> None:
        await trio.sleep_forever()

    return app


async def read(wire: Wire, uri: str, modern: bool) -> Json:
    result = await wire.result("resources/read", {"uri": uri}, modern=modern)
    [contents] = result["contents"]  # type: ignore[misc]
    assert (contents["uri"], contents["mimeType"]) == (uri, "application/json")
    document = json.loads(contents["text"])
    assert isinstance(document, dict)
    return document


async def subscribed(home: House, modern: bool, *uris: str) -> Wire:
    wire = await home.connect(initialized=not modern)
    if modern:
        assert await wire.listen("l", *uris) == {"resourceSubscriptions": list(uris)}
    else:
        await wire.subscribe(*uris)
    return wire


async def selected(home: House, modern: bool, *asked: Json) -> Wire:
    """A client that has subscribed by the extension; each of `asked` has a label and a selector."""
    wire = await home.connect()
    capabilities: Json = {"extensions": {EXTENSION: {}}}
    if modern:
        params: Json = {
            "notifications": {SUBSCRIPTIONS_KEY: list(asked)},
            "_meta": {CAPABILITIES_KEY: capabilities},
        }
        await wire.send(request("l", "subscriptions/listen", params, modern=True))
        acknowledged = json.dumps(await wire.receive())
        assert all(f'"label": "{each["label"]}"' in acknowledged for each in asked)
    else:
        await wire.result("initialize", {**INITIALIZE, "capabilities": capabilities})
        await wire.send(notification("notifications/initialized"))
        for each in asked:
            uri = each.get("uri") or f"{SUBSCRIPTION_URI}{each['label']}"
            await wire.result("resources/subscribe", {"uri": uri, "_meta": {SUBSCRIPTIONS_KEY: each}})
    return wire


def told(uri: str, modern: bool) -> Json:
    return updated(uri, "l" if modern else None)


def once_or_twice(uri: str, modern: bool) -> list[list[Json]]:
    """What a crash announces: the restart comes up to 0.2 s later, before the next look or after it."""
    return [[told(uri, modern)], [told(uri, modern)] * 2]
