"""Clients that keep account of what they are told, while parts of the server are killed under them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import trio

from mcptrio.client import Client, ConnectionLost, ListChanges, Subscription, open_client
from mcptrio.protocol.types import Implementation
from mcptrio.server.peer import Peer
from mcptrio.supervision import Backoff
from mcptrio.wire import TransportStream, memory_transport_pair
from tests.concurrency.watched import TOOLS, Ledger, Watched

PATIENCE = 120.0
"""Seconds that a call may take, waiting for a new connection and for parts that come back later and later."""

PIPE = 1024
"""Bytes that are on their way to a client at once: the rest is pending at the server."""


@dataclass(eq=False)
class Ear:
    """One subscription: which changes it was told of, by the newest number in the ledger when it was told."""

    ledger: Ledger
    uris: tuple[str, ...]
    since: int
    """What was accepted later than this is due."""
    connection: int
    """Of the client's connections, the one on which it was made."""
    told: dict[str, int] = field(default_factory=dict)
    gaps: dict[str, list[int]] = field(default_factory=dict)
    """For each URI, the connections on which a gap was told."""

    def hear(self, uri: str, gap: bool, connection: int) -> None:
        assert uri in self.uris, f"{uri} was never asked for"
        self.told[uri] = self.ledger.accepted
        if gap:
            self.gaps.setdefault(uri, []).append(connection)

    def due(self) -> list[str]:
        """What it is still to be told of."""
        newest = self.ledger.newest
        return [uri for uri in self.uris if max(self.told.get(uri, 0), self.since) < newest.get(uri, 0)]

    def without_gap(self, connection: int) -> list[str]:
        """What it was not told to read again, though it was subscribed anew on this connection."""
        if connection == self.connection:
            return []
        return [uri for uri in self.uris if connection not in self.gaps.get(uri, ())]

    def expect_no_gap_too_many(self, connections: int) -> None:
        """A gap comes with a new connection, and never without."""
        for uri, gaps in self.gaps.items():
            assert len(gaps) <= connections - self.connection, (
                f"{uri}: gaps {gaps} on {connections} connections"
            )


class Hearer:
    """A client with lasting subscriptions and a fickle one, which reads now and then, and reconnects."""

    def __init__(
        self,
        watched: Watched,
        name: str,
        revision: str,
        groups: list[tuple[str, ...]],
        fickle: list[str],
        seed: int,
    ) -> None:
        self.name = name
        self.revision = revision
        self.client: Client
        self.ears: list[Ear] = []
        self.calm = False
        """Set to have the fickle subscription rest."""
        self.resting = False
        self.child: str | None = None
        """The name of the task of the connection it has now, or had last."""
        self.losses: list[tuple[str | None, Exception]] = []
        self.failed_dials = 0
        self.reads = 0
        self.reading: str | None = None
        self._nudge = trio.Event()
        self._watched = watched
        self._groups = groups
        self._fickle = fickle
        self._chance = Random(seed)

    async def _connect(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        server = self._watched.app.server
        self.child = None
        try:
            ours, theirs = memory_transport_pair(PIPE)
            server._memory.connect(ours)
        except RuntimeError:
            assert not server._peers.is_running
            self.failed_dials += 1
            raise
        self.child = server._peers.children()[-1].name
        return TransportStream(theirs)

    def _lost(self, error: Exception, delay: float) -> None:
        self.losses.append((self.child, error))

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Connect, subscribe and listen, for ever."""
        async with (
            open_client(
                "ws://localhost/mcp",
                revision=self.revision,
                timeout=PATIENCE,
                connect=self._connect,
                backoff=Backoff(initial=0.05, maximum=1.0),
                client_info=Implementation(name=self.name, version="1"),
                on_lost=self._lost,
                rng=self._chance,
            ) as self.client,
            trio.open_nursery() as nursery,
        ):
            for group in self._groups:
                await nursery.start(self._listen, group)
            nursery.start_soon(self._be_fickle)
            nursery.start_soon(self._read)
            task_status.started()

    @property
    def connections(self) -> int:
        return self.client.statistics().connections

    async def _listen(self, uris: tuple[str, ...], *, task_status: trio.TaskStatus[None]) -> None:
        async with (
            self.client.list_changes() if uris == (TOOLS,) else self.client.subscribe(*uris) as updates
        ):
            ear = Ear(self._watched.ledger, uris, self._watched.ledger.accepted, self.connections)
            self.ears.append(ear)
            task_status.started()
            await self._hear(ear, updates)

    async def _hear(self, ear: Ear, updates: Subscription | ListChanges) -> None:
        if isinstance(updates, Subscription):
            async for update in updates:
                ear.hear(update.uri, update.gap, self.connections)
        else:
            known = ear.connection
            async for kind in updates:
                if kind == "tools":
                    ear.hear(TOOLS, self.connections > known, self.connections)
                    known = self.connections

    async def _be_fickle(self) -> None:
        """Subscribe and leave, again and again."""
        while True:
            self.resting = self.calm
            await trio.sleep(self._chance.uniform(0, 2))
            if self.calm:
                continue
            self.resting = False
            try:
                async with self.client.subscribe(self._chance.choice(self._fickle)) as updates:
                    ear = Ear(
                        self._watched.ledger, updates.uris, self._watched.ledger.accepted, self.connections
                    )
                    self.ears.append(ear)
                    with trio.move_on_after(self._chance.uniform(0, 4)):
                        await self._hear(ear, updates)
                    self.ears.remove(ear)
            except ConnectionLost:
                pass  # for a reason that is checked elsewhere

    def read_soon(self) -> None:
        """Have it read at once."""
        self._nudge.set()

    async def _read(self) -> None:
        """Read now and then; that wants a source too, and waits until it has started."""
        while True:
            with trio.move_on_after(self._chance.uniform(0, 20)):
                await self._nudge.wait()
            self._nudge = trio.Event()
            uri = self._chance.choice([*self._fickle, *(uri for ear in self.ears for uri in ear.uris)])
            if uri == TOOLS:
                continue
            self.reading = uri
            try:
                result = await self.client.read_resource(uri)
            except ConnectionLost:
                continue
            finally:
                self.reading = None
            assert result.contents
            self.reads += 1

    # What it believes, beside what the server has.

    def due(self) -> list[str]:
        """What it is still to be told of, the gaps too."""
        if not self.client.statistics().connected:
            return ["a connection"]
        connection = self.connections
        return [
            *(uri for ear in self.ears for uri in ear.due()),
            *(f"a gap of {uri}" for ear in self.ears for uri in ear.without_gap(connection)),
        ]

    def believed(self) -> list[set[str]]:
        """The URIs of each of its subscribers at the server."""
        sets = [set(ear.uris) - {TOOLS} for ear in self.ears]
        if self.revision == "2025-11-25":
            return [set().union(*sets)]
        return sorted(sets, key=sorted)

    def held(self, peer: Peer) -> list[set[str]]:
        """The same in the hub's index."""
        uris = self._watched.app.hub._uris
        if peer.session is not None:
            assert not peer.listens
            return [uris.get(peer.session.outbox, set())]
        return sorted((uris.get(listen.outbox, set()) for listen in peer.listens.values()), key=sorted)

    def check_losses(self, justified: Callable[[str, Exception], bool]) -> None:
        """Every connection that ended did so for a reason."""
        for child, error in self.losses:
            assert child is None or justified(child, error), f"{self.name} lost {child}: {error!r}"
        self.losses.clear()
        for ear in self.ears:
            ear.expect_no_gap_too_many(self.connections)
