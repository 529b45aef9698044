"""A feed: what a source holds to report changes and its own state."""

from __future__ import annotations

import enum
from collections.abc import Callable

import trio

from mcptrio.live.change import CREATED, DELETED, UPDATED, Change
from mcptrio.live.uri import check_uri


class SourceState(enum.StrEnum):
    """How a source is doing; the word is shown to people and used as a metric's label."""

    STARTING = "starting"
    LIVE = "live"
    POLLING = "polling"
    DEGRADED = "degraded"
    FAILED = "failed"
    ENDED = "ended"


class Feed:
    """One source's way to the hub: a bounded memory channel for changes, and a word about how it is doing.

    Reports arrive in the order in which they were made. A report waits while the channel is full, so a
    source that is faster than the hub is slowed and nothing is dropped; if the wait is cancelled, that
    change was not reported. The feed outlives the source's task.
    """

    def __init__(
        self,
        name: str,
        channel: trio.MemorySendChannel[Change],
        on_state: Callable[[str, SourceState, str], None] | None = None,
    ) -> None:
        self.name = name
        self.state = SourceState.STARTING
        self.reason = ""
        self._channel = channel
        self._on_state = on_state

    async def report(self, change: Change) -> None:
        """Report a change of any kind.

        Raises:
            InvalidUri: the change names no resource.
        """
        check_uri(change.uri)
        await self._channel.send(change)

    async def created(self, uri: str, *, data: object = None, event_id: str | None = None) -> None:
        """Report that a resource came to be."""
        await self._report(uri, CREATED, data, event_id)

    async def updated(self, uri: str, *, data: object = None, event_id: str | None = None) -> None:
        """Report that a resource reads differently now."""
        await self._report(uri, UPDATED, data, event_id)

    async def deleted(self, uri: str, *, data: object = None, event_id: str | None = None) -> None:
        """Report that a resource is gone."""
        await self._report(uri, DELETED, data, event_id)

    async def _report(self, uri: str, kind: str, data: object, event_id: str | None) -> None:
        await self.report(Change(uri=uri, kind=kind, data=data, event_id=event_id, source=self.name))

    def starting(self) -> None:
        """The source's task begins (said by its supervisor, not by the source)."""
        self._set(SourceState.STARTING, "")

    def ended(self) -> None:
        """The source's task has returned and is not started again (said by its supervisor)."""
        self._set(SourceState.ENDED, "")

    def live(self) -> None:
        """Changes arrive as they happen."""
        self._set(SourceState.LIVE, "")

    def polling(self) -> None:
        """Changes are found by asking at intervals."""
        self._set(SourceState.POLLING, "")

    def degraded(self, why: str) -> None:
        """The source works less well than it should, or is trying again; `why` is shown to people."""
        self._set(SourceState.DEGRADED, why)

    def failed(self, why: str) -> None:
        """The source does not work; `why` is shown to people."""
        self._set(SourceState.FAILED, why)

    def _set(self, state: SourceState, reason: str) -> None:
        if (state, reason) == (self.state, self.reason):
            return
        self.state = state
        self.reason = reason
        if self._on_state is not None:
            self._on_state(self.name, state, reason)
