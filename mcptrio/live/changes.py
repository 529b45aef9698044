"""The embedding program's own subscription."""

from __future__ import annotations

from types import TracebackType

import trio

from mcptrio.live.change import Entry
from mcptrio.live.hub import Hub
from mcptrio.live.outbox import Outbox


class Changes:
    """Changes of some URIs, for the program that runs the server: `async for entry in changes`.

    Subscribed from construction to `close`; use it as `with app.changes(uri) as changes:`. Pending changes
    of one URI are merged into the newest. Closing is synchronous, idempotent, and ends the iteration.
    """

    def __init__(self, hub: Hub, uris: tuple[str, ...]) -> None:
        self._hub = hub
        self._outbox = Outbox()
        try:
            for uri in uris:
                hub.subscribe(uri, self._outbox)
        except ValueError:
            self.close()
            raise

    def receive_nowait(self) -> Entry:
        """The next change.

        Raises:
            trio.WouldBlock: there is none yet.
            trio.EndOfChannel: closed.
        """
        entry = self._outbox.receive_nowait().entry
        assert entry is not None
        return entry

    async def receive(self) -> Entry:
        """Wait for the next change. If cancelled, none was taken.

        Raises:
            trio.EndOfChannel: closed.
        """
        entry = (await self._outbox.receive()).entry
        assert entry is not None
        return entry

    def close(self) -> None:
        """Unsubscribe. Synchronous and idempotent."""
        self._hub.leave(self._outbox)

    def __enter__(self) -> Changes:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> Changes:
        return self

    async def __anext__(self) -> Entry:
        try:
            return await self.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
