"""The HTTP client that everyone shares has limits."""

import ssl
import sys
from subprocess import run

import httpx
import trio

from mcptrio.wire import Exchange
from mcptrio.wire.http import default_tls, open_http_client
from tests.wire.rig import Rig


async def test_it_asks_and_keeps_to_its_limits(nursery: trio.Nursery) -> None:
    async def route(exchange: Exchange) -> None:
        token = dict(exchange.headers).get("x-token", "")
        exchange.respond(302, token.encode(), headers=[("Location", "/elsewhere")])

    rig = Rig(nursery, routes={"/": route})
    port = await rig.listen()
    async with open_http_client(timeout=5, headers={"X-Token": "t"}) as client:
        response = await client.get(f"http://127.0.0.1:{port}/")
        assert (response.status_code, response.text) == (302, "t")  # not followed
        assert client.timeout == httpx.Timeout(5)
        assert client.trust_env is False


async def test_its_transport_can_be_replaced() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text=request.url.path))
    async with open_http_client(transport=transport, tls=ssl.create_default_context()) as client:
        assert (await client.get("http://h/x")).text == "/x"


def test_the_certificates_are_read_once_and_asked_for() -> None:
    assert default_tls() is default_tls()
    assert default_tls().verify_mode is ssl.CERT_REQUIRED
    assert default_tls().check_hostname


def test_a_server_does_not_import_what_only_clients_need() -> None:
    program = "import sys, mcptrio.wire; print(*{'httpx', 'trio_websocket'} & set(sys.modules))"
    assert (
        run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == ""
    )
