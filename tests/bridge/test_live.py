"""A host that speaks `io.mcptrio/live`, a bridge and a real server: what was missed comes, once and in order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from mcptrio import App
from tests.bridge.live_rig import CHANGE, EXTENSIONS, KEY, SELECTOR
from tests.bridge.rig import LEGACY, MODERN, SUBSCRIPTION_ID, Message, Rig, notes

ONE, TWO, THREE = "note://one", "note://two", "note://three"
EVERY: Message = {"label": "all", "template": "note://{name}", "policy": "every", "fields": "all"}
EXACT: Message = {"label": "one", "uri": ONE, "policy": "every"}
UPDATED = "notifications/resources/updated"


class Live:
    """A host, its bridge, and what it has subscribed."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.host = rig.host
        self.listen: object = None

    async def subscribe(self, *asked: Message) -> list[Message]:
        """Returns what is honoured."""
        if self.host.revision == MODERN:
            self.listen = "live"
            await self.host.say("subscriptions/listen", {"notifications": {KEY: [*asked]}}, id="live")
            told = await self.host.notified("notifications/subscriptions/acknowledged")
            return list(told["params"]["notifications"][KEY])
        honoured = []
        for each in asked:
            uri = each.get("uri", SELECTOR + str(each["label"]))
            answer = await self.host.ask("resources/subscribe", {"uri": uri, "_meta": {KEY: each}})
            honoured.append(answer["result"]["_meta"][KEY])
        return honoured

    async def changed(self, label: str) -> Message:
        """The next change of a label. What was told plainly is not it."""

        def is_it(message: Message) -> bool:
            if message.get("method") != UPDATED:
                return False
            return bool(message["params"]["_meta"][CHANGE]["label"] == label)

        params = (await self.host.hear(is_it))["params"]
        assert params["_meta"].get(SUBSCRIPTION_ID) == self.listen
        return {"uri": params["uri"], **params["_meta"][CHANGE]}

    async def lose(self, *missed: str) -> None:
        """The connection goes, and these change meanwhile."""
        self.rig.dial.down = OSError("restarting")
        await self.rig.dial.cut()
        await trio.sleep(5)
        for uri in missed:
            self.rig.app.updated_nowait(uri, data={"of": uri})
        await trio.sleep(5)
        self.rig.dial.down = None

    @asynccontextmanager
    async def moved_to(self, other: App) -> AsyncIterator[None]:
        """The next connection is to another server, which nobody reaches after that."""
        async with other.connect():
            self.rig.dial.app = self.rig.app = other
            yield
            self.rig.dial.down = OSError("gone")
            await self.rig.dial.cut()

    async def silence(self) -> None:
        """Nothing more comes but what a new session says of lists."""
        with trio.move_on_after(60):
            await self.host.hear(lambda message: False)
        assert {message["method"].rpartition("/")[2] for message in self.host.heard} <= {"list_changed"}
        self.host.heard.clear()


@pytest.fixture
async def live(
    nursery: trio.Nursery, scheme: str, revision: str, autojump_clock: MockClock
) -> AsyncIterator[Live]:
    """A bridge that runs, and a host that has opted in."""
    app, _ = notes()
    async with app.connect():
        rig = Rig(app, f"{scheme}://localhost/mcp", revision, capabilities={"extensions": EXTENSIONS})
        nursery.start_soon(rig.run)
        await rig.host.begin()
        yield Live(rig)
        await rig.host.stream.aclose()
        await rig.ended.wait()


async def test_subscriptions_and_deliveries_pass_with_all_that_the_server_says(
    live: Live, autojump_clock: MockClock
) -> None:
    if live.host.revision == MODERN:
        discovered = await live.host.ask("server/discover")
        assert discovered["result"]["capabilities"]["extensions"]["io.mcptrio/live"]["version"] == 1
    asked = {**EVERY, "filter": {"eq": {"/open": True}}}
    (honoured,) = await live.subscribe(asked)
    assert {**asked, "cursor": honoured["cursor"]} == honoured
    live.rig.app.updated_nowait(ONE, data={"open": False})
    live.rig.app.updated_nowait(TWO, data={"open": True}, metadata={"version": "3"}, event_id="e")
    told = await live.changed("all")
    assert (told["uri"], told["kind"], told["eventId"]) == (TWO, "updated", "e")
    assert (told["data"], told["metadata"]) == ({"open": True}, {"version": "3"})
    assert honoured["cursor"].endswith(f".{told['prev']}")
    await live.silence()


async def test_what_changed_while_there_was_no_connection_comes_once_and_in_order(
    live: Live, autojump_clock: MockClock
) -> None:
    honoured = await live.subscribe(EVERY, EXACT)
    last = {each["label"]: int(each["cursor"].partition(".")[2]) for each in honoured}

    async def told(label: str, *uris: str) -> None:
        for uri in uris:
            change = await live.changed(label)
            assert (change["uri"], change["kind"], change["prev"]) == (uri, "updated", last[label])
            assert change["offset"] > change["prev"]
            last[label] = change["offset"]

    live.rig.app.updated_nowait(ONE)
    await told("all", ONE)
    await told("one", ONE)
    for _ in range(2):
        await live.lose(ONE, TWO, ONE, THREE)
        live.rig.app.updated_nowait(TWO)
        await told("all", ONE, TWO, ONE, THREE, TWO)
        await told("one", ONE, ONE)
        await live.silence()
    await live.lose()
    await live.silence()
    live.rig.app.updated_nowait(ONE)
    await told("all", ONE)
    await told("one", ONE)


async def test_a_server_that_has_restarted_says_so_and_goes_on(live: Live, autojump_clock: MockClock) -> None:
    await live.subscribe(EVERY)
    live.rig.app.updated_nowait(ONE)
    await live.changed("all")
    other, _ = notes()
    async with live.moved_to(other):
        await live.lose(ONE, TWO)
        gap = await live.changed("all")
        assert (gap["kind"], gap["reason"], gap["uri"]) == ("gap", "restarted", SELECTOR + "all")
        other.updated_nowait(THREE)
        told = await live.changed("all")
        assert (told["uri"], told["prev"]) == (THREE, gap["offset"])
        await live.lose(ONE)
        again = await live.changed("all")
        assert (again["uri"], again["kind"], again["prev"]) == (ONE, "updated", told["offset"])
        await live.silence()


async def test_a_server_that_serves_nothing_of_the_kind_any_more_is_told_of(
    live: Live, autojump_clock: MockClock
) -> None:
    await live.subscribe(EVERY)
    live.rig.app.updated_nowait(ONE)
    told = await live.changed("all")
    other = App("empty", version="1")
    async with live.moved_to(other):
        await live.lose()
        gap = await live.changed("all")
        assert (gap["kind"], gap["reason"], gap["offset"]) == ("gap", "refused", told["offset"])
        await live.silence()


async def test_a_label_that_is_left_is_not_made_again(live: Live, autojump_clock: MockClock) -> None:
    await live.subscribe(EVERY, EXACT)
    if live.host.revision == MODERN:
        await live.host.say("notifications/cancelled", {"requestId": live.listen})
    else:
        for uri in (SELECTOR + "all", ONE):
            assert (await live.host.ask("resources/unsubscribe", {"uri": uri}))["result"] == {}
    await live.lose(ONE)
    live.rig.app.updated_nowait(ONE)
    await live.silence()


@pytest.mark.parametrize("scheme", ["http"])
@pytest.mark.parametrize("revision", [LEGACY])
async def test_a_stream_that_is_resumed_tells_nothing_twice(live: Live, autojump_clock: MockClock) -> None:
    await live.subscribe(EVERY)
    live.rig.app.updated_nowait(ONE)
    first = await live.changed("all")
    await live.rig.dial.cut()
    live.rig.app.updated_nowait(TWO)
    second = await live.changed("all")
    assert (second["uri"], second["prev"]) == (TWO, first["offset"])
    assert live.rig.losses == []
    await live.lose(THREE)
    third = await live.changed("all")
    assert (third["uri"], third["prev"]) == (THREE, second["offset"])
    await live.silence()


async def test_connections_that_break_amid_a_stream_of_changes_lose_none(
    live: Live, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    (honoured,) = await live.subscribe(EVERY)

    async def change() -> None:
        for number in range(200):
            live.rig.app.updated_nowait((ONE, TWO)[number % 2], data=number)
            await trio.sleep(0.01)
            if number % 23 == 22:
                await live.rig.dial.cut()

    nursery.start_soon(change)
    last = int(honoured["cursor"].partition(".")[2])
    for number in range(200):
        told = await live.changed("all")
        assert (told["data"], told["prev"]) == (number, last)
        last = told["offset"]
    await live.silence()
