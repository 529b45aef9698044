"""On real sockets: serving, draining, refusing, and running as a whole program."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from trio_websocket import ConnectionClosed, wrap_client_stream

from mcptrio import App, ServerSettings, open_client
from mcptrio.app import Address
from mcptrio.app.address import open_sockets
from tests.server.rig import ENVELOPE, TAG, expect_nothing_left, request

ROOT = Path(__file__).parents[2]


def house() -> App:
    app = App("house")

    @app.resource("a:{id}")
    async def resource(id: str) -> str:
        return id

    @app.tool
    async def wait() -> str:
        await trio.sleep_forever()
        return ""

    return app


async def get(address: Address, path: str, host: str | None = None, origin: str | None = None) -> int:
    """The status of a plain request."""
    stream = await trio.open_tcp_stream(address.host, address.port)
    async with stream:
        name = f"{address.host}:{address.port}" if host is None else host
        lines = [f"GET {path} HTTP/1.1", f"Host: {name}", "Connection: close"]
        if origin is not None:
            lines.append(f"Origin: {origin}")
        await stream.send_all("\r\n".join([*lines, "", ""]).encode())
        data = b""
        while chunk := await stream.receive_some():
            data += chunk
    return int(data.split(b" ")[1])


async def test_it_serves_on_a_port_that_the_system_picks_until_it_is_cancelled() -> None:
    app = house()
    async with trio.open_nursery() as nursery:
        address = await nursery.start(partial(app.serve, port=0))
        assert address.port > 0
        assert address.endpoint == f"http://127.0.0.1:{address.port}/mcp"
        assert address.websocket == f"ws://127.0.0.1:{address.port}/mcp"
        for url in (address.endpoint, address.websocket):
            async with open_client(url) as client, client.subscribe("a:1") as updates:
                app.updated_nowait("a:1")
                assert (await updates.__anext__()).uri == "a:1"
        assert await get(address, "/healthz") == 200
        assert await get(address, "/metrics") == 200
        assert await get(address, "/mcp") == 405
        assert await get(address, "/mcp", host="evil.example") == 403
        nursery.cancel_scope.cancel()
    expect_nothing_left(app)
    with pytest.raises(OSError):  # whatever the system says of a closed port
        await trio.open_tcp_stream(address.host, address.port)


async def test_cancelling_ends_listens_with_their_result_and_connections_with_1001() -> None:
    app = house()
    async with trio.open_nursery() as nursery:
        serving = await nursery.start(serve_in_scope, app)
        stream = await trio.open_tcp_stream(serving.address.host, serving.address.port)
        async with stream, trio.open_nursery() as reading:
            listening = await wrap_client_stream(reading, stream, "localhost", "/mcp")
            await listening.send_message(
                json.dumps(
                    request(
                        "l",
                        "subscriptions/listen",
                        {"notifications": {"resourceSubscriptions": ["a:1"]}},
                        modern=True,
                    )
                )
            )
            await listening.get_message()
            await listening.send_message(
                json.dumps(request(2, "tools/call", {"name": "wait", "_meta": ENVELOPE}))
            )
            while not any(peer.requests for peer in app.server.endpoints[1].peers.values()):  # noqa: ASYNC110
                await trio.lowlevel.checkpoint()
            before = trio.current_time()
            serving.scope.cancel()
            final = json.loads(await listening.get_message())
            assert (final["id"], final["result"]["_meta"][TAG]) == ("l", "l")
            with pytest.raises(ConnectionClosed) as caught:
                await listening.get_message()
            assert caught.value.reason is not None
            assert caught.value.reason.code == 1001
            assert trio.current_time() - before < app.settings.drain_timeout + 1.0
    expect_nothing_left(app)


class Serving:
    def __init__(self, address: Address, scope: trio.CancelScope) -> None:
        self.address = address
        self.scope = scope


async def serve_in_scope(app: App, *, task_status: trio.TaskStatus[Serving]) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            address = await nursery.start(partial(app.serve, port=0))
            task_status.started(Serving(address, scope))


async def test_a_port_in_use_is_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        app = house()
        with pytest.raises(OSError, match=r"[Aa]ddress already in use"):
            await app.serve(port=taken.getsockname()[1])
    expect_nothing_left(app)
    with pytest.raises(OSError):
        await app.serve("no.such.host.invalid", 0, anonymous=True)


async def test_two_addresses_of_one_app_share_the_hub() -> None:
    app = house()
    async with trio.open_nursery() as nursery:
        one = await nursery.start(partial(app.serve, port=0))
        two = await nursery.start(partial(app.serve, port=0))
        assert one.port != two.port
        async with open_client(one.websocket) as first, open_client(two.websocket) as second:
            async with first.subscribe("a:1") as left, second.subscribe("a:1") as right:
                app.updated_nowait("a:1")
                assert (await left.__anext__()).uri == (await right.__anext__()).uri == "a:1"
        nursery.cancel_scope.cancel()
    expect_nothing_left(app)


async def test_hosts_and_origins_are_checked_and_can_be_allowed() -> None:
    app = house()
    async with trio.open_nursery() as nursery:
        serve = partial(app.serve, allowed_hosts=["mcp.example"], allowed_origins=["https://page.example"])
        address = await nursery.start(partial(serve, port=0))
        assert await get(address, "/healthz", host="mcp.example") == 200
        assert await get(address, "/healthz", host="localhost") == 200
        assert await get(address, "/healthz", host="evil.example") == 403
        for origin, status in (("https://evil.example", 403), ("https://page.example", 200)):
            assert await get(address, "/healthz", origin=origin) == status
        nursery.cancel_scope.cancel()


async def test_the_number_of_connections_can_be_capped() -> None:
    app = App("house", settings=ServerSettings())
    async with trio.open_nursery() as nursery:
        address = await nursery.start(partial(app.serve, port=0, max_connections=1))
        async with open_client(address.websocket):
            assert await get(address, "/healthz") == 503
        with trio.fail_after(5):
            while await get(address, "/healthz") != 200:  # noqa: ASYNC110
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("host", "websocket"),
    [
        ("127.0.0.1", "ws://127.0.0.1:1/mcp"),
        ("0.0.0.0", "ws://127.0.0.1:1/mcp"),
        ("", "ws://127.0.0.1:1/mcp"),
        ("::", "ws://[::1]:1/mcp"),
        ("::1", "ws://[::1]:1/mcp"),
        ("mcp.example", "ws://mcp.example:1/mcp"),
    ],
)
def test_clients_are_told_an_address_that_they_can_connect_to(host: str, websocket: str) -> None:
    assert Address(host, 1).websocket == websocket
    assert Address(host, 1).endpoint == websocket.replace("ws:", "http:")


async def test_a_name_with_two_addresses_has_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    async def two(port: int, *, host: str) -> list[trio.SocketListener]:
        return [*await plain(port, host=host), *await plain(port, host=host)]

    plain = trio.open_tcp_listeners
    monkeypatch.setattr(trio, "open_tcp_listeners", two)
    (one,) = await open_sockets("127.0.0.1", 0)
    assert one.getsockname()[1] > 0
    one.close()


async def test_a_host_can_be_named() -> None:
    app = house()
    async with trio.open_nursery() as nursery:
        address = await nursery.start(partial(app.serve, "localhost", 0))
        async with open_client(address.websocket) as client:
            await client.ping()
        nursery.cancel_scope.cancel()


# As a program

PROGRAM = """
import logging
import sys
import time

import trio


from mcptrio import App
from mcptrio.app import run

logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
app = App("house")

@app.source("a:{id}", always=True)
async def clean(feed):
    try:
        await trio.sleep_forever()
    finally:
        if "slow" in sys.argv:
            with trio.CancelScope(shield=True):
                await trio.sleep(30)
        print("cleaned", flush=True)

def ready(address):
    print(address.websocket, flush=True)

if "method" in sys.argv:
    app.run(port=int(sys.argv[-1]))
else:
    run(app, port=int(sys.argv[-1]), on_ready=ready)
print("returned", flush=True)
if "after" in sys.argv:
    time.sleep(app.settings.drain_timeout + 2.0)
    print("later", flush=True)
"""


@contextmanager
def program(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_program_ends_cleanly_by_a_signal(number: signal.Signals) -> None:
    with program("0") as process:
        url = first_line(process)
        assert url.startswith("ws://127.0.0.1:")

        async def talk() -> None:
            async with open_client(url, reconnect=False) as client, client.subscribe("a:1"):
                before = time.monotonic()
                process.send_signal(number)
                code = await trio.to_thread.run_sync(partial(process.wait, timeout=20))
                assert code == 0
                assert time.monotonic() - before < 10

        trio.run(talk)
        out, err = process.communicate(timeout=20)
        assert out.split() == ["cleaned", "returned"]
        assert "Traceback" not in err
        assert "stopped" in err


def test_a_program_may_go_on_after_it_served() -> None:
    with program("after", "0") as process:
        first_line(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert process.stdout is not None
        assert process.stdout.read().split() == ["cleaned", "returned", "later"]


def test_a_program_whose_port_is_taken_says_so() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        program("method", str(taken.getsockname()[1])) as process,
    ):
        out, err = process.communicate(timeout=20)
        assert process.returncode == 1
        last = err.strip().splitlines()[-1]
        assert last.startswith("cannot listen on 127.0.0.1:")
        assert last.endswith("Address already in use; try app.run(port=...)")
        assert "Traceback" not in err
        assert "returned" not in out


def test_a_second_signal_ends_the_program_at_once() -> None:
    with program("slow", "0") as process:
        first_line(process)
        process.send_signal(signal.SIGINT)
        wait_for(process, "stopping")
        before = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 128 + signal.SIGTERM
        assert time.monotonic() - before < 10


def test_a_part_that_overstays_the_drain_does_not_keep_the_program() -> None:
    with program("slow", "0") as process:
        first_line(process)
        before = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=25) == 70
        assert time.monotonic() - before < 20
        assert process.stdout is not None
        assert "cleaned" not in process.stdout.read()


def wait_for(process: subprocess.Popen[str], word: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if word in line:
            return
    raise AssertionError(f"{word!r} was never logged")


async def test_running_is_serving_until_a_signal() -> None:
    """The same in this process, so that its parts are seen."""
    from mcptrio.app.run import _main

    app = house()
    addresses: list[Address] = []

    def ready(address: Address) -> None:
        addresses.append(address)
        signal.raise_signal(signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        import gc

        patch.setattr(gc, "freeze", lambda: None)
        # Its watchdog would end this process.
        patch.setattr(sys.modules["mcptrio.app.run"], "overstayed", lambda: None)
        with trio.fail_after(20):
            await _main(app, partial(app.serve, port=0), ready)
    assert len(addresses) == 1
    expect_nothing_left(app)
