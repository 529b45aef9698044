"""Two independent clients behind one face: one that speaks JSON-RPC by hand and sees every message, and the project's own."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Protocol

import trio
from trio_websocket import WebSocketConnection

from mcptrio import Client
from mcptrio.client import Subscription

Json = dict[str, object]

LEGACY = "2025-11-25"
MODERN = "2026-07-28"

META = "io.modelcontextprotocol/"
ENVELOPE = {
    META + "protocolVersion": MODERN,
    META + "clientCapabilities": {},
    META + "clientInfo": {"name": "ana", "version": "1"},
}

DEADLINE = 10.0
"""Seconds in which an answer must be there, so that a hang is a failure."""


class Caller(Protocol):
    """A client that subscribes and hears."""

    async def subscribe(self, uri: str) -> None:
        """Subscribe to a resource; returns once that is confirmed."""

    async def unsubscribe(self, uri: str) -> None:
        """End what `subscribe` began; returns once nothing can follow."""

    async def heard(self) -> list[str]:
        """The URIs of all updates since the last time, in the order of arrival, none of them still on its way."""


class WireCaller:
    """Speaks JSON-RPC by hand over a WebSocket, one request after the other, and keeps every notification it is sent."""

    def __init__(
        self,
        connection: WebSocketConnection,
        stream: trio.abc.Stream,
        revision: str,
        barrier: str,
        pass_barrier: Callable[[str], None],
    ) -> None:
        self.revision = revision
        self.notices: list[Json] = []
        self.listens: dict[str, int] = {}
        self._connection = connection
        self._stream = stream
        self._barrier = barrier
        self._pass_barrier = pass_barrier
        self._ids = itertools.count(1)

    async def open(self) -> None:
        """Make the session where the revision has one, and subscribe to the barrier."""
        if self.revision == LEGACY:
            info = {"name": "ana", "version": "1"}
            opened = await self.request(
                "initialize", {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": info}
            )
            assert "result" in opened
        await self.subscribe(self._barrier)

    async def subscribe(self, uri: str) -> None:
        answer = await self.try_subscribe(uri)
        if self.revision == LEGACY:
            assert answer["result"] == {}
        else:
            assert answer["params"] == {
                "notifications": {"resourceSubscriptions": [uri]},
                "_meta": {META + "subscriptionId": self.listens[uri]},
            }

    async def try_subscribe(self, *uris: object) -> Json:
        """Ask for a subscription; the message that answers it: a response, or the acknowledgement of a listen."""
        if self.revision == LEGACY:
            [uri] = uris
            return await self.request("resources/subscribe", {"uri": uri})
        id = await self.send("subscriptions/listen", {"notifications": {"resourceSubscriptions": list(uris)}})
        self.listens |= {str(uri): id for uri in uris}
        # The very first message that belongs to the listen answers it: a refusal or the acknowledgement.
        while True:
            message = await self.next()
            if message.get("id") == id:
                return message
            if subscription_of(message) == id:
                assert message["method"] == "notifications/subscriptions/acknowledged"
                return message
            self._keep(message)

    async def unsubscribe(self, uri: str) -> None:
        if self.revision == LEGACY:
            answer = await self.request("resources/unsubscribe", {"uri": uri})
            assert answer["result"] == {}
        else:
            await self.notify("notifications/cancelled", {"requestId": self.listens.pop(uri)})
            await self.round_trip()  # a cancellation is not answered; what follows it is served after it

    async def heard(self) -> list[str]:
        self._pass_barrier(self._barrier)
        with trio.fail_after(DEADLINE):
            while self._barrier not in self._updated():
                self._keep(await self.next())
        updated = [uri for uri in self._updated() if uri != self._barrier]
        self.notices.clear()
        return updated

    def _updated(self) -> list[str]:
        return [
            str(notice["params"]["uri"])
            for notice in self.notices
            if notice["method"] == "notifications/resources/updated"
        ]

    async def round_trip(self) -> None:
        """A request that changes nothing, and its answer."""
        answer = await self.request("ping" if self.revision == LEGACY else "server/discover")
        assert "result" in answer

    async def request(self, method: str, params: Json | None = None) -> Json:
        """A request's response, whole. Notifications that come before it are kept."""
        id = await self.send(method, params)
        while True:
            message = await self.next()
            if message.get("id") == id:
                return message
            self._keep(message)

    async def send(self, method: str, params: Json | None = None) -> int:
        """Send a request; its id."""
        id = next(self._ids)
        message: Json = {"jsonrpc": "2.0", "id": id, "method": method}
        if self.revision == MODERN:
            params = {**(params or {}), "_meta": ENVELOPE}
        if params is not None:
            message["params"] = params
        await self._connection.send_message(json.dumps(message))
        return id

    async def notify(self, method: str, params: Json) -> None:
        """Send a notification."""
        await self._connection.send_message(
            json.dumps({"jsonrpc": "2.0", "method": method, "params": params})
        )

    async def next(self) -> Json:
        """The next message."""
        with trio.fail_after(DEADLINE):
            message: Json = json.loads(await self._connection.get_message())
        return message

    def _keep(self, message: Json) -> None:
        assert "method" in message, f"an answer to nothing: {message}"
        self.notices.append(message)

    async def close(self) -> None:
        """Leave politely. Harmless after `vanish`."""
        with trio.move_on_after(DEADLINE):
            await self._connection.aclose()
        await trio.aclose_forcefully(self._stream)

    async def vanish(self) -> None:
        """Lose the connection without a word, as a process that dies does."""
        await trio.aclose_forcefully(self._stream)


class OwnCaller:
    """The project's own client: every subscription is one of its context managers."""

    def __init__(self, client: Client, barrier: str, pass_barrier: Callable[[str], None]) -> None:
        self.client = client
        self._barrier = barrier
        self._pass_barrier = pass_barrier
        self._subscriptions: dict[str, Subscription] = {}

    async def open(self) -> None:
        """Subscribe to the barrier."""
        await self.subscribe(self._barrier)

    async def subscribe(self, uri: str) -> None:
        self._subscriptions[uri] = await self.client.subscribe(uri, timeout=DEADLINE).__aenter__()

    async def unsubscribe(self, uri: str) -> None:
        await self._subscriptions.pop(uri).__aexit__(None, None, None)
        await self.client.ping()

    async def heard(self) -> list[str]:
        self._pass_barrier(self._barrier)
        with trio.fail_after(DEADLINE):
            await anext(self._subscriptions[self._barrier])
        updated = []
        for subscription in self._subscriptions.values():
            while subscription.pending:
                update = await anext(subscription)
                assert not update.gap
                updated.append(update.uri)
        return updated


def subscription_of(message: Json) -> object:
    """The listen that a notification belongs to; None for one of the older revision."""
    params = message.get("params")
    meta = params.get("_meta", {}) if isinstance(params, dict) else {}
    return meta.get(META + "subscriptionId")


def error_of(message: Json) -> Json:
    """The error of a response that must be one."""
    error = message.get("error")
    assert isinstance(error, dict), f"expected an error: {message}"
    return error
