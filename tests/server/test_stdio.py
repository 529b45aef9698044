"""A client over lines is a client like any other: both revisions, subscriptions, hostile lines, limits."""

from __future__ import annotations

import json

import pytest
import trio
import trio.testing

from mcptrio.access import Access, RateLimit, Tokens
from mcptrio.supervision import supervisors
from mcptrio.wire import TransportStream, memory_transport_pair
from tests.server.lines import connected, house, texts
from tests.server.rig import Json, cancelled, request, updated

Clock = trio.testing.MockClock


async def test_the_newer_revision_is_served_from_discovery_to_silence(autojump_clock: Clock) -> None:
    app = house()
    async with connected(app) as host:
        assert (await host.call("server/discover", modern=True))["supportedVersions"] == [
            "2026-07-28",
            "2025-11-25",
        ]
        tools = (await host.call("tools/list", modern=True))["tools"]
        assert isinstance(tools, list) and len(tools) == 3
        echo: Json = {"name": "echo", "arguments": {"text": "ä\n"}}
        assert texts(await host.call("tools/call", echo, modern=True)) == ["ä\n"]
        await host.listen("one", "a:1", "a:2")
        await host.listen(2, "a:2")
        for _ in range(3):
            app.updated_nowait("a:1")
            assert await host.receive() == updated("a:1", "one")
        app.updated_nowait("a:2")
        both = [await host.receive(), await host.receive()]
        assert updated("a:2", "one") in both and updated("a:2", 2) in both
        await host.send(cancelled("one"))
        await trio.testing.wait_all_tasks_blocked()
        for uri in ("a:1", "a:2", "a:3"):
            app.updated_nowait(uri)
        assert await host.receive() == updated("a:2", 2)
        await host.quiet()


async def test_the_older_revision_is_served_from_its_handshake_to_silence(autojump_clock: Clock) -> None:
    app = house()
    async with connected(app) as host:
        assert (await host.call("tools/list"))["code"] == -32602
        await host.initialize()
        echo: Json = {"name": "echo", "arguments": {"text": "hello"}}
        assert texts(await host.call("tools/call", echo)) == ["hello"]
        assert await host.call("resources/subscribe", {"uri": "a:1"}) == {}
        for _ in range(3):
            app.updated_nowait("a:1")
            assert await host.receive() == updated("a:1")
        assert await host.call("resources/unsubscribe", {"uri": "a:1"}) == {}
        app.updated_nowait("a:1")
        await host.quiet()


async def test_both_revisions_are_served_side_by_side(autojump_clock: Clock) -> None:
    app = house()
    async with connected(app) as host:
        await host.initialize()
        assert await host.call("resources/subscribe", {"uri": "a:1"}) == {}
        await host.listen(1, "a:1")
        app.updated_nowait("a:1")
        both = [await host.receive(), await host.receive()]
        assert updated("a:1") in both and updated("a:1", 1) in both


async def test_a_request_that_is_cancelled_is_not_answered(autojump_clock: Clock) -> None:
    async with connected(house()) as host:
        await host.send(
            request(1, "tools/call", {"name": "wait", "_meta": {"progressToken": 7}}, modern=True)
        )
        assert (await host.receive())["method"] == "notifications/progress"
        await host.send(cancelled(1))
        await host.quiet()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"garbage\n", -32700),
        (b"\xff\xfe\x00\n", -32700),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "pi\n', -32700),
        (b"[" * 100_000 + b"\n", -32600),
        (b"[]\n", -32600),
        (b'"text"\n', -32600),
        (b"x" * 2_000_000 + b"\n", -32600),
    ],
)
async def test_a_bad_line_is_answered_and_the_next_one_served(
    line: bytes, code: int, autojump_clock: Clock
) -> None:
    async with connected(house(max_message=1_000_000)) as host:
        await host.send(line)
        answer = await host.receive()
        assert "id" not in answer
        error = answer["error"]
        assert isinstance(error, dict)
        assert error["code"] == code
        assert "supportedVersions" in await host.call("server/discover", modern=True)


async def test_a_line_that_is_too_long_is_refused_in_words(autojump_clock: Clock) -> None:
    async with connected(house(max_message=1000)) as host:
        await host.send(request(1, "tools/list", {"cursor": "x" * 1000}, modern=True))
        assert (await host.receive())["error"] == {
            "code": -32600,
            "message": "Invalid request: a message has at most 1000 bytes",
        }


async def test_empty_lines_and_other_line_ends_are_tolerated(autojump_clock: Clock) -> None:
    async with connected(house()) as host:
        await host.send(b"\n\r\n  \n", json.dumps(request(1, "ping")).encode(), b"\r\n\r\n")
        assert await host.receive() == {"jsonrpc": "2.0", "id": 1, "result": {}}
        await host.quiet()


async def test_big_answers_to_a_slow_reader_wait_in_bounded_memory(autojump_clock: Clock) -> None:
    app = house(high_water=100_000, max_pending=2_500_000)
    async with connected(app) as host:
        call: Json = {"name": "big", "arguments": {"size": 1_000_000}}
        await host.send(*(request(id, "tools/call", dict(call), modern=True) for id in range(20)))
        await trio.testing.wait_all_tasks_blocked()
        [peer] = app.server.endpoints[0].peers.values()
        assert 0 < peer.wire.pending_bytes <= 2_500_000
        assert len(peer.requests) >= 18
        for _ in range(20):
            message = await host.receive()
            assert len(texts(message["result"])[0]) == 1_000_000  # type: ignore[arg-type]
            assert peer.wire.pending_bytes <= 2_500_000


async def test_updates_to_a_reader_that_is_behind_are_merged_and_the_last_arrives(
    autojump_clock: Clock,
) -> None:
    app = house(high_water=1000)
    async with connected(app, capacity=100) as host:
        await host.listen(1, "a:1", "a:2")
        [peer] = app.server.endpoints[0].peers.values()
        for _ in range(10_000):
            app.updated_nowait("a:1")
            await trio.lowlevel.checkpoint()
        assert peer.wire.pending_bytes < 10_000
        app.updated_nowait("a:2")
        told = []
        while updated("a:2", 1) not in told:
            told.append(await host.receive())
        assert 1 < len(told) < 200


async def test_it_is_a_peer_that_can_be_seen_in_the_tree_and_in_the_sessions(autojump_clock: Clock) -> None:
    app = house()
    async with connected(app) as host:
        await host.initialize()
        [peer] = app.server.endpoints[0].peers.values()
        assert (peer.name, peer.address, peer.principal) == ("stdio #1", "stdio", None)
        [peers] = [each for each in supervisors(app.server.root) if each.name == "peers"]
        assert [child.name for child in peers.children()] == ["stdio #1"]
        read = await host.call("resources/read", {"uri": "mcptrio://sessions"})
        contents = read["contents"]
        assert isinstance(contents, list)
        sessions = json.loads(contents[0]["text"])["sessions"]
        assert [each["client"]["name"] for each in sessions] == ["test"]
    assert app.server.traffic.closes == {"1000": 1}


async def test_there_is_only_one_such_client(autojump_clock: Clock) -> None:
    app = house()
    async with connected(app) as host:
        ours, theirs = memory_transport_pair()
        with pytest.raises(RuntimeError, match="a client on stdio already"):
            await app.server.serve_stdio(ours)
        assert await TransportStream(theirs).receive_some() == b""
        assert "supportedVersions" in await host.call("server/discover", modern=True)


async def test_it_needs_no_token_and_is_held_to_the_rate(autojump_clock: Clock) -> None:
    tokens = Tokens.parse("somebody:0123456789abcdef", "here")
    async with connected(house(Access(tokens, RateLimit(rate=1.0, burst=2)))) as host:
        for _ in range(2):
            assert "tools" in await host.call("tools/list", modern=True)
        refused = await host.call("tools/list", modern=True)
        assert (refused["code"], refused["data"]) == (-32603, {"reason": "rate_limited", "retryAfter": 1.0})
        await trio.sleep(1.0)
        assert "tools" in await host.call("tools/list", modern=True)
