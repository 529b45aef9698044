"""The server ends at any step of its HTTP clients' lives, who are in every state: nothing is left, and it takes no longer
than it may.
"""

from __future__ import annotations

from itertools import count

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from mcptrio import App, ServerSettings
from mcptrio.server.endpoint import Endpoint
from tests.concurrency.crowd import cancelled_at, living
from tests.server.asked import CAPABLE
from tests.server.http.rig import HttpHouse, HttpSession, HttpWire
from tests.server.rig import INITIALIZE, Json, notification, request
from tests.transports.rooms import Rooms, hold

pytestmark = pytest.mark.unmeasured

HALF = (
    b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
)
WANTED: Json = {"resourceSubscriptions": ["room://l"], "resourcesListChanged": True}


class Memory(HttpHouse):
    """Connections in memory that end with the server, as those of a socket do: nobody else ends them."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def connect(self, capacity: int = 65_536, endpoint: Endpoint | None = None) -> HttpWire:
        return HttpWire(self.app.server.connect())


async def live(home: Memory, rooms: Rooms) -> None:
    """Bring a client into each state, one after the other, and leave all of them there."""
    opened = await (await home.connect()).post(
        request(0, "initialize", {**INITIALIZE, "capabilities": CAPABLE})
    )
    session = HttpSession(home, opened.headers["mcp-session-id"])
    await session.post(notification("notifications/initialized"))
    idle = await home.connect()
    subscribe = request(1, "resources/subscribe", {"uri": "room://s"})
    await (await idle.post(subscribe, mcp_session_id=session.id)).json()
    rooms.app.updated_nowait("room://s")  # nobody reads yet: it is parked
    await (await session.post(request(2, "tools/call", {"name": "greet"}))).message()
    await (await session.post(request(3, "tools/call", hold("s", token="p")))).message()
    await (await session.get()).message()
    await (
        await (await home.connect()).modern(4, "subscriptions/listen", {"notifications": WANTED})
    ).message()
    await (await (await home.connect()).modern(5, "tools/call", hold("m", token="q"))).message()
    await (await home.connect()).stream.send_all(HALF)
    await (await home.connect()).stream.send_all(HALF[:20])
    await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize("politely", [True, False], ids=["drained", "cancelled"])
async def test_a_server_that_ends_at_any_step_leaves_nothing_and_ends_in_time(
    politely: bool, autojump_clock: MockClock
) -> None:
    rooms = Rooms(ServerSettings(introspection=False))
    app = rooms.app
    home = Memory(app)
    tasks = living()
    for step in count(1):
        finished = False
        began = trio.current_time()
        async with app._root.hold():
            with cancelled_at(step):
                await live(home, rooms)
                finished = True
            if politely:
                before = trio.current_time()
                await app.server._memory.drain()
                assert trio.current_time() - before <= app.settings.drain_timeout
        assert trio.current_time() - began < 4
        await trio.testing.wait_all_tasks_blocked()
        (endpoint,) = app.server.endpoints
        assert (len(endpoint.http.sessions), endpoint.http.exchanges, endpoint.peers) == (0, set(), {})
        assert app.hub.statistics().subscriptions == 0
        assert app.server.list_changes.watchers() == 0
        assert app.server._sweeper.statistics().watched == 0
        assert endpoint.listener.statistics().open == 0
        assert living() == tasks
        endpoint.listener._site.closing = False  # the next server of this app begins anew
        if finished:
            break
    assert step > 40
    assert rooms.cancelled
