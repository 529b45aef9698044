"""Others are let in only with tokens, or where the program says that everybody is meant."""

from __future__ import annotations

import signal
from functools import partial

import pytest
import trio

from mcptrio import Access, App, Tokens, open_client
from mcptrio.app import Address, run
from tests.server.rig import expect_nothing_left

TOKENS = Tokens.parse("0123456789abcdef", "here")


async def test_an_address_that_others_reach_is_refused_before_anything_starts() -> None:
    app = App("house")
    for host in ("0.0.0.0", "mcp.example"):
        with pytest.raises(ValueError, match=rf"{host} is reachable .*App\(access=.*anonymous=True"):
            await app.serve(host, 0)
    expect_nothing_left(app)


@pytest.mark.parametrize(("tokens", "anonymous"), [(TOKENS, False), (None, True)])
async def test_it_is_served_with_tokens_or_the_word(tokens: Tokens | None, anonymous: bool) -> None:
    app = App("house", access=Access(tokens))
    async with trio.open_nursery() as nursery:
        address = await nursery.start(partial(app.serve, "0.0.0.0", 0, anonymous=anonymous))
        assert address.endpoint == f"http://127.0.0.1:{address.port}/mcp"
        nursery.cancel_scope.cancel()


async def test_this_machine_needs_no_token() -> None:
    app = App("house")
    assert app.access.tokens is None
    async with trio.open_nursery() as nursery:
        address = await nursery.start(partial(app.serve, port=0))
        async with open_client(address.websocket) as client:
            await client.ping()
        nursery.cancel_scope.cancel()


def test_a_program_that_others_would_reach_ends_with_a_line() -> None:
    with pytest.raises(SystemExit, match="reachable from outside"):
        App("house").run("0.0.0.0")


def test_a_program_hands_on_what_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gc.freeze", lambda: None)
    found: list[Address] = []

    def ready(address: Address) -> None:
        found.append(address)
        signal.raise_signal(signal.SIGTERM)

    run(App("house"), host="0.0.0.0", port=0, anonymous=True, on_ready=ready)
    assert found[0].host == "0.0.0.0"


@pytest.mark.parametrize(
    ("address", "endpoint", "websocket"),
    [
        (Address("::1", 1, tls=True), "https://[::1]:1/mcp", "wss://[::1]:1/mcp"),
        (Address.of_unix_socket("/run/mcp.sock"), "unix:/run/mcp.sock", "unix:/run/mcp.sock"),
        (Address.of_unix_socket("/run/mcp.sock", tls=True), "unix:/run/mcp.sock", "unix:/run/mcp.sock"),
    ],
)
def test_clients_are_told_the_scheme(address: Address, endpoint: str, websocket: str) -> None:
    assert (address.endpoint, address.websocket) == (endpoint, websocket)
