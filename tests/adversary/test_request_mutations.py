"""Sound HTTP requests, damaged at random: nothing but statuses or the end, and another client is served."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from mcptrio import App
from tests.adversary.mutations import MUTATIONS, Mutation
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
    listen_post,
    post,
)
from tests.adversary.test_sessions import begin
from tests.adversary.world import HOT, PATIENCE, SETTINGS, Raw, open_world, rpc
from tests.wire.rig import upgrade_request

pytestmark = pytest.mark.unmeasured

SESSION = "session-of-the-attacker-0123456789"
"""Stands for the id of a live session."""
PIECES = [
    LIST,
    ECHO,
    call("echo", "c", "Mcp-Param-Text: x", text="ä\U0001f600"),
    call("hold", "h", tag="mutated"),
    chunked(chunks(LIST_BODY, 7)),
    chunked(chunks(LIST_BODY, 50, b";a=b")[:-2] + b"X: y\r\n\r\n"),
    post(LIST_BODY, "Expect: 100-continue"),
    listen_post(HOT, "hot://2"),
    INITIALIZE_POST,
    in_session(SESSION, rpc("ping", 1)),
    in_session(SESSION, rpc("resources/subscribe", 2, uri=HOT)),
    in_session(SESSION, rpc("tools/call", 3, name="echo", arguments={"text": "x"})),
    in_session(SESSION, rpc("notifications/cancelled", requestId=3)),
    get(SESSION),
    get(SESSION, "Last-Event-ID: 0-1"),
    delete(SESSION),
    head("GET /healthz HTTP/1.1"),
    head("OPTIONS /mcp HTTP/1.1", "Access-Control-Request-Headers: mcp-param-x"),
    head("HEAD /metrics HTTP/1.1", "Connection: close"),
    upgrade_request(),
]
BRIEF = replace(SETTINGS, session_timeout=0.2, max_sessions=50)
STATUSES = {*(100, 101, 200, 202, 204), *range(400, 418), 426, 429, 431, 501, 503}
_status_line = re.compile(rb"HTTP/1\.1 (\d{3}) ")


def _look_often(app: App) -> None:
    """To sessions, whose end is awaited."""
    app.server._sweeper._interval = 0.05


async def _play(data: bytes, cuts: list[int]) -> None:
    async with open_world(sockets=False, settings=BRIEF, prepare=_look_often) as world:
        data = data.replace(SESSION.encode(), (await begin(world)).encode())
        raw: Raw = await world.dial()
        async with raw.stream, trio.open_nursery() as nursery:

            async def read() -> None:
                while await raw.more():
                    pass

            nursery.start_soon(read)
            edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
            with trio.fail_after(PATIENCE):
                for start, end in pairwise(edges):
                    await raw.send(data[start:end])
                    await world.witness_is_served()
            nursery.cancel_scope.cancel()
        answered = {int(status) for status in _status_line.findall(raw.received)}
        assert answered <= STATUSES, raw.received


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(
    pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=6),
    mutations=st.lists(MUTATIONS, min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 5000), max_size=3),
)
def test_damaged_requests_get_statuses_and_hurt_nobody_else(
    pieces: list[bytes], mutations: list[Mutation], cuts: list[int]
) -> None:
    sent = b"".join(pieces)
    for mutate in mutations:
        sent = mutate(sent)
    trio.run(_play, sent, cuts, clock=MockClock(autojump_threshold=0))


_field = st.sampled_from(
    [
        *(
            "Host",
            "Origin",
            "Accept",
            "Content-Type",
            "Content-Length",
            "Transfer-Encoding",
            "Connection",
            "Expect",
        ),
        *("Upgrade", "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name", "Mcp-Session-Id", "Mcp-Param-Text"),
        *("Last-Event-ID", "Authorization", "Access-Control-Request-Headers", "Sec-WebSocket-Version"),
    ]
)
_values = st.text(st.characters(max_codepoint=255), max_size=30) | st.sampled_from(
    [
        *(
            "localhost",
            "http://localhost",
            "*/*",
            "text/event-stream",
            "application/json",
            "chunked",
            "close",
        ),
        *(
            "100-continue",
            "websocket",
            "2026-07-28",
            "2025-11-25",
            "tools/list",
            "echo",
            "=?base64?ZWNobw==?=",
        ),
        *(SESSION, "0-1", "0", "13", "99999999999999999999"),
    ]
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    sound=st.sampled_from(PIECES),
    fields=st.lists(st.tuples(_field, _values), min_size=1, max_size=4),
    dropped=st.lists(_field, max_size=2),
)
def test_any_values_of_fields_get_statuses_and_hurt_nobody_else(
    sound: bytes, fields: list[tuple[str, str]], dropped: list[str]
) -> None:
    first, *lines = sound.partition(b"\r\n\r\n")[0].split(b"\r\n")
    kept = [line for line in lines if line.partition(b":")[0].decode() not in dropped]
    added = [f"{name}: {value}".encode("latin-1") for name, value in fields]
    sent = b"\r\n".join([first, *kept, *added, b"", b""]) + sound.partition(b"\r\n\r\n")[2]
    trio.run(_play, sent, [], clock=MockClock(autojump_threshold=0))
