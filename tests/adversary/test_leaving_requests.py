"""HTTP clients that go in the middle of something: by RST, by closing, by half-closing. Nothing is left of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.adversary.posts import (
    ECHO,
    INITIALIZE_POST,
    JSON,
    LIST,
    LIST_BODY,
    call,
    chunked,
    delete,
    get,
    head,
    in_session,
    listen_post,
    post,
)
from tests.adversary.test_sessions import ask, begin, connected, session
from tests.adversary.world import (
    HOT,
    ONLY_WITNESS,
    PATIENCE,
    SETTINGS,
    left,
    open_world,
    rpc,
    settled,
    until,
)

HOLD = call("hold", tag="held")
STAGES = {
    "inside a head": LIST[:40],
    "behind a head": LIST[: -len(LIST_BODY)],
    "inside a body": LIST[:-9],
    "inside chunks": chunked(b"ff\r\n{"),
    "waiting to be told to go on": post(b"", "Expect: 100-continue", length="9"),
    "inside a body that is too big": post(b"x" * 100_000),
    "inside a body that nobody wants": head("POST /mcp HTTP/1.1", "Content-Length: 9") + b"x",
    "behind a request": LIST,
    "behind a call": ECHO,
    "behind a call that goes on": HOLD,
    "behind a call, with another one sent ahead": HOLD + ECHO,
    "behind a call, with too much sent ahead": HOLD + b"x" * 100_000,
    "behind a large answer": call("large", size=60_000),
    "behind many requests": LIST * 300,
    "behind many calls": ECHO * 300,
    "in a stream": listen_post(HOT, "hot://2"),
    "in a stream, with a request sent ahead": listen_post(HOT) + LIST,
    "behind initialize": INITIALIZE_POST,
    "behind many initializes": INITIALIZE_POST * 5,
    "behind a refusal": post(b"{"),
    "behind a refused head": head("POST /mcp HTTP/1.1", JSON, host="Host: evil.example"),
    "behind a preflight request": head("OPTIONS /mcp HTTP/1.1"),
    "behind garbage": LIST + b"\0" * 100,
}
BRIEF = replace(SETTINGS, session_timeout=0.2, max_sessions=100)
"""A session whose client never learnt of it ends by its time alone."""


@pytest.mark.parametrize("sent", STAGES.values(), ids=STAGES.keys())
async def test_a_reset_leaves_nothing(sent: bytes) -> None:
    async with open_world(sockets=True, settings=BRIEF) as world:
        before = trio.lowlevel.current_statistics().tasks_living
        for pause in (0, 0.002, 0.02):
            raw = await world.dial()
            await raw.send(sent)
            await trio.sleep(pause)  # however far it gets until the reset
            await raw.reset()
            await world.witness_is_served()
        await settled(world.app, ONLY_WITNESS)
        assert len(world.cancelled) == len(world.entered)
        assert trio.lowlevel.current_statistics().tasks_living == before


@pytest.mark.parametrize("sent", STAGES.values(), ids=STAGES.keys())
async def test_leaving_in_memory_leaves_nothing(sent: bytes, autojump_clock: MockClock) -> None:
    async with open_world(sockets=False, settings=BRIEF) as world:
        before = trio.lowlevel.current_statistics().tasks_living
        for way in ("reset", "half-close"):
            raw = await world.dial()
            async with raw.stream, trio.open_nursery() as nursery:
                nursery.start_soon(raw.send, sent)
                await trio.testing.wait_all_tasks_blocked()
                if way == "half-close":
                    await raw.stream.send_eof()
                    with trio.fail_after(PATIENCE):
                        await raw.rest()
                else:
                    await raw.reset()
                await world.witness_is_served()
                nursery.cancel_scope.cancel()
        await settled(world.app, ONLY_WITNESS)
        assert len(world.cancelled) == len(world.entered)
        assert trio.lowlevel.current_statistics().tasks_living == before


@pytest.mark.parametrize(
    "ahead", [b"", LIST, ECHO * 20, b"\0garbage"], ids=["nothing", "one", "many", "garbage"]
)
@pytest.mark.parametrize("sockets", [True, False], ids=["sockets", "memory"])
async def test_a_call_is_cancelled_by_leaving_whatever_was_sent_ahead(sockets: bool, ahead: bytes) -> None:
    async with open_world(sockets=sockets) as world:
        async with connected(world, HOLD):
            await world.entered_is("held")
        await settled(world.app, ONLY_WITNESS)
        raw = await world.dial()
        async with raw.stream:
            await raw.send(HOLD + ahead)
            await until(lambda: len(world.entered) == 2)
        await settled(world.app, ONLY_WITNESS)
        assert world.cancelled == ["held", "held"]
        assert world.app.server.traffic.closes["500"] == 0, "leaving is no fault of the server"


@pytest.mark.parametrize("sockets", [True, False], ids=["sockets", "memory"])
async def test_who_half_closes_has_left_and_gets_only_what_was_answered_at_once(sockets: bool) -> None:
    async with open_world(sockets=sockets) as world:
        for sent, statuses in (
            (LIST, [200]),
            (LIST * 3, [200] * 3),
            (HOLD, []),
            (HOLD + LIST, []),
            (LIST + HOLD + LIST, [200]),
            (head("GET /healthz HTTP/1.1"), [200]),
            (post(b"{"), [400]),
        ):
            async with connected(world, sent) as raw:
                await raw.stream.send_eof()
                for status in statuses:
                    assert (await raw.response()).status == status
                assert await raw.rest() == b""
        await settled(world.app, ONLY_WITNESS)
        assert world.cancelled == world.entered


@pytest.mark.parametrize("sockets", [True, False], ids=["sockets", "memory"])
async def test_a_sessions_call_survives_its_connection_however_that_ends(sockets: bool) -> None:
    async with open_world(sockets=sockets) as world:
        id = await begin(world)
        for number, way in enumerate(("close", "half-close", "reset")):
            message = rpc("tools/call", number, name="hold", arguments={"tag": way})
            async with connected(world, in_session(id, message)) as raw:
                await world.entered_is(way)
                if way == "half-close":
                    await raw.stream.send_eof()
                    assert await raw.rest() == b""
                elif way == "reset":
                    await raw.reset()
        await until(lambda: left(world.app).connections == 1)
        await world.witness_is_served()
        assert len(session(world, id).requests) == 3
        assert not world.cancelled
        assert (await ask(world, delete(id))).status == 204
        assert sorted(world.cancelled) == ["close", "half-close", "reset"]


@pytest.mark.parametrize("sockets", [True, False], ids=["sockets", "memory"])
async def test_a_session_outlives_its_streams_resets(sockets: bool) -> None:
    async with open_world(sockets=sockets) as world:
        id = await begin(world)
        message = rpc("resources/subscribe", 1, uri="hot://s")
        assert (await ask(world, in_session(id, message))).status == 200
        for _ in range(10):
            raw = await world.dial()
            await raw.send(get(id))
            await raw.take_head()
            await raw.reset()
            world.app.updated_nowait("hot://s")
            await until(lambda: left(world.app).connections == 1)
        async with connected(world, get(id)) as raw:
            await raw.take_head()
            told = b""
            while b"hot://s" not in told:
                told += await raw.chunk()
        assert (await ask(world, delete(id))).status == 204


async def test_a_reset_behind_a_delete_leaves_nothing() -> None:
    async with open_world(sockets=True) as world:
        for _ in range(5):
            id = await begin(world)
            raw = await world.dial()
            await raw.send(
                in_session(id, rpc("tools/call", 1, name="hold", arguments={"tag": "x"})) + delete(id)
            )
            await until(lambda: world.entered)
            await raw.reset()
            assert (await ask(world, delete(id))).status in (204, 404)
        await settled(world.app, ONLY_WITNESS)
