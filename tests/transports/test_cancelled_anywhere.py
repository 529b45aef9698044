"""A client over HTTP goes at any step of the whole program: nothing is left, and the next request works."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from mcptrio import ServerSettings
from tests.concurrency.crowd import cancelled_at, living
from tests.server.http.rig import Answer, HttpHouse, HttpSession, HttpWire, http
from tests.server.rig import Json, request
from tests.transports.rooms import Rooms, hold

pytestmark = pytest.mark.unmeasured

settled = trio.testing.wait_all_tasks_blocked
Operation = Callable[[HttpWire, HttpSession, Rooms], Awaitable[None]]

CALL = hold("t", token="p")


async def through(answer: Answer) -> None:
    """Read a stream to its answer."""
    while "result" not in await answer.message():
        pass


async def an_exchange(wire: HttpWire, session: HttpSession, rooms: Rooms) -> None:
    await through(await wire.modern("m", "tools/call", CALL))


async def a_listen(wire: HttpWire, session: HttpSession, rooms: Rooms) -> None:
    wanted: Json = {"resourceSubscriptions": ["room://l"], "resourcesListChanged": True}
    answer = await wire.modern("l", "subscriptions/listen", {"notifications": wanted})
    await answer.message()
    rooms.app.updated_nowait("room://l")
    await answer.message()


async def a_post_in_a_session(wire: HttpWire, session: HttpSession, rooms: Rooms) -> None:
    await through(await wire.post(request(1, "tools/call", CALL), mcp_session_id=session.id))


async def a_stream_of_a_session(wire: HttpWire, session: HttpSession, rooms: Rooms) -> None:
    answer = await wire.request("GET", mcp_session_id=session.id)
    rooms.app.updated_nowait("room://s")
    await answer.message()


async def works(home: HttpHouse, session: HttpSession) -> None:
    """Both revisions are served."""
    told: Json = {"name": "echo", "arguments": {"text": "on"}}
    wire = await home.connect()
    assert "result" in await (await wire.modern(1, "tools/call", told)).json()
    await trio.aclose_forcefully(wire.stream)
    assert "result" in await session.call(2, "tools/call", told)


@pytest.mark.parametrize("capacity", [65_536, 24], ids=["roomy", "narrow"])
@pytest.mark.parametrize(
    "operation",
    [an_exchange, a_listen, a_post_in_a_session, a_stream_of_a_session],
    ids=lambda operation: operation.__name__,
)
async def test_a_client_that_goes_at_any_step_leaves_nothing(
    operation: Operation, capacity: int, autojump_clock: MockClock
) -> None:
    rooms = Rooms(ServerSettings(introspection=False))
    rooms.gate.set()
    async with http(rooms.app) as home:
        session = await home.initialize()
        await session.call(1, "resources/subscribe", {"uri": "room://s"})
        await works(home, session)
        await close(home)
        before = left(home)
        for step in range(1, 1000):
            finished = False
            with cancelled_at(step):
                await operation(await home.connect(capacity), session, rooms)
                finished = True
            await close(home)
            await works(home, session)
            await close(home)
            assert left(home) == before, step
            if finished:
                break
        assert finished
        assert step > (50 if capacity < 100 else 5)


async def test_a_session_whose_client_goes_at_any_step_of_it_is_gone_after_its_time(
    autojump_clock: MockClock,
) -> None:
    rooms = Rooms(ServerSettings(introspection=False))
    async with http(rooms.app) as home:
        await settled()
        tasks = living()
        opened = 0
        for step in range(1, 1000):
            finished = False
            with cancelled_at(step):
                session = await home.initialize()
                await session.call(1, "resources/subscribe", {"uri": "room://s"})
                await (await session.get()).event()
                finished = True
            await close(home)
            opened += len(home.endpoint.http.sessions)
            await trio.sleep(home.app.settings.session_timeout + 2)
            assert not len(home.endpoint.http.sessions)
            assert home.app.hub.statistics().subscriptions == 0
            assert living() == tasks
            if finished:
                break
        assert finished
        assert opened > 1


async def close(home: HttpHouse) -> None:
    """Close all connections; sessions stay."""
    for stream in home._streams:
        await trio.aclose_forcefully(stream)
    home._streams.clear()
    await settled()


def left(home: HttpHouse) -> dict[str, int]:
    """All that there is."""
    (session,) = home.endpoint.peers.values()
    return {
        "tasks": living() - bool(session._parked),  # one waits for a reader
        "subscriptions": home.app.hub.statistics().subscriptions,
        "watchers": home.app.server.list_changes.watchers(),
        "connections": home.endpoint.listener.statistics().open,
        "exchanges": len(home.endpoint.http.exchanges),
        "requests": len(session.requests),
        "replies": len(session._replies),  # type: ignore[attr-defined]  # it is a session's peer
        "watched": home.app.server._sweeper.statistics().watched,
    }
