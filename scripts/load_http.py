"""Streamable HTTP beside the official Python SDK's server: calls per second and core, and what an idle listen costs.

    python scripts/load_http.py [--seconds 3] [--connections 50] [--listens 5000] [--rounds 3]

Each server runs in a process of its own, on the first core; the SDK's in its judge's environment (scripts/test makes
it), with uvicorn as it comes. The client is raw sockets in this process, the same for both, and the servers take turns
in each round. Prints one line per figure, and the ratio of the medians; nothing here is a gate.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import selectors
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

JUDGE = Path(__file__).parent.parent / ".cache" / "judges" / "mcp-2" / "bin" / "python"
URI = "load://ticker"
INFO = {"name": "load", "version": "1"}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": INFO,
}

OURS = f"""
import mcptrio, mcptrio.app
app = mcptrio.App("load")
@app.tool
async def echo(text: str) -> str:
    "Echo."
    return text
@app.resource({URI!r})
async def ticker() -> str:
    return "tick"
mcptrio.app.run(app, port=0, on_ready=lambda address: print(address.port, flush=True))
"""
THEIRS = f"""
import socket, uvicorn
from mcp.server import MCPServer
server = MCPServer("load", log_level="ERROR")
@server.tool()
async def echo(text: str) -> str:
    "Echo."
    return text
@server.resource({URI!r})
async def ticker() -> str:
    return "tick"
sock = socket.create_server(("127.0.0.1", 0), backlog=4096)
print(sock.getsockname()[1], flush=True)
app = server.streamable_http_app(json_response=True)
uvicorn.Server(uvicorn.Config(app, log_level="error", backlog=4096)).run(sockets=[sock])
"""


class ServerProcess:
    """One server: its port, its CPU time and memory. Ended by leaving."""

    def __init__(self, name: str) -> None:
        python, code = (sys.executable, OURS) if name == "mcptrio" else (str(JUDGE), THEIRS)
        self.process = subprocess.Popen(
            [python, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        os.sched_setaffinity(self.process.pid, {min(os.sched_getaffinity(0))})
        self.stat = Path(f"/proc/{self.process.pid}")

    def __enter__(self) -> ServerProcess:
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return self
            except OSError:
                time.sleep(0.1)

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = (self.stat / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_kilobytes(self) -> float:
        """Resident memory now."""
        return int((self.stat / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1000


class Connection:
    """A keep-alive connection with one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = b""
        self.buffer = b""
        self.sent = 0.0

    def send(self) -> None:
        """Send the request that is set."""
        self.sent = time.perf_counter()
        self.socket.sendall(self.request)

    def receive(self) -> bytes | None:
        """The response, if all of it is there."""
        more = self.socket.recv(65_536)
        assert more, f"closed behind {self.buffer!r}"
        self.buffer += more
        head, end, body = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return None
        _, found, length = head.lower().partition(b"content-length:")
        whole = len(body) >= int(length.split(b"\r\n")[0]) if found else body.endswith(b"0\r\n\r\n")
        if not whole:
            return None
        response, self.buffer = self.buffer, b""
        return response

    def ask(self, request: bytes) -> bytes:
        """Send a request, wait for its response."""
        self.request = request
        self.send()
        while (response := self.receive()) is None:
            pass
        return response


def post(port: int, message: dict[str, object], **fields: str) -> bytes:
    """A POST of a message; underscores in names of fields are hyphens."""
    body = json.dumps(message).encode()
    lines = [
        "POST /mcp HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Accept: application/json, text/event-stream",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def modern(port: int, method: str, params: dict[str, object], name: str = "") -> bytes:
    """A 2026-07-28 request."""
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}
    fields = {"MCP_Protocol_Version": "2026-07-28", "Mcp_Method": method} | (
        {"Mcp_Name": name} if name else {}
    )
    return post(port, message, **fields)


def ready_to_call(port: int, revision: str) -> Connection:
    """A connection whose request is a call of `echo`, in a session of its own where the revision has them."""
    connection = Connection(port)
    params: dict[str, object] = {"name": "echo", "arguments": {"text": "hello"}}
    if revision == "2026-07-28":
        connection.request = modern(port, "tools/call", params, "echo")
        return connection
    opening = {"protocolVersion": revision, "capabilities": {}, "clientInfo": INFO}
    head = connection.ask(
        post(port, {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": opening})
    ).decode()
    [session] = [
        line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("mcp-session-id:")
    ]
    fields = {"Mcp_Session_Id": session, "MCP_Protocol_Version": revision}
    connection.ask(post(port, {"jsonrpc": "2.0", "method": "notifications/initialized"}, **fields))
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    connection.request = post(port, call, **fields)
    return connection


def measure_calls(name: str, revision: str, count: int, seconds: float) -> tuple[float, float, float]:
    """Calls per second, per second of the server's CPU, and the 99th percentile (ms)."""
    with ServerProcess(name) as server, selectors.DefaultSelector() as selector:
        connections = [ready_to_call(server.port, revision) for _ in range(count)]
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send()
        latencies: list[float] = []
        cpu, began = server.cpu_seconds(), time.perf_counter()
        while time.perf_counter() < began + seconds:
            for key, _ in selector.select(1):
                connection = key.data
                if (response := connection.receive()) is not None:
                    assert b'"hello"' in response, response
                    latencies.append(time.perf_counter() - connection.sent)
                    connection.send()
        took, spent = time.perf_counter() - began, server.cpu_seconds() - cpu
        for connection in connections:
            connection.socket.close()
    return len(latencies) / took, len(latencies) / spent, statistics.quantiles(latencies, n=100)[98] * 1000


def measure_listens(name: str, count: int) -> tuple[float, int]:
    """Kilobytes of the server's memory for each idle, acknowledged listen, and how many of them it takes."""
    with ServerProcess(name) as server:
        wanted: dict[str, object] = {"notifications": {"resourceSubscriptions": [URI]}}
        request = modern(server.port, "subscriptions/listen", wanted)
        Connection(server.port).ask(modern(server.port, "tools/list", {}))
        before = server.rss_kilobytes()
        connections: list[socket.socket] = []
        for _ in range(count):
            listening = socket.create_connection(("127.0.0.1", server.port))
            listening.sendall(request)
            received = b""
            while b"notifications/subscriptions/acknowledged" not in received and b'"error"' not in received:
                more = listening.recv(4096)
                assert more, received
                received += more
            if b'"error"' in received:
                break  # it takes no more
            connections.append(listening)
        used = server.rss_kilobytes() - before
        for listening in connections:
            listening.close()
    return used / len(connections), len(connections)


def main() -> None:
    """Take turns, print figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--listens", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, arguments.listens + 1000)), hard))
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    names = ["mcptrio", "SDK 2.3"] if JUDGE.exists() else ["mcptrio"]
    for revision in ("2025-11-25", "2026-07-28"):
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in names}
        for _ in range(arguments.rounds):
            for name in names:
                found[name].append(measure_calls(name, revision, arguments.connections, arguments.seconds))
        per_core = {name: statistics.median(each[1] for each in runs) for name, runs in found.items()}
        for name, runs in found.items():
            rate, p99 = (statistics.median(each[at] for each in runs) for at in (0, 2))
            print(
                f"{revision} tools/call  {name:8}  {rate:7.0f}/s  {per_core[name]:7.0f}/s per core  p99 {p99:.1f} ms"
            )
        if len(names) == 2:
            print(f"{revision} tools/call  ratio per core  {per_core[names[0]] / per_core[names[1]]:.2f}")
    for name in names:
        each, taken = measure_listens(name, arguments.listens)
        print(f"2026-07-28 listen      {name:8}  {each:.1f} KB each of {taken}")


if __name__ == "__main__":
    main()
