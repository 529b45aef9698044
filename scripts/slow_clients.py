"""A hundred of a thousand subscribers stop reading: what that costs the server, and the others.

    python scripts/slow_clients.py [--clients 1000] [--stopped 100] [--rounds 7] [--seconds 6]

Starts an mcptrio server in a process of its own and connects WebSocket clients by raw sockets. Each subscribes by the
extension, with data; half of them under `conflate`, half under `every`. Changes are published at a pace. In each round all
read for a while, and then some stop: they are sent so much that the server holds back, and for the same while the others'
latency is taken again, so the ratio of the two is of one run and one rate. What the stopped ones are told when they read
again is held against the chain of offsets. In the end they stop for good, more is published than may wait for them, and
changes go on until the server has closed them all.

Prints one line per figure. The exit status is 1 if memory was more than 5 % beyond the bounds, if the others' 99th
percentile was more than 10 % worse in the median of the rounds (`--lenient 2`: twice as much of both), or if a count is not
what docs/extension.md promises.
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
from collections import Counter

from extension_client import META, PONG, ExtensionClient
from load_clients import RawClient, ServerProcess, frame, percentile, say

from mcptrio.live import allowance, history

MIB = 1024 * 1024
HIGH_WATER = MIB
"""Pending towards one peer before the server holds back."""
TURN = 256 * 1024
"""What one peer is sent in one turn of the flusher, but for the message that goes beyond it."""
PLACE = 200
"""What a place in a queue takes, in bytes. The changes themselves are those of history: all who wait share them."""


# ---- the server, in a process of its own


def serve(stall_timeout: float) -> None:
    """An App with a tool that publishes, and one that counts."""
    from dataclasses import replace

    import trio

    from mcptrio import App, Limits, ServerSettings
    from mcptrio.app import Address, run

    limits = replace(Limits(), stall_timeout=stall_timeout, high_water=HIGH_WATER)
    app = App("slow", settings=ServerSettings(limits=limits))

    @app.resource("load://{name}")
    async def load(name: str) -> str:
        await trio.lowlevel.checkpoint()
        return name

    @app.tool
    async def publish(name: str, first: int, count: int, size: int) -> None:
        for number in range(first, first + count):
            app.updated_nowait(f"load://{name}{number}", data={"at": time.monotonic(), "padding": "x" * size})
            if number % 10 == 9:
                await trio.lowlevel.checkpoint()

    @app.tool
    async def counters() -> str:
        await trio.lowlevel.checkpoint()
        peers = [peer for endpoint in app.server.endpoints for peer in endpoint.peers.values()]
        pending = [peer.wire.pending_bytes for peer in peers]
        waits = [peer.allowance for peer in peers if peer.allowance is not None]
        tally = app.hub.selections.tally
        counted = {
            "peers": len(peers),
            "pending": sum(pending),
            "pending_most": max(pending),
            "waiting": tally.waiting,
            "waiting_most": max((each.count for each in waits), default=0),
            "waiting_bytes_most": max((each.bytes for each in waits), default=0),
            "merged": tally.merged,
            "gaps": tally.gaps["pending"],
            "closes": dict(app.server.traffic.closes),
        }
        return json.dumps(counted)

    def ready(address: Address) -> None:
        print(address.port, flush=True)

    run(app, port=0, on_ready=ready)


class SlowServer(ServerProcess):
    """That server."""

    def __init__(self, stall_timeout: float) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", "--stall", str(stall_timeout)], stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        os.sched_setaffinity(self.process.pid, {min(os.sched_getaffinity(0))})


# ---- the clients, all in this process


class Crowd:
    """Everybody, and who of them reads; and a connection by which the server is told what to do."""

    def __init__(self, server: SlowServer, clients: int, stopped: int, rate: float, size: int) -> None:
        self.server = server
        self._rate = rate
        self._size = size
        self._control = RawClient(server.port)
        # Those who stop have a subscription more: by that they are filled without the others hearing of it.
        self.stopping = [
            ExtensionClient(server.port, ("conflate", "every")[number % 2], "all", "flood")
            for number in range(stopped)
        ]
        self.others = [
            ExtensionClient(server.port, ("conflate", "every")[number % 2], "all")
            for number in range(clients - stopped)
        ]
        for client in self.stopping:
            # So that they are full soon, and always at about the same.
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        self._clients = {client.socket.fileno(): client for client in (*self.stopping, *self.others)}
        self._epoll = select.epoll()
        for client in self._clients.values():
            client.socket.setblocking(False)
            self._epoll.register(client.socket, select.EPOLLIN)
        self._mine = set(map(id, self.stopping))
        self._is_stopped = False
        self.cpu = 0.0
        """What the last pace has cost the server, in microseconds for each delivery to the others."""
        self.peak = 0.0
        self.late: list[float] = []

    def _turn(self, until: float) -> None:
        for number, _ in self._epoll.poll(max(until - time.monotonic(), 0.0)):
            client = self._clients[number]
            late = client.take(time.monotonic())
            if client.ended:
                self._epoll.unregister(number)
            elif id(client) not in self._mine:
                self.late += late

    def call(self, tool: str, **arguments: object) -> bytes:
        """Call a tool, while those who read do."""
        params = {"name": tool, "arguments": arguments, "_meta": META}
        request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        self._control.socket.setblocking(True)
        self._control.socket.sendall(frame(request))
        self._control.socket.setblocking(False)
        while True:
            self._turn(time.monotonic() + 0.001)
            try:
                answers = self._control.messages(self._control.socket.recv(65_536))
            except BlockingIOError:
                continue
            if answers:
                return answers[0]

    def counters(self) -> dict[str, int]:
        """What the server counts."""
        result = json.loads(self.call("counters"))["result"]
        counted: dict[str, int] = json.loads(result["content"][0]["text"])
        return counted

    def pace(self, seconds: float) -> list[float]:
        """Publish at the pace; returns how late the others were told, in seconds."""
        self.late = []
        for client in self._reading():
            client.socket.send(PONG)
        due = time.monotonic()
        cpu = self.server.cpu_seconds()
        for _ in range(max(1, int(seconds * self._rate))):
            self.call("publish", name="all", first=0, count=1, size=self._size)
            due += 1 / self._rate
            while time.monotonic() < due:
                self._turn(due)
            self.peak = max(self.peak, self.server.rss_megabytes())
        self.cpu = (self.server.cpu_seconds() - cpu) / max(1, len(self.late)) * 1e6
        return self.late

    def flood(self, count: int, size: int) -> None:
        """Publish for those who stop, until no more of it goes out."""
        for begun in range(0, count, 100):
            self.call("publish", name="flood", first=begun, count=min(100, count - begun), size=size)
            self.peak = max(self.peak, self.server.rss_megabytes())
        self._settle("pending", "waiting")

    def _settle(self, *names: str) -> dict[str, int]:
        """Read until some counters do not change any more, and nothing comes."""
        known: tuple[list[int], int] | None = None
        until = time.monotonic() + 60
        while time.monotonic() < until:
            counted = self.counters()
            now = [counted[name] for name in names], sum(client.taken for client in self._clients.values())
            if now == known:
                break
            known = now
            pause = time.monotonic() + 0.5
            while time.monotonic() < pause:
                self._turn(pause)
        return counted

    def _reading(self) -> list[ExtensionClient]:
        return self.others if self._is_stopped else self.others + self.stopping

    def stop(self) -> None:
        """Some do not read from now on."""
        self._is_stopped = True
        for client in self.stopping:
            self._epoll.unregister(client.socket)

    def resume(self) -> None:
        """They read again, and all is read that waits."""
        self._is_stopped = False
        for client in self.stopping:
            client.socket.send(PONG)
            self._epoll.register(client.socket, select.EPOLLIN)
        self._settle("pending", "waiting")

    def close(self) -> None:
        """Close all sockets."""
        self._epoll.close()
        for client in (*self._clients.values(), self._control):
            client.socket.close()


def measure(crowd: Crowd, given: argparse.Namespace) -> int:
    """All of it; returns how many goals were missed."""
    missed = 0

    def judge(name: str, is_met: bool) -> None:
        nonlocal missed
        missed += not is_met
        say(name, verdict="ok" if is_met else "MISSED")

    crowd.pace(given.seconds / 2)  # to warm up
    all_read: list[float] = []
    some_stopped: list[float] = []
    ratios: list[float] = []
    before = crowd.server.rss_megabytes()
    full: dict[str, int] = {}
    for _ in range(given.rounds):
        with_all = crowd.pace(given.seconds)
        cpu = crowd.cpu
        crowd.stop()
        crowd.flood(given.flood, 16_384)
        with_stopped = crowd.pace(given.seconds)
        full = crowd.counters()
        crowd.resume()
        ratios.append(percentile(with_stopped, 0.99) / percentile(with_all, 0.99))
        say("round", p99_ms=percentile(with_all, 0.99) * 1e3, ratio=ratios[-1], us=cpu, us_stopped=crowd.cpu)
        say("while stopped", **shown(full))
        all_read += with_all
        some_stopped += with_stopped
    ratio = percentile(some_stopped, 0.99) / percentile(all_read, 0.99)
    for name, late in (("all read", all_read), ("some stopped", some_stopped)):
        say(
            name,
            delivered=len(late),
            p50_ms=statistics.median(late) * 1e3,
            p99_ms=percentile(late, 0.99) * 1e3,
        )
    say("ratio of p99", overall=ratio, median_of_rounds=statistics.median(ratios))
    everybody = crowd.stopping + crowd.others
    newest = {client.last["all"] for client in everybody}
    holes = sum(client.holes for client in everybody)
    gaps = sum((client.gaps for client in everybody), Counter[str]())
    say("after reading again", holes=holes, gaps=sum(gaps.values()), told_the_last=len(newest) == 1)
    crowd.stop()
    crowd.flood(given.flood, 16_384)
    crowd.flood(given.beyond, 64)
    beyond = crowd.counters()
    say("more than may wait", **shown(beyond))
    began = time.monotonic()
    last = crowd.pace(given.seconds)
    while crowd.counters()["peers"] > 1 + len(crowd.others) and time.monotonic() < began + given.stall + 30:
        last += crowd.pace(1.0)
    ended = crowd.counters()
    say("closed for good", seconds=time.monotonic() - began, closes=ended["closes"], **shown(ended))
    say("others meanwhile", delivered=len(last), p99_ms=percentile(last, 0.99) * 1e3)
    stopped = len(crowd.stopping)
    wires = stopped * (HIGH_WATER + TURN + 20_000) / 1e6
    waits = history.MOST_BYTES / 1e6 + stopped * allowance.MOST * PLACE / 1e6
    say(
        "memory",
        before_mb=before,
        peak_mb=crowd.peak,
        bounds_mb=wires + waits,
        after_mb=crowd.server.rss_megabytes(),
    )
    judge("memory within bounds", crowd.peak <= (before + wires + waits) * (1 + 0.05 * given.lenient))
    judge("others not slower", statistics.median(ratios) <= 1 + 0.1 * given.lenient)
    judge(
        "pending within bounds",
        max(full["pending_most"], beyond["pending_most"]) <= HIGH_WATER + TURN + 20_000,
    )
    judge("waiting within bounds", max(full["waiting_most"], beyond["waiting_most"]) <= allowance.MOST)
    judge("too much is a gap", beyond["gaps"] >= stopped)
    judge("told without a hole", not holes and not gaps and len(newest) == 1)
    judge("stopped ones closed", ended["peers"] == 1 + len(crowd.others))
    return missed


def shown(counted: dict[str, int]) -> dict[str, object]:
    """The counters, on a line."""
    return {name: value for name, value in counted.items() if name != "closes"}


def main() -> int:
    """Run everything once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--stopped", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of each half of a round")
    parser.add_argument("--rate", type=float, default=10.0, help="changes a second")
    parser.add_argument("--size", type=int, default=1024, help="bytes of data in each")
    parser.add_argument("--flood", type=int, default=400, help="changes of 16 KiB that fill those who stop")
    parser.add_argument("--beyond", type=int, default=14_000, help="changes for which there is no room")
    parser.add_argument("--stall", type=float, default=60.0, help="the server's stall_timeout, in seconds")
    parser.add_argument("--lenient", type=float, default=1.0, help="how many times as much is allowed")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.stall)
        return 0
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    server = SlowServer(given.stall)
    try:
        crowd = Crowd(server, given.clients, given.stopped, given.rate, given.size)
        missed = measure(crowd, given)
        crowd.close()
    finally:
        took, status = server.stop()
    say("SIGTERM", seconds=took, exit_status=status)
    return 1 if missed or status else 0


if __name__ == "__main__":
    sys.exit(main())
