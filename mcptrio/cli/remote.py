"""A command's conversation with a server: connecting, and every way it can fail as an error with its fix."""

from __future__ import annotations

import shlex
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from mcptrio.cli.exits import Exit, UserError, first, say
from mcptrio.client import (
    Client,
    Connect,
    ConnectionLost,
    InvalidResponse,
    StdioCommand,
    TimedOut,
    open_client,
)
from mcptrio.client.target import Target, find_target
from mcptrio.masking import mask_text
from mcptrio.protocol import Failure, RpcError
from mcptrio.wire.dial import UNIX, DialError, parse_url

NO_ANSWERS = "mcptrio's commands cannot answer a server's questions, a host with a user can"
"""What is told where a server would have to ask something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A server to talk to, as the command line names it: a URL, or `stdio:` and a command to start.

    `timeout` (seconds) is for connecting and each call; `connect` gives a stream instead of dialling, as in
    `open_client`.
    """

    url: str
    revision: str = "auto"
    timeout: float = 30.0
    connect: Connect | None = None
    token: str | None = field(default=None, repr=False)

    def target(self) -> Target:
        """Where the server is.

        Raises:
            UserError: the command line does not say.
        """
        server = server_of(self.url)
        return find_target(server, timeout=self.timeout, token=self.token, connect=self.connect)

    @asynccontextmanager
    async def client(self, *, reconnect: bool = False) -> AsyncIterator[Client]:
        """A connected client. What goes wrong inside, with the connection or with a request, is a UserError."""
        server = server_of(self.url)
        url = server if isinstance(server, str) else server.url
        losses = Losses()
        try:
            async with open_client(
                server,
                token=self.token,
                revision=self.revision,
                timeout=self.timeout,
                reconnect=reconnect,
                connect=self.connect,
                on_lost=losses.say,
            ) as client:
                losses.connections = lambda: client.statistics().connections
                yield client
        except ConnectionLost as error:
            raise unreachable(url, error, began=losses.connections() > 0) from None
        except TimedOut as error:
            raise UserError(mask_text(f"{error}: try a longer --timeout"), Exit.UNREACHABLE) from None
        except InvalidResponse as error:
            raise UserError(
                mask_text(f"{url} does not speak MCP as it should: {error}"), Exit.UNREACHABLE
            ) from None
        except RpcError as error:
            raise UserError(mask_text(rpc_message(error)), Exit.REFUSED) from None


def server_of(text: str) -> str | StdioCommand:
    """What people name a server by: a URL, by WebSocket without a scheme and at /mcp without a path, a Unix socket
    after `unix:`, or `stdio:` and the words of a command.

    Raises:
        UserError: it is neither.
    """
    try:
        if text.startswith("stdio:"):
            return StdioCommand(tuple(shlex.split(text.removeprefix("stdio:"))))
        endpoint = parse_url(text if "://" in text or text.startswith(UNIX) else f"ws://{text}")
        return endpoint.http_url if text.lower().startswith("http") else endpoint.websocket_url
    except ValueError as error:
        raise UserError(str(error)) from None


def unreachable(url: str, error: ConnectionLost, *, began: bool = False) -> UserError:
    """A server that is not there, or will not talk, as a mistake to put right; `began` is whether it did before."""
    code = Exit.REFUSED if error.status in _NOT_LET_IN else Exit.UNREACHABLE
    told = _connection_message(url, error)
    if not (
        began
        or error.code
        or told != str(error)
        or any(isinstance(each, DialError) for each in _causes(error))
    ):
        told = f"{told}: {_first_words_hint(url)}"
    return UserError(mask_text(told), code)


def _first_words_hint(url: str) -> str:
    """What may be wrong where the first words got no answer."""
    if url.startswith("stdio:"):
        return "is it an MCP server that speaks on standard input and output?"
    scheme = {"http": "https", "ws": "wss"}.get(url.partition(":")[0])
    told = "is this the URL of an MCP server?"
    return told if scheme is None else f"{told} If it is one with TLS, the URL begins with {scheme}:"


def rpc_message(error: RpcError) -> str:
    """What a server answered instead of a result: a refusal with its reason, or its own failure with what to look
    for in its log."""
    reason, correlation = (_told(error.data, key) for key in ("reason", "correlationId"))
    verb = "failed" if error.code == Failure.INTERNAL.legacy and correlation else "refused"
    told = f"the server {verb}: {error}"
    if reason and reason not in error.message:
        told += f"; reason: {reason}"
    if error.code == Failure.MISSING_CAPABILITY.modern:
        told += f": {NO_ANSWERS}"
    if correlation:
        told += f"; the server's log has it under correlation id {correlation}"
    return told


def _told(data: object, key: str) -> str:
    """A text that an error's data has under this key, or nothing."""
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, str) else ""


_NOT_LET_IN = (401, 403)


def _connection_message(url: str, error: ConnectionLost) -> str:
    if error.status is not None:
        told = " ".join(str(error).partition("<")[0].split()).rstrip(".: ")  # without a web page
        if error.status in _NOT_LET_IN:
            wanted = "set" if error.status == 401 else "if it wants a token, set"
            return f"{told}: {wanted} MCPTRIO_TOKEN, or name it by --token-env or --token-file"
        kind = " with WebSocket" if url.startswith("ws") else ""
        return f"{told}: is this the URL of an MCP server{kind}?"
    if error.code is not None:
        return str(error)
    cause = _system_error(error)
    if cause is not None and url.startswith("stdio:"):
        return f"cannot start {url.removeprefix('stdio:')}: {cause.strerror}"
    if cause is not None:
        return f"cannot connect to {url}: {cause.strerror}: is the server running?"
    return str(error) if url in str(error) else f"{url}: {error}"


def _system_error(error: BaseException | None) -> OSError | None:
    """The operating system's own error behind one that was made of it."""
    for each in _causes(error):
        if isinstance(each, ssl.SSLError):
            return None  # somebody is there, and what was made of it says more
        if isinstance(each, OSError) and each.strerror:
            return each
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what it was made of."""
    while error is not None:
        error = first(error)
        yield error
        error = error.__cause__


class Losses:
    """Says that a connection is lost: once, and once more for each other reason why there is no new one yet."""

    def __init__(self) -> None:
        self.connections: Callable[[], int] = lambda: 0
        """How many connections there have been."""
        self._connection = 0
        self._said: set[str] = set()

    def say(self, error: Exception, delay: float) -> None:
        """Told after each loss and each attempt in vain; `delay` (seconds) is until the next attempt."""
        cause = _system_error(error)
        reason = str(error) if cause is None else str(cause.strerror).rpartition("): ")[2]
        if isinstance(error, ConnectionLost) and error.status is not None:
            reason = _connection_message("", error)
        again = self.connections() == self._connection
        if not again:
            self._connection = self.connections()
            self._said.clear()
        if reason in self._said:
            return
        self._said.add(reason)
        if again:
            told = f"not connected yet ({reason}); trying on"
        else:
            wait = "at once" if delay < 0.05 else f"in {delay:.1f} s"
            told = f"connection lost ({reason}); trying again {wait}"
        say(mask_text(told))


def run_until_signal(command: Callable[[], Awaitable[int]], on_signal: Exit) -> int:
    """Run an async command in Trio; SIGINT or SIGTERM cancels it, and the exit code is then `on_signal`.

    Cancelling is bounded: leaving a client takes two seconds at most.
    """
    return trio.run(_until_signal, command, on_signal)


async def _until_signal(command: Callable[[], Awaitable[int]], on_signal: Exit) -> int:
    code: int = on_signal
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:

            async def stop() -> None:
                async for _ in signals:
                    nursery.cancel_scope.cancel(reason="a signal")
                    return

            nursery.start_soon(stop)
            code = await command()
            nursery.cancel_scope.cancel(reason="the command is done")
    return code
