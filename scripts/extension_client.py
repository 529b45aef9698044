"""A raw-socket client that subscribes by the extension, for scripts that measure: what it is told, and how late."""

from __future__ import annotations

from collections import Counter

import msgspec
from load_clients import RawClient

from mcptrio.protocol.extension import CHANGE_KEY, EXTENSION, SUBSCRIPTIONS_KEY

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"extensions": {EXTENSION: {}}},
}


class Data(msgspec.Struct):
    """When a change was published."""

    at: float


class Change(msgspec.Struct):
    """What the extension says of it."""

    label: str
    kind: str
    offset: int
    prev: int
    data: Data | None = None
    reason: str = ""


class Meta(msgspec.Struct):
    """Where it says so."""

    change: Change | None = msgspec.field(name=CHANGE_KEY, default=None)


class Params(msgspec.Struct):
    """And where that is."""

    meta: Meta = msgspec.field(name="_meta")


class Message(msgspec.Struct):
    """What a client is told."""

    params: Params


PONG = b"\x8a\x80\0\0\0\0"
"""Nobody here answers a ping: those who read say now and then that they are there."""
DECODER = msgspec.json.Decoder(Message)


class ExtensionClient(RawClient):
    """A subscriber: what it was told last by each of its subscriptions, and what was wrong with that."""

    def __init__(self, port: int, policy: str, *labels: str) -> None:
        super().__init__(port)
        self.last: dict[str, int] = {}
        self.holes = 0
        self.gaps: Counter[str] = Counter()
        self.ended = False
        self.taken = 0
        wanted = [
            {"label": label, "glob": f"load://{label}*", "policy": policy, "fields": "all"}
            for label in labels
        ]
        params = {"notifications": {SUBSCRIPTIONS_KEY: wanted}, "_meta": META}
        self.ask({"jsonrpc": "2.0", "id": "l", "method": "subscriptions/listen", "params": params})

    def take(self, now: float) -> list[float]:
        """Read once; returns how late each change was, in seconds."""
        try:
            data = self.socket.recv(262_144)
        except BlockingIOError:
            return []
        except ConnectionResetError:
            data = b""
        if not data:
            self.ended = True
            return []
        self.taken += len(data)
        late = []
        for text in self.messages(data):
            change = DECODER.decode(text).params.meta.change
            assert change is not None
            if change.prev != self.last.get(change.label, change.prev) or change.offset <= change.prev:
                self.holes += 1
            self.last[change.label] = change.offset
            if change.data is not None:
                late.append(now - change.data.at)
            else:
                self.gaps[change.reason] += 1
        return late
