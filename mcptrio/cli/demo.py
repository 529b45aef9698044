"""`mcptrio demo`: a server with sources that are made up, and a line for each of their changes."""

from __future__ import annotations

import functools
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import trio

from mcptrio.access import Access
from mcptrio.app import Address, App
from mcptrio.cli.configured import access_or_explain, load_or_explain
from mcptrio.cli.exits import Exit, UserError
from mcptrio.cli.log import set_up_logging
from mcptrio.cli.output import Output
from mcptrio.cli.printing import print_text
from mcptrio.cli.serve import run_app
from mcptrio.config import server_settings
from mcptrio.live import Change, Feed
from mcptrio.masking import printable
from mcptrio.server import ServerSettings
from mcptrio.simulators import EmailMockSettings, JsonFeed, email_mock, serve_json_feed
from mcptrio.sources import LINGER, Registry, poller

INSTRUCTIONS = "A mailbox and a list of releases, both made up. Subscribe to email://live-feed."
LIVE_FEED = "email://live-feed"
RELEASES = "releases://{id}"
DEFAULT_PORT = 8765
LONGEST = 1e9
"""Bound of `--seconds`."""

_UNSHOWN = 256
"""Changes that may wait for a slow terminal; beyond, they are counted instead of shown."""
_TOLD = ("from", "subject", "urgency", "project", "version", "state")
_WIDEST = 70


def demo(
    *,
    port: int | None,
    seconds: float | None,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    output: Output | None = None,
) -> int:
    """Serve the demo until a signal, or for some seconds. Without a port: the usual one, or a free one.

    Raises:
        UserError: the port that was asked for cannot be listened on, or a flag or variable is wrong.
    """
    if seconds is not None and not 0 < seconds < LONGEST:
        raise UserError("--seconds must be a number above 0")
    wanted = free_port_near(DEFAULT_PORT) if port is None else port
    # No level but warning, unless somebody asks: the changes are what is to be seen.
    quiet = {} if environ.get("MCP_LOG_LEVEL", "").strip() else {"--log-level": "warning"}
    config = load_or_explain(None, flags={**quiet, **flags, "--port": wanted}, environ=environ)
    set_up_logging(config.server.log_level, config.server.log_format)
    settings, access = server_settings(config.server), access_or_explain(config, environ)
    app = demo_app(output or Output(), seconds=seconds, settings=settings, access=access)

    def welcome(address: Address) -> None:
        if port is None and wanted != DEFAULT_PORT:
            print_text(f"Port {DEFAULT_PORT} is taken, so this is another one.\n")
        print_text(greeting(address, command_here()))

    run_app(app, config.server, welcome)
    return Exit.OK


def command_here() -> str:
    """How this program is called from here: by its name where that is found, else by its path."""
    if shutil.which("mcptrio") is not None or Path(sys.argv[0]).name != "mcptrio":
        return "mcptrio"
    path = Path(sys.argv[0]).absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def greeting(address: Address, command: str = "mcptrio") -> str:
    """What to do with a demo that listens there; `command` is what to type for this program."""
    return (
        "A mailbox and a list of releases, both made up, as live MCP resources.\n"
        f"  endpoint   {address.endpoint}\n"
        f"  websocket  {address.websocket}\n"
        "In another terminal:\n"
        f"  {command} watch {address.websocket} {LIVE_FEED}\n"
        f"  {command} read {address.websocket} {LIVE_FEED}\n"
        f"  {command} inspect {address.websocket}\n"
        "What changes, until Ctrl-C:\n"
    )


def free_port_near(port: int, host: str = "127.0.0.1") -> int:
    """The port if nobody listens on it, else 0, which lets the system pick one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return 0
    return port


def demo_app(
    output: Output,
    *,
    seconds: float | None = None,
    settings: ServerSettings | None = None,
    access: Access | None = None,
) -> App:
    """An App with a mailbox, and a poller of a feed that it serves itself; it writes a line for each change.

    After `seconds`, if given, it ends the process's server as a signal does.
    """
    app = App(
        "mcptrio-demo", title="mcptrio demo", instructions=INSTRUCTIONS, settings=settings, access=access
    )
    board = Board(output)
    shown = ShownRegistry(app.registry, board.show_nowait)
    email_mock.install(shown, EmailMockSettings())

    @app.lifespan
    async def releases(app: App) -> AsyncIterator[JsonFeed]:  # noqa: ASYNC900 - app.lifespan makes it a context manager
        feed = JsonFeed()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(board.run)
            if seconds is not None:
                nursery.start_soon(_stop_after, seconds)
            url: str = await nursery.start(serve_json_feed, feed)
            # Only now, because the feed's port was picked just now.
            poller.install(
                shown,
                poller.PollerSettings(
                    name="releases",
                    url=url,
                    uri=RELEASES,
                    items="/releases",
                    id="/id",
                    every="1s",
                    always=True,  # its changes are shown here, whoever else wants them
                ),
            )
            yield feed  # noqa: ASYNC101, ASYNC119 - an async context manager, see above
            nursery.cancel_scope.cancel(reason="the demo ends")

    return app


async def _stop_after(seconds: float) -> None:
    await trio.sleep(seconds)
    signal.raise_signal(signal.SIGTERM)


class Board:
    """Writes changes down, in order, and holds up nobody: what a slow terminal does not take is counted."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._send, self._receive = trio.open_memory_channel[Change](_UNSHOWN)
        self._missed = 0

    def show_nowait(self, change: Change) -> None:
        """Have a change written."""
        try:
            self._send.send_nowait(change)
        except trio.WouldBlock:
            self._missed += 1

    async def run(self) -> None:
        """Write until cancelled, or until the output's reader has gone."""
        async for change in self._receive:
            await self._output.line(line_of(change))
            if self._missed:
                missed, self._missed = self._missed, 0
                await self._output.line(f"({missed} changes more)")


def line_of(change: Change) -> str:
    """Local time, kind, URI, and what the change is about as far as its data says."""
    return printable(
        f"{change.at.astimezone():%H:%M:%S}  {change.kind:<8} {change.uri}  {about(change.data)}".rstrip()
    )


def about(data: object) -> str:
    """A few words of a change's data."""
    values = msgspec.to_builtins(data)
    if not isinstance(values, dict):
        return ""
    text = ", ".join(str(values[key]) for key in _TOLD if key in values)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


class ShownRegistry(Registry):
    """Installs sources into another registry, so that each change they report is shown too."""

    def __init__(self, registry: Registry, show: Callable[[Change], None]) -> None:
        super().__init__(registry.catalog)
        self._registry = registry
        self._show = show

    def add_source(
        self,
        name: str,
        run: Callable[..., Awaitable[None]],
        *,
        pattern: str | Sequence[str] | None = None,
        each: bool = False,
        linger: float = LINGER,
        always: bool | None = None,
        most: int | None = None,
    ) -> None:
        """As `Registry.add_source`."""

        @functools.wraps(run)
        async def shown(feed: Feed, **values: object) -> None:
            unwatch = feed.watch(self._show)
            try:
                await run(feed, **values)
            finally:
                unwatch()

        self._registry.add_source(
            name, shown, pattern=pattern, each=each, linger=linger, always=always, most=most
        )
