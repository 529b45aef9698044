"""Killing sources at chosen places of a running app, and a record of what its hub accepted."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import trio
from msgspec import UNSET

from mcptrio import App
from mcptrio.live import Change, Entry, Feed
from mcptrio.supervision import Supervisor


class Killed(Exception):
    """What a killed source is said to have crashed with."""


class Record:
    """What the hub of an app accepted, in order, and a way to wait for it."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.changes: list[Change] = []
        self._lot = trio.lowlevel.ParkingLot()
        self._plain: Callable[[Change], Entry | None] = app.hub.publish
        app.hub.publish = self._publish  # type: ignore[method-assign]

    def _publish(self, change: Change) -> Entry | None:
        entry = self._plain(change)
        if entry is not None:
            self.changes.append(change)
            self._lot.unpark_all()
        return entry

    def told(self) -> list[tuple[str, str]]:
        """Kind and URI of each."""
        return [(change.kind, change.uri) for change in self.changes]

    async def wait(self, count: int) -> None:
        """Until so many were accepted."""
        with trio.fail_after(100_000):
            while len(self.changes) < count:
                await self._lot.park()


class KillAtStep(trio.abc.Instrument):
    """Kills a child after so many steps of its task, as often as it may, each time counted from its new start."""

    def __init__(self, supervisor: Supervisor, child: str, step: int, kills: int) -> None:
        self.killed = 0
        self._supervisor = supervisor
        self._child = child
        self._name = f"{supervisor.name}/{child}"
        self._step = step
        self._left = 0
        self._kills = kills
        self.on_kill: Callable[[], None] = lambda: None

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        if task.name == self._name:
            self._left = self._step

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task.name != self._name or self.killed == self._kills:
            return
        self._left -= 1
        if self._left == 0:
            try:
                self._supervisor.exit_child(self._child, Killed(f"at step {self._step}"))
            except LookupError:
                return  # that was its last one anyway
            self.killed += 1
            self.on_kill()


@contextmanager
def killed_at_step(supervisor: Supervisor, child: str, step: int, kills: int = 3) -> Iterator[KillAtStep]:
    """A block in which a child is killed; its start is to be in it, too."""
    instrument = KillAtStep(supervisor, child, step, kills)
    trio.lowlevel.add_instrument(instrument)
    try:
        yield instrument
    finally:
        trio.lowlevel.remove_instrument(instrument)


def crash_at_every_report(monkeypatch: pytest.MonkeyPatch, when: str) -> list[Change]:
    """Have each change's first report crash right before its acceptance, right behind it, or both; returns the crashes."""
    crashed: list[Change] = []
    accepted: Counter[tuple[str, str]] = Counter()
    met: set[tuple[str, str, str, int]] = set()
    plain = Feed.report

    def crash(place: str, change: Change) -> None:
        # A source may make the same change anew: it is known by how many were like it before.
        what = (place, change.kind, change.uri, accepted[change.kind, change.uri])
        if when in (place, "both") and what not in met:
            met.add(what)
            crashed.append(change)
            raise Killed(place)

    async def report(self: Feed, change: Change, *, checkpoint: object = UNSET) -> None:
        crash("before", change)
        await plain(self, change, checkpoint=checkpoint)
        accepted[change.kind, change.uri] += 1
        crash("behind", change)

    monkeypatch.setattr(Feed, "report", report)
    return crashed


@asynccontextmanager
async def watched(record: Record, *uris: str) -> AsyncIterator[None]:
    """The app, running, with these URIs subscribed by somebody."""
    with record.app.changes(*uris):
        async with record.app._root.hold():
            yield
