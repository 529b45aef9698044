"""What can be connected to, and the token that goes along."""

from __future__ import annotations

import ssl

import pytest
import trio
import trio.testing
import trio_websocket

from mcptrio.client import ConnectionLost, StdioCommand, open_client
from mcptrio.client.target import find_target

TOKEN = "tulips-are-red"


@pytest.mark.parametrize(
    ("server", "url", "is_http"),
    [
        ("ws://h", "ws://h/mcp", False),
        ("WSS://h:5/x?a=1", "wss://h:5/x?a=1", False),
        ("http://h:80", "http://h/mcp", True),
        ("HTTPS://[::1]/", "https://[::1]/mcp", True),
        (StdioCommand(("prog", "arg")), "stdio:prog", False),
    ],
)
def test_the_scheme_says_how_a_server_is_reached(server: str | StdioCommand, url: str, is_http: bool) -> None:
    target = find_target(server, timeout=1)
    assert (target.url, target.is_http) == (url, is_http)
    assert target.carrier().url == url
    assert find_target(target, timeout=1) is target


@pytest.mark.parametrize("server", ["gopher://h", "h:80", "", "http://", "http://user:pw@h"])
def test_what_cannot_be_connected_to_is_the_callers_mistake(server: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        find_target(server, timeout=1)


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_a_token_is_in_no_representation(scheme: str) -> None:
    target = find_target(f"{scheme}://h", timeout=1, token=TOKEN, tls=ssl.create_default_context())
    assert TOKEN not in repr(target)
    assert TOKEN not in repr(target.carrier())


@pytest.mark.parametrize("given", [TOKEN, None])
async def test_the_token_goes_with_the_upgrade(nursery: trio.Nursery, given: str | None) -> None:
    near, far = trio.testing.memory_stream_pair()
    sent: list[bytes | None] = []

    async def serve() -> None:
        request = await trio_websocket.wrap_server_stream(nursery, far)
        sent.append(dict(request.headers).get(b"authorization"))
        await request.reject(401, body=b"who are you?")

    async def connect() -> trio.abc.Stream:
        nursery.start_soon(serve)
        return near

    with pytest.raises(ConnectionLost, match=r"HTTP 401: a token is missing or wrong") as lost:
        async with open_client("ws://localhost/mcp", connect=connect, token=given):
            raise AssertionError
    assert sent == [None if given is None else f"Bearer {TOKEN}".encode()]
    assert lost.value.status == 401
    assert TOKEN not in str(lost.value)
    nursery.cancel_scope.cancel()
