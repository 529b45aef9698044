"""A server of the extension and a host that judges it, both as the contract has them, in a few lines."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.bridge.core_rig import SUBSCRIPTION_ID, Message
from tests.bridge.live_rig import CHANGE, KEY, SELECTOR, update

Key = tuple[object, str]
"""A listen's id, or None for the session; and a label."""


@dataclass
class _Sub:
    asked: Message
    told: int


@dataclass
class ModelServer:
    """Numbers changes, remembers some of them, and tells every one to whom it concerns, over one connection.

    What it says waits in queues: one of all, or, as over HTTP, one of answers, one of the session and one of each listen.
    """

    split: bool = False
    life: int = 1
    log: list[tuple[int, str]] = field(default_factory=list)
    floor: int = 0
    number: int = 0
    serves: bool = True
    subs: dict[Key, _Sub] = field(default_factory=dict)
    queues: dict[object, list[Message]] = field(default_factory=dict)

    def publish(self, uri: str) -> None:
        self.number += 1
        self.log.append((self.number, uri))
        for key, sub in self.subs.items():
            if concerns(sub.asked, uri):
                self._tell(key, sub, self.number, uri=uri)

    def forget(self) -> None:
        """History is bounded."""
        self.floor = self.number

    def restart(self) -> None:
        self.life, self.number, self.floor = self.life + 1, 0, 0
        self.log.clear()

    def cut(self) -> None:
        self.subs.clear()
        self.queues.clear()

    def take(self, message: Message) -> None:
        """A message of the bridge's."""
        id, params = message.get("id"), message.get("params", {})
        match message["method"]:
            case "subscriptions/listen":
                asked = params["notifications"].get(KEY, []) if self.serves else []
                told: Message = {
                    "notifications": {KEY: [self._honour((id, each["label"]), each) for each in asked]}
                }
                told["_meta"] = {SUBSCRIPTION_ID: id}
                self._say(
                    ("listen", id), {"method": "notifications/subscriptions/acknowledged", "params": told}
                )
                for each in asked:
                    self._replay((id, each["label"]), each)
            case "notifications/cancelled":
                self.subs = {key: sub for key, sub in self.subs.items() if key[0] != params["requestId"]}
            case "resources/subscribe" if not self.serves:
                self._say("answers", {"id": id, "error": {"code": -32002, "message": "none"}})
            case "resources/subscribe":
                asked = params["_meta"][KEY]
                result = {"_meta": {KEY: self._honour((None, asked["label"]), asked)}}
                self._say("answers", {"id": id, "result": result})
                self._replay((None, asked["label"]), asked)
            case "resources/unsubscribe":
                self.subs.pop((None, params["uri"].removeprefix(SELECTOR)), None)
                self._say("answers", {"id": id, "result": {}})
            case _ if id is not None:
                self._say("answers", {"id": id, "result": {"capabilities": {}}})

    def _since(self, asked: Message) -> tuple[str, int] | None:
        if "since" not in asked:
            return None
        life, number = asked["since"].split(".")
        return life, int(number)

    def _honour(self, key: Key, asked: Message) -> Message:
        since = self._since(asked)
        self.subs[key] = sub = _Sub(asked, self.number)
        if since is not None and since[0] == str(self.life):
            sub.told = since[1]
        recovered = {} if since is None else {"recovered": self._has(since)}
        return {"label": asked["label"], "cursor": f"{self.life}.{sub.told}", **recovered}

    def _has(self, since: tuple[str, int]) -> bool:
        assert since[0] != str(self.life) or since[1] <= self.number, "never given out"
        return since[0] == str(self.life) and since[1] >= self.floor

    def _replay(self, key: Key, asked: Message) -> None:
        since, sub = self._since(asked), self.subs[key]
        if since is not None and not self._has(since):
            reason = "history" if since[0] == str(self.life) else "restarted"
            self._tell(key, sub, self.number, kind="gap", reason=reason)
        elif since is not None:
            for number, uri in self.log:
                if number > since[1] and concerns(asked, uri):
                    self._tell(key, sub, number, uri=uri)

    def _tell(self, key: Key, sub: _Sub, number: int, **change: str) -> None:
        params = update(key[1], number, sub.told, id=key[0], **change)
        sub.told = number
        stream = "session" if key[0] is None else ("listen", key[0])
        self._say(stream, {"method": "notifications/resources/updated", "params": params})

    def _say(self, stream: object, message: Message) -> None:
        self.queues.setdefault(stream if self.split else "all", []).append({"jsonrpc": "2.0", **message})


@dataclass
class _Held:
    asked: Message
    last: int


@dataclass
class ModelHost:
    """Holds what it is told against what it was told before: every change follows the one before it, and none is twice."""

    held: dict[Key, _Held] = field(default_factory=dict)
    early: list[tuple[Key, Message]] = field(default_factory=list)

    def honoured(self, key: Key, asked: Message, cursor: str) -> None:
        self.held[key] = _Held(asked, int(cursor.split(".")[1]))
        early, self.early = self.early, []
        for other, change in early:
            self.told(other, change)

    def told(self, key: Key, change: Message) -> None:
        held = self.held.get(key)
        if held is None:
            self.early.append((key, change))
            return
        assert change["prev"] == held.last or change.get("reason") == "restarted", (key, change, held)
        if change["kind"] != "gap":
            assert change["offset"] > held.last, (key, change, held)
        elif change["reason"] == "refused" and key[0] is None:
            del self.held[key]
        held.last = change["offset"]

    def hear(self, message: Message) -> None:
        """A delivery."""
        meta = message["params"]["_meta"]
        self.told((meta.get(SUBSCRIPTION_ID), meta[CHANGE]["label"]), meta[CHANGE])

    def check(self, server: ModelServer) -> None:
        """Everything that there is was told."""
        for key, held in self.held.items():
            missing = [each for each in server.log if each[0] > held.last and concerns(held.asked, each[1])]
            assert missing == [], (key, held)


def concerns(asked: Message, uri: str) -> bool:
    """Whether a subscription of the model's, an exact URI or a prefix with a star, is to be told."""
    return uri == asked["uri"] if "uri" in asked else uri.startswith(str(asked["glob"]).removesuffix("*"))
