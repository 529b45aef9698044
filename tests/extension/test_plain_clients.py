"""Clients that do not opt in: what they get is the same to the byte, whatever others do and whatever fields they send.

The same conversation is held with an app that nobody uses the extension of, with one whose other clients use it on the same
URIs all the while, and with the extension's fields sent without opting in. Nothing in it is random by nature, so nothing is
left out of the comparison: what is compared are the frames as they come.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

from tests.extension.judge import CALLED, SUBSCRIPTIONS
from tests.extension.rig import client, glob, house, listening, living, publish, selecting
from tests.server.http.rig import http
from tests.server.rig import INITIALIZE, House, Json, Wire, cancelled, notification, request

URIS = [f"mail://a/{number}" for number in range(4)]
MALFORMED: list[object] = [
    [glob(policy="every", fields="all")],
    [glob(), glob()],
    [{"label": 7}],
    glob(since="x"),
    {},
    [],
    None,
    7,
    1e308,
    "x",
    True,
    [[[[[[[[[[[[{}]]]]]]]]]]]],
]

Step = Callable[["Plain"], Awaitable[None]]


class Plain:
    """A client that has not opted in, and all that it was sent, as it was sent."""

    def __init__(self, home: House, wire: Wire, fields: object) -> None:
        self.home = home
        self.wire = wire
        self.frames: list[str] = []
        self._fields = fields
        """What it sends under the extension's names; `...` for nothing."""
        self._ids = 0

    async def rest(self) -> None:
        """Take what comes until nothing does for longer than lists are told late."""
        while True:
            with trio.move_on_after(2.5) as scope:
                self.frames.append(await self.wire.connection.get_message())
            if scope.cancelled_caught:
                return

    async def ask(self, method: str, params: Json | None = None, *, modern: bool, id: object = None) -> None:
        params = {} if params is None else params
        if self._fields is not ...:
            params["_meta"] = {SUBSCRIPTIONS: self._fields}
            if "notifications" in params:
                wanted = params["notifications"]
                assert isinstance(wanted, dict)
                params["notifications"] = {**wanted, SUBSCRIPTIONS: self._fields}
        self._ids += 1
        await self.wire.send(request(self._ids if id is None else id, method, params, modern=modern))
        await self.rest()

    async def publish(self) -> None:
        """What happens to everybody: changes, some of one URI, and lists that change."""
        app = self.home.app
        for number, uri in enumerate([*URIS, *URIS[:2], URIS[0]]):
            publish(
                app, uri, data={"n": number}, metadata={"version": str(number)}, event_id=str(app.hub.offset)
            )
        await self.rest()
        publish(app, URIS[1], "created")
        publish(app, URIS[2], "deleted")
        await self.rest()

        @app.tool
        async def passing() -> str:
            return "passing"

        await self.rest()
        app.catalog.remove_tool("passing")
        await self.rest()


async def talk_legacy(plain: Plain) -> None:
    ask = plain.ask
    await ask("resources/subscribe", {"uri": URIS[0]}, modern=False)  # too early
    await ask("initialize", {**INITIALIZE}, modern=False)
    await plain.wire.send(notification("notifications/initialized"))
    for method in (
        "ping",
        "tools/list",
        "resources/list",
        "resources/templates/list",
        "prompts/list",
        "none",
    ):
        await ask(method, modern=False)
    uris = [*URIS[:3], URIS[0], "mail", "other://1", f"{CALLED}g", "mail://a/ ", f"{CALLED}x/y"]
    for uri in uris:
        await ask("resources/subscribe", {"uri": uri}, modern=False)
    await ask("resources/subscribe", {}, modern=False)
    await ask("resources/subscribe", {"uri": 7}, modern=False)
    await plain.publish()
    await ask("resources/read", {"uri": URIS[0]}, modern=False)
    for uri in [URIS[0], URIS[3], f"{CALLED}g", "mail"]:
        await ask("resources/unsubscribe", {"uri": uri}, modern=False)
    await plain.publish()


async def talk_modern(plain: Plain) -> None:
    ask = plain.ask
    everything = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}
    for method in ("server/discover", "tools/list", "resources/list", "resources/templates/list", "none"):
        await ask(method, modern=True)
    for id, wanted in {
        "all": {"resourceSubscriptions": [*URIS, "other://1", f"{CALLED}g"], **everything},
        1: {"resourceSubscriptions": URIS[:1]},
        "1": {},
        "lists": everything,
    }.items():
        await ask("subscriptions/listen", {"notifications": wanted}, modern=True, id=id)
    for refused in ({"resourceSubscriptions": ["mail"]}, {"resourceSubscriptions": 7}):
        await ask("subscriptions/listen", {"notifications": refused}, modern=True)
    await ask("subscriptions/listen", {"notifications": {}}, modern=True, id="all")
    await ask("subscriptions/listen", {}, modern=True)
    await plain.publish()
    await ask("resources/read", {"uri": URIS[0]}, modern=True)
    await plain.wire.send(cancelled("all"), cancelled("nothing"))
    await plain.publish()


async def end(plain: Plain) -> None:
    """The server ends; what is owed comes first."""
    for uri in URIS:
        publish(plain.home.app, uri)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(plain.home.app.server.endpoints[0].drain)
        try:
            while True:
                plain.frames.append(await plain.wire.connection.get_message())
        except ConnectionClosed as error:
            plain.frames.append(repr(error.reason))


async def held(talk: Step, fields: object = ..., crowd: bool = False) -> list[str]:
    """All that a plain client was sent."""
    app = house()
    async with living(app) as home:
        async with trio.open_nursery() as nursery:
            if crowd:
                nursery.start_soon(stir, home)
                await trio.sleep(1)
            plain = Plain(home, await home.connect(), fields)
            await talk(plain)
            assert (len(app.hub.selections) > 20) is crowd
            nursery.cancel_scope.cancel()
        await end(plain)
        return plain.frames


async def stir(home: House) -> None:
    """Others use the extension on the same URIs, in every way that there is, for ever."""
    others = [await client(home, modern) for modern in (False, True, False, True)]
    cursors = [f"{home.app.hub.epoch}.0"]
    round = 0
    while True:
        round += 1
        for other in others:
            since = {"since": cursors[-1]} if round % 2 else {}
            asked = [
                glob(label="every", policy="every", fields="all", **since),
                glob("mail://a/*", label="conflate"),
                glob(label="batch", policy={"batch": {"windowMs": 50, "maxWaitMs": 100}}),
                glob(label="filtered", filter={"ge": {"/n": 2}}, fields=["/n"]),
                {"label": "exact", "uri": URIS[0], "policy": "every"},
                {"label": "template", "template": "mail://{box}/{id}", "fields": "metadata"},
                glob(label="again", policy="every", since=cursors[0]),
            ]
            if other.modern:
                await other.wire.send(cancelled(f"l{round - 1}"), listening(f"l{round}", *asked))
            else:
                for number, each in enumerate(asked):
                    id = f"{round} {number}"
                    await other.wire.send(request(id, "resources/subscribe", selecting(each)))
                for uri in (f"{CALLED}again", URIS[0]):
                    await other.wire.send(request(f"{round} {uri}", "resources/unsubscribe", {"uri": uri}))
            for message in await other.wire.rest(0.2):
                cursors += re.findall(r'"cursor": "([^"]*)"', json.dumps(message))


TALKS = pytest.mark.parametrize("talk", [talk_legacy, talk_modern], ids=["2025-11-25", "2026-07-28"])


@TALKS
async def test_whatever_others_do_with_the_extension_a_plain_client_is_sent_the_same_bytes(
    talk: Step, autojump_clock: MockClock
) -> None:
    alone = await held(talk)
    assert len(alone) > 30
    assert not [frame for frame in alone if "io.mcptrio/" in frame]
    assert await held(talk, crowd=True) == alone


@TALKS
async def test_the_fields_of_the_extension_are_nothing_to_who_has_not_opted_in(
    talk: Step, autojump_clock: MockClock
) -> None:
    alone = await held(talk)
    for fields in MALFORMED:
        assert await held(talk, fields) == alone, fields


async def test_over_http_what_a_plain_client_is_sent_is_the_same_to_the_byte_too(
    autojump_clock: MockClock,
) -> None:
    async def talk(fields: Json, crowd: bool) -> list[bytes]:
        app = house()
        bodies: list[bytes] = []
        async with http(app) as home, trio.open_nursery() as nursery:
            if crowd:
                nursery.start_soon(stir, home.house)
                await trio.sleep(1)
            session = await home.initialize()
            standing = await session.get()
            for number, uri in enumerate(URIS):
                asked = request(number, "resources/subscribe", {"uri": uri, "_meta": fields})
                bodies.append(await (await session.post(asked)).body())
            wanted = {"notifications": {"resourceSubscriptions": URIS, **fields}}
            listen = await (await home.connect()).modern("l", "subscriptions/listen", wanted)
            publish(app, URIS[1], data={"n": 1})
            publish(app, URIS[1], data={"n": 2})
            publish(app, URIS[0], data={"n": 3})
            for stream, count in ((listen, 3), (standing, 2)):
                while count:
                    event = await stream.event()
                    # The event's id is random by nature, and not there where nothing is stored.
                    if event["data"]:
                        bodies.append(event["data"].encode())
                        count -= 1
            nursery.cancel_scope.cancel()
        return bodies

    alone = await talk({}, False)
    assert len(alone) == 9
    assert await talk({}, True) == alone
    for fields in MALFORMED:
        assert await talk({SUBSCRIPTIONS: fields}, False) == alone, fields
