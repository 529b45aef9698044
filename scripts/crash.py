"""Kills parts of a real server, again and again, under real clients: is anything lost?

    python scripts/crash.py --kills 1000 --seed 1 --clients 16

Starts tests/concurrency/crash_server.py in a process of its own and connects clients of both revisions by WebSocket on
loopback, which subscribe to changes of sources of every kind. Before and after each kill some of these change, once; then
everybody must be told, and everything run again, before the next one. While that goes on other resources change all the
time. Prints one line of figures for each hundred kills and one for all; the exit status is 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec
import trio

from mcptrio.client import Client, ConnectionLost, open_client
from mcptrio.protocol.types import TextContent
from mcptrio.supervision import Backoff

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
BOUND = 20.0
"""Seconds after which what was not told counts as lost."""
PATIENCE = 30.0
BUSY = (
    *(f"{kind}://busy-{number}" for kind in ("always", "demand", "part", "direct") for number in range(3)),
    *("mcptrio://supervision", "mcptrio://alerts", "email://live-feed"),
)
"""What changes all the time."""


class Lost(Exception):
    """Somebody was not told of something."""


class Figures(msgspec.Struct):
    """What the server says of itself. Times are those of `time.monotonic`, which all processes of a machine share."""

    accepted: int
    accepted_at: dict[str, float]
    killed_at: float
    kills: dict[str, int]
    missing: list[str]
    peers: int
    rebuilt: int
    subscriptions: int
    surprises: list[str]


@dataclass
class Hearer:
    """A client with one subscription, and when it was told of each URI."""

    uris: tuple[str, ...]
    since: float = 0.0
    told: dict[str, float] = field(default_factory=dict)
    gap_on: dict[str, int] = field(default_factory=dict)
    """The connection on which it was told that it may have missed something."""
    heard: int = 0
    client: Client | None = None

    async def run(
        self, url: str, revision: str, rng: random.Random, *, task_status: trio.TaskStatus[None]
    ) -> None:
        """Connect, subscribe and listen until cancelled; connect again whenever the connection is lost."""
        async with (
            open_client(
                url, revision=revision, timeout=PATIENCE, backoff=Backoff(initial=0.02, maximum=0.2), rng=rng
            ) as self.client,
            self.client.subscribe(*self.uris) as updates,
        ):
            self.since = time.monotonic()
            task_status.started()
            async for update in updates:
                self.told[update.uri] = time.monotonic()
                if update.gap:
                    self.gap_on[update.uri] = self.connections
                self.heard += 1

    @property
    def connections(self) -> int:
        """How many there were, this one included."""
        return 0 if self.client is None else self.client.statistics().connections

    def due(self, accepted_at: Mapping[str, float]) -> list[str]:
        """What it is still to be told of; where it has connected again, of what it may have missed too."""
        if self.client is None or not self.client.statistics().connected:
            return ["a connection"]
        return [
            uri
            for uri in self.uris
            if max(self.told.get(uri, 0.0), self.since) < accepted_at.get(uri, 0.0)
            or self.gap_on.get(uri, 1) < self.connections
        ]


class Crash:
    """One run: the clients, the kills, and what came of them."""

    def __init__(self, url: str, clients: int, kills: int, seed: int) -> None:
        self._url = url
        self._kills = kills
        self._rng = random.Random(seed)
        self._hearers: list[Hearer] = []
        self._clients = clients
        self._quiet: list[str] = []
        self._control: Client
        self.slowest = 0.0
        """The longest time (s) from a kill until everybody was told of what changed about then."""
        self.figures: Figures

    async def run(self) -> None:
        """Kill so often.

        Raises:
            Lost: somebody was not told of something, or something did not come back.
        """
        async with (
            open_client(self._url, timeout=PATIENCE, backoff=Backoff(initial=0.02, maximum=0.2)) as control,
            trio.open_nursery() as nursery,
        ):
            self._control = control
            self._quiet = await self._ask("quiet", list[str])
            for number in range(self._clients):
                hearer = Hearer((*self._rng.sample(self._quiet, 6), *self._rng.sample(BUSY, 4)))
                self._hearers.append(hearer)
                revision = ("2025-11-25", "2026-07-28")[number % 2]
                await nursery.start(hearer.run, self._url, revision, random.Random(number))
            await self._settle()
            told_of = 0
            while (kills := sum(self.figures.kills.values())) < self._kills:
                await self._kill()
                await self._settle()
                if kills // 100 > told_of:
                    told_of = kills // 100
                    print(self.summary(), flush=True)
                    await self._check()
            await self._check()
            print(self.summary(), flush=True)
            nursery.cancel_scope.cancel()

    async def _kill(self) -> None:
        heard = [uri for uri in self._quiet if any(uri in hearer.uris for hearer in self._hearers)]
        uris = self._rng.sample(heard, self._rng.randrange(1, len(heard)))
        try:
            await self._control.call_tool("kill", {"uris": uris})
        except ConnectionLost:
            pass  # it was this client's connection, or its hub

    async def _settle(self) -> None:
        deadline = time.monotonic() + BOUND
        expected = sum(len(hearer.uris) for hearer in self._hearers)
        while True:
            figures = self.figures = await self._ask("figures", Figures)
            if figures.surprises:
                raise Lost(f"logged as errors: {figures.surprises}")
            missing = [
                *figures.missing,
                *(
                    f"client {number}: {uri}"
                    for number, hearer in enumerate(self._hearers)
                    for uri in hearer.due(figures.accepted_at)
                ),
            ]
            if (figures.peers, figures.subscriptions) != (len(self._hearers) + 1, expected):
                missing.append(
                    f"{figures.peers} peers with {figures.subscriptions} subscriptions, not {expected}"
                )
            if not missing:
                break
            if time.monotonic() > deadline:
                raise Lost(f"{BOUND:g} s after a kill: {missing}")
            await trio.sleep(0.01)
        if figures.killed_at:
            told = [at for hearer in self._hearers for uri, at in hearer.told.items() if uri in self._quiet]
            self.slowest = max(self.slowest, *(at - figures.killed_at for at in told))

    async def _check(self) -> None:
        wrong = await self._ask("check", list[str])
        if wrong:
            raise Lost(*wrong)

    async def _ask(self, tool: str, type_: type[T]) -> T:
        while True:
            try:
                result = await self._control.call_tool(tool)
            except ConnectionLost:
                continue
            (content,) = result.content
            text = content.text if isinstance(content, TextContent) else ""
            if result.is_error is True:
                raise Lost(text)
            return msgspec.json.decode(text, type=type_)

    def summary(self) -> str:
        """One line of figures."""
        figures = self.figures
        words: Sequence[tuple[str, object]] = [
            ("kills", sum(figures.kills.values())),
            ("changes", figures.accepted),
            ("deliveries", sum(hearer.heard for hearer in self._hearers)),
            ("reconnects", sum(hearer.connections - 1 for hearer in self._hearers)),
            ("hub_rebuilt", figures.rebuilt),
            ("slowest_delivery_ms", round(self.slowest * 1000)),
        ]
        parts = ", ".join(f"{part} {count}" for part, count in sorted(figures.kills.items()))
        return " ".join(f"{name}={value}" for name, value in words) + f" ({parts})"


async def crash(url: str, clients: int, kills: int, seed: int) -> bool:
    """Run; whether nothing was lost."""
    kept = True
    try:
        await Crash(url, clients, kills, seed).run()
    except* Lost as group:
        kept = False
        print("LOST:", *group.exceptions, file=sys.stderr)
    return kept


def main(arguments: Sequence[str]) -> int:
    """Start a server, kill parts of it, stop it."""
    parser = argparse.ArgumentParser(description="Kill parts of a real server under real clients.")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clients", type=int, default=10)
    options = parser.parse_args(arguments)
    command = [sys.executable, "-m", "tests.concurrency.crash_server", str(options.seed)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            began = time.monotonic()
            kept = trio.run(crash, url, options.clients, options.kills, options.seed)
            took = time.monotonic() - began
            server.send_signal(signal.SIGTERM)
            status = server.wait(timeout=30)
        finally:
            server.kill()
    print(
        f"seed={options.seed} seconds={took:.1f} exit_status={status} lost={'nothing' if kept else 'SOMETHING'}"
    )
    return 0 if kept and status == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
