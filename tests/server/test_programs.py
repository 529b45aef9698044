"""Random programs: peers come, subscribe, read or do not, and vanish, while changes are published.

What may be sent is judged by the tap; here it is whether everything that is owed is sent in the end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from mcptrio import App, Limits, ServerSettings
from mcptrio.server.peer import Peer
from tests.server.rig import (
    INITIALIZE,
    TAG,
    UPDATED,
    House,
    Json,
    Wire,
    cancelled,
    notification,
    request,
    running,
)
from tests.tap import payloads

pytestmark = pytest.mark.unmeasured

URIS = [f"a:{number}{'x' * 60}" for number in range(6)]
SETTINGS = ServerSettings(limits=replace(Limits(), high_water=1500, max_pending=1_000_000))

uris = st.sampled_from(URIS)
wires = st.integers(0, 2)
listens = st.sampled_from([1, "1", "l"])
operations = st.one_of(
    st.tuples(st.just("subscribe"), wires, uris),
    st.tuples(st.just("unsubscribe"), wires, uris),
    st.tuples(st.just("listen"), wires, st.tuples(listens, st.lists(uris, unique=True, max_size=6))),
    st.tuples(st.just("cancel"), wires, listens),
    st.tuples(st.just("publish"), st.just(0), st.lists(uris, min_size=1, max_size=12)),
    st.tuples(st.just("flood"), st.just(0), st.integers(1, 10)),
    st.tuples(st.just("read"), wires, st.integers(1, 20)),
    st.tuples(st.just("wait"), st.just(0), st.none()),
    st.tuples(st.just("vanish"), wires, st.none()),
)

Told = tuple[type, object]
"""Which subscriber of a peer: a listen's id with its type, None's for the session."""


@dataclass
class Member:
    """One connection and what it should hold."""

    wire: Wire
    subscriptions: dict[Told, set[str]] = field(default_factory=dict)
    owed: set[tuple[Told, str]] = field(default_factory=set)
    pushed: int = 0
    received: int = 0
    requests: int = 0

    def told(self, message: Json) -> tuple[Told, str] | None:
        """Whom an update is for, and of what."""
        if message.get("method") != UPDATED:
            return None
        params = message["params"]
        assert isinstance(params, dict)
        tag = params.get("_meta", {}).get(TAG)
        return (type(tag), tag), params["uri"]


SESSION: Told = (type(None), None)


class Program:
    def __init__(self, home: House) -> None:
        self.home = home
        self.members: dict[int, Member] = {}

    async def member(self, number: int) -> Member:
        if number not in self.members:
            wire = await self.home.connect(capacity=700)
            self.members[number] = member = Member(wire, {SESSION: set()})
            await wire.send(request("i", "initialize", INITIALIZE), notification("notifications/initialized"))
            await trio.testing.wait_all_tasks_blocked()
            return member
        return self.members[number]

    def pushed(self, peer: Peer, frames: bytes) -> None:
        for member in self.members.values():
            if member.wire.peer is peer:
                for payload in payloads(frames):
                    told = member.told(json.loads(payload))
                    assert told is not None
                    member.pushed += 1
                    member.owed.discard(told)

    def publish(self, uri: str) -> None:
        for member in self.members.values():
            member.owed |= {(told, uri) for told, held in member.subscriptions.items() if uri in held}
        self.home.app.updated_nowait(uri)

    async def run(self, name: str, number: int, argument: object) -> None:
        if name == "publish":
            assert isinstance(argument, list)
            for uri in argument:
                self.publish(uri)
        elif name == "flood":
            assert isinstance(argument, int)
            for _ in range(argument):
                for uri in URIS:
                    self.publish(uri)
                await trio.testing.wait_all_tasks_blocked()
        elif name == "wait":
            await trio.sleep(1)
        elif name == "vanish":
            member = self.members.pop(number, None)
            if member is not None:
                member.wire.vanish()
                await trio.testing.wait_all_tasks_blocked()
        else:
            await self.ask(await self.member(number), name, argument)

    async def ask(self, member: Member, name: str, argument: object) -> None:
        """Something that a client does; what is asked has been decided when everybody waits again."""
        wire, subscriptions = member.wire, member.subscriptions
        member.requests += 1
        id = f"r{member.requests}"
        if name == "read":
            assert isinstance(argument, int)
            for _ in range(argument):
                with trio.move_on_after(0.01):
                    self.received(member, await wire.receive())
        elif name == "listen":
            assert isinstance(argument, tuple)
            listen, wanted = argument
            params: Json = {"notifications": {"resourceSubscriptions": wanted}}
            await wire.send(request(listen, "subscriptions/listen", params, modern=True))
            await trio.testing.wait_all_tasks_blocked()
            subscriptions.setdefault((type(listen), listen), set(wanted))
        elif name == "cancel":
            await wire.send(cancelled(argument))
            await trio.testing.wait_all_tasks_blocked()
            subscriptions.pop((type(argument), argument), None)
        else:
            await wire.send(request(id, f"resources/{name}", {"uri": argument}))
            await trio.testing.wait_all_tasks_blocked()
            assert isinstance(argument, str)
            held = subscriptions[SESSION]
            held.add(argument) if name == "subscribe" else held.discard(argument)
        member.owed = {(told, uri) for told, uri in member.owed if uri in subscriptions.get(told, ())}

    def received(self, member: Member, message: Json) -> None:
        member.received += member.told(message) is not None

    async def finish(self) -> None:
        """Everybody reads all; then nothing is owed, and what was pushed has come."""
        for member in self.members.values():
            for message in await member.wire.rest():
                self.received(member, message)
        expected: dict[str, int] = {}
        for member in self.members.values():
            assert member.owed == set()
            assert member.received == member.pushed
            for held in member.subscriptions.values():
                for uri in held:
                    expected[uri] = expected.get(uri, 0) + 1
        found = {uri: len(outboxes) for uri, outboxes in self.home.app.hub.subscriptions().items()}
        assert found == expected


@settings(max_examples=60)
@given(st.lists(operations, max_size=40))
def test_whatever_peers_do_each_is_told_the_last_change_of_what_it_asked_for(
    program: list[tuple[str, int, object]],
) -> None:
    async def main() -> None:
        app = App("house", settings=SETTINGS)
        app.catalog.add_pattern("a:{id}")
        async with running(app) as home:
            running_program = Program(home)
            push_frames = Peer.push_frames

            def record(self: Peer, frames: Sequence[bytes]) -> None:
                running_program.pushed(self, b"".join(frames))
                push_frames(self, frames)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Peer, "push_frames", record)
                for operation in program:
                    await running_program.run(*operation)
                await running_program.finish()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
