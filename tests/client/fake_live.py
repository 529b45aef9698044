"""The extension `io.mcptrio/live` for the fake server: numbers, history, labels. It shares no code with mcptrio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from tests.client.fake_server import (
    CAPABILITIES,
    MODERN,
    SUBSCRIPTION_ID,
    FakeServer,
    Message,
    Peer,
    Refuse,
)

EXTENSION = "io.mcptrio/live"
SUBSCRIPTIONS, CHANGE = "io.mcptrio/subscriptions", "io.mcptrio/change"
NAMED = "mcptrio://subscriptions/"
UPDATED = "notifications/resources/updated"
FIRST, SECOND = "0123456789abcdef", "fedcba9876543210"


@dataclass
class Watcher:
    """A subscription that the server has; `told` is what it was told last."""

    asked: Message
    told: int
    listen: int | None

    def matches(self, uri: str) -> bool:
        if "uri" in self.asked:
            return bool(self.asked["uri"] == uri)
        if "template" in self.asked:
            return uri.startswith(self.asked["template"].partition("{")[0])
        return fnmatchcase(uri, self.asked["glob"])

    @property
    def about(self) -> str:
        return str(self.asked.get("uri", NAMED + self.asked["label"]))


@dataclass
class FakeLive:
    """Makes a fake server have the extension. `kept` is the first number that history still has."""

    server: FakeServer
    epoch: str = FIRST
    number: int = 100
    kept: int = 0
    history: list[tuple[int, str, Message]] = field(default_factory=list)
    watchers: dict[Peer, dict[str, Watcher]] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    early: bool = False

    def __post_init__(self) -> None:
        self.switch(True)
        handlers = self.server.handlers
        for method, own in (
            ("resources/subscribe", self._subscribe),
            ("resources/unsubscribe", self._unsubscribe),
            ("subscriptions/listen", self._listen),
        ):
            handlers[method] = self._or(own, handlers[method])

    def switch(self, on: bool) -> None:
        """Have it, or not."""
        declared = {"extensions": {EXTENSION: {"version": 1}}, "experimental": {EXTENSION: {"version": 1}}}
        self.server.capabilities = CAPABILITIES | (declared if on else {})

    def restart(self, number: int = 3) -> None:
        """Numbers begin anew."""
        self.epoch, self.number, self.kept = SECOND, number, number
        self.history.clear()

    @property
    def labels(self) -> list[str]:
        """What the newest connection has."""
        return sorted(self._here())

    def _here(self) -> dict[str, Watcher]:
        peer = self.server.peer
        own = self.watchers.get(peer, {})
        return {
            label: each for label, each in own.items() if each.listen is None or each.listen in peer.listens
        }

    @property
    def asked(self) -> Message:
        """What was asked for last."""
        received = self.server.peer.received
        for message in reversed(received):
            params = message.get("params", {})
            if message.get("method") == "subscriptions/listen" and SUBSCRIPTIONS in params["notifications"]:
                [asked] = params["notifications"][SUBSCRIPTIONS]
                return dict(asked)
            if SUBSCRIPTIONS in params.get("_meta", {}):
                return dict(params["_meta"][SUBSCRIPTIONS])
        raise AssertionError("nothing was asked for")

    @property
    def id(self) -> Message:
        """What tags a notification as the first listen's, if there is one."""
        return dict(zip([SUBSCRIPTION_ID], self.server.peer.listens, strict=False))

    async def change(self, uri: str, kind: str = "updated", *, arrives: bool = True, **more: object) -> None:
        """Something changed. What does not arrive was lost on the way."""
        self.number += 1
        told = {"kind": kind, **more}
        self.history.append((self.number, uri, told))
        peer = self.server.peer
        for watcher in self._here().values():
            if watcher.matches(uri):
                await self._tell(peer, watcher, uri, self.number, told, arrives=arrives)

    async def gap(self, reason: str) -> None:
        """All of the newest connection are told that something is missing."""
        self.number += 1
        peer = self.server.peer
        for watcher in self._here().values():
            await self._tell(peer, watcher, watcher.about, self.number, {"kind": "gap", "reason": reason})

    async def tell(self, uri: str, label: str, **told: object) -> None:
        """Send a change, whatever it says, in the name of the first listen."""
        peer = self.server.peer
        await peer.notify(UPDATED, uri=uri, _meta={**self.id, CHANGE: {"label": label, **told}})

    async def _tell(
        self, peer: Peer, watcher: Watcher, uri: str, offset: int, told: Message, *, arrives: bool = True
    ) -> None:
        change = {"label": watcher.asked["label"], **told, "offset": offset, "prev": watcher.told}
        watcher.told = offset
        if arrives:
            id = {} if watcher.listen is None else {SUBSCRIPTION_ID: watcher.listen}
            await peer.notify(UPDATED, uri=uri, _meta={**id, CHANGE: change})

    def _or(
        self,
        own: Callable[[Peer, Message], Awaitable[tuple[bool, Message | None]]],
        plain: Callable[[Peer, Message], Awaitable[Message | None]],
    ) -> Callable[[Peer, Message], Awaitable[Message | None]]:
        async def handler(peer: Peer, message: Message) -> Message | None:
            done, result = await own(peer, message)
            return result if done else await plain(peer, message)

        return handler

    def _grant(self, peer: Peer, asked: Message, listen: int | None) -> tuple[Watcher, Message]:
        """The new subscription, and what is honoured of it."""
        own = {key: value for key, value in asked.items() if key != "since"}
        honoured = {"policy": "conflate", "fields": "none", **own}
        cursor = f"{self.epoch}.{self.number}"
        told = self.number
        if "since" in asked:
            epoch, _, number = asked["since"].partition(".")
            honoured["recovered"] = epoch == self.epoch and int(number) >= self.kept
            if epoch == self.epoch:
                cursor, told = asked["since"], int(number)
        watcher = Watcher(asked, told, listen)
        self.watchers.setdefault(peer, {})[asked["label"]] = watcher
        return watcher, {**honoured, "cursor": cursor}

    async def _replay(self, peer: Peer, watcher: Watcher, honoured: Message) -> None:
        if honoured.get("recovered") is False:
            same = watcher.asked["since"].startswith(self.epoch)
            told = {"kind": "gap", "reason": "history" if same else "restarted"}
            await self._tell(peer, watcher, watcher.about, self.number, told)
        elif "since" in watcher.asked:
            for number, uri, told in list(self.history):
                if number > watcher.told and watcher.matches(uri):
                    await self._tell(peer, watcher, uri, number, told)

    async def _subscribe(self, peer: Peer, message: Message) -> tuple[bool, Message | None]:
        params = message["params"]
        asked = params.get("_meta", {}).get(SUBSCRIPTIONS)
        if asked is None:
            return False, None
        assert params["uri"] == asked.get("uri", NAMED + asked["label"])
        if self.unknown & {asked.get(kind) for kind in ("uri", "template", "glob")}:
            raise Refuse(-32002, "Resource not found: nothing like it", {"uri": params["uri"]})
        watcher, honoured = self._grant(peer, asked, None)
        if self.early:
            await self._replay(peer, watcher, honoured)
        await peer.send({"id": message["id"], "result": {"_meta": {SUBSCRIPTIONS: honoured}}})
        if not self.early:
            await self._replay(peer, watcher, honoured)
        return True, None

    async def _unsubscribe(self, peer: Peer, message: Message) -> tuple[bool, Message | None]:
        uri = message["params"]["uri"]
        own = self.watchers.get(peer, {})
        for label in [label for label in own if uri in (NAMED + label, own[label].asked.get("uri"))]:
            del own[label]
        return False, None

    async def _listen(self, peer: Peer, message: Message) -> tuple[bool, Message | None]:
        given = message["params"]["notifications"].get(SUBSCRIPTIONS)
        if given is None:
            return False, None
        assert self.server.speaks == MODERN
        id = message["id"]
        peer.listens[id] = {}
        granted = [
            self._grant(peer, asked, id)
            for asked in given
            if not self.unknown & {asked.get(kind) for kind in ("uri", "template", "glob")}
        ]
        await peer.notify(
            "notifications/subscriptions/acknowledged",
            notifications={SUBSCRIPTIONS: [honoured for _, honoured in granted]},
            _meta={SUBSCRIPTION_ID: id},
        )
        for watcher, honoured in granted:
            await self._replay(peer, watcher, honoured)
        return True, None
