"""Sends a real server requests that it refuses, by the hundred thousand: is anything left of them?

    python scripts/reject.py [--requests 100000] [--workers 40] [--seconds 900]

The server runs in a process of its own, asks for tokens and limits rates. Each request has a connection of its own and is
refused in a way of its own, from bytes that are no HTTP to a session that is another's. Prints one line with the memory
of the server for every tenth of them. The exit status is 1 if a request got another status than it should, a connection
or a session was left, or the memory has grown by more than 8 MB since the first tenth; 2 if the time was up.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import trio

ALICE, BOB = "alice-0123456789abcdef", "bob-0123456789abcdef"
MOST_GROWTH = 8_000_000
"""Bytes: what an allocator may keep. One object of each refused request would be many times as much."""
PATIENCE = 30.0

SERVER = f"""
import mcptrio, mcptrio.app
from mcptrio.access import Access, RateLimit, Tokens
access = Access(Tokens.parse("alice:{ALICE}\\nbob:{BOB}", "the script"), RateLimit(1e-6, 3))
app = mcptrio.App("target", access=access)
@app.tool
async def echo(text: str) -> str:
    "Echo."
    return text
mcptrio.app.run(app, port=0, on_ready=lambda address: print(address.port, flush=True))
"""


def _request(first: str, *lines: str, body: bytes = b"", token: str = ALICE) -> bytes:
    fields = ["Host: localhost", *lines]
    if token:
        fields.append(f"Authorization: Bearer {token}")
    return "\r\n".join([first, *fields, "", ""]).encode() + body


def _post(body: bytes, *lines: str, token: str = ALICE, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    fields = ["Content-Type: application/json", f"Content-Length: {size}", *lines]
    return _request("POST /mcp HTTP/1.1", *fields, body=body, token=token)


def _message(method: str, **params: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


_META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
_INITIALIZE = _message(
    "initialize",
    protocolVersion="2025-11-25",
    capabilities={},
    clientInfo={"name": "reject", "version": "1"},
)
_MODERN = ("MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/list")
_LIST = _message("tools/list", _meta=_META)


def refused(session: str) -> list[tuple[bytes, int]]:
    """Requests, and the status of each; `session` is Bob's."""
    ping = _message("ping")
    return [
        (b"\0\1\2\r\n\r\n", 400),
        (_post(_LIST, *_MODERN, token=""), 401),
        (_post(_LIST, *_MODERN, token="nobody-0123456789"), 401),
        (_post(_INITIALIZE, token=""), 401),
        (_request("GET /metrics HTTP/1.1", token=""), 401),
        (_post(_LIST, *_MODERN, "Origin: https://evil.example"), 403),
        (_post(_LIST, *_MODERN).replace(b"Host: localhost", b"Host: evil.example"), 403),
        (_request("GET /nowhere HTTP/1.1"), 404),
        (_post(ping, "Mcp-Session-Id: nobody"), 404),
        (_post(ping, f"Mcp-Session-Id: {session}"), 404),
        (_request("GET /mcp HTTP/1.1", f"Mcp-Session-Id: {session}"), 404),
        (_request("DELETE /mcp HTTP/1.1", f"Mcp-Session-Id: {session}"), 404),
        (_request("GET /mcp HTTP/1.1"), 405),
        (_request("PUT /mcp HTTP/1.1"), 405),
        (_post(_LIST, *_MODERN, "Accept: text/html"), 406),
        (_post(b"x", length=10**9), 413),
        (_request("POST /mcp HTTP/1.1"), 415),
        (_post(b"{"), 400),
        (_post(b"[" + _LIST + b"]"), 400),
        (_post(_LIST), 400),
        (_post(_LIST, *_MODERN, "Mcp-Method: tools/call"), 400),
        (_post(ping), 400),
        (_post(_LIST, "Transfer-Encoding: chunked"), 400),
        (_request("GET /mcp HTTP/1.1", "X: " + "x" * 20_000), 431),
        (_request("GET /mcp HTTP/1.1", "Upgrade: websocket", "Connection: upgrade"), 400),
        (_post(_LIST, *_MODERN), 429),
        (_post(_INITIALIZE), 429),
    ]


class Reject:
    """One run against one server process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._port = port
        self._statm = Path(f"/proc/{process.pid}/statm")
        self._sent = 0
        self.wrong: Counter[str] = Counter()
        self.first = 0
        """Bytes of memory after the first tenth."""
        self.growth = 0

    def memory(self) -> int:
        """Resident memory of the server, in bytes."""
        return int(self._statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def ask(self, request: bytes) -> bytes:
        """The head of the response to a request on a connection of its own; what there is of it."""
        # From many addresses in turn: one has not enough ports for so many connections.
        source = f"127.0.0.{2 + self._sent % 250}"
        self._sent += 1
        stream = await trio.open_tcp_stream("127.0.0.1", self._port, local_address=source)
        received = b""
        async with stream:
            await stream.send_all(request)
            with trio.fail_after(PATIENCE):
                while b"\r\n\r\n" not in received and (more := await stream.receive_some()):
                    received += more
        return received

    async def run(self, requests: int, workers: int) -> None:
        """Send so many, so many at a time."""
        opened = await self.ask(_post(_INITIALIZE, token=BOB))
        [session] = re.findall(rb"(?i)mcp-session-id: (\S+)", opened)
        while b" 429 " not in await self.ask(_post(_LIST, *_MODERN)):
            pass
        kinds = refused(session.decode())
        began = time.monotonic()
        print(f"requests=0 memory={self.memory() / 1e6:.1f}MB", flush=True)
        for tenth in range(1, 11):
            left = iter(range(requests // 10))

            async def work(left: object = left) -> None:
                for number in left:  # type: ignore[attr-defined]
                    request, status = kinds[number % len(kinds)]
                    got = (await self.ask(request))[9:12]
                    if got != str(status).encode():
                        self.wrong[f"{got!r} instead of {status}"] += 1

            async with trio.open_nursery() as nursery:
                for _ in range(workers):
                    nursery.start_soon(work)
            self.first = self.first or self.memory()
            self.growth = self.memory() - self.first
            rate = tenth * (requests // 10) / (time.monotonic() - began)
            print(
                f"requests={tenth * (requests // 10)} memory={self.memory() / 1e6:.1f}MB rate={rate:.0f}/s",
                flush=True,
            )
        closed = await self.ask(
            _request("DELETE /mcp HTTP/1.1", f"Mcp-Session-Id: {session.decode()}", token=BOB)
        )
        assert b" 204 " in closed, closed

    async def left(self) -> str:
        """What the server says that it still holds, in its own words; empty for nothing."""
        metrics = b""
        for _ in range(50):
            stream = await trio.open_tcp_stream("127.0.0.1", self._port)
            async with stream:
                await stream.send_all(_request("GET /metrics HTTP/1.1", "Connection: close", token=BOB))
                metrics = b"".join([piece async for piece in stream])
            held = dict(
                re.findall(
                    r"(?m)^(mcptrio_(?:connections|peers|sessions|requests_running)) (\S+)", metrics.decode()
                )
            )
            assert held, metrics
            over = {
                name: value for name, value in held.items() if float(value) > (name == "mcptrio_connections")
            }
            if not over:
                return ""
            await trio.sleep(0.1)
        return " ".join(f"{name}={value}" for name, value in over.items())


async def run(arguments: argparse.Namespace, reject: Reject) -> int:
    """Send all of them and judge; the exit status."""
    held = "what was not asked for: the time was up"
    with trio.move_on_after(arguments.seconds) as scope:
        await reject.run(arguments.requests, arguments.workers)
        held = await reject.left()
    failed = bool(reject.wrong or held or reject.growth > MOST_GROWTH)
    status = 2 if scope.cancelled_caught else int(failed)
    wrong = ", ".join(f"{count} times {what}" for what, count in reject.wrong.items()) or "nothing"
    print(f"wrong={wrong} left={held or 'nothing'} growth={reject.growth / 1e6:.1f}MB exit_status={status}")
    return status


def main() -> int:
    """Start the server, send, judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=900.0)
    arguments = parser.parse_args()
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        return trio.run(run, arguments, Reject(process, int(process.stdout.readline())))
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
