"""Agreeing on a revision, with servers of every age."""

from __future__ import annotations

import pytest
import trio

from mcptrio.client import ConnectionLost, InvalidResponse, RpcError, TimedOut
from tests.client.conftest import Open
from tests.client.fake_server import LEGACY, META, MODERN, FakeServer, Message, Peer, answers, never, refuses


async def test_auto_speaks_the_newer_revision_where_it_is_served(server: FakeServer, opening: Open) -> None:
    async with opening() as client:
        assert client.revision == MODERN
        assert client.server_info is not None and client.server_info.name == "fake"
        assert client.capabilities["tools"] == {"listChanged": True}
        assert client.instructions == "be gentle"
    assert server.peer.methods() == ["server/discover"]


async def test_the_older_revision_is_opened_by_its_handshake(server: FakeServer, opening: Open) -> None:
    async with opening(revision=LEGACY) as client:
        assert client.revision == LEGACY
        assert client.server_info is not None and client.server_info.version == "1"
        assert client.instructions is None
    assert server.peer.methods() == ["initialize", "notifications/initialized"]


@pytest.mark.parametrize(
    "discover",
    [
        refuses(-32601),
        refuses(-32602, data={"any": 1}),
        refuses(-32000, "no session"),
        refuses(-32022, data={"supported": [LEGACY], "requested": MODERN}),
        refuses(-32022, data={"supported": [MODERN, "2024-11-05"]}),
        refuses(-32022, data={"supported": "nothing to iterate"}),
        refuses(-32022),
        answers({}),
        answers({"supportedVersions": [LEGACY], "capabilities": {}}),
    ],
)
async def test_auto_greets_the_older_way_whatever_an_old_server_says_to_the_probe(
    server: FakeServer, opening: Open, discover: object
) -> None:
    server.handlers["server/discover"] = discover  # type: ignore[assignment]
    async with opening() as client:
        assert client.revision == LEGACY
    assert server.peer.methods() == ["server/discover", "initialize", "notifications/initialized"]
    assert len(server.peers) == 1


async def test_auto_greets_the_older_way_when_the_probe_is_not_answered(
    server: FakeServer, opening: Open, wire: str
) -> None:
    server.handlers["server/discover"] = never
    began = trio.current_time()
    async with opening(probe_timeout=2) as client:
        assert client.revision == LEGACY
        assert trio.current_time() - began == pytest.approx(2)
        cancelled = "notifications/cancelled" in server.peer.methods()
    assert cancelled is (wire == "http")  # where it is no message: leaving the answer is all that it means


async def test_auto_comes_back_for_a_server_that_hangs_up_on_the_probe(
    server: FakeServer, opening: Open
) -> None:
    async def hang_up(peer: Peer, message: Message) -> None:
        await peer.drop()

    server.handlers["server/discover"] = hang_up
    async with opening() as client:
        assert client.revision == LEGACY
    assert [peer.methods() for peer in server.peers] == [
        ["server/discover"],
        ["initialize", "notifications/initialized"],
    ]


async def test_a_server_that_hangs_up_on_everything_is_given_up_on(server: FakeServer, opening: Open) -> None:
    async def hang_up(peer: Peer, message: Message) -> None:
        await peer.drop()

    server.handlers |= {"server/discover": hang_up, "initialize": hang_up}
    with pytest.raises(ConnectionLost):
        async with opening():
            raise AssertionError
    assert len(server.peers) == 2


@pytest.mark.parametrize("revision", ["auto", MODERN])
async def test_without_a_common_version_the_servers_refusal_is_raised(
    server: FakeServer, opening: Open, revision: str
) -> None:
    server.handlers["server/discover"] = refuses(-32022, data={"supported": ["2031-01-01"]})
    with pytest.raises(RpcError) as refused:
        async with opening(revision=revision):
            raise AssertionError
    assert (refused.value.code, refused.value.data) == (-32022, {"supported": ["2031-01-01"]})
    assert server.peer.methods() == ["server/discover"]
    await server.peer.gone.wait()
    assert server.peer.close_code == 1000


@pytest.mark.parametrize(
    ("revision", "offered"), [(MODERN, [LEGACY]), ("auto", ["2031-01-01"]), ("auto", [])]
)
async def test_a_discovery_without_a_common_version_is_refused_by_the_client(
    server: FakeServer, opening: Open, revision: str, offered: list[str]
) -> None:
    server.handlers["server/discover"] = answers({"supportedVersions": offered, "capabilities": {}})
    with pytest.raises(RpcError, match="No common protocol version") as refused:
        async with opening(revision=revision):
            raise AssertionError
    assert refused.value.code == -32022


async def test_older_handshake_versions_are_accepted_and_shown(server: FakeServer, opening: Open) -> None:
    result = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "serverInfo": {"name": "x", "version": "0"},
    }
    server.handlers["initialize"] = answers(result)
    async with opening(revision=LEGACY) as client:
        assert client.revision == "2025-06-18"
        await client.ping()


async def test_a_handshake_version_that_is_unknown_is_refused(server: FakeServer, opening: Open) -> None:
    result = {"protocolVersion": MODERN, "capabilities": {}, "serverInfo": {"name": "x", "version": "0"}}
    server.handlers["initialize"] = answers(result)
    with pytest.raises(RpcError, match=MODERN):
        async with opening(revision=LEGACY):
            raise AssertionError
    assert "notifications/initialized" not in server.peer.methods()


async def test_a_refused_handshake_is_raised(server: FakeServer, opening: Open) -> None:
    server.handlers["initialize"] = refuses(-32602, "Unsupported protocol version")
    with pytest.raises(RpcError, match="Unsupported protocol version"):
        async with opening(revision=LEGACY):
            raise AssertionError


@pytest.mark.parametrize(("revision", "method"), [(LEGACY, "initialize"), (MODERN, "server/discover")])
async def test_an_answer_that_is_none_of_the_handshake_is_raised(
    server: FakeServer, opening: Open, revision: str, method: str
) -> None:
    server.handlers[method] = answers({"surprise": True})
    with pytest.raises(InvalidResponse, match=method):
        async with opening(revision=revision):
            raise AssertionError


@pytest.mark.parametrize(("revision", "method"), [(LEGACY, "initialize"), (MODERN, "server/discover")])
async def test_a_handshake_that_is_never_answered_times_out_and_is_not_cancelled(
    server: FakeServer, opening: Open, revision: str, method: str, wire: str
) -> None:
    server.handlers[method] = never
    with pytest.raises(TimedOut, match="not connected within 4 s"):
        async with opening(revision=revision, timeout=4):
            raise AssertionError
    left = ["notifications/cancelled"] if (wire, revision) == ("http", MODERN) else []
    assert server.peer.methods() == [method, *left]
    await server.peer.gone.wait()
    assert server.peer.close_code == 1000


async def test_a_revision_that_nobody_knows_is_the_callers_mistake(opening: Open) -> None:
    with pytest.raises(ValueError, match="1999-01-01"):
        async with opening(revision="1999-01-01"):
            raise AssertionError


@pytest.mark.parametrize("info", [None, {"name": 5}, "nobody"])
async def test_a_server_may_keep_its_name_to_itself(server: FakeServer, opening: Open, info: object) -> None:
    meta = {} if info is None else {"_meta": {META + "serverInfo": info}}
    server.handlers["server/discover"] = answers({"supportedVersions": [MODERN], "capabilities": {}, **meta})
    async with opening() as client:
        assert client.server_info is None
        assert client.instructions is None


async def test_what_was_found_is_kept_for_the_next_connection(server: FakeServer, opening: Open) -> None:
    server.handlers["server/discover"] = refuses(-32601)
    async with opening() as client:
        await server.peer.drop()
        await trio.sleep(2)  # by HTTP it is noticed when the stream is opened again
        await client.ping()
        assert server.peer.methods() == ["initialize", "notifications/initialized", "ping"]


async def test_a_server_that_came_back_as_another_is_asked_anew(server: FakeServer, opening: Open) -> None:
    server.handlers["server/discover"] = refuses(-32601)
    async with opening() as client:
        assert client.revision == LEGACY
        newer = FakeServer.__dict__["_discover"].__get__(server)
        server.handlers |= {"server/discover": newer, "initialize": refuses(-32601)}
        await server.peer.drop()
        await trio.sleep(2)  # by HTTP it is noticed when the stream is opened again
        await client.ping()
        assert client.revision == MODERN
