"""The tasks of a bridge: the host's reader, and one connection to the server after the other."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

import trio

from mcptrio.bridge.core import CannotResume, Core
from mcptrio.client import ConnectionLost
from mcptrio.client.carrier import Carrier
from mcptrio.client.target import Target
from mcptrio.protocol import Failure, ProtocolError, encode_error
from mcptrio.supervision.backoff import Backoff
from mcptrio.wire import Limits, Link, Sweeper, Transport
from mcptrio.wire.stdio import StdioWire

CLOSE_TIMEOUT = 2.0
"""Seconds that the host's last requests are waited for when its input has ended, and then that closing may take."""

AHEAD = 64
"""Messages that are read from the host before the server takes them."""


class Bridge:
    """Carries what a host says by lines on `transport` to a server, and back. `run` it once.

    A lost connection is made again for as long as it takes, waiting as `backoff` says; `on_lost` is told the reason
    and the wait in seconds. `timeout` (seconds) is for connecting and beginning anew. A host that does not read holds
    what the server says, by flow control; one that takes nothing for a minute is left.
    """

    def __init__(
        self,
        target: Target,
        transport: Transport,
        *,
        timeout: float = 30.0,
        backoff: Backoff | None = None,
        on_lost: Callable[[Exception, float], None] | None = None,
        limits: Limits | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._target = target
        self._transport = transport
        self._timeout = timeout
        self._backoff = backoff or Backoff()
        self._on_lost = on_lost
        self._limits = limits or Limits()
        self._rng = rng or random.Random()
        self._outgoing: deque[bytes] = deque()
        self._moved = trio.lowlevel.ParkingLot()
        self._first = trio.Event()
        self._done = trio.Event()
        self._carrier: Carrier | None = None
        self._closing = False
        self._failure: ConnectionLost | None = None
        self.connections = 0
        """How many connections carried something."""

    async def run(self) -> None:
        """Carry until the host's input ends, or it has gone.

        Raises:
            ConnectionLost: there was no connection to begin with. Nothing was read from the host then.
        """
        try:
            async with trio.open_nursery() as nursery:
                sweeper = Sweeper()
                wire = StdioWire(
                    Link(self._transport, nursery.start_soon, self._limits),
                    limits=self._limits,
                    on_oversized=lambda: self._refuse_oversized(wire),
                    on_closed=sweeper.discard,
                )
                sweeper.add(wire)
                core = Core(lambda data: _to(wire, data), self._send)
                nursery.start_soon(sweeper.run)
                nursery.start_soon(self._keep, core, wire)
                await self._first.wait()
                if self._failure is None:
                    await self._read(core, wire)
                    await self._leave(core, wire)
                nursery.cancel_scope.cancel(reason="the host has gone")
        finally:
            self._transport.abort()
        if self._failure is not None:
            raise self._failure

    async def _read(self, core: Core, wire: StdioWire) -> None:
        while lines := await wire.receive():
            for line in lines:
                core.host_said(line)
                while len(self._outgoing) >= AHEAD and not wire.closed:
                    await self._moved.park()

    async def _leave(self, core: Core, wire: StdioWire) -> None:
        """Answer what was asked before the end of input, if that is soon, and let go of the server."""
        self._closing = True
        with trio.move_on_after(CLOSE_TIMEOUT):
            while self._carrier is not None and not wire.closed and (self._outgoing or core.is_waiting):
                await self._moved.park()
        with trio.move_on_after(CLOSE_TIMEOUT):
            if self._carrier is not None:
                self._carrier.close_nowait()
                await self._done.wait()
            wire.close(1000, "end of input")
            await wire.wait_closed()

    def _send(self, data: bytes) -> None:
        self._outgoing.append(data)
        self._moved.unpark_all()

    def _refuse_oversized(self, wire: StdioWire) -> None:
        told = f"Invalid request: a message has at most {self._limits.max_message} bytes"
        wire.push_text(encode_error(None, Failure.INVALID_REQUEST.legacy, told))

    # -- the server ------------------------------------------------------------------------------------

    async def _keep(self, core: Core, wire: StdioWire) -> None:
        """Keep connected until the host has gone."""
        failures = 0
        while True:
            began = trio.current_time()
            self._carrier = carrier = self._target.carrier()
            carrier.ready = wire.wait_below_high_water
            await self._one(carrier, core)
            self._carrier = None
            self._outgoing.clear()
            core.lost()
            self._moved.unpark_all()
            if not self._first.is_set():
                self._failure = carrier.error
                self._first.set()
            if self._closing or self._failure is not None:
                self._done.set()
                return
            failures = self._backoff.failures(failures, trio.current_time() - began)
            delay = self._backoff.delay(failures, self._rng)
            if self._on_lost is not None:
                self._on_lost(carrier.error, delay)
            await trio.sleep(delay)

    async def _one(self, carrier: Carrier, core: Core) -> None:
        """One connection, from dialling to its end."""
        up = trio.Event()

        def received(data: bytes) -> None:
            try:
                core.server_said(data)
            except ProtocolError as error:
                carrier.violate(1007, error.message)
            except CannotResume as error:
                carrier.violate(1000, str(error))
            if core.is_up:
                up.set()
            if self._closing:
                self._moved.unpark_all()

        async def begin() -> None:
            with trio.move_on_after(self._timeout):
                try:
                    await carrier.wait_open()
                except ConnectionLost:
                    return
                core.connected(probe=self._target.is_http)
                if not core.is_up:
                    await up.wait()
                self.connections += 1
                self._first.set()
                return
            carrier.violate(1000, f"no answer within {self._timeout:g} s")

        async def pump() -> None:
            while True:
                while not self._outgoing:
                    await self._moved.park()
                await carrier.wait_room()
                if self._outgoing:
                    carrier.push(self._outgoing.popleft())
                    self._moved.unpark_all()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(begin)
            nursery.start_soon(pump)
            await carrier.run(received, core.missed)
            nursery.cancel_scope.cancel(reason="the connection is over")


def _to(wire: StdioWire, data: bytes) -> None:
    wire.push_text(data)
