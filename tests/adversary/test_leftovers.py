"""Requests that are refused, of every kind and by the thousand, leave nothing: no entry in a table, and no object."""

from __future__ import annotations

import gc
from collections import Counter
from dataclasses import replace

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from mcptrio import App
from mcptrio.access import RateLimit, Tokens
from mcptrio.server.endpoint import Endpoint
from mcptrio.wire import TransportStream, memory_transport_pair
from tests.adversary.posts import (
    ECHO,
    INITIALIZE_POST,
    LIST,
    LIST_BODY,
    call,
    chunked,
    chunks,
    delete,
    get,
    head,
    in_session,
    post,
)
from tests.adversary.world import ONLY_WITNESS, Left, Raw, World, open_world, rpc, settled, with_limits
from tests.wire.rig import Response, upgrade_request

pytestmark = pytest.mark.unmeasured

ALICE, BOB = "alice-0123456789abcdef", "bob-0123456789abcdef"


@pytest.fixture(autouse=True)
def tap() -> None:
    """Not here: the judge of all messages keeps the peers that are to be counted."""


def _by(token: str, request: bytes) -> bytes:
    return request.replace(b"\r\n", f"\r\nAuthorization: Bearer {token}\r\n".encode(), 1)


def _alice(request: bytes) -> bytes:
    return _by(ALICE, request)


REFUSED: dict[bytes, int] = {
    LIST: 401,
    _by("nobody", LIST): 401,
    _by(ALICE, _by(BOB, LIST)): 401,
    upgrade_request(): 401,
    get("nobody"): 401,
    head("GET /metrics HTTP/1.1"): 401,
    INITIALIZE_POST: 401,
    _alice(post(LIST_BODY, host="Host: evil.example")): 403,
    _alice(LIST.replace(b"\r\n", b"\r\nOrigin: https://evil.example\r\n", 1)): 403,
    _alice(in_session("nobody", rpc("ping", 1))): 404,
    _alice(get("nobody")): 404,
    _alice(delete("nobody")): 404,
    head("GET /nowhere HTTP/1.1"): 404,
    _alice(head("GET /mcp HTTP/1.1")): 405,
    _alice(head("PUT /mcp HTTP/1.1")): 405,
    _alice(LIST.replace(b"\r\n", b"\r\nAccept: text/html\r\n", 1)): 406,
    _alice(LIST[:-1]): 408,
    _alice(LIST.replace(b"application/json", b"text/plain")): 415,
    _alice(post(b"x", length="99999999")): 413,
    _alice(chunked(chunks(b" " * 70_000, 60_000))): 413,
    _alice(post(b"{")): 400,
    _alice(post(b"[" + LIST_BODY + b"]")): 400,
    _alice(post(LIST_BODY)): 400,
    _alice(post(rpc("tools/list", 1))): 400,
    _alice(post(rpc("initialize", 1))): 400,
    _alice(post(b'{"jsonrpc": "2.0", "id": 1, "result": {}}')): 400,
    _alice(call("echo").replace(b"Mcp-Name: echo", b"Mcp-Name: other")): 400,
    _alice(chunked(b"zz\r\n")): 400,
    _alice(chunked(chunks(LIST_BODY, 9), "Content-Length: 5")): 400,
    b"\0\1\2\r\n\r\n": 400,
    head("GET /mcp HTTP/1.1", "X: " + "x" * 5000): 431,
    _alice(upgrade_request(drop="Sec-WebSocket-Key")): 400,
    _alice(upgrade_request("Sec-WebSocket-Version: 8", drop="Sec-WebSocket-Version")): 426,
    _alice(LIST): 429,
    _alice(ECHO): 429,
    _alice(INITIALIZE_POST): 429,
}
"""What each gets when Alice has asked too often."""


class Door:
    """Connections in memory through an endpoint that asks for tokens."""

    def __init__(self, app: App) -> None:
        self.endpoint: Endpoint = app.server._open_endpoint("outside", app.access, (), ())

    async def ask(self, request: bytes) -> Response:
        ours, theirs = memory_transport_pair()
        self.endpoint.connect(ours)
        raw = Raw(TransportStream(theirs))
        async with raw.stream:
            await raw.send(request)
            return await raw.response()


def _guard(app: App) -> None:
    app.access.tokens = Tokens.parse(f"alice:{ALICE}\nbob:{BOB}\n", "tokens")
    app.access.rate = RateLimit(1e-6, 100)


async def _objects(world: World, expected: Left) -> Counter[str]:
    """How many there are of each type of ours, and of those that a task or a request is made of."""
    await settled(world.app, expected)
    await trio.testing.wait_all_tasks_blocked()
    gc.collect()
    return Counter(
        f"{type(each).__module__}.{type(each).__qualname__}"
        for each in gc.get_objects()
        if (
            type(each).__module__.partition(".")[0] in ("mcptrio", "trio", "h11", "websockets")
            or type(each).__name__ in ("coroutine", "Context")
        )
        # The test keeps the log; and Trio lets go of a deadline that was not reached when it would have been.
        and type(each).__module__ != "mcptrio.log"
        and type(each) is not trio.CancelScope
    )


async def test_two_thousand_refused_requests_leave_nothing(autojump_clock: MockClock) -> None:
    settings = replace(with_limits(body_timeout=0.01), max_sessions=3)
    async with open_world(sockets=False, settings=settings, prepare=_guard) as world:
        door = Door(world.app)
        while (await door.ask(_alice(LIST))).status != 429:
            pass

        async def refuse(times: int, expected: dict[bytes, int]) -> None:
            for _ in range(times):
                for request, status in expected.items():
                    response = await door.ask(request)
                    assert response.status == status, (request[:200], response)

        await refuse(2, REFUSED)
        before = await _objects(world, ONLY_WITNESS)
        tasks = trio.lowlevel.current_statistics().tasks_living
        await refuse(1700 // len(REFUSED), REFUSED)
        assert await _objects(world, ONLY_WITNESS) - before == Counter()

        # As many sessions as there may be: the next one is refused for another reason.
        ids = []
        for _ in range(settings.max_sessions):
            ids.append((await door.ask(_by(BOB, INITIALIZE_POST))).headers["mcp-session-id"])
        others = {
            _alice(INITIALIZE_POST): 503,
            _alice(in_session(ids[0], rpc("ping", 1))): 404,  # Bob's
            _alice(get(ids[0])): 404,
            _alice(delete(ids[0])): 404,
            _by(BOB, get(ids[0], "Last-Event-ID: 7-7")): 400,
            _by(BOB, in_session(ids[0], b"{")): 400,
            _by(BOB, in_session(ids[0], rpc("ping", 1), "MCP-Protocol-Version: 1")): 400,
        }
        full = replace(ONLY_WITNESS, peers=4, children=4, sessions=3, watched=4)
        await refuse(2, others)
        before_full = await _objects(world, full)
        await refuse(400 // len(others), others)
        assert await _objects(world, full) - before_full == Counter()

        for id in ids:
            assert (await door.ask(_by(BOB, delete(id)))).status == 204
        assert await _objects(world, ONLY_WITNESS) - before == Counter()
        assert trio.lowlevel.current_statistics().tasks_living == tasks
        assert not door.endpoint.listener._conversations
        assert world.app.access.rate is not None
        assert len(world.app.access.rate) <= 3, "Alice, Bob and the witness"
        assert set(world.app.server.traffic.refusals) <= REASONS


REASONS = {
    *("unauthorized", "host", "origin", "not_found", "body_timeout", "body_too_big", "bad_request"),
    *("head_too_big", "bad_handshake"),
}
