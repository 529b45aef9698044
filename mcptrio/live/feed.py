"""A feed: what a source holds to report changes and its own state, and what outlives its task."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import islice
from weakref import WeakKeyDictionary

import trio
from msgspec import UNSET
from msgspec.structs import replace

from mcptrio.live.change import CREATED, DELETED, UPDATED, Change
from mcptrio.live.uri import check_uri
from mcptrio.log import get_logger


class SourceState(enum.StrEnum):
    """How a source is doing; the word is shown to people and used as a metric's label."""

    STARTING = "starting"
    """Its task runs and has not said how it is doing."""
    LIVE = "live"
    POLLING = "polling"
    DEGRADED = "degraded"
    FAILED = "failed"
    IDLE = "idle"
    """It has no task: nobody wants it, or its function has returned."""


_MOST_COUNTS = 64

_log = get_logger("mcptrio.live")

_WORKING = (SourceState.LIVE, SourceState.POLLING)


class Feed:
    """One source's way to the hub: a bounded memory channel for changes, a word about how it is doing, its checkpoint.

    Reports arrive in the order in which they were made. A report waits while the channel is full, so a
    source that is faster than the hub is slowed and nothing is dropped; if the wait is cancelled, that
    change was not reported. The feed outlives the source's task, and so does the checkpoint.

    What goes with a report is that of a `Change`, which says by a `TypeError` what cannot. Metadata are copied, one level deep;
    data are not, and belong to everybody from then on.
    """

    __slots__ = (
        "__weakref__",
        "_asked",
        "_channel",
        "_checkpoint",
        "_counts",
        "_current",
        "_demand",
        "_demand_lot",
        "_on_state",
        "_shown",
        "_state_lot",
        "_watchers",
        "_worked_at",
        "name",
        "reason",
        "since",
        "since_at",
        "state",
    )

    def __init__(
        self,
        name: str,
        channel: trio.MemorySendChannel[Change],
        on_state: Callable[[str, SourceState, str], None] | None = None,
    ) -> None:
        self.name = name
        self.state = SourceState.IDLE
        self.reason = ""
        self.since = -math.inf
        """The Trio time at which the state became this one; minus infinity before the first change of it."""
        self.since_at = datetime.now(UTC)
        """The same by the wall clock, for people."""
        self._channel = channel
        self._on_state = on_state
        self._current = False
        self._worked_at: datetime | None = None
        self._checkpoint: object | None = None
        self._counts: Callable[[], Mapping[str, int]] | None = None
        # How often each URI is wanted. What few feeds need is made when it is needed: there may be thousands.
        self._demand: dict[str, int] = {}
        self._shown: frozenset[str] | None = frozenset()
        self._asked: WeakKeyDictionary[trio.lowlevel.Task, frozenset[str]] | None = None
        self._demand_lot: trio.lowlevel.ParkingLot | None = None
        self._state_lot: trio.lowlevel.ParkingLot | None = None
        self._watchers: dict[object, Callable[[Change], None]] = {}

    # What it counts.

    def count_by(self, counts: Callable[[], Mapping[str, int]]) -> None:
        """Show what the source counts: `counts` is called whenever somebody looks, and must be quick. The last one counts."""
        self._counts = counts

    @property
    def counts(self) -> dict[str, int]:
        """What the source counts, by name; empty if it counts nothing, or fails to say. At most 64 names are told."""
        try:
            return dict(islice(self._counts().items(), _MOST_COUNTS)) if self._counts is not None else {}
        except Exception:  # the source's own, and no reason for whoever looks to fail
            _log.exception("a source cannot say what it counts", source=self.name)
            return {}

    # Changes.

    async def report(self, change: Change, *, checkpoint: object = UNSET) -> None:
        """Report a change of any kind, and keep how far the source has come with it.

        The checkpoint is kept if the change was accepted, and only then: however the task ends, the next one
        finds either both or neither. It is any value of the source's own. A change that names no source is this feed's.

        Raises:
            InvalidUri: the change names no resource.
        """
        check_uri(change.uri)
        if not change.source:
            # Event ids are told apart by it: those of two sources must not be taken for each other's.
            change = replace(change, source=self.name)
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self._channel.send_nowait(change)
        except trio.WouldBlock:
            # Returns if a receiver took the change and raises if none did. A cancellation that comes after the
            # taking is raised at a later checkpoint, so nothing can part the taking from the next line.
            await self._channel.send(change)
            self._accepted(change, checkpoint)
        else:
            self._accepted(change, checkpoint)
            await trio.lowlevel.cancel_shielded_checkpoint()

    def _accepted(self, change: Change, checkpoint: object) -> None:
        if checkpoint is not UNSET:
            self._checkpoint = checkpoint
        for callback in tuple(self._watchers.values()):
            callback(change)

    async def created(
        self,
        uri: str,
        *,
        data: object = None,
        metadata: Mapping[str, object] | None = None,
        event_id: str | None = None,
        checkpoint: object = UNSET,
    ) -> None:
        """Report that a resource came to be."""
        await self.report(self._change(uri, CREATED, data, metadata, event_id), checkpoint=checkpoint)

    async def updated(
        self,
        uri: str,
        *,
        data: object = None,
        metadata: Mapping[str, object] | None = None,
        event_id: str | None = None,
        checkpoint: object = UNSET,
    ) -> None:
        """Report that a resource reads differently now."""
        await self.report(self._change(uri, UPDATED, data, metadata, event_id), checkpoint=checkpoint)

    async def deleted(
        self,
        uri: str,
        *,
        data: object = None,
        metadata: Mapping[str, object] | None = None,
        event_id: str | None = None,
        checkpoint: object = UNSET,
    ) -> None:
        """Report that a resource is gone."""
        await self.report(self._change(uri, DELETED, data, metadata, event_id), checkpoint=checkpoint)

    def _change(
        self, uri: str, kind: str, data: object, metadata: Mapping[str, object] | None, event_id: str | None
    ) -> Change:
        # A copy: what the source does to its own later is none of the change's. What is no mapping is refused there.
        given = dict(metadata) if isinstance(metadata, Mapping) else metadata
        return Change(uri=uri, kind=kind, data=data, metadata=given, event_id=event_id, source=self.name)

    @property
    def checkpoint(self) -> object | None:
        """How far the source has come; None at first. Kept while its task comes and goes, not over processes.

        Set it where there is nothing to report, such as at a baseline; with a change it goes as `checkpoint=` of
        the report.
        """
        return self._checkpoint

    @checkpoint.setter
    def checkpoint(self, value: object | None) -> None:
        self._checkpoint = value

    def watch(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Have `callback` called with each change, in the step in which it was accepted, until the returned function is.

        That one is idempotent. What `callback` raises is raised in the source.
        """
        key = object()
        self._watchers[key] = callback

        def unwatch() -> None:
            self._watchers.pop(key, None)

        return unwatch

    # Who wants it.

    @property
    def wanted(self) -> frozenset[str]:
        """The URIs of the source that somebody wants now: subscribed, or being read. Empty without a pattern."""
        wanted = self._wanted_now()
        if trio.lowlevel.in_trio_task():
            self._remember(wanted)
        return wanted

    @property
    def wanted_count(self) -> int:
        """How many URIs are wanted now. Unlike `wanted` it costs nothing, and counts for nothing."""
        return len(self._demand)

    async def wanted_changed(self) -> frozenset[str]:
        """Wait until `wanted` is not what it was when this task last asked for it, by either way; returns it.

        A task that never asked waits for the first URI. Changes are conflated: what came and went again while
        nobody waited is no change. If cancelled, the next call tells of the same change.
        """
        await trio.lowlevel.checkpoint()
        asked: frozenset[str] = frozenset()
        if self._asked is not None:
            asked = self._asked.get(trio.lowlevel.current_task(), asked)
        while (wanted := self._wanted_now()) == asked:
            if self._demand_lot is None:
                self._demand_lot = trio.lowlevel.ParkingLot()
            await self._demand_lot.park()
        self._remember(wanted)
        return wanted

    def _wanted_now(self) -> frozenset[str]:
        if self._shown is None:
            self._shown = frozenset(self._demand)
        return self._shown

    def _remember(self, wanted: frozenset[str]) -> None:
        if self._asked is None:
            self._asked = WeakKeyDictionary()
        self._asked[trio.lowlevel.current_task()] = wanted

    def want(self, uri: str) -> bool:
        """Somebody more wants a URI (said by who runs the source). Whether it was the first one."""
        count = self._demand.get(uri, 0)
        self._demand[uri] = count + 1
        return self._demand_changed() if count == 0 else False

    def unwant(self, uri: str) -> bool:
        """Takes back one `want`. Whether it was the last one."""
        count = self._demand[uri] - 1
        if count:
            self._demand[uri] = count
            return False
        del self._demand[uri]
        return self._demand_changed()

    def _demand_changed(self) -> bool:
        self._shown = None
        if self._demand_lot is not None:
            self._demand_lot.unpark_all()
        return True

    # How it is doing.

    @property
    def as_of(self) -> datetime | None:
        """When the source last worked, so how old what it has seen may be (UTC).

        None while it works (live, polling), and if it never did.
        """
        return None if self._current else self._worked_at

    async def wait_started(self) -> None:
        """Wait until the source has said how it is doing: until it is neither `idle` nor `starting`."""
        await self.wait_while(SourceState.IDLE, SourceState.STARTING)

    async def wait_while(self, *states: SourceState) -> None:
        """Wait until the state is none of these."""
        await trio.lowlevel.checkpoint()
        while self.state in states:
            if self._state_lot is None:
                self._state_lot = trio.lowlevel.ParkingLot()
            await self._state_lot.park()

    def starting(self) -> None:
        """The source's task begins (said by its supervisor, not by the source)."""
        self.tell(SourceState.STARTING)

    def idle(self, why: str) -> None:
        """The source has no task (said by its supervisor, not by the source); `why` is shown to people."""
        self.tell(SourceState.IDLE, why)

    def live(self) -> None:
        """Changes arrive as they happen."""
        self.tell(SourceState.LIVE)

    def polling(self) -> None:
        """Changes are found by asking at intervals."""
        self.tell(SourceState.POLLING)

    def degraded(self, why: str, *, current: bool = False) -> None:
        """The source works less well than it should, or is trying again; `why` is shown to people.

        `current`: what it has is up to date all the same, so that it is not shown as old.
        """
        self.tell(SourceState.DEGRADED, why, current=current)

    def failed(self, why: str) -> None:
        """The source does not work; `why` is shown to people."""
        self.tell(SourceState.FAILED, why)

    def tell(self, state: SourceState, reason: str = "", *, current: bool = False) -> None:
        """Say how the source is doing, as the methods named for each state do.

        Raises:
            TypeError: the reason is no text; nothing was said.
        """
        if not isinstance(reason, str):
            raise TypeError(f"why a source is {state} is text, not {type(reason).__name__}: use str(...)")
        current = current or state in _WORKING
        if self._current and not current:
            self._worked_at = datetime.now(UTC)
        self._current = current
        if (state, reason) == (self.state, self.reason):
            return
        if state is not self.state:
            self.state = state
            self.since = trio.current_time() if trio.lowlevel.in_trio_run() else -math.inf
            self.since_at = datetime.now(UTC)
            if self._state_lot is not None:
                self._state_lot.unpark_all()
        self.reason = reason
        if self._on_state is not None:
            self._on_state(self.name, state, reason)
