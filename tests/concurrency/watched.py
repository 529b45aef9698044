"""What sources watch while the server's parts are killed, and what the hub accepts of it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import count, islice
from random import Random

import trio

from mcptrio import App
from mcptrio.live import Change, Entry, Feed
from mcptrio.server import ServerSettings
from mcptrio.simulators import email_mock
from mcptrio.sources.poller import Poller, PollerSettings
from mcptrio.wire import Limits
from tests.sources.poller.origin import URL, Origin

SUPERVISION = "mcptrio://supervision"
TOOLS = "the list of tools"
"""Stands for a URI where it is the list that changes."""
MANY = tuple(f"always://many-{number}" for number in range(12))
"""URIs that change together, more often at once than the pump's channel holds."""
KEPT_MAILS = 5

SETTINGS = ServerSettings(limits=Limits(high_water=1024))
"""Clients are soon behind."""


class Log:
    """Events that happen whether or not anybody looks. A source reports each once, its number being the checkpoint."""

    def __init__(self, chance: Random, slow: float) -> None:
        """`slow` is how long (s) a source may take to start."""
        self.events: list[str] = []
        self._chance = chance
        self._slow = slow
        self._lot = trio.lowlevel.ParkingLot()

    def happen(self, uri: str) -> None:
        self.events.append(uri)
        self._lot.unpark_all()

    async def report_to(self, feed: Feed) -> None:
        """The body of a source: from the checkpoint on, for ever."""
        number = feed.checkpoint or 0
        assert isinstance(number, int)
        await trio.sleep(self._chance.choice((0, 0, 0.1, 1)) * self._slow)  # who reads meanwhile waits
        feed.live()
        while True:
            while number < len(self.events):
                uri = self.events[number]
                number += 1
                await feed.updated(uri, data=number, checkpoint=number)
                if self._chance.random() < 0.3:
                    await trio.lowlevel.checkpoint()
            await self._lot.park()


class Ledger:
    """What the hub accepted: all of it numbered, in order for each source, and the newest number of each URI."""

    def __init__(self, app: App) -> None:
        self.accepted = 0
        self.newest: dict[str, int] = {}
        self.on_accepted: Callable[[Change], None] = lambda change: None
        self.by_source: dict[str, list[Change]] = defaultdict(list)
        publish = app.hub.publish

        def publish_and_note(change: Change) -> Entry | None:
            entry = publish(change)
            if entry is not None:
                self.by_source[change.source].append(change)
                self.note(change.uri)
                self.on_accepted(change)
            return entry

        app.hub.publish = publish_and_note  # type: ignore[method-assign]

    def note(self, uri: str) -> None:
        """A change of this is due to everyone who asked for it."""
        self.accepted += 1
        self.newest[uri] = self.accepted


class Watched:
    """An app with a source of each kind, and the things outside that they watch.

    The quiet URIs change when they are told to, and else never, so that it shows if a change of theirs is lost. The
    busy ones change all the time.
    """

    def __init__(self, seed: int, *, poll: str = "2s", slow: float = 2.0) -> None:
        self.chance = chance = Random(seed)
        self.app = app = App("killed", settings=SETTINGS)
        self.logs = {"always": Log(chance, slow), "demand": Log(chance, slow)}
        self.parts: dict[str, Log] = defaultdict(lambda: Log(chance, slow))
        self.origin = Origin()
        self.releases = [0, 0, 0]
        self.ledger = Ledger(app)
        self.expected: dict[str, int] = {}
        """For each quiet URI that changed: its newest change in the ledger must be this one or a later one."""
        self._has_tool = False
        self._declare(app)
        self._render()
        poller = Poller(
            PollerSettings(
                name="releases",
                url=URL,
                uri="releases://{id}",
                items="/releases",
                id="/id",
                every=poll,
                jitter=0.5,
            ),
            open_client=self.origin.open_client,
            random=chance,
        )
        app.registry.catalog.add_template(
            "releases://{id}", poller.read_item, name="release", list=poller.list_items
        )
        app.registry.add_source("releases", poller.run, pattern="releases://{id}", linger=5.0)
        email_mock.install(app.registry, email_mock.EmailMockSettings(seed=seed, rate=0.2, keep=KEPT_MAILS))
        self.quiet = (
            *(f"{kind}://quiet-{number}" for kind in ("always", "demand", "part") for number in (1, 2)),
            *(f"releases://{number}" for number in range(len(self.releases))),
            "direct://quiet",
            TOOLS,
        )

    def _declare(self, app: App) -> None:
        @app.source("always://{name}", always=True)
        async def always(feed: Feed) -> None:
            await self.logs["always"].report_to(feed)

        @app.source("demand://{name}", linger=5.0)
        async def demand(feed: Feed) -> None:
            await self.logs["demand"].report_to(feed)

        @app.source("part://{name}", each=True, linger=5.0)
        async def part(feed: Feed, name: str) -> None:
            await self.parts[f"part://{name}"].report_to(feed)

        async def anything(name: str) -> str:
            await trio.lowlevel.checkpoint()
            return name

        for kind in ("always", "demand", "part", "direct"):
            app.resource(f"{kind}://{{name}}")(anything)

    def happen(self, uri: str) -> None:
        """Something happens to what is behind a URI."""
        kind = uri.partition("://")[0]
        if kind in self.logs:
            self.logs[kind].happen(uri)
        elif kind == "part":
            self.parts[uri].happen(uri)
        elif kind == "releases":
            self.releases[int(uri.rpartition("/")[2])] += 1
            self._render()
        else:
            self.app.updated_nowait(uri)

    def flood(self) -> None:
        """So much happens that sources wait for the hub, the flusher takes turns, and clients fall behind."""
        for _ in range(self.chance.choice((1, 1, 2, 30))):
            for uri in MANY:
                self.happen(uri)

    def happen_quietly(self, uri: str) -> None:
        """Something happens, and must become known."""
        self.expected[uri] = self.ledger.accepted + 1
        if uri == TOOLS:
            self._toggle_tool()
        else:
            self.happen(uri)

    def unreported(self) -> list[str]:
        """Of the quiet URIs, those whose newest change the hub has not accepted."""
        newest = self.ledger.newest
        return [
            f"{uri} was not reported" for uri, number in self.expected.items() if newest.get(uri, 0) < number
        ]

    def _render(self) -> None:
        items = [{"id": str(id), "value": value} for id, value in enumerate(self.releases)]
        self.origin.body = json.dumps({"releases": items}).encode()

    def _toggle_tool(self) -> None:
        async def now_and_then() -> None:
            await trio.lowlevel.checkpoint()

        if self._has_tool:
            self.app.remove_tool("now_and_then")
        else:
            self.app.tool(now_and_then)
        self._has_tool = not self._has_tool
        self.ledger.note(TOOLS)

    def check_sequences(self) -> None:
        """Each source announced each of its events once, in order; the poller never more than there was."""
        by_source = self.ledger.by_source
        for name, log in self.logs.items():
            told = [(change.data, change.uri) for change in by_source[name]]
            assert told == list(enumerate(log.events[: len(told)], 1)), f"{name} announced something else"
        parts: dict[str, list[object]] = defaultdict(list)
        for change in by_source["part"]:
            parts[change.uri].append(change.data)
        for uri, numbers in parts.items():
            assert numbers == list(range(1, len(numbers) + 1)), f"{uri} was announced as {numbers}"
            assert len(numbers) <= len(self.parts[uri].events)
        told = [(change.kind, change.uri) for change in by_source["email"]]
        assert told == list(islice(_mails(), len(told))), "email announced something else"
        for id, value in enumerate(self.releases):
            uri = f"releases://{id}"
            assert sum(change.uri == uri for change in by_source["releases"]) <= value, uri


def _mails() -> Iterator[tuple[str, str]]:
    """What the email mock announces, in order."""
    for number in count(1):
        yield "created", f"email://messages/{number}"
        if number > KEPT_MAILS:
            yield "deleted", f"email://messages/{number - KEPT_MAILS}"
        yield "updated", "email://live-feed"
