"""The extension under attack: whatever is asked by it is answered or refused, everyone else is served, and nothing is left."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from mcptrio import App, Limits, ServerSettings
from mcptrio.live import Change
from tests.adversary.world import INITIALIZED, META, SETTINGS, Raw, World, open_world, rpc, text
from tests.wire.rig import frame

EXTENSIONS = {"extensions": {"io.mcptrio/live": {}}}
SUBSCRIPTIONS = "io.mcptrio/subscriptions"
OPENING = text(
    rpc(
        "initialize",
        "init",
        protocolVersion="2025-11-25",
        capabilities=EXTENSIONS,
        clientInfo={"name": "evil", "version": "0"},
    )
)
LARGE = ServerSettings(limits=replace(Limits(), stall_timeout=5.0))
BOTH = pytest.mark.parametrize("modern", [False, True], ids=["2025-11-25", "2026-07-28"])


def asking(id: object, subscriptions: object, modern: bool = True) -> bytes:
    """A listen with these subscriptions, or a session's request with the first of them; a string is raw JSON."""
    raw = subscriptions if isinstance(subscriptions, str) else json.dumps(subscriptions)
    mark = json.dumps("here it goes")
    if modern:
        capabilities = {**META, "io.modelcontextprotocol/clientCapabilities": EXTENSIONS}
        params: dict[str, object] = {"notifications": {SUBSCRIPTIONS: "here it goes"}, "_meta": capabilities}
        return rpc("subscriptions/listen", id, **params).replace(mark.encode(), raw.encode())
    if isinstance(subscriptions, list):
        raw = json.dumps(subscriptions[0])
    elif raw.startswith("["):
        raw = raw[1:-1]
    meta = {SUBSCRIPTIONS: "here it goes"}
    asked = rpc("resources/subscribe", id, uri="mcptrio://subscriptions/a", _meta=meta)
    return asked.replace(mark.encode(), raw.encode())


@asynccontextmanager
async def world(settings: ServerSettings = SETTINGS) -> AsyncIterator[World]:
    """As `open_world`; the extension, too, has nothing left at the end."""
    async with open_world(sockets=False, settings=settings) as here:
        yield here
        await expect_none(here.app)


async def expect_none(app: App) -> None:
    selections = app.hub.selections
    with trio.move_on_after(5):
        while len(selections):  # noqa: ASYNC110
            await trio.sleep(0.01)
    assert len(selections) == 0 and selections._held == {}
    assert (selections.tally.waiting, selections.next_due()) == (0, math.inf)


async def opened(here: World, modern: bool) -> Raw:
    raw = await here.open()
    if not modern:
        await raw.send(OPENING + INITIALIZED)
        assert "result" in await raw.answer("init")
    return raw


def one(**members: object) -> list[object]:
    return [{"label": "a", "glob": "hot://*", **members}]


def filtered(filter: str) -> str:
    return f'[{{"label": "a", "glob": "hot://*", "filter": {filter}}}]'


def nested(depth: int, inner: str = '{"kind": "x"}') -> str:
    return '{"not": ' * depth + inner + "}" * depth


REFUSED: dict[str, object] = {
    "a number": 7,
    "a string": '"x"',
    "true": "true",
    "numbers": [1, 2.5],
    "lists": [[], [[]]],
    "an empty object": [{}],
    "no selector": [{"label": "a"}],
    "all selectors": one(uri="hot://1", template="hot://{a}"),
    "objects everywhere": [{name: {} for name in ("label", "glob", "filter", "policy", "fields", "since")}],
    "lists everywhere": [{name: [] for name in ("label", "uri", "filter", "policy", "fields", "since")}],
    "numbers everywhere": [
        {name: 1 for name in ("label", "template", "filter", "policy", "fields", "since")}
    ],
    "a number beyond all bounds": filtered('{"eq": {"/n": 1e999}}'),
    "a small number beyond all bounds": '[{"label": "a", "glob": "hot://*", "since": -1e999}]',
    "filters nested too deep": filtered(nested(8)),
    "filters nested much too deep": filtered(nested(400)),
    "lists nested much too deep": filtered('{"eq": {"/a": ' + "[" * 400 + "]" * 400 + "}}"),
    "objects nested much too deep": filtered('{"eq": {"/a": ' + '{"a":' * 400 + "1" + "}" * 400 + "}}"),
    "too many filters": one(filter={"or": [{"kind": "x"}] * 64}),
    "filters that multiply": one(filter={"and": [{"or": [{"not": {"kind": "x"}}] * 8}] * 8}),
    "a regular expression": one(filter={"regex": {"/a": "(a+)+$"}}),
    "a filter with a broken pointer": one(filter={"exists": "/~"}),
    "a pointer without end": one(filter={"exists": "/a" * 600}),
    "many values": one(filter={"in": {"/a": [0] * 300}}),
    "values within values": one(filter={"eq": {"/a": {str(n): [n] for n in range(200)}}}),
    "a long string": one(filter={"prefix": {"/a": "x" * 2000}}),
    "much in all": one(filter={"in": {"/a": ["x" * 1024] * 17}}),
    "a long key": one(filter={"x" * 20_000: 1}),
    "wildcards without end": [{"label": "a", "glob": "hot://" + "*a" * 17}],
    "a glob without end": [{"label": "a", "glob": "hot://*" + "a" * 4000}],
    "a template without end": [{"label": "a", "template": "hot://" + "{a" * 900}],
    "braces": [{"label": "a", "template": "hot://" + "{" * 2000}],
    "a glob in another script": [{"label": "a", "glob": "hot://\u202e*"}],
    "a label with NUL": [{"label": "a\0", "glob": "hot://*"}],
    "a label in another script": [{"label": "а", "glob": "hot://*"}],
    "a long label": [{"label": "a" * 10_000, "glob": "hot://*"}],
    "a negative cursor": one(since="0123456789abcdef.-1"),
    "a huge cursor": one(since="0123456789abcdef." + "9" * 30_000),
    "a cursor in other digits": one(since="0123456789abcdef.١٢"),
    "a cursor with a newline": one(since="0123456789abcdef.1\n"),
    "a batch of NaNs": '[{"label":"a","glob":"hot://*","policy":{"batch":{"windowMs":1e400,"maxWaitMs":1}}}]',
    "a batch without end": one(policy={"batch": {"windowMs": 1, "maxWaitMs": 10**30}}),
    "fields without end": one(fields=["/a"] * 5000),
}


@BOTH
async def test_what_is_no_subscription_is_refused_and_everyone_is_served(
    modern: bool, autojump_clock: MockClock
) -> None:
    async with world() as here:
        raw = await opened(here, modern)
        for name, subscriptions in REFUSED.items():
            await raw.send(text(asking(name, subscriptions, modern)))
            answer = await raw.answer(name)
            assert answer["error"]["code"] == -32602, (name, answer)  # type: ignore[index]
            assert len(json.dumps(answer)) < 1000, name
            await raw.is_served()
        await here.witness_is_served()
        assert len(here.app.hub.selections) == 0
        await raw.reset()


@BOTH
@pytest.mark.parametrize("offset", [1, 2**31, 10**18 - 1])
async def test_a_cursor_of_the_future_is_refused(
    offset: int, modern: bool, autojump_clock: MockClock
) -> None:
    async with world() as here:
        raw = await opened(here, modern)
        hub = here.app.hub
        await raw.send(text(asking("r", one(since=f"{hub.epoch}.{max(offset, hub.offset + 1)}"), modern)))
        assert (await raw.answer("r"))["error"]["code"] == -32602  # type: ignore[index]
        # One of another life, however large, is only said to be lost.
        await raw.send(text(asking("s", one(since=f"0123456789abcdef.{offset}"), modern)))
        message = await raw.message()
        assert '"recovered": false' in json.dumps(message)
        await raw.reset()


@pytest.mark.unmeasured
async def test_ten_thousand_labels_are_honoured_and_everyone_is_served(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(LARGE) as here:
        raw = await opened(here, True)
        many = [{"label": f"l{number}", "glob": f"hot://{number}*"} for number in range(10_000)]
        await raw.send(text(asking("l", many)))
        acknowledged = await raw.message()
        honoured = acknowledged["params"]["notifications"][SUBSCRIPTIONS]  # type: ignore[index]
        assert [each["label"] for each in honoured] == [each["label"] for each in many]
        await here.witness_is_served()
        await raw.send(text(asking("more", one())))
        assert (await raw.answer("more"))["error"]["data"]["limit"] == 10_000  # type: ignore[index]
        # One of them after the other, and all again.
        await raw.send(text(rpc("notifications/cancelled", requestId="l")))
        await raw.send(text(asking("l", many[:-1])))
        assert len((await raw.message())["params"]["notifications"][SUBSCRIPTIONS]) == 9_999  # type: ignore[index]
        await raw.reset()


PATTERNS: list[Callable[[int], str]] = [
    lambda n: f"**{n}**",
    lambda n: "hot://" + "*a" * 15 + f"*{n}",
    lambda n: "hot://" + "**a" * 15 + f"**{n}",
    lambda n: "hot://" + "?" * (n % 100) + f"**{n}",
    lambda n: f"**{'a' * (n % 500)}**{'a' * (n // 20)}",
]


@pytest.mark.unmeasured
@pytest.mark.parametrize("pattern", PATTERNS)
async def test_globs_that_are_built_to_be_slow_cost_a_publish_little(
    pattern: Callable[[int], str], autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(LARGE) as here:
        raw = await opened(here, True)
        await raw.send(text(asking("l", [{"label": f"l{n}", "glob": pattern(n)} for n in range(2_000)])))
        assert "params" in await raw.message()
        for number in range(20):  # who tries every way would never end
            here.app.hub.publish(Change(uri="hot://" + "a" * 2000 + f"b{number}"))
        await here.witness_is_served()
        await raw.reset()


@pytest.mark.unmeasured
@BOTH
async def test_a_client_that_asks_for_what_it_missed_and_vanishes_again_and_again_leaves_nothing(
    modern: bool, autojump_clock: MockClock
) -> None:
    async with world(LARGE) as here:
        app = here.app
        first = await opened(here, modern)
        await first.send(text(asking("a", one(), modern)))
        await first.message()
        since = f"{app.hub.epoch}.{app.hub.offset}"
        for number in range(300):
            app.hub.publish(Change(uri=f"hot://{number}", data={"n": number}))
        again = text(asking("b", one(policy="every", fields="all", since=since), modern))
        for number in range(200):  # in each revision
            raw = await opened(here, modern)
            await raw.send(again)
            for _ in range(number % 7):
                await trio.lowlevel.checkpoint()
            await raw.reset()
        await here.witness_is_served()
        await first.reset()


@BOTH
async def test_one_connection_that_asks_and_cancels_a_thousand_times_leaves_nothing(
    modern: bool, autojump_clock: MockClock
) -> None:
    async with world(LARGE) as here:
        raw = await opened(here, modern)
        app = here.app
        for number in range(1_000):
            app.hub.publish(Change(uri=f"hot://{number}"))
            if modern:
                end = rpc("notifications/cancelled", requestId=f"l{number}")
            else:
                end = rpc("resources/unsubscribe", f"e{number}", uri="mcptrio://subscriptions/a")
            since = f"{app.hub.epoch}.{number // 2}"
            asked = asking(f"l{number}", one(policy="every", since=since), modern)
            await raw.send(text(asked) + text(end))
            if number % 50 == 0:
                await raw.is_served()
        await raw.is_served()
        await expect_none(app)
        await raw.reset()


@pytest.mark.unmeasured
@BOTH
async def test_who_asks_for_every_change_and_never_reads_is_cut_off_and_everyone_else_is_served(
    modern: bool, autojump_clock: MockClock
) -> None:
    async with world(LARGE) as here:
        app = here.app
        raw = await opened(here, modern)
        many = [{"label": f"l{n}", "glob": "hot://*", "policy": "every", "fields": "all"} for n in range(8)]
        for number, each in enumerate(many):
            asked = asking(f"r{number}", [each], modern)
            await raw.send(text(asked.replace(b"subscriptions/a", f"subscriptions/l{number}".encode())))
        await trio.testing.wait_all_tasks_blocked()
        allowance = None
        for number in range(300):
            app.hub.publish(Change(uri=f"hot://{number}", data="x" * 50_000))
            if number % 20 == 0:
                await here.witness_is_served()
                for endpoint in app.server.endpoints:
                    for peer in endpoint.peers.values():
                        allowance = peer.allowance or allowance
        assert allowance is not None and allowance.bytes <= 16 * 1024 * 1024
        assert app.hub.selections.tally.gaps["pending"] >= 8
        # It accepts nothing for longer than it may: that is its end, and the end of what waits for it.
        with trio.fail_after(60):
            while len(app.hub.selections):  # noqa: ASYNC110
                await trio.sleep(0.5)
        await raw.reset()


async def test_frames_of_subscriptions_that_are_cut_anywhere_are_no_harm(autojump_clock: MockClock) -> None:
    async with world() as here:
        whole = asking("l", one(filter={"eq": {"/a": [1, {"b": "c"}]}}, since="0123456789abcdef.1"))
        for cut in range(0, len(whole), 7):
            raw = await here.open()
            await raw.send(text(whole[:cut]))
            await raw.is_served()
            await raw.send(frame(1, whole)[: cut + 3])
            await raw.reset()
        await here.witness_is_served()
