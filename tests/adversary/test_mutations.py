"""Valid sessions, damaged at random: whatever comes of it, another client is served and nothing is left."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.adversary.mutations import MUTATIONS, Mutation
from tests.adversary.world import (
    ALIVE,
    HOT,
    INITIALIZE,
    INITIALIZED,
    PATIENCE,
    World,
    listen,
    modern,
    open_world,
    rpc,
    text,
)
from tests.wire.rig import PING, TEXT, close_frame, frame, upgrade_request

pytestmark = pytest.mark.unmeasured

PIECES = [
    upgrade_request(),
    INITIALIZE,
    INITIALIZED,
    text(rpc("resources/subscribe", 1, uri=HOT)),
    text(rpc("resources/list", 2)),
    text(modern("tools/call", "c", name="echo", arguments={"text": "ä\U0001f600"})),
    text(modern("tools/call", "h", name="hold", arguments={"tag": "mutated"})),
    text(listen("l", HOT, "hot://2")),
    frame(PING, b"are you there"),
    frame(TEXT, rpc("ping", "p")[:10], fin=False) + frame(0, rpc("ping", "p")[10:]),
    text(rpc("notifications/cancelled", requestId="h")),
    text(rpc("resources/unsubscribe", 3, uri=HOT)),
    ALIVE,
    close_frame(1000, b"bye"),
]


async def _play(data: bytes, cuts: list[int]) -> None:
    async with open_world(sockets=False) as world:
        await _attack(world, data, cuts)


async def _attack(world: World, data: bytes, cuts: list[int]) -> None:
    raw = await world.dial()
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


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(
    pieces=st.lists(st.sampled_from(PIECES[1:]), max_size=10),
    greeted=st.booleans(),
    mutations=st.lists(MUTATIONS, min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 5000), max_size=3),
)
def test_a_damaged_session_hurts_nobody_else(
    pieces: list[bytes], greeted: bool, mutations: list[Mutation], cuts: list[int]
) -> None:
    session = b"".join(pieces)
    if not greeted:  # the handshake is damaged too
        session = PIECES[0] + session
    for mutate in mutations:
        session = mutate(session)
    if greeted:
        session = PIECES[0] + session
    trio.run(_play, session, cuts, clock=MockClock(autojump_threshold=0))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
_METHODS = [
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "resources/templates/list",
    "prompts/list",
    "prompts/get",
    "subscriptions/listen",
    "notifications/cancelled",
    "notifications/initialized",
]
_NAMES = ["uri", "name", "arguments", "cursor", "notifications", "requestId", "protocolVersion", "clientInfo"]
_params = st.dictionaries(
    st.sampled_from(_NAMES) | st.text(max_size=5),
    _json
    | st.sampled_from(
        ["echo", HOT, {"resourceSubscriptions": [HOT]}, {"text": 1}, {"name": "x", "version": "y"}]
    ),
    max_size=4,
)
_messages = st.tuples(
    st.sampled_from(_METHODS), st.none() | st.integers() | st.text(max_size=5), _params, st.booleans()
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(messages=st.lists(_messages, max_size=8))
def test_any_params_of_any_method_get_at_most_an_error(
    messages: list[tuple[str, object, dict[str, object], bool]],
) -> None:
    session = PIECES[0] + INITIALIZE
    for method, id, params, enveloped in messages:
        make = modern if enveloped else rpc
        session += text(
            make(
                method, id, **{name: value for name, value in params.items() if name not in ("id", "method")}
            )
        )
    trio.run(_play, session, [], clock=MockClock(autojump_threshold=0))
