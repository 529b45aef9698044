"""One client over one pair of pipes: a peer like any other, which comes without a listener."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import trio

from mcptrio.log import get_logger
from mcptrio.protocol import Failure, Revision, RpcError
from mcptrio.server.dispatch import Dispatch
from mcptrio.server.endpoint import Traffic
from mcptrio.server.peer import Peer
from mcptrio.server.settings import ServerSettings
from mcptrio.server.subscriptions import Subscriptions
from mcptrio.supervision import ChildSpec, Restart, Supervisor
from mcptrio.wire import Link, Sweeper, Transport
from mcptrio.wire.stdio import StdioWire, line

_log = get_logger("mcptrio.server")

NAME = "stdio"
NORMAL = 1000


class Stdio:
    """Serves one client on a transport. Puts its peer into `peers`, and takes it out, in the connection's own task."""

    def __init__(
        self,
        dispatch: Dispatch,
        subscriptions: Subscriptions,
        settings: ServerSettings,
        sweeper: Sweeper,
        traffic: Traffic,
        peers: dict[str, Peer],
        on_disconnected: Callable[[], None],
    ) -> None:
        """`on_disconnected` is called once the client can be told nothing more; its requests may take time to end."""
        self._dispatch = dispatch
        self._subscriptions = subscriptions
        self._settings = settings
        self._sweeper = sweeper
        self._traffic = traffic
        self._peers = peers
        self._on_disconnected = on_disconnected
        self._peer: Peer | None = None
        self._gone = trio.Event()
        self._failure: Exception | None = None

    async def serve(
        self,
        transport: Transport,
        listening: Supervisor,
        start_connection: Callable[[str, Callable[[], Awaitable[None]]], None],
    ) -> bool:
        """Serve until the client has gone, or until cancelled; then end it politely.

        The connection is a child that `start_connection` starts; that it is drained while the parts that serve it still
        run, is the end of a child of `listening`. Returns False if somebody else has stopped that one.

        Raises:
            RuntimeError: the connection failed; its error is the cause. Or the server has such a client already.
        """
        ended = trio.Event()
        stopped = True

        async def watch() -> None:
            nonlocal stopped
            try:
                start_connection(NAME, partial(self._connection, transport))
                await self._gone.wait()
                stopped = False
            finally:
                with trio.move_on_after(self._settings.drain_timeout + 0.5, shield=True):
                    await self._drain()
                ended.set()

        patience = self._settings.drain_timeout + 1.0
        try:
            try:
                listening.start_child_nowait(ChildSpec(NAME, watch, Restart.TEMPORARY, shutdown=patience))
            except ValueError:
                raise RuntimeError("the server has a client on stdio already") from None
            try:
                await ended.wait()
            finally:
                with trio.move_on_after(patience, shield=True):
                    await listening.stop_child(NAME)
        finally:
            transport.abort()
        if self._failure is not None:
            raise RuntimeError("the connection on stdio failed") from self._failure
        return not stopped

    async def _connection(self, transport: Transport) -> None:
        traffic = self._traffic
        settings = self._settings
        traffic.accepted += 1
        traffic.peers += 1
        name = f"{NAME} #{traffic.peers}"
        try:
            async with trio.open_nursery() as nursery:
                wire = StdioWire(
                    Link(transport, nursery.start_soon, settings.limits),
                    limits=settings.limits,
                    on_oversized=lambda: self._refuse_oversized(peer),
                    on_closed=self._sweeper.discard,
                )
                self._sweeper.add(wire)
                peer = self._peer = self._peers[name] = Peer(
                    wire,
                    name,
                    settings.limits.high_water,
                    traffic.peer_changed,
                    frame=line,
                    address=NAME,
                    # Who writes requests into a pipe and closes it wants the answers.
                    grace=settings.drain_requests,
                )
                traffic.peer_changed()
                try:
                    await peer.run(self._dispatch.received, self._disconnected)
                    wire.close(NORMAL, "end of input")
                    await wire.wait_closed()
                finally:
                    wire.abort()
                    del self._peers[name]
                    traffic.peer_changed()
                    traffic.closes[str(wire.close_code)] += 1
                    _log.info("client gone", peer=name, code=wire.close_code, reason=wire.close_reason)
        except Exception as error:
            self._failure = error
            raise
        finally:
            self._gone.set()

    def _disconnected(self, peer: Peer) -> None:
        self._subscriptions.gone(peer)
        self._on_disconnected()

    def _refuse_oversized(self, peer: Peer) -> None:
        limit = self._settings.limits.max_message
        told = f"Invalid request: a message has at most {limit} bytes"
        peer.push(self._dispatch.refuse(None, RpcError.of(Failure.INVALID_REQUEST, told), Revision.LEGACY))

    async def _drain(self) -> None:
        """End the client politely within `drain_timeout`: final results, answers, what is pending; then cut it.

        Waits for its tasks to end: whoever calls it has a deadline.
        """
        peer = self._peer
        if peer is not None and not self._gone.is_set():
            peer.draining = True
            with trio.move_on_after(self._settings.drain_timeout):
                self._subscriptions.end_listens(peer)
                await peer.drain(self._settings.drain_requests)
            peer.abort()
            await self._gone.wait()
