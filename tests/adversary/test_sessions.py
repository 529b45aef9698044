"""Clients that misuse the sessions of HTTP: each is refused or bounded, and its end leaves nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from mcptrio.server.http.session_peer import SessionPeer
from tests.adversary.posts import INITIALIZE_POST, delete, get, in_session, post
from tests.adversary.world import (
    ONLY_WITNESS,
    PATIENCE,
    SETTINGS,
    Raw,
    World,
    left,
    open_world,
    rpc,
    settled,
    until,
)
from tests.wire.rig import Response

FEW = replace(SETTINGS, max_sessions=3, session_timeout=30.0)
HOLD = rpc("tools/call", 1, name="hold", arguments={"tag": "held"})
PING = rpc("ping", 9)


@asynccontextmanager
async def connected(world: World, sent: bytes = b"") -> AsyncIterator[Raw]:
    """A connection on which a request was sent."""
    raw = await world.dial()
    async with raw.stream:
        await raw.send(sent)
        yield raw


async def ask(world: World, sent: bytes) -> Response:
    """The response to a request on a connection of its own."""
    async with connected(world, sent) as raw:
        return await raw.response()


async def begin(world: World) -> str:
    """Open a session; return its id."""
    response = await ask(world, INITIALIZE_POST)
    assert response.status == 200
    id = response.headers["mcp-session-id"]
    assert (await ask(world, in_session(id, rpc("notifications/initialized")))).status == 202
    return id


def session(world: World, id: str) -> SessionPeer:
    """The session of this id."""
    found = [endpoint.http.sessions.find(id, None) for endpoint in world.app.server.endpoints]
    return next(each for each in found if each is not None)


@asynccontextmanager
async def _world(sockets: bool) -> AsyncIterator[World]:
    with trio.fail_after(PATIENCE * 5):
        async with open_world(sockets=sockets, settings=FEW) as world:
            yield world


both = pytest.mark.parametrize("sockets", [True, False], ids=["sockets", "memory"])


@both
async def test_sessions_opened_in_a_loop_are_refused_beyond_the_cap(sockets: bool) -> None:
    async with _world(sockets) as world:
        ids = [await begin(world) for _ in range(3)]
        for _ in range(50):
            response = await ask(world, INITIALIZE_POST)
            assert response.status == 503
            assert response.headers["retry-after"] == "5"
            assert "mcp-session-id" not in response.headers
        await world.witness_is_served()
        assert left(world.app).sessions == 3
        assert (await ask(world, delete(ids[0]))).status == 204
        ids[0] = await begin(world)
        for id in ids:
            assert (await ask(world, delete(id))).status == 204
        await settled(world.app, ONLY_WITNESS)


async def test_abandoned_sessions_end_in_their_time_and_leave_nothing(autojump_clock: MockClock) -> None:
    async with _world(False) as world:
        ids = [await begin(world) for _ in range(3)]
        for id in ids:
            for n in range(4):
                await ask(world, in_session(id, rpc("resources/subscribe", n, uri=f"hot://{id}{n}")))
        async with connected(world, in_session(ids[0], HOLD)):
            await world.entered_is("held")
        assert (left(world.app).sessions, left(world.app).subscriptions) == (3, 13)
        assert not world.cancelled, "leaving cancels nothing"
        await trio.sleep(FEW.session_timeout - 5)
        assert (await ask(world, in_session(ids[2], PING))).status == 200, "this one is not abandoned"
        await trio.sleep(7)
        assert left(world.app).sessions == 1
        assert world.cancelled == ["held"]
        for id in ids[:2]:
            assert (await ask(world, in_session(id, PING))).status == 404
        await trio.sleep(FEW.session_timeout)
        assert left(world.app) == ONLY_WITNESS


@both
async def test_requests_of_one_session_beyond_the_limit_are_refused_over_any_number_of_connections(
    sockets: bool,
) -> None:
    async with _world(sockets) as world:
        id = await begin(world)
        statuses: list[tuple[int, bytes]] = []
        async with trio.open_nursery() as nursery:

            async def flood(number: int) -> None:
                hold = rpc("tools/call", number, name="hold", arguments={"tag": str(number)})
                async with connected(world, in_session(id, hold)) as raw:
                    response = await raw.response()
                    statuses.append((response.status, response.body))

            for number in range(30):
                nursery.start_soon(flood, number)
            await until(lambda: len(statuses) == 26)
            await until(lambda: len(world.entered) == SETTINGS.max_requests)
            await world.witness_is_served()
            assert {status for status, _ in statuses} == {200}
            assert all(b"too_many_requests" in body for _, body in statuses)
            assert len(session(world, id).requests) == SETTINGS.max_requests
            assert (await ask(world, delete(id))).status == 204
        assert len(statuses) == 30
        assert sorted(world.cancelled) == sorted(world.entered)


@both
async def test_an_id_that_is_in_use_in_a_session_is_refused(sockets: bool) -> None:
    async with _world(sockets) as world:
        id = await begin(world)
        async with connected(world, in_session(id, HOLD)):
            await world.entered_is("held")
            assert (await ask(world, in_session(id, HOLD))).status == 400
            assert not world.cancelled
            assert (await ask(world, delete(id))).status == 204


LAST_IDS = {
    "nothing": "",
    "a word": "yesterday",
    "a number": "5",
    "a negative number": "0--1",
    "a negative stream": "-1-1",
    "the event before the first": "0-0",
    "an event to come": "0-99",
    "a stream to come": "7-1",
    "a huge number": "0-" + "9" * 1500,
    "a huge stream": "9" * 1500 + "-1",
    "a number that just fits": "0-" + "9" * 18,
    "digits of another script": "0-\xb2",
    "several": "0-1, 0-2",
    "control characters": "\x01-\x1b",
    "spaces": "0 - 1",
    "underscores": "0-1_0",
}


@both
async def test_no_id_of_an_event_that_was_not_sent_gets_a_stream(sockets: bool) -> None:
    async with _world(sockets) as world:
        id, other = await begin(world), await begin(world)
        async with connected(world, get(other)) as raw:
            await raw.take_head()
            mark = (await raw.chunk()).split(b"id: ")[1].split(b"\n")[0].decode()
            for last in (*LAST_IDS.values(), mark):
                response = await ask(world, get(id, f"Last-Event-ID: {last}"))
                assert response.status == 400, last
        for each in (id, other):
            assert (await ask(world, delete(each))).status == 204


@both
async def test_streams_of_one_session_opened_in_a_loop_leave_one(sockets: bool) -> None:
    async with _world(sockets) as world:
        id = await begin(world)
        await ask(world, in_session(id, rpc("resources/subscribe", 1, uri="hot://s")))
        async with trio.open_nursery() as nursery:
            ended: list[bytes] = []

            async def listen(task_status: trio.TaskStatus[None]) -> None:
                async with connected(world, get(id)) as raw:
                    assert (await raw.take_head())[0] == 200
                    task_status.started()
                    while piece := await raw.chunk():
                        ended.append(piece)
                    ended.append(b"")

            for _ in range(30):
                await nursery.start(listen)
            await until(lambda: ended.count(b"") == 29)
            world.app.updated_nowait("hot://s")
            await until(lambda: sum(b"updated" in piece for piece in ended) == 1)
            await world.witness_is_served()
            assert (await ask(world, delete(id))).status == 204
        assert sum(b"updated" in piece for piece in ended) == 1


@both
async def test_a_session_that_is_deleted_many_times_at_once_ends_once_with_all_that_it_does(
    sockets: bool,
) -> None:
    async with _world(sockets) as world:
        for _ in range(3):
            world.entered.clear()
            id = await begin(world)
            statuses: list[int] = []
            async with trio.open_nursery() as nursery:

                async def send(request: bytes, statuses: list[int] = statuses) -> None:
                    statuses.append((await ask(world, request)).status)

                nursery.start_soon(send, get(id))
                for number in range(3):
                    hold = rpc("tools/call", number, name="hold", arguments={"tag": f"{number}"})
                    nursery.start_soon(send, in_session(id, hold))
                await world.entered_is("0", "1", "2")
                for _ in range(5):
                    nursery.start_soon(send, delete(id))
                    nursery.start_soon(send, in_session(id, PING))
                    nursery.start_soon(send, get(id))
            # A GET that came before the end got a stream, which has ended; the calls ended without an answer.
            assert statuses.count(204) == 1
            assert set(statuses) <= {200, 202, 204, 404}
            assert (await ask(world, in_session(id, PING))).status == 404
            await settled(world.app, ONLY_WITNESS)


@both
async def test_a_session_is_of_no_use_to_who_guesses(sockets: bool) -> None:
    async with _world(sockets) as world:
        id = await begin(world)
        for guess in (id[:-1], id + "x", id.swapcase(), id[::-1], f"{id}, {id}", f'"{id}"', f"{id}\x01"):
            assert (await ask(world, in_session(guess, PING))).status == 404
            assert (await ask(world, get(guess))).status == 404
            assert (await ask(world, delete(guess))).status == 404
        assert (await ask(world, in_session(id, PING))).status == 200
        assert (await ask(world, delete(id))).status == 204


MESSAGES = {
    "another initialize": (
        rpc(
            "initialize",
            2,
            protocolVersion="2025-11-25",
            capabilities={},
            clientInfo={"name": "evil", "version": "0"},
        ),
        400,
    ),
    "a response to nothing": (b'{"jsonrpc": "2.0", "id": 99, "result": {}}', 202),
    "an error to nothing": (b'{"jsonrpc": "2.0", "id": "x", "error": {"code": 1, "message": "x"}}', 202),
    "a cancellation of nothing": (rpc("notifications/cancelled", requestId=77), 202),
    "a cancellation of rubbish": (rpc("notifications/cancelled", requestId={}), 202),
    "progress of nothing": (rpc("notifications/progress", progressToken=1, progress=1), 202),
    "a batch": (b"[" + PING + b"]", 400),
    "no JSON": (b"{", 400),
    "a method that is not there": (rpc("no/method", 1), 200),
    "a method of the other revision": (rpc("subscriptions/listen", 1), 200),
    "bad params": (rpc("resources/subscribe", 1, uri=5), 200),
}


@both
async def test_rubbish_in_a_session_is_refused_and_the_session_is_served_on(sockets: bool) -> None:
    async with _world(sockets) as world:
        id = await begin(world)
        for name, (message, status) in MESSAGES.items():
            assert (await ask(world, in_session(id, message))).status == status, name
            await world.witness_is_served()
        version = in_session(id, PING, "MCP-Protocol-Version: 1999-01-01")
        assert (await ask(world, version)).status == 400
        assert (await ask(world, in_session(id, PING))).status == 200
        assert (await ask(world, delete(id))).status == 204


@both
async def test_what_a_session_keeps_of_its_opening_is_bounded(sockets: bool) -> None:
    async with _world(sockets) as world:
        huge: list[dict[str, object]] = [
            {"x": [[]] * 10_000},
            {"x": "y" * 50_000},
            {f"x{n}": 1 for n in range(2000)},
        ]
        for capabilities in huge:
            message = rpc(
                "initialize",
                1,
                protocolVersion="2025-11-25",
                capabilities=capabilities,
                clientInfo={"name": "evil", "version": "0"},
            )
            response = await ask(world, post(message))
            assert response.status == 400
            assert b"capabilities" in response.body
            assert "mcp-session-id" not in response.headers
        named = {"name": "x" * 50_000, "version": "y" * 10_000}
        message = rpc("initialize", 1, protocolVersion="z" * 1000, capabilities={}, clientInfo=named)
        id = (await ask(world, post(message))).headers["mcp-session-id"]
        client = session(world, id).client
        assert client is not None
        assert len(client.name) + len(client.version) <= 512
        assert (await ask(world, delete(id))).status == 204
        assert left(world.app).sessions == 0
