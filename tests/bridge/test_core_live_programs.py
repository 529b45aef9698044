"""A bridge's core under any order of labelled subscriptions, changes, losses, restarts and forgetting."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.bridge.core_rig import SUBSCRIPTION_ID, Message, methods
from tests.bridge.live_model import Key, ModelHost, ModelServer
from tests.bridge.live_rig import ENVELOPE, KEY, SELECTOR, LiveRig

URIS = ("a:1", "a:2", "b:1")
ASKED = ({"glob": "a:*"}, {"glob": "b:*"}, {"uri": "a:1"}, {"glob": "*"})
MOVES = st.sampled_from([0, 1, 2, 5, 20])
RARELY = st.sampled_from([False, False, False, True])


class LivePrograms(RuleBasedStateMachine):
    """What must hold in any order: what the host is told of a label is a chain from the cursor that it was acknowledged
    with, nothing is in it twice, and at the end nothing is missing from it that no gap has named.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rig = LiveRig()
        self.server = ModelServer()
        self.host = ModelHost()
        self.count = 0
        self.up = False
        self.inbox: list[Message] = []
        self.pending: dict[object, tuple[str, Message]] = {}
        self.listens: dict[object, dict[str, Message]] = {}
        self.random = random.Random(0)

    @initialize(seed=st.integers(0, 2**32), split=st.booleans())
    def begin(self, seed: int, split: bool) -> None:
        self.random.seed(seed)
        self.connect(split=split)
        self.rig.host(id="hello", method="initialize", params={})
        self.serve_all()
        self.rig.host(method="notifications/initialized")

    def teardown(self) -> None:
        if self.up:
            self.lose()
        self.server.serves = True
        self.connect(split=False)
        self.serve_all()
        assert not self.pending
        self.host.check(self.server)

    # -- what happens

    @rule(uri=st.sampled_from(URIS), moves=MOVES)
    def publish(self, uri: str, moves: int) -> None:
        self.server.publish(uri)
        self._go_on(moves)

    @precondition(lambda self: not self.up)
    @rule(restarts=RARELY, forgets=RARELY, refuses=RARELY, split=st.booleans(), moves=MOVES)
    def come_back(self, restarts: bool, forgets: bool, refuses: bool, split: bool, moves: int) -> None:
        if restarts:
            self.server.restart()
        if forgets:
            self.server.forget()
        self.server.serves = not refuses
        self.connect(split=split)
        self._go_on(moves)

    def connect(self, *, split: bool) -> None:
        self.up = True
        self.server.split = split
        self.rig.core.connected()
        self._move()

    @precondition(lambda self: self.up)
    @rule()
    def lose(self) -> None:
        self.up = False
        self.server.cut()
        self.inbox.clear()
        self.rig.core.lost()
        self._move()
        self.host.early.clear()

    # -- what the host does: about one label, one thing at a time

    def _is_free(self, label: str) -> bool:
        return all(name != label for name, _ in self.pending.values())

    @rule(label=st.sampled_from("xy"), asked=st.sampled_from(ASKED))
    def subscribe(self, label: str, asked: Message) -> None:
        # Over HTTP nobody can tell what the former said last from what the new one says first.
        replaces = (None, label) in self.host.held
        if self._is_free(label) and not (replaces and (self.server.split or not self.up)):
            asked = {"label": label, **asked}
            self.pending[self._id()] = (label, asked)
            self.rig.ask(self.count, asked)
            self._move()
            if replaces:
                self.serve_all()

    @precondition(lambda self: self.up and not self.server.split)
    @rule(label=st.sampled_from("xy"))
    def unsubscribe(self, label: str) -> None:
        if self._is_free(label) and (None, label) in self.host.held:
            self.serve_all()
            self.host.held.pop((None, label), None)
            self.rig.host(id=self._id(), method="resources/unsubscribe", params={"uri": SELECTOR + label})
            self.serve_all()

    @rule(asked=st.lists(st.sampled_from(ASKED), min_size=1, max_size=3))
    def listen(self, asked: list[Message]) -> None:
        labelled = [{"label": f"l{number}", **each} for number, each in enumerate(asked)]
        self.listens[self._id()] = {str(each["label"]): each for each in labelled}
        params = {"notifications": {KEY: labelled}, "_meta": ENVELOPE}
        self.rig.host(id=self.count, method="subscriptions/listen", params=params)
        self._move()

    @precondition(lambda self: self.listens)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(list(self.listens)))
        del self.listens[id]
        self.host.held = {key: held for key, held in self.host.held.items() if key[0] != id}
        self.rig.host(method="notifications/cancelled", params={"requestId": id})
        self._move()

    # -- what moves

    @rule(moves=MOVES)
    def wait(self, moves: int) -> None:
        self._go_on(moves)

    def _go_on(self, moves: int) -> None:
        """So many messages arrive, in an order that the connection allows."""
        for _ in range(moves):
            ready: list[object] = [stream for stream, messages in self.server.queues.items() if messages]
            if self.inbox:
                ready.append(None)
            if not ready:
                return
            if (stream := self.random.choice(ready)) is not None:
                self._deliver(stream)
            else:
                self.server.take(self.inbox.pop(self.random.randint(0, self._reach())))

    def _reach(self) -> int:
        """Which request may overtake others: over HTTP, all but what says that there is a session."""
        fixed = {"initialize", "notifications/initialized", "notifications/cancelled"}
        return len(self.inbox) - 1 if self.server.split and not fixed & {*methods(self.inbox)} else 0

    def _deliver(self, stream: object) -> None:
        self.rig.server(**self.server.queues[stream].pop(0))
        self._move()

    def serve_all(self) -> None:
        self._move()
        while self.inbox or any(self.server.queues.values()):
            if self.inbox:
                self.server.take(self.inbox.pop(0))
            for stream in [stream for stream, messages in self.server.queues.items() if messages]:
                self._deliver(stream)

    def _id(self) -> int:
        self.count += 1
        return self.count

    def _move(self) -> None:
        self.inbox += self.rig.to_server()
        for message in self.rig.to_host():
            params: dict[str, Any] = message.get("params", {})
            if message.get("method") == "notifications/subscriptions/acknowledged":
                self._acknowledged(params["_meta"][SUBSCRIPTION_ID], params["notifications"][KEY])
            elif message.get("method") == "notifications/resources/updated":
                self._told(message)
            elif (asked := self.pending.pop(message.get("id"), None)) is not None and "result" in message:
                key: Key = (None, asked[0])
                self.host.honoured(key, asked[1], message["result"]["_meta"][KEY]["cursor"])

    def _acknowledged(self, id: object, honoured: list[Message]) -> None:
        for each in honoured if id in self.listens else ():
            label = str(each["label"])
            assert (id, label) not in self.host.held
            self.host.honoured((id, label), self.listens[id][label], str(each["cursor"]))

    def _told(self, message: Message) -> None:
        id = message["params"]["_meta"].get(SUBSCRIPTION_ID)
        if id is None or id in self.listens:
            self.host.hear(message)


TestLivePrograms = LivePrograms.TestCase
TestLivePrograms.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
