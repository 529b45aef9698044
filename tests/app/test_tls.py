"""An app behind TLS: https and wss to its clients, on a port and at a path."""

from __future__ import annotations

import ssl
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme

from mcptrio import App, open_client
from mcptrio.app import Address
from mcptrio.wire.tls import server_context
from tests.server.rig import expect_nothing_left


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(authority: trustme.CA, tmp_path: Path) -> ssl.SSLContext:
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    path = tmp_path / "server.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(path)
    return server_context(path)


async def talk(address: Address, authority: trustme.CA) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def connect() -> trio.abc.Stream:
        if address.unix_socket is None:
            plain: trio.SocketStream = await trio.open_tcp_stream(address.host, address.port)
        else:
            plain = await trio.open_unix_socket(address.unix_socket)
        return trio.SSLStream(plain, trusting, server_hostname="localhost", https_compatible=True)

    async with open_client("ws://localhost/mcp", connect=connect) as client:
        await client.ping()


async def test_clients_on_a_port_speak_tls(authority: trustme.CA, server: ssl.SSLContext) -> None:
    app = App("house")
    async with trio.open_nursery() as nursery:
        address: Address = await nursery.start(partial(app.serve, port=0, tls=server))
        assert address.endpoint == f"https://127.0.0.1:{address.port}/mcp"
        assert address.websocket == f"wss://127.0.0.1:{address.port}/mcp"
        await talk(address, authority)
        nursery.cancel_scope.cancel()
    expect_nothing_left(app)


async def test_clients_at_a_path_speak_tls_too(
    authority: trustme.CA, server: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = App("house")
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(app.serve, unix_socket="mcp.sock", tls=server))
        await talk(Address("", 0, unix_socket="mcp.sock"), authority)
        nursery.cancel_scope.cancel()
    expect_nothing_left(app)
