"""One client, alike over every transport and revision: raw messages, sorted by what they belong to."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence

import trio

from tests.server.asked import CAPABLE
from tests.server.rig import ACKNOWLEDGED, CAPABILITIES_KEY, INITIALIZE, TAG, UPDATED, Json, updated

PATIENCE = 5.0
"""Seconds of the jumping clock after which what was expected has not come."""

Key = tuple[type, object]


def key_of(id: object) -> Key:
    """An id with its type: 1 and "1" are different ids."""
    return type(id), id


class Inbox:
    """What came for one purpose, in order."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[Json](math.inf)  # as long as a test is
        self.ended = trio.Event()
        """Set when no more can come."""

    def put(self, message: Json) -> None:
        assert not self.ended.is_set(), f"came after the end: {message}"
        self._send.send_nowait(message)

    async def next(self) -> Json:
        with trio.fail_after(PATIENCE):
            return await self._receive.receive()

    async def nothing(self, seconds: float = 2.0) -> None:
        """Nothing is there, and nothing comes for some seconds: longer than anything is kept back on purpose."""
        await trio.sleep(seconds)
        rest = self.rest()
        assert rest == [], f"told {rest}"

    def rest(self) -> list[Json]:
        """All that is there."""
        messages = []
        while self._receive.statistics().current_buffer_used:
            messages.append(self._receive.receive_nowait())
        return messages

    async def end(self) -> None:
        with trio.fail_after(PATIENCE):
            await self.ended.wait()


def _ended() -> Inbox:
    inbox = Inbox()
    inbox.ended.set()
    return inbox


class Conversation(ABC):
    """A client. What it is sent is read at once and put where it belongs, so each test reads what it is about."""

    def __init__(self, start: Callable[..., None], modern: bool) -> None:
        """`start` runs what reads, as a task."""
        self._start = start
        self.modern = modern
        self.answers: defaultdict[Key, Inbox] = defaultdict(Inbox)
        """By the id of what is answered."""
        self.updates: defaultdict[Key, Inbox] = defaultdict(Inbox)
        """What is told to a listen, by its id; to the session, by None."""
        self.told = Inbox()
        """Progress and log messages."""
        self.questions = Inbox()
        self.came: list[Json] = []
        """All messages in their order, as far as a transport has one."""
        self._ids = 1000

    def route(self, message: Json) -> None:
        """Put a message where it belongs."""
        self.came.append(message)
        method = message.get("method")
        if method is None:
            self.answers[key_of(message.get("id"))].put(message)
        elif "id" in message:
            self.questions.put(message)
        elif method in ("notifications/progress", "notifications/message"):
            self.told.put(message)
        else:
            params = message.get("params", {})
            assert isinstance(params, dict)
            self.updates[key_of(params.get("_meta", {}).get(TAG))].put(message)

    def over(self) -> None:
        """Nothing more can come."""
        for inboxes in (self.answers, self.updates):
            inboxes.default_factory = _ended
            for inbox in inboxes.values():
                inbox.ended.set()

    # ---- what differs

    @abstractmethod
    async def send(self, id: object, method: str, params: Json | None = None) -> None:
        """Begin a request."""

    @abstractmethod
    async def notify(self, message: Json) -> None:
        """Send what is not answered: a notification, or the answer of a question."""

    @abstractmethod
    async def cancel(self, id: object) -> None:
        """Cancel a request, in the way of this transport and revision."""

    @abstractmethod
    def leave(self) -> None:
        """Be gone without a word. Idempotent."""

    @abstractmethod
    async def stop_server(self) -> None:
        """Have the server shut down, as far as it serves this client."""

    # ---- what is the same

    def params(self, params: Json | None) -> Json | None:
        """The params with what this client can be asked."""
        if not self.modern:
            return params
        params = {} if params is None else params
        meta = params.get("_meta", {})
        assert isinstance(meta, dict)
        return {**params, "_meta": {CAPABILITIES_KEY: CAPABLE, **meta}}

    async def initialize(self) -> None:
        """Open the session of the older revision."""
        answer = await self.call("initialize", {**INITIALIZE, "capabilities": CAPABLE})
        assert "result" in answer, answer
        await self.notify({"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def answer(self, id: object) -> Json:
        """The answer of a request that was begun."""
        return await self.answers[key_of(id)].next()

    async def call(self, method: str, params: Json | None = None, id: object = None) -> Json:
        """Send a request; its answer, a result or an error."""
        if id is None:
            self._ids += 1
            id = self._ids
        await self.send(id, method, params)
        return await self.answer(id)

    async def call_tool(self, name: str, **arguments: object) -> str:
        """Call a tool; its text."""
        return text_of(await self.call("tools/call", {"name": name, "arguments": arguments}))

    async def read(self, uri: str, id: object = None) -> str:
        """Read a resource; its text."""
        return contents_of(await self.call("resources/read", {"uri": uri}, id))

    async def subscribe(self, *uris: str, id: object = "l", **kinds: bool) -> Subscription:
        """Be told of these: by a listen with this id, or by the session."""
        if not self.modern:
            for uri in uris:
                assert (await self.call("resources/subscribe", {"uri": uri}))["result"] == {}
            return Subscription(self, uris, None, {})
        asked: Json = {**kinds, "resourceSubscriptions": list(uris)} if uris else {**kinds}
        await self.send(id, "subscriptions/listen", {"notifications": asked})
        acknowledged = await self.updates[key_of(id)].next()
        assert acknowledged["method"] == ACKNOWLEDGED, acknowledged
        params = acknowledged["params"]
        assert isinstance(params, dict)
        return Subscription(self, uris, id, params["notifications"])


class Subscription:
    """What one client is told, by one listen or by its session."""

    def __init__(self, client: Conversation, uris: Sequence[str], id: object, honoured: Json) -> None:
        self.client = client
        self.uris = uris
        self.id = id
        self.honoured = honoured

    @property
    def inbox(self) -> Inbox:
        """What is told, and was not read yet."""
        return self.client.updates[key_of(self.id)]

    async def next(self) -> str:
        """The URI of the next update, which comes with this listen's id, or none."""
        message = await self.inbox.next()
        assert message["method"] == UPDATED, message
        params = message["params"]
        assert isinstance(params, dict)
        assert message == updated(params["uri"], self.id)
        return str(params["uri"])

    async def end(self) -> None:
        """Be told no more: cancel the listen, or unsubscribe."""
        if self.client.modern:
            await self.client.cancel(self.id)
            return
        for uri in self.uris:
            assert (await self.client.call("resources/unsubscribe", {"uri": uri}))["result"] == {}


def text_of(answer: Json) -> str:
    """The text of a tool's answer."""
    result = answer["result"]
    assert isinstance(result, dict), answer
    return str(result["content"][0]["text"])


def contents_of(answer: Json) -> str:
    """The text of what was read."""
    result = answer["result"]
    assert isinstance(result, dict), answer
    return str(result["contents"][0]["text"])


def code_of(answer: Json) -> int:
    """The code of an error."""
    error = answer["error"]
    assert isinstance(error, dict), answer
    return int(error["code"])
