"""Lines of a sound client of stdio, damaged at random: what is said to it is messages, and another client is served."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from mcptrio.wire import TransportStream, memory_transport_pair
from tests.adversary.mutations import MUTATIONS, Mutation
from tests.adversary.world import HOT, PATIENCE, listen, modern, open_world, rpc

pytestmark = pytest.mark.unmeasured

_INFO = {"name": "evil", "version": "0"}
PIECES = [
    rpc("initialize", 0, protocolVersion="2025-11-25", capabilities={}, clientInfo=_INFO),
    rpc("notifications/initialized"),
    rpc("resources/subscribe", 1, uri=HOT),
    rpc("ping", 2),
    b"[" + rpc("ping", 2) + b"]",
    b'{"jsonrpc": "2.0", "id": 7, "result": {}}',
    b"",
    b" " * 70_000,
    b"[" * 5000,
    modern("tools/call", "c", name="echo", arguments={"text": "ä\n\U0001f600"}),
    modern("tools/call", "h", name="hold", arguments={"tag": "mutated"}),
    modern("tools/call", 5, name="large", arguments={"size": 60_000}),
    listen("l", HOT, "hot://2"),
    rpc("notifications/cancelled", requestId="h"),
]


async def _play(data: bytes, cuts: list[int]) -> None:
    async with open_world(sockets=False) as world:
        ours, theirs = memory_transport_pair()
        stream = TransportStream(theirs)
        said = bytearray()
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                while more := await stream.receive_some():
                    said.extend(more)

            nursery.start_soon(world.app.server.serve_stdio, ours)
            nursery.start_soon(read)
            edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
            with trio.fail_after(PATIENCE):
                for start, end in pairwise(edges):
                    await stream.send_all(data[start:end])
                    await world.witness_is_served()
                await stream.send_eof()
        await stream.aclose()
        assert not said or said.endswith(b"\n")
        for line in said.splitlines():
            assert isinstance(json.loads(line), dict)
        assert sorted(world.cancelled) == sorted(world.entered)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=8),
    mutations=st.lists(MUTATIONS, max_size=4),
    cuts=st.lists(st.integers(0, 5000), max_size=3),
)
def test_damaged_lines_are_answered_in_messages_and_hurt_nobody_else(
    pieces: list[bytes], mutations: list[Mutation], cuts: list[int]
) -> None:
    sent = b"\n".join([*pieces, b""])
    for mutate in mutations:
        sent = mutate(sent)
    trio.run(_play, sent, cuts, clock=MockClock(autojump_threshold=0))
