"""Random programs of clients: they subscribe in every way, read or do not, come back with cursors, and parts are killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from random import Random

import pytest
import trio
import trio.testing
from trio_websocket import ConnectionClosed

from mcptrio import App
from mcptrio.live import Allowance, Change, Entry, Feed
from mcptrio.live.history import History
from mcptrio.server import subscriptions
from mcptrio.supervision import ChildState
from tests.extension.judge import CALLED
from tests.extension.model import FILTERS, Asked, Log, Owner, Published, Reader
from tests.extension.rig import OPENING, expect_no_selections, listening, selecting
from tests.server.rig import House, Json, Wire, cancelled, request

URIS = [f"note:{box}/{number}{'x' * 40}" for box in "ab" for number in range(3)]
SELECTORS: list[Json] = [
    {"uri": URIS[0]},
    {"uri": URIS[4]},
    {"glob": "note:a/*"},
    {"glob": "note:**"},
    {"glob": "note:?/1*"},
    {"template": "note:{box}/{id}"},
    {"template": "note:b/{+rest}"},
]
POLICIES: list[object] = [
    "conflate",
    "every",
    "every",
    {"batch": {"windowMs": 40, "maxWaitMs": 100}},
]
KINDS = ("created", "updated", "updated", "deleted", "moved")
IDS: list[object] = [1, "1", "l"]
SLOTS = 3


class Crash(Exception):
    """What a part that is killed is said to have crashed with."""


class Member:
    """One connection, and the judge of what it reads."""

    def __init__(self, wire: Wire, modern: bool, reader: Reader) -> None:
        self.wire = wire
        self.modern = modern
        self.reader = reader
        self.sent = 0
        self.open: set[Owner] = set()


class Batch:
    """Programs that are run one after the other on one app. What a program needs of chance, it takes from `chance`."""

    def __init__(self, home: House, chance: Random, kept: int) -> None:
        self.home = home
        self.app: App = home.app
        self.chance = chance
        self.members: dict[int, Member] = {}
        self.last: dict[object, str] = {}
        """Cursors that somebody has been given, by label."""
        self.deliveries = 0
        self.kills = 0
        self._kept = kept
        self._rebuilt = 0
        self._begin_log()
        self.app.hub.watch_changes(self._published)
        self.feed: Feed = self.app.server.pump.feed("programs")

    def _begin_log(self) -> None:
        self.log = Log(self.app.hub.epoch, self._kept, self.app.hub.offset)

    def _published(self, entry: Entry) -> None:
        if self.app.hub.epoch != self.log.epoch:
            self.log = Log(self.app.hub.epoch, self._kept)
        change = entry.change
        assert isinstance(change.data, dict)
        self.log.entries.append(Published(entry.offset, change.uri, change.kind, change.data["n"]))

    async def run(self) -> None:
        """One program; at its end everybody reads all and is judged, and then nothing is left."""
        for _ in range(self.chance.randrange(6, 22)):
            await self._step()
            if self.app.server.rebuilt_total != self._rebuilt:
                await self._rebuild()
        await self._all_running()
        if self.app.server.rebuilt_total != self._rebuilt:
            await self._rebuild()
        for member in tuple(self.members.values()):
            await self._read_all(member)
            member.reader.finish()
            self.last |= member.reader.last
            self.deliveries += member.reader.read
        await self._leave()
        expect_no_selections(self.app)

    async def _step(self) -> None:
        chance = self.chance
        slot = chance.randrange(SLOTS)
        step = chance.choices(
            ("publish", "subscribe", "read", "wait", "end", "vanish", "kill", "burst"),
            (8, 6, 4, 2, 2, 1, 0.6, 1),
        )[0]
        if step == "publish":
            await self._publish(chance.randrange(1, 12))
        elif step == "burst":
            await self._publish(chance.randrange(30, 80))
        elif step == "wait":
            await trio.sleep(chance.choice((0.01, 0.05, 0.3)))
        elif step == "kill":
            self._kill()
        elif step == "vanish":
            if (gone := self.members.pop(slot, None)) is not None:
                self.last |= gone.reader.last
                gone.wire.vanish()
        else:
            member = self.members.get(slot) or await self._connect(slot)
            try:
                if step == "read":
                    await self._read(member, chance.randrange(1, 30))
                elif step == "end":
                    await self._end(member)
                else:
                    await self._subscribe(member)
            except ConnectionClosed:
                assert self.app.server.rebuilt_total != self._rebuilt
        if chance.random() < 0.5:
            await trio.testing.wait_all_tasks_blocked()

    async def _connect(self, slot: int) -> Member:
        wire = await self.home.connect(capacity=self.chance.choice((700, 3000, 65_536)))
        modern = self.chance.random() < 0.5
        if not modern:
            await wire.result("initialize", OPENING)
        member = self.members[slot] = Member(wire, modern, Reader(self.log))
        return member

    async def _publish(self, count: int) -> None:
        for _ in range(count):
            n = self.chance.randrange(10)
            change = Change(uri=self.chance.choice(URIS), kind=self.chance.choice(KINDS), data={"n": n})
            if self.chance.random() < 0.2:
                with trio.move_on_after(0.1):  # the pump may be dead for longer
                    await self.feed.report(change)
            else:
                self.app.hub.publish(change)

    def _terms(self, member: Member, label: str) -> Asked:
        chance = self.chance
        filter, judge = FILTERS[chance.choice(list(FILTERS))]
        asked: Json = {
            "label": label,
            **chance.choice(SELECTORS),
            "policy": chance.choice(POLICIES),
            "fields": "all",
        }
        if filter is not None:
            asked["filter"] = filter
        known = member.reader.last.get(label) or self.last.get(label)
        if chance.random() < 0.5 and known is not None:
            asked["since"] = known
        elif chance.random() < 0.1:
            asked["since"] = f"0123456789abcdef.{chance.randrange(100)}"
        return Asked(asked, judge, self.log.newest, self.log.floor)

    async def _subscribe(self, member: Member) -> None:
        labels = self.chance.sample("abc", self.chance.randrange(1, 4))
        asked = [self._terms(member, label) for label in labels]
        reader, wire = member.reader, member.wire
        if member.modern:
            id = self.chance.choice(IDS)
            owner = (type(id).__name__, id)
            if owner in member.open or owner in reader.ended:
                return
            member.open.add(owner)
            reader.asked[owner] = asked
            await wire.send(listening(id, *(each.terms for each in asked)))
            return
        for each in asked:
            member.sent += 1
            reader.asked[f"r{member.sent}"] = [each]
            await wire.send(request(f"r{member.sent}", "resources/subscribe", selecting(each.terms)))

    async def _end(self, member: Member) -> None:
        if member.modern:
            if member.open:
                owner = self.chance.choice(sorted(member.open, key=str))
                member.open.remove(owner)
                await member.wire.send(cancelled(owner[1]))
                await trio.testing.wait_all_tasks_blocked()
                # What is on its way may still come; the tap sees to it that nothing more is sent.
                await self._read_all(member)
                member.reader.stories.pop(owner, None)
            return
        uri = self.chance.choice([*URIS[:5:4], *(f"{CALLED}{label}" for label in "abc")])
        member.sent += 1
        member.reader.asked[f"r{member.sent}"] = uri
        await member.wire.send(request(f"r{member.sent}", "resources/unsubscribe", {"uri": uri}))

    async def _read(self, member: Member, most: int) -> None:
        for _ in range(most):
            with trio.move_on_after(0.005) as scope:
                member.reader.take(await member.wire.receive())
            if scope.cancelled_caught:
                return

    async def _read_all(self, member: Member) -> None:
        for message in await member.wire.rest(0.7):
            member.reader.take(message)

    def _kill(self) -> None:
        hub = self.app.server._live
        name = self.chance.choice(("pump", "flusher", "batches", "flusher"))
        if hub.is_running:
            self.kills += 1
            hub.exit_child(name, Crash())

    async def _all_running(self) -> None:
        hub = self.app.server._live
        # Of a supervisor's own restart there is no event.
        while not hub.is_running or any(  # noqa: ASYNC110
            child.state is not ChildState.RUNNING for child in hub.children()
        ):
            await trio.sleep(0.1)

    async def _rebuild(self) -> None:
        """The hub gave up and was made anew: everybody was sent away, and what they were owed is not judged."""
        self._rebuilt = self.app.server.rebuilt_total
        await self._leave()
        await self._all_running()
        if self.log.epoch != self.app.hub.epoch:
            self._begin_log()

    async def _leave(self) -> None:
        for member in self.members.values():
            member.wire.vanish()
        self.members.clear()
        await trio.testing.wait_all_tasks_blocked()


@contextmanager
def bounded(app: App, kept: int, waiting: int) -> Iterator[None]:
    """Keep so many changes in history, and let so many wait for each client."""
    app.hub.selections.history = History("", most=kept)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subscriptions, "Allowance", partial(Allowance, waiting))
        yield
