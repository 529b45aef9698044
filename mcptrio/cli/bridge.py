"""`mcptrio bridge`: a server elsewhere, for a host that only starts programs."""

from __future__ import annotations

from functools import partial

from mcptrio.app.stdio import NoStreams, Streams, taken_streams
from mcptrio.bridge import Bridge
from mcptrio.cli.exits import Exit, UserError
from mcptrio.cli.remote import Losses, Remote, run_until_signal, unreachable
from mcptrio.client import ConnectionLost
from mcptrio.wire.pipe import PipeTransport


def bridge(remote: Remote) -> int:
    """Carry MCP between standard input and output and a server, until the input ends or a signal comes.

    Raises:
        UserError: the server cannot be reached, or there are no standard streams.
    """
    try:
        with taken_streams() as streams:
            return run_until_signal(partial(_bridge, remote, streams), Exit.OK)
    except NoStreams as error:
        raise UserError(f"{error.strerror}: the bridge is for a program that starts it") from None


async def _bridge(remote: Remote, streams: Streams) -> int:
    losses = Losses()
    target = remote.target()
    ends = PipeTransport(streams.input, streams.output)
    bridge = Bridge(target, ends, timeout=remote.timeout, on_lost=losses.say)
    losses.connections = lambda: bridge.connections
    try:
        await bridge.run()
    except ConnectionLost as error:
        raise unreachable(target.url, error) from None
    return Exit.OK
