"""What is said of `io.mcptrio/live` between a host, a bridge's core and a server that a test plays."""

from __future__ import annotations

from tests.bridge.core_rig import CAPABILITIES, SUBSCRIPTION_ID, Message, Rig

KEY = "io.mcptrio/subscriptions"
CHANGE = "io.mcptrio/change"
EXTENSIONS: Message = {"io.mcptrio/live": {}}
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"extensions": EXTENSIONS},
}
SELECTOR = "mcptrio://subscriptions/"


def selection(label: str, **members: object) -> Message:
    """A subscription; of a glob, if it names nothing else."""
    return {"label": label, **(members if {"uri", "template"} & {*members} else {"glob": "n:*", **members})}


def honoured(asked: Message, cursor: str, **told: object) -> Message:
    """What the server says that it takes."""
    kept = {name: value for name, value in asked.items() if name != "since"}
    return {"policy": "conflate", "fields": "none", **kept, "cursor": cursor, **told}


def update(
    label: str, offset: int, prev: int, *, id: object = None, uri: str = "n:1", **change: object
) -> Message:
    """The params of a delivery: a listen's, or the session's."""
    tag = {} if id is None else {SUBSCRIPTION_ID: id}
    told = {"label": label, "kind": "updated", "offset": offset, "prev": prev, **change}
    return {"uri": uri, "_meta": {**tag, CHANGE: told}}


class LiveRig(Rig):
    """A core, and a host that has opted in."""

    def begin_session(self) -> None:
        self.core.connected()
        self.host(id=0, method="initialize", params={"capabilities": {"extensions": EXTENSIONS}})
        self.greet(0)
        self.host(method="notifications/initialized")
        self.to_host(), self.to_server()

    def greet(self, id: object) -> None:
        """The server answers `initialize`."""
        self.server(id=id, result={"protocolVersion": "2025-11-25", "capabilities": CAPABILITIES})

    def label(self, asked: Message, cursor: str, **told: object) -> None:
        """The session subscribes under a label, and all is well."""
        self.ask("s", asked)
        self.honour("s", asked, cursor, **told)
        self.to_host(), self.to_server()

    def ask(self, id: object, asked: Message) -> None:
        uri = asked.get("uri", SELECTOR + str(asked["label"]))
        self.host(id=id, method="resources/subscribe", params={"uri": uri, "_meta": {KEY: asked}})

    def honour(self, id: object, asked: Message, cursor: str, **told: object) -> None:
        self.server(id=id, result={"_meta": {KEY: honoured(asked, cursor, **told)}})

    def session_again(self) -> list[Message]:
        """A loss and a new session. Returns what is subscribed again; lists are not looked at."""
        self.again()
        (greeting,) = self.to_server()
        self.greet(greeting["id"])
        self.to_host()
        return [each for each in self.to_server() if each["method"] == "resources/subscribe"]

    def listen_live(self, id: object, *asked: Message, **plain: object) -> None:
        notifications = {**plain, KEY: [*asked]}
        params = {"notifications": notifications, "_meta": ENVELOPE}
        self.host(id=id, method="subscriptions/listen", params=params)

    def deliver(self, label: str, offset: int, prev: int, **more: object) -> None:
        params = update(label, offset, prev, **more)  # type: ignore[arg-type]
        self.server(method="notifications/resources/updated", params=params)


def sinces(listen: Message) -> dict[str, str]:
    """Where the labels of a listen's request begin."""
    return {each["label"]: each.get("since") for each in listen["params"]["notifications"].get(KEY, ())}


def since(subscribe: Message) -> str:
    """Where a session's subscription begins."""
    return str(subscribe["params"]["_meta"][KEY]["since"])


def changes(messages: list[Message]) -> list[tuple[str, str, int, int]]:
    """Label, kind, offset and prev of what was delivered; nothing else is among it."""
    told = [each["params"]["_meta"][CHANGE] for each in messages]
    return [(each["label"], each["kind"], each["offset"], each["prev"]) for each in told]
