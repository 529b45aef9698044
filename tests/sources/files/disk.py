"""A directory that is only told of, what is heard of it, and what a source of files reports of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import trio
from msgspec.structs import replace

from mcptrio.live import Change, Feed, SourceState
from mcptrio.sources.files import Files, FilesSettings
from mcptrio.sources.files.scan import File, RootGone, Scan
from mcptrio.sources.files.watch import Watch, Watched


class Disk:
    """Files by path, with a version that becomes their times. What happens to them is heard at once, or not."""

    def __init__(self, *paths: str) -> None:
        self.files: dict[str, File] = {}
        self.folders: dict[str, tuple[int, int]] = {"": (1, 1)}
        self.blind: frozenset[str] = frozenset()
        self.problem = ""
        self.gone: RootGone | None = None
        self.fault = ""
        self.heard = True
        self.looks: list[float] = []
        self.watched: list[tuple[str, ...]] = []
        self._version = 0
        self._watch: Watch | None = None
        for path in paths:
            self.write(path)

    def write(self, path: str, *, young: bool = False) -> None:
        self._version += 1
        self.files[path] = File(1, 1, self._version, self._version, young)
        self.tell()

    def delete(self, path: str) -> None:
        del self.files[path]
        self.tell()

    def rest(self) -> None:
        """Nothing is young any more; of that nothing is heard."""
        self.files = {path: replace(file, young=False) for path, file in self.files.items()}

    def tell(self, *, stale: bool = False) -> None:
        if self.heard and self._watch is not None:
            self._watch.tell_nowait(stale=stale)

    async def look(self) -> Scan:
        await trio.lowlevel.checkpoint()
        self.looks.append(trio.current_time())
        if self.gone is not None:
            raise self.gone
        return Scan(dict(self.files), dict(self.folders), self.blind, self.problem)

    @asynccontextmanager
    async def open_watch(self, watched: Watched) -> AsyncIterator[Watch]:
        await trio.lowlevel.checkpoint()
        self.watched.append(watched.folders)
        self._watch = Watch()
        if self.fault:
            self._watch.tell_nowait(fault=self.fault)
        try:
            yield self._watch
        finally:
            self._watch = None


def files_of(disk: Disk, **settings: object) -> Files:
    """A source of these files; looks take no time, silence is 0.1 s, and it looks every 60 s."""
    made = FilesSettings(name="docs", path="/srv/docs", **settings)  # type: ignore[arg-type]
    return Files(made, look=disk.look, open_watch=disk.open_watch, random=Random(1))


class Bench:
    """A source of files with a feed whose changes and states are kept."""

    def __init__(self, files: Files, *, capacity: int = 1000) -> None:
        self.files = files
        self.send, self.receive = trio.open_memory_channel[Change](capacity)
        self.states: list[tuple[SourceState, str]] = []
        self.feed = Feed("docs", self.send, lambda name, state, why: self.states.append((state, why)))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The task runs inside the block."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.files.run, self.feed)
            yield
            nursery.cancel_scope.cancel()

    async def run(self, duration: float) -> None:
        """Run the task for that long (s), then cut it."""
        async with self.running():
            await trio.sleep(duration)

    @property
    def state(self) -> tuple[SourceState, str]:
        """The last state."""
        return self.states[-1]

    def reported(self) -> list[tuple[str, str]]:
        """What was reported since the last call: kind, and the URI's last part."""
        found: list[tuple[str, str]] = []
        while True:
            try:
                change = self.receive.receive_nowait()
            except trio.WouldBlock:
                return found
            found.append((change.kind, change.uri.removeprefix("files://docs/")))
