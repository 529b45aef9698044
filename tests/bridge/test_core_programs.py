"""A bridge's core under any order of requests, subscriptions, losses and new connections."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.bridge.core_rig import CAPABILITIES, ENVELOPE, SUBSCRIPTION_ID, Message, Rig

URIS = ("a:", "b:", "c:")


class Conversations(RuleBasedStateMachine):
    """A host with both revisions, a server that does as it should, and connections that come and go.

    What must hold in any order: each request is answered once or cancelled; a listen is acknowledged once; what is
    subscribed at the server, once all is answered, is what the host has subscribed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig()
        self.up = False
        self.count = 0
        self.open: dict[object, str] = {}
        self.answered: set[object] = set()
        self.acknowledged: set[object] = set()
        self.host_has: set[str] = set()
        self.unsure: set[str] = set()
        self.server_has: set[str] = set()
        self.inbox: list[Message] = []
        self.session = False

    def teardown(self) -> None:
        if not self.up:
            self.connect()
        self.serve_all()
        assert self.open.keys() <= {
            id for id, method in self.open.items() if method == "subscriptions/listen"
        }
        assert self.host_has <= self.server_has | self.unsure
        assert self.server_has <= self.host_has | self.unsure

    def _ask(self, method: str, **params: object) -> None:
        self.count += 1
        id = self.count if self.count % 2 else f"id {self.count}"
        self.open[id] = method
        self.rig.host(id=id, method=method, params=params)
        self._hear()

    def _hear(self) -> None:
        self.inbox += self.rig.to_server()
        for message in self.rig.to_host():
            if message.get("method") == "notifications/subscriptions/acknowledged":
                id = message["params"]["_meta"][SUBSCRIPTION_ID]
                assert id not in self.acknowledged
                self.acknowledged.add(id)
            elif "method" not in message:
                assert message["id"] not in self.answered
                self.answered.add(message["id"])
                assert message["id"] in self.open
                del self.open[message["id"]]

    @precondition(lambda self: not self.up)
    @rule(probe=st.booleans())
    def connect(self, probe: bool = False) -> None:
        self.up = True
        self.server_has.clear()
        self.inbox.clear()
        self.rig.core.connected(probe=probe)
        self._hear()

    @precondition(lambda self: self.up)
    @rule()
    def lose(self) -> None:
        self.up = False
        self.inbox.clear()
        self.rig.core.lost()
        self._hear()

    @precondition(lambda self: not self.session)
    @rule()
    def initialize(self) -> None:
        self._ask("initialize")
        if not self.up:
            self.connect()
        self.serve_all()
        self.rig.host(method="notifications/initialized")
        self.session = True
        self._hear()

    @precondition(lambda self: self.session)
    @rule(uri=st.sampled_from(URIS), method=st.sampled_from(["resources/subscribe", "resources/unsubscribe"]))
    def change(self, uri: str, method: str) -> None:
        subscribes = method == "resources/subscribe"
        (self.host_has.add if subscribes else self.host_has.discard)(uri)
        # What a loss cuts, the host must ask for again: until it does, both outcomes are right.
        (self.unsure.discard if self.up else self.unsure.add)(uri)
        self._ask(method, uri=uri)
        if self.up:
            self.serve_all()

    @rule(uri=st.sampled_from(URIS))
    def listen(self, uri: str) -> None:
        self._ask("subscriptions/listen", notifications={"resourceSubscriptions": [uri]}, _meta=ENVELOPE)

    @rule()
    def call(self) -> None:
        self._ask("tools/call")

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(list(self.open)))
        if self.open[id] in ("tools/call", "subscriptions/listen"):
            del self.open[id]
            self.answered.add(id)
            self.rig.host(method="notifications/cancelled", params={"requestId": id})
            self._hear()

    @precondition(lambda self: self.up and self.inbox)
    @rule()
    def serve(self) -> None:
        message = self.inbox.pop(0)
        method, id = message.get("method"), message.get("id")
        uri = message.get("params", {}).get("uri")
        if method == "resources/subscribe":
            self.server_has.add(uri)
        elif method == "resources/unsubscribe":
            self.server_has.discard(uri)
        if method == "subscriptions/listen":
            self.rig.acknowledge(id, message["params"]["notifications"])
        elif id is not None:
            self.rig.server(id=id, result={"capabilities": CAPABILITIES})
        self._hear()

    def serve_all(self) -> None:
        while self.inbox:
            self.serve()

    @invariant()
    def an_idle_bridge_with_a_server_that_has_answered_all_is_up(self) -> None:
        assert not self.up or self.inbox or self.rig.core.is_up


TestConversations = Conversations.TestCase
TestConversations.settings = settings(max_examples=60, stateful_step_count=30)
