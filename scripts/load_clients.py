"""A thousand clients of one server, on loopback: what they get, how late, and what it costs.

    python scripts/load_clients.py --clients 1000

Starts an mcptrio server in a process of its own, connects raw-socket clients to it (a WebSocket library on this side would
cost more than the server and hide it), subscribes all of them to one resource, publishes at a pace, and then lets some of
them call a tool in a closed loop. The same closed loop against a plain trio-websocket echo server, in the same run, is
what the request figures are to be read beside. Prints one line per figure; nothing here is a gate.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

URI = "load://ticker"
CLOSE = b"\x88\x82\0\0\0\0\x03\xe9"
HEADERS = (
    b"GET /mcp HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


# ---- the servers, each in a process of its own


def serve_mcptrio() -> None:
    """An App with a resource, a tool that says it changed, and a tool that echoes."""
    from functools import partial

    import trio

    from mcptrio.app import Address, App, run

    app = App("load")

    @app.resource(URI)
    async def ticker() -> str:
        await trio.lowlevel.checkpoint()
        return "tick"

    @app.tool
    async def publish() -> None:
        await trio.lowlevel.checkpoint()
        app.updated_nowait(URI)

    @app.tool
    async def echo(text: str) -> str:
        await trio.lowlevel.checkpoint()
        return text

    def ready(address: Address) -> None:
        print(address.port, flush=True)

    partial(run, app, port=0, on_ready=ready)()


def serve_echo() -> None:
    """A plain trio-websocket server: receive, send back."""
    import trio
    from trio_websocket import ConnectionClosed, WebSocketRequest, WebSocketServer

    async def handle(request: WebSocketRequest) -> None:
        websocket = await request.accept()
        try:
            while True:
                await websocket.send_message(await websocket.get_message())
        except ConnectionClosed:
            return

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            server = WebSocketServer(handle, listeners)
            await nursery.start(server.run)
            print(listeners[0].socket.getsockname()[1], flush=True)

    trio.run(main)


class ServerProcess:
    """A server of this script in a process of its own, on the first core; its CPU time and memory."""

    def __init__(self, kind: str) -> None:
        self.process = subprocess.Popen([sys.executable, __file__, "--serve", kind], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        os.sched_setaffinity(self.process.pid, {min(os.sched_getaffinity(0))})

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_megabytes(self) -> float:
        """Resident memory now."""
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self, turn: Callable[[], None] = lambda: None) -> tuple[float, int]:
        """SIGTERM; how long it took to end while clients take their turns, and the exit status."""
        began = time.perf_counter()
        self.process.terminate()
        while self.process.poll() is None and time.perf_counter() < began + 30:
            turn()
        return time.perf_counter() - began, self.process.wait(timeout=1)


# ---- the clients, all in this process


def frame(message: object) -> bytes:
    """A masked text frame; the mask is zero, which is a mask."""
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    size = len(data)
    head = bytes([0x81, 0x80 | size]) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
    return head + b"\0\0\0\0" + data


class RawClient:
    """One raw socket that speaks just enough WebSocket."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(HEADERS)
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            received = self.socket.recv(65_536)
            if not received:
                raise ConnectionError(f"refused: {self.buffer!r}")
            self.buffer += received
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(f"refused: {head!r}")
        self.received = 0

    def ask(self, message: object) -> None:
        """Send a message and wait for one message back."""
        self.socket.sendall(frame(message))
        while not self.messages(self.socket.recv(65_536)):
            pass

    def messages(self, data: bytes) -> list[bytes]:
        """The texts that are complete with this data; other frames are passed over."""
        if not data:
            raise ConnectionError("the server closed the connection")
        self.buffer += data
        found = []
        while len(self.buffer) >= 2:
            size, head = self.buffer[1], 2
            if size == 126:
                size, head = int.from_bytes(self.buffer[2:4], "big"), 4
            elif size == 127:
                size, head = int.from_bytes(self.buffer[2:10], "big"), 10
            if len(self.buffer) < head + size:
                break
            if self.buffer[0] == 0x88:
                self.socket.send(CLOSE)
            elif self.buffer[0] == 0x81:
                found.append(self.buffer[head : head + size])
            self.buffer = self.buffer[head + size :]
        return found


META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def request(id: int, method: str, revision: str, **params: object) -> dict[str, object]:
    """A request in either revision."""
    if revision == "2026-07-28":
        params["_meta"] = META
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def subscribe(client: RawClient, revision: str) -> None:
    """Open a session and subscribe, or listen."""
    if revision == "2026-07-28":
        client.ask(
            request(1, "subscriptions/listen", revision, notifications={"resourceSubscriptions": [URI]})
        )
        return
    info = {"name": "load", "version": "1"}
    client.ask(request(1, "initialize", revision, protocolVersion=revision, capabilities={}, clientInfo=info))
    client.ask(request(2, "resources/subscribe", revision, uri=URI))


class Crowd:
    """All clients behind one epoll."""

    def __init__(self, clients: list[RawClient]) -> None:
        self._epoll = select.epoll()
        self._clients = {client.socket.fileno(): client for client in clients}
        self.ending = False
        for number, client in self._clients.items():
            client.socket.setblocking(False)
            self._epoll.register(number, select.EPOLLIN)

    def turn(self, timeout: float, on_messages: Callable[[RawClient, list[bytes]], None]) -> None:
        """Hand over what arrives within one wait."""
        for number, _ in self._epoll.poll(max(timeout, 0.0)):
            client = self._clients[number]
            try:
                data = client.socket.recv(65_536)
            except BlockingIOError:
                continue
            except ConnectionResetError:
                data = b""
            if not data and self.ending:
                self._epoll.unregister(number)
            elif messages := client.messages(data):
                on_messages(client, messages)

    def close(self) -> None:
        """Close all sockets."""
        self._epoll.close()
        for client in self._clients.values():
            client.socket.close()


# ---- what is measured


def say(name: str, **figures: object) -> None:
    """One line of figures."""
    shown = "  ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in figures.items()
    )
    print(f"{name:<22}{shown}", flush=True)


def percentile(values: list[float], share: float) -> float:
    """A percentile, in the unit of the values."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def paced(
    server: ServerProcess, crowd: Crowd, clients: int, publishes: int, rate: float, revision: str
) -> None:
    """Publish at a pace; every client is to get every update, and the last one in any case."""
    publisher = RawClient(server.port)
    if revision != "2026-07-28":
        info = {"name": "load", "version": "1"}
        publisher.ask(
            request(1, "initialize", revision, protocolVersion=revision, capabilities={}, clientInfo=info)
        )
    call = frame(request(9, "tools/call", revision, name="publish", arguments={}))
    lateness: list[float] = []
    asked = 0.0
    delivered = 0
    served_last: set[RawClient] = set()

    def count(client: RawClient, messages: list[bytes]) -> None:
        nonlocal delivered
        delivered += len(messages)
        lateness.append(time.perf_counter() - asked)
        served_last.add(client)

    cpu = server.cpu_seconds()
    for number in range(publishes):
        served_last.clear()
        asked = time.perf_counter()
        publisher.socket.sendall(call)
        due = asked + 1.0 / rate
        while (left := due - time.perf_counter()) > 0:
            crowd.turn(left, count)
        publisher.messages(publisher.socket.recv(65_536))
        if number == publishes - 1:
            until = time.perf_counter() + 10.0
            while len(served_last) < clients and time.perf_counter() < until:
                crowd.turn(0.1, count)
    cpu = server.cpu_seconds() - cpu
    publisher.socket.close()
    say(
        "paced updates",
        deliveries_per_s=rate * clients,
        delivered=delivered,
        merged=publishes * clients - delivered,
        lost=clients - len(served_last),
        p50_ms=statistics.median(lateness) * 1e3,
        p99_ms=percentile(lateness, 0.99) * 1e3,
        server_us_each=cpu / max(delivered, 1) * 1e6,
    )


def closed_loop(
    server: ServerProcess, clients: list[RawClient], message: bytes, seconds: float, name: str
) -> float:
    """Each client sends its next message when the last was answered; returns answers per second of server CPU."""
    crowd = Crowd(clients)
    answered = 0
    lateness: list[float] = []
    sent: dict[RawClient, float] = {}

    def again(client: RawClient, messages: list[bytes]) -> None:
        nonlocal answered
        now = time.perf_counter()
        answered += len(messages)
        lateness.append(now - sent[client])
        sent[client] = now
        client.socket.send(message)

    cpu, began = server.cpu_seconds(), time.perf_counter()
    for client in clients:
        sent[client] = time.perf_counter()
        client.socket.send(message)
    while (now := time.perf_counter()) < began + seconds:
        crowd.turn(began + seconds - now, again)
    took, cpu = time.perf_counter() - began, server.cpu_seconds() - cpu
    crowd.close()
    say(
        name,
        connections=len(clients),
        per_second=answered / took,
        per_core=answered / cpu,
        p50_ms=statistics.median(lateness) * 1e3,
        p99_ms=percentile(lateness, 0.99) * 1e3,
    )
    return answered / cpu


def main() -> None:
    """Run everything once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--publishes", type=int, default=100)
    parser.add_argument("--rate", type=float, default=10.0, help="publishes a second")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each closed loop")
    parser.add_argument("--callers", type=int, default=100, help="connections of the closed loops")
    parser.add_argument("--revision", choices=["2025-11-25", "2026-07-28"], default="2026-07-28")
    parser.add_argument("--serve", choices=["mcptrio", "echo"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        return serve_mcptrio() if arguments.serve == "mcptrio" else serve_echo()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    server = ServerProcess("mcptrio")
    empty = server.rss_megabytes()
    began = time.perf_counter()
    clients = []
    for _ in range(arguments.clients):
        client = RawClient(server.port)
        subscribe(client, arguments.revision)
        clients.append(client)
    took = time.perf_counter() - began
    idle = server.rss_megabytes()
    say(
        "connect and subscribe",
        connects=len(clients),
        per_second=len(clients) / took,
        memory_mb=idle,
        kb_per_client=(idle - empty) / len(clients) * 1e3,
    )
    crowd = Crowd(clients)
    paced(server, crowd, len(clients), arguments.publishes, arguments.rate, arguments.revision)
    say("memory", memory_mb=server.rss_megabytes())
    callers = [RawClient(server.port) for _ in range(arguments.callers)]
    if arguments.revision != "2026-07-28":
        for caller in callers:
            subscribe(caller, arguments.revision)
    call = frame(request(3, "tools/call", arguments.revision, name="echo", arguments={"text": "x" * 64}))
    ours = closed_loop(server, callers, call, arguments.seconds, "tools/call echo")
    crowd.ending = True
    took, status = server.stop(lambda: crowd.turn(0.01, lambda client, messages: None))
    say("SIGTERM", seconds=took, exit_status=status)
    crowd.close()
    echo = ServerProcess("echo")
    callers = [RawClient(echo.port) for _ in range(arguments.callers)]
    plain = closed_loop(echo, callers, frame(b"x" * 64), arguments.seconds, "trio-websocket echo")
    echo.stop()
    say("ratio", tools_call_to_plain_echo_per_core=ours / plain)


if __name__ == "__main__":
    main()
