"""The read cache: a resource that says so is read once for all who want it within some seconds, unless it changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable

import trio
from msgspec import Struct

from mcptrio.live import Entry, Hub
from mcptrio.protocol import RpcError
from mcptrio.protocol.types import ResourceContents
from mcptrio.server.kept_reads import PUBLIC, Kept, KeptReads, Run

__all__ = ["PUBLIC", "ReadCache", "ReadCacheStatistics"]

Read = Callable[[], Awaitable[list[ResourceContents]]]


class ReadCacheStatistics(Struct, frozen=True):
    """Counts since the cache began, and its size now."""

    hits: int
    """Reads answered with what was kept."""
    misses: int
    """Reads that ran the handler."""
    coalesced: int
    """Reads answered by a run that another read had begun."""
    dropped: int
    """What was kept and ended because the resource changed."""
    entries: int
    bytes: int


class ReadCache:
    """Runs a handler once for all who read the same at the same time, and keeps what it gave.

    A read never gets what is older than the last change that was published before the read began: a publish drops
    what is kept before any subscriber hears of it, and what a run gives that began before it is kept for nobody. A change
    counts for exactly its URI. Errors are not kept; those who have waited for the run get the same one.

    A run belongs to the read that began it, as a part of its task. If that is cancelled, the next one of those who wait
    runs the handler from its beginning, and the others wait for that: so there is no task without a request, and nobody
    loses more than the time.
    """

    def __init__(self, hub: Hub, limit: int) -> None:
        """`limit` is in bytes, for all that is kept."""
        self._table = KeptReads(limit)
        self._waited: dict[Run, _Outcome] = {}
        """The runs that somebody waits for."""
        self._hits = 0
        self._misses = 0
        self._coalesced = 0
        self._hub: Hub | None = hub

    async def read(
        self, uri: str, scope: Hashable, offered: object, seconds: float, read: Read
    ) -> tuple[list[ResourceContents], float]:
        """What is kept or what `read` gives, and for how many seconds it is good: 0 if it has changed meanwhile.

        `seconds` are counted from the end of the run. `offered` is what serves the URI, by identity. A checkpoint in any
        case, and none between finding what is kept and returning it.

        Raises:
            RpcError: what `read` raises. What else it may raise, who waits for it never sees: they read themselves.
        """
        await trio.lowlevel.checkpoint()
        if self._hub is not None:
            # Not before it is needed: publishing is the hot path.
            self._hub.watch_changes(self._changed)
            self._hub = None
        while True:
            now = trio.current_time()
            found = self._table.find(uri, scope, offered, now)
            if found is None:
                return await self._run(self._table.begin(uri, scope, offered), seconds, read)
            if isinstance(found, Kept):
                self._hits += 1
                return found.contents, found.until - now
            outcome = self._waited.setdefault(found, _Outcome())
            await outcome.ended.wait()
            if outcome.error is not None:
                self._coalesced += 1
                raise _same(outcome.error)
            if outcome.contents is not None:
                self._coalesced += 1
                return outcome.contents, self._good_for(found, outcome.contents)

    def _good_for(self, run: Run, contents: list[ResourceContents]) -> float:
        # It may have changed between the end of the run and this step of one who has waited.
        now = trio.current_time()
        kept = self._table.find(run.uri, run.scope, run.offered, now)
        return kept.until - now if isinstance(kept, Kept) and kept.contents is contents else 0.0

    def _changed(self, entry: Entry) -> None:
        self._table.drop(entry.change.uri)

    async def _run(self, run: Run, seconds: float, read: Read) -> tuple[list[ResourceContents], float]:
        self._misses += 1
        contents: list[ResourceContents] | None = None
        refused: RpcError | None = None
        try:
            contents = await read()
            current = self._table.keep(run, contents, trio.current_time() + seconds)
            return contents, seconds if current else 0.0
        except RpcError as error:
            refused = error
            raise
        finally:
            self._table.end(run)
            outcome = self._waited.pop(run, None)
            if outcome is not None:
                outcome.contents = contents
                outcome.error = refused
                outcome.ended.set()

    def clear(self) -> None:
        """Everything may have changed: keep nothing. Runs go on for those who wait for them already."""
        self._table.clear()

    def statistics(self) -> ReadCacheStatistics:
        """A snapshot of the counters."""
        return ReadCacheStatistics(
            hits=self._hits,
            misses=self._misses,
            coalesced=self._coalesced,
            dropped=self._table.dropped,
            entries=len(self._table),
            bytes=self._table.bytes,
        )


class _Outcome:
    """How a run ended, for those who wait; with neither contents nor an error they are to try themselves."""

    __slots__ = ("contents", "ended", "error")

    def __init__(self) -> None:
        self.ended = trio.Event()
        self.contents: list[ResourceContents] | None = None
        self.error: RpcError | None = None


def _same(error: RpcError) -> RpcError:
    # Each request raises an error of its own: one that is raised in several tasks collects the tracebacks of all.
    return RpcError(error.message, code=error.code, data=error.data, failure=error.failure)
