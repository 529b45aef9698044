"""A server whose parts are killed when a client asks for it: the other process of scripts/crash.py.

    python -m tests.concurrency.crash_server SEED

Prints its URL once clients can connect, and serves until SIGTERM.
"""

from __future__ import annotations

import logging
import sys
import time
from random import Random

import trio

from mcptrio.app import Address, run
from mcptrio.live import Change, Entry, Feed
from mcptrio.supervision import Backoff, ChildState, supervisors
from tests.concurrency.kills import Killer, is_of_a_kill
from tests.concurrency.watched import TOOLS, Watched

LONGEST_DELAY = 0.2
"""Seconds after which what was killed is restarted at the latest: here nobody waits for nothing."""


class _Surprises(logging.Handler):
    """Keeps what is logged as an error and is not a kill."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not is_of_a_kill(record):
            self.messages.append(f"{record.getMessage()}: {record.exc_info and record.exc_info[1]!r}")


def main(seed: int) -> None:
    """Serve."""
    surprises = _Surprises()
    logging.basicConfig(handlers=[surprises])
    plain_delay = Backoff.delay
    Backoff.delay = lambda self, failures, random: min(plain_delay(self, failures, random), LONGEST_DELAY)  # type: ignore[method-assign]
    watched = Watched(seed, poll="200ms", slow=0.1)
    app = watched.app
    # A listener that fails ends `run`, which says so to whoever started the process.
    killer = Killer(app, watched.ledger, Random(seed), pause=0.05, spare="listeners")
    accepted_at: dict[str, float] = {}
    publish = app.hub.publish

    def publish_at(change: Change) -> Entry | None:
        entry = publish(change)
        if entry is not None and change.uri in watched.quiet:
            # This clock is the same in all processes of a machine.
            accepted_at[change.uri] = time.monotonic()
        return entry

    app.hub.publish = publish_at  # type: ignore[method-assign]

    @app.tool
    async def kill(uris: list[str]) -> None:
        """Have these change, and kill a part about then."""
        half = killer.chance.randrange(len(uris) + 1)
        for uri in uris[:half]:
            watched.happen_quietly(uri)
        if killer.chance.random() < 0.1:
            watched.flood()
        await killer.kill_soon()
        for uri in uris[half:]:
            watched.happen_quietly(uri)

    @app.tool
    async def figures() -> dict[str, object]:
        """How it is doing, and what it has reported."""
        await trio.lowlevel.checkpoint()
        return {
            "accepted": watched.ledger.accepted,
            "accepted_at": accepted_at,
            "killed_at": time.monotonic() - (trio.current_time() - killer.at) if killer.at else 0.0,
            "kills": killer.kills,
            "missing": [
                *(
                    f"{each.name}/{child.name} is {child.state.value}"
                    for each in supervisors(app.server.root)
                    for child in each.children()
                    if child.state is not ChildState.RUNNING
                ),
                *watched.unreported(),
            ],
            "peers": sum(len(endpoint.peers) for endpoint in app.server.endpoints),
            "rebuilt": app.server.rebuilt_total,
            "subscriptions": app.hub.statistics().subscriptions,
            "surprises": surprises.messages,
        }

    @app.tool
    async def check() -> list[str]:
        """What is wrong: each source is to have announced each of its events once, in order."""
        await trio.lowlevel.checkpoint()
        try:
            watched.check_sequences()
        except AssertionError as error:
            return [str(error)]
        return []

    @app.tool
    async def quiet() -> list[str]:
        """The URIs that can be had to change."""
        await trio.lowlevel.checkpoint()
        return [uri for uri in watched.quiet if uri != TOOLS]

    @app.source()
    async def load(feed: Feed) -> None:
        """Changes of what else is subscribed, all the time."""
        chance = Random(seed)
        feed.live()
        while True:
            await trio.sleep(chance.expovariate(100))
            kind = chance.choice(("always", "demand", "part", "direct"))
            watched.happen(f"{kind}://busy-{chance.randrange(3)}")

    def ready(address: Address) -> None:
        print(address.websocket, flush=True)

    run(app, port=0, on_ready=ready)


if __name__ == "__main__":
    main(int(sys.argv[1]))
