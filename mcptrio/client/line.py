"""The lasting side of a client: one connection after the other, and what must survive them.

`Line.run` is the only task that makes and ends connections. The set of subscriptions belongs to the line;
each connection's session only borrows it.
"""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Callable

import trio

from mcptrio.client.connection import Connection
from mcptrio.client.errors import ConnectionLost, ExtensionMissing, InvalidResponse, TimedOut
from mcptrio.client.legacy_session import LegacySession
from mcptrio.client.modern_session import ModernSession
from mcptrio.client.negotiation import Agreed, ProbeLost, negotiate
from mcptrio.client.session import Session
from mcptrio.client.subscription import LEAVE_TIMEOUT, AnyListener
from mcptrio.client.target import Target
from mcptrio.protocol import Revision, RpcError
from mcptrio.protocol.types import Implementation
from mcptrio.supervision.backoff import Backoff

_logger = logging.getLogger(__name__)

RELISTEN_AFTER = 5.0
"""Seconds after which a listen that the server ended is made again on a connection that it did not close."""

RESTORE_AT_ONCE = 8
"""How many subscriptions are restored at the same time after a reconnect."""


class Line:
    """Keeps a session with the server, and the subscriptions in it."""

    def __init__(
        self,
        target: Target,
        wanted: Revision | None,
        *,
        timeout: float,
        reconnect: bool,
        client_info: Implementation,
        backoff: Backoff,
        probe_timeout: float,
        on_lost: Callable[[Exception, float], None] | None,
        rng: random.Random,
    ) -> None:
        self.agreed: Agreed | None = None
        self.connections = 0
        self._target = target
        self._url = target.url
        self._wanted = wanted
        self._found: Revision | None = None
        self._timeout = timeout
        self._reconnect = reconnect
        self._client_info = client_info
        self._backoff = backoff
        self._probe_timeout = probe_timeout
        self._on_lost = on_lost
        self._rng = rng
        self._session: Session | None = None
        self._over: Exception | None = None
        self._changed = trio.lowlevel.ParkingLot()
        self._listeners: dict[AnyListener, None] = {}
        self._labels = itertools.count(1)
        self._orphans: dict[AnyListener, None] = {}
        self._orphaned = trio.lowlevel.ParkingLot()
        # A cancellation of the program reaches its body first, which then leaves its subscriptions and closes
        # in words. That needs the connection. The deadline of this shield is `open_client`'s: it calls `stop`
        # at most CLOSE_TIMEOUT after its body has ended, in any case.
        self._scope = trio.CancelScope(shield=True)

    @property
    def is_http(self) -> bool:
        """Whether it is by HTTP that the server is reached."""
        return self._target.is_http

    @property
    def connected(self) -> bool:
        """Whether a request could be sent now."""
        return self._session is not None and self._session.connection.is_usable

    @property
    def calls(self) -> int:
        """How many requests are in flight, listens included."""
        return 0 if self._session is None else self._session.connection.calls

    @property
    def subscriptions(self) -> int:
        """How many subscriptions are open."""
        return len(self._listeners)

    async def session(self) -> Session:
        """The session of the connection; waits for one while there is none.

        Raises:
            ConnectionLost, or why the first connection failed: there will be none any more.
        """
        while self._session is None or not self._session.connection.is_usable:
            if self._over is not None:
                await trio.lowlevel.checkpoint()
                raise self._reason()
            await self._changed.park()
        return self._session

    def _reason(self) -> Exception:
        assert self._over is not None
        return self._over.copy() if isinstance(self._over, ConnectionLost) else self._over

    # -- subscriptions ---------------------------------------------------------------------------------

    def new_label(self) -> str:
        """A name for a subscription of the extension, that no other one of this line has or will have."""
        return f"watch-{next(self._labels)}"

    async def enter(self, listener: AnyListener, timeout: float | None) -> None:
        """Open a subscription and keep it until it is left. If it fails or is cut, nothing is left behind."""
        limit = self._timeout if timeout is None else timeout
        with trio.move_on_after(limit):
            session = await self.session()
            try:
                await session.open(listener)
            except BaseException:
                self._orphans.pop(listener, None)
                raise
            self._listeners[listener] = None
            if self._over is not None:
                listener.end(self._reason())
            return
        raise TimedOut(f"{listener}: not subscribed within {limit:g} s")

    async def leave(self, listener: AnyListener) -> None:
        """End a subscription: locally at once, then at the server. The caller bounds the wait."""
        self._listeners.pop(listener, None)
        self._orphans.pop(listener, None)
        listener.close()
        if self._session is not None:
            await self._session.release(listener)
        await trio.lowlevel.checkpoint()

    def _ended(self, listener: AnyListener) -> None:
        """The server ended a listen, and the connection lives: either it is about to close, or it is not."""
        if self._reconnect:
            self._orphans[listener] = None
            self._orphaned.unpark_all()
        else:
            listener.end(StopAsyncIteration())

    # -- connections -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep connected until closed, until it is no use, or until `stop`. Raises nothing."""
        with self._scope:
            await self._keep()

    def stop(self) -> None:
        """End `run` at once. Idempotent."""
        self._scope.cancel(reason="the client is left")

    async def _keep(self) -> None:
        failures = 0
        while True:
            began = trio.current_time()
            error = await self._one()
            if isinstance(error, ProbeLost) and self._over is None:
                self._found = Revision.LEGACY  # greet it the old way, on a new connection
                continue
            if self._over is None and (self.agreed is None or not self._reconnect):
                self._finish(error)
            if self._over is not None:
                return
            failures = self._backoff.failures(failures, trio.current_time() - began)
            delay = self._backoff.delay(failures, self._rng)
            if self._on_lost is not None:
                try:
                    self._on_lost(error, delay)
                except Exception:  # the caller's mistake, and no reason to give up
                    _logger.exception("the callback for a lost connection failed")
            await trio.sleep(delay)

    async def aclose(self) -> None:
        """Close the connection and take no new one. The caller bounds the wait."""
        session = self._session
        self._finish(ConnectionLost(f"{self._url}: this client is closed"))
        if session is not None:
            await session.connection.aclose()

    def _finish(self, error: Exception) -> None:
        """There will be no other connection; the first reason counts."""
        if self._over is None:
            self._over = error
            self._changed.unpark_all()
            for listener in self._listeners:
                listener.end(self._reason())

    async def _one(self) -> Exception:
        """One connection, from dialling to its end; returns why it ended."""
        connection = Connection(self._target.carrier())
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.run)
            try:
                session = await self._open(connection)
            except (ConnectionLost, RpcError, InvalidResponse, TimedOut) as error:
                failure = error
                if not isinstance(error, ConnectionLost):
                    self._found = None  # the server may have become another one
                with trio.move_on_after(LEAVE_TIMEOUT):
                    await connection.aclose()
            else:
                limiter = trio.CapacityLimiter(RESTORE_AT_ONCE)
                for listener in self._listeners:
                    nursery.start_soon(self._restore, session, listener, limiter)
                nursery.start_soon(self._relisten, session, limiter)
                await connection.wait_ended()
            nursery.cancel_scope.cancel(reason="the connection is over")
        self._session = None
        self._orphans.clear()
        return failure or connection.error

    async def _open(self, connection: Connection) -> Session:
        with trio.move_on_after(self._timeout):
            await connection.wait_open()
            agreed = await negotiate(
                connection,
                self._found or self._wanted,
                self._client_info,
                probe_timeout=min(self._probe_timeout, self._timeout / 2),
            )
            session: Session
            if agreed.revision is Revision.MODERN:
                session = ModernSession(connection, agreed, self._client_info, self._ended)
            else:
                session = LegacySession(connection, agreed)
            self.agreed, self._session, self._found = agreed, session, agreed.revision
            self.connections += 1
            self._changed.unpark_all()
            return session
        raise TimedOut(f"{self._url}: not connected within {self._timeout:g} s")

    async def _restore(self, session: Session, listener: AnyListener, limiter: trio.CapacityLimiter) -> None:
        """Subscribe again, then say that there may be a gap."""
        async with limiter:
            if listener.closed:
                return
            with trio.move_on_after(self._timeout):
                try:
                    await session.open(listener)
                except (RpcError, ExtensionMissing, InvalidResponse) as error:
                    listener.end(error)
                    self._listeners.pop(listener, None)
                except ConnectionLost:
                    pass  # the next connection will
                else:
                    if listener.closed:
                        await session.release(listener)
                    listener.gap_nowait(session.listed)
                return
            lost = ConnectionLost(f"{self._url}: no answer to a subscription within {self._timeout:g} s")
            session.connection.close_nowait(error=lost)

    async def _relisten(self, session: Session, limiter: trio.CapacityLimiter) -> None:
        """Make listens again that the server ended without closing the connection after it."""
        while True:
            while not self._orphans:
                await self._orphaned.park()
            await trio.sleep(RELISTEN_AFTER)
            orphans = list(self._orphans)
            self._orphans.clear()
            for listener in orphans:
                await self._restore(session, listener, limiter)
