"""Reporting changes from the embedding program: from Trio code at once, from threads through Trio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import trio

from mcptrio.live import Change, Entry, Hub


def _change(
    uri: str, kind: str, data: object, metadata: Mapping[str, object] | None, event_id: str | None
) -> Change:
    kept = None if metadata is None else dict(metadata)
    return Change(uri=uri, kind=kind, data=data, metadata=kept, event_id=event_id)


class ChangeReports:
    """`created_nowait`, `updated_nowait`, `deleted_nowait`: straight into the hub, synchronously.

    When the call returns, every subscriber's outbox has the change. A resource that nobody watches is fine. For async
    code only; in a thread it is `from_thread`.

    Raises:
        InvalidUri: the URI can name no resource.
    """

    def __init__(self, hub: Hub) -> None:
        self._from_thread = ThreadReports(hub)
        self._hub = hub

    @property
    def from_thread(self) -> ThreadReports:
        """The same reports for threads, such as a plain `def` tool runs in: `app.from_thread.updated(uri)`."""
        return self._from_thread

    def created_nowait(
        self,
        uri: str,
        *,
        data: object = None,
        metadata: Mapping[str, object] | None = None,
        event_id: str | None = None,
    ) -> None:
        """A resource came to be."""
        self.publish_nowait(_change(uri, "created", data, metadata, event_id))

    def updated_nowait(
        self,
        uri: str,
        *,
        data: object = None,
        metadata: Mapping[str, object] | None = None,
        event_id: str | None = None,
    ) -> None:
        """A resource reads differently now."""
        self.publish_nowait(_change(uri, "updated", data, metadata, event_id))

    def deleted_nowait(
        self,
        uri: str,
        *,
        data: object = None,
        metadata: Mapping[str, object] | None = None,
        event_id: str | None = None,
    ) -> None:
        """A resource is gone. Subscriptions to it stay."""
        self.publish_nowait(_change(uri, "deleted", data, metadata, event_id))

    def publish_nowait(self, change: Change) -> Entry | None:
        """A change of any kind; returns its entry, or None when its event id was seen before.

        Raises:
            RuntimeError: called in a thread while the app runs; there it is `from_thread`.
        """
        self.check_thread()
        return self._hub.publish(change)

    def check_thread(self) -> None:
        """Raise RuntimeError in a thread while the app runs: what it has is Trio's thread's alone."""
        if self.from_thread.is_open and not trio.lowlevel.in_trio_run():
            raise RuntimeError(
                "this is a thread, and the app is on Trio's: report changes by app.from_thread.updated(...), "
                "and do other things in an async def, or by trio.from_thread.run_sync"
            )


class ThreadReports:
    """The same from any thread while the app runs: `app.from_thread.updated(uri)`. Returns when the hub has it.

    Raises:
        RuntimeError: the app is not running.
        InvalidUri: the URI can name no resource.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._token: trio.lowlevel.TrioToken | None = None

    @property
    def is_open(self) -> bool:
        """Whether the app runs."""
        return self._token is not None

    @contextmanager
    def open(self) -> Iterator[None]:
        """Take reports inside this block, which runs on the Trio thread."""
        self._token = trio.lowlevel.current_trio_token()
        try:
            yield
        finally:
            self._token = None

    def created(
        self,
        uri: str,
        *,
        data: object = None,
        metadata: Mapping[str, object] | None = None,
        event_id: str | None = None,
    ) -> None:
        """A resource came to be."""
        self._publish(_change(uri, "created", data, metadata, event_id))

    def updated(
        self,
        uri: str,
        *,
        data: object = None,
        metadata: Mapping[str, object] | None = None,
        event_id: str | None = None,
    ) -> None:
        """A resource reads differently now."""
        self._publish(_change(uri, "updated", data, metadata, event_id))

    def deleted(
        self,
        uri: str,
        *,
        data: object = None,
        metadata: Mapping[str, object] | None = None,
        event_id: str | None = None,
    ) -> None:
        """A resource is gone."""
        self._publish(_change(uri, "deleted", data, metadata, event_id))

    def _publish(self, change: Change) -> None:
        token = self._token
        if token is None:
            raise RuntimeError("the app is not running: changes can be reported from a thread while it is")
        trio.from_thread.run_sync(self._hub.publish, change, trio_token=token)
