"""The sessions of one endpoint: opened by `initialize`, found by their id, bounded, and gone when they end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mcptrio.log import get_logger
from mcptrio.server.http.session_peer import SessionPeer
from mcptrio.server.peer import Peer
from mcptrio.server.settings import ServerSettings
from mcptrio.wire import Sweeper

_log = get_logger("mcptrio.server")

Start = Callable[[str, Callable[[], Awaitable[None]]], None]
"""Starts a supervised task, given its name and body; raises when no more are started."""


class NoRoom(Exception):
    """There are as many sessions as there may be, or no task can be started for one."""


class Sessions:
    """The table of live sessions. Each is put in and taken out by the session's own task, synchronously."""

    def __init__(
        self, settings: ServerSettings, sweeper: Sweeper, start: Start, peers: dict[str, Peer]
    ) -> None:
        """`peers` is where a session is listed too, by its name."""
        self._settings = settings
        self._sweeper = sweeper
        self._start = start
        self._peers = peers
        self._sessions: dict[str, SessionPeer] = {}
        self._held: dict[str, dict[SessionPeer, None]] = {}
        """By client, a principal or an address: its sessions, the oldest first."""

    def __len__(self) -> int:
        return len(self._sessions)

    async def open(self, session: SessionPeer, live: Callable[[], Awaitable[None]]) -> None:
        """Let a new session live; returns when it can take requests.

        A client that holds as many as one may loses its oldest one that is without a connection: most likely it was forgotten.

        Raises:
            NoRoom: it cannot be started.
        """
        self._make_room(session.client_key)
        if len(self._sessions) >= self._settings.max_sessions:
            raise NoRoom(f"there are {self._settings.max_sessions} sessions, and no more may be")

        async def body() -> None:
            try:
                await live()
            finally:
                self._gone(session)

        self._sessions[session.id] = session
        self._held.setdefault(session.client_key, {})[session] = None
        self._peers[session.name] = session
        try:
            self._start("session", body)
        except Exception as error:
            self._gone(session)
            _log.warning("a session could not be started", error=str(error))
            raise NoRoom("no session can be started now") from None
        self._sweeper.add(session)
        session.changed()
        await session.wire.running.wait()

    def _make_room(self, client: str) -> None:
        held = self._held.get(client, {})
        most = self._settings.max_sessions_each
        if len(held) >= most:
            forgotten = next((session for session in held if not session.is_connected), None)
            if forgotten is None:
                raise NoRoom(f"this client has {most} sessions, and is connected to all of them")
            forgotten.wire.close(0, "replaced")
            self._forget(forgotten)

    def _forget(self, session: SessionPeer) -> None:
        self._sessions.pop(session.id, None)
        held = self._held.get(session.client_key, {})
        held.pop(session, None)
        if not held:
            self._held.pop(session.client_key, None)

    def find(self, id: str, principal: str | None) -> SessionPeer | None:
        """The live session of this id, for the principal that opened it and for nobody else."""
        session = self._sessions.get(id)
        if session is None or session.wire.closed or session.principal != principal:
            return None
        return session

    def _gone(self, session: SessionPeer) -> None:
        self._forget(session)
        self._peers.pop(session.name, None)
        self._sweeper.discard(session)
        session.wire.close(0, "gone")
        session.wire.running.set()
        session.wire.gone.set()
        session.changed()
