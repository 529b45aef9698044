"""The commands and what they take: names, defaults and help. Their work is in the other files, imported late,
because `mcptrio --help` needs none of it.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, CycloptsError, Group, Parameter

from mcptrio import __version__
from mcptrio.cli.client_flags import ClientFlags, TokenFlags, token_of
from mcptrio.cli.exits import Exit, UserError, say
from mcptrio.cli.printing import print_text
from mcptrio.cli.server_flags import ServerFlags
from mcptrio.cli.watch_flags import Wanted, WatchFlags

if TYPE_CHECKING:
    from mcptrio.cli.remote import Remote

Json = Annotated[bool, Parameter(negative=())]
Url = Annotated[
    str,
    Parameter(
        help="http:// or ws:// URL, host:port or unix:/path (WebSocket), or stdio:COMMAND. Path: /mcp unless given."
    ),
]

SERVERS = Group("Run a server")
CLIENTS = Group("Talk to a server")

EPILOGUE = """Exit codes: 0 done, or ended by a signal (serve, demo, watch, bridge); 1 a
fault of mcptrio, or output that cannot be written; 2 wrong usage or
configuration; 3 no server there, or no answer (bridge: at its start);
4 refused by the server, the token too; 5 the tool reported an error;
70 something would not stop within its deadline; 130 interrupted."""

app = App(
    name="mcptrio",
    help="A realtime MCP server: things that change become live MCP resources.",
    help_epilogue=EPILOGUE,
    help_format="plaintext",
    version=__version__,
)


def parse(arguments: Sequence[str]) -> Callable[[], int]:
    """The command that the arguments name, ready to be run.

    Raises:
        UserError: there is no such command, or it does not take these arguments.
    """
    try:
        command, bound, _ = app.parse_args(arguments, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        name = " ".join(error.command_chain or ())
        raise UserError(f"{error} Try: mcptrio{' ' if name else ''}{name} --help") from None

    if command.__module__ != __name__:
        return lambda: _printed(lambda: command(*bound.args, **bound.kwargs))

    def run() -> int:
        code = command(*bound.args, **bound.kwargs)
        return code if isinstance(code, int) else Exit.OK

    return run


def _printed(command: Callable[[], object]) -> int:
    """Have what only prints (help, the version) write as all else does here: its reader may be gone."""
    text = _Text()
    with contextlib.redirect_stdout(text):
        command()
    print_text(text.getvalue())
    return Exit.OK


class _Text(io.StringIO):
    """A text that is to be shown where standard output goes, with a terminal's styles if that is one."""

    def __init__(self) -> None:
        super().__init__()
        self._terminal = sys.stdout.isatty()

    def isatty(self) -> bool:
        return self._terminal


@app.command(group=SERVERS)
def demo(*, port: int | None = None, seconds: float | None = None, log_level: str | None = None) -> int:
    """Run a server with made-up mail and releases; needs no configuration.

    Parameters
    ----------
    port
        Port to listen on. [default: 8765, or a free one if that is taken]
    seconds
        End after this many seconds, not only by Ctrl-C.
    log_level
        debug, info, warning or error. [default: warning]
    """
    from mcptrio.cli.demo import demo

    flags = {} if log_level is None else {"--log-level": log_level}
    return demo(port=port, seconds=seconds, flags=flags, environ=os.environ)


@app.command(group=SERVERS)
def serve(
    target: Annotated[str | None, Parameter(name="CONFIG.toml|module:app")] = None,
    /,
    *,
    stdio: Json = False,
    server: ServerFlags = ServerFlags(),  # noqa: B008 - it is frozen
) -> int:
    """Run a server from a configuration file, or of an App in a Python module.

    The first line on standard output is JSON with the URLs: "endpoint" and
    "websocket". Logs go to standard error. SIGINT or SIGTERM closes all
    connections politely within two seconds, and the process ends when its
    handlers have; with exit code 70 if one of them would not stop within its
    deadline. A second signal ends it at once.

    A flag stands over the environment (MCP_LOG_LEVEL, MCP_MAX_CONNECTIONS,
    MCP_RATE_LIMIT such as 100/s, MCP_TOKENS), that over the file.

    Parameters
    ----------
    target
        A TOML file, or an App such as weather:app, looked for from the working directory.
    stdio
        Speak MCP on standard input and output, with the one client that started this, and listen nowhere.
    """
    from mcptrio.cli.serve import serve

    return serve(target, flags=server.given(), environ=os.environ, stdio=stdio)


@app.command(group=SERVERS)
def check(
    config: Annotated[Path, Parameter(name="CONFIG.toml")],
    /,
    *,
    server: ServerFlags = ServerFlags(),  # noqa: B008 - it is frozen
    json: Json = False,
) -> int:
    """Validate a configuration, and show each value and where it comes from.

    Takes the flags of serve, and shows what they would change. Secrets are
    not shown. Nothing is started.

    Parameters
    ----------
    config
        A TOML file.
    json
        Write JSON.
    """
    from mcptrio.cli.check import check

    return check(config, flags=server.given(), environ=os.environ, as_json=json)


@app.command(group=CLIENTS)
def watch(
    url: Url,
    /,
    *uris: str,
    json: Json = False,
    exec: str | None = None,
    exec_concurrency: int = 1,
    live: WatchFlags = WatchFlags(),  # noqa: B008 - it is frozen
    client: ClientFlags = ClientFlags(),  # noqa: B008 - it is frozen
) -> int:
    """Subscribe to resources, and write a line or run a command for each change.

    Goes on after a lost connection; where changes may have been missed
    meanwhile, the change's kind is "gap". Ends with exit code 4 when the server
    refuses a subscription, and with 0 by Ctrl-C.

    With any of --glob, --template, --filter, --policy, --fields and --since all
    is watched by the extension io.mcptrio/live, which the server must have: each
    line of JSON then tells kind, offset, at, eventId, cursor and, as --fields
    asks, data and metadata; after a lost connection it goes on with what was
    missed, and where that cannot be had there is a gap, with its reason.

    With --exec no lines are written: the command gets the line of JSON on
    standard input, and MCPTRIO_URI and MCPTRIO_KIND in its environment, by the
    extension MCPTRIO_EVENT_ID and MCPTRIO_CURSOR too. Changes of a resource
    while its command runs become one, for which it runs again; with --policy
    every it runs for each. A command that fails is told of on standard error,
    and the next one runs. Ctrl-C ends running commands: SIGTERM, and SIGKILL
    two seconds later.

    Parameters
    ----------
    uris
        URIs of resources.
    json
        A line of JSON per change: time, uri, kind, gap, and what more is known.
    exec
        A shell's command to run for each change.
    exec_concurrency
        How many commands may run at once; 1 keeps the order of the changes.
    """
    from mcptrio.cli.output import Output
    from mcptrio.cli.remote import run_until_signal
    from mcptrio.cli.watch import watch

    if not (uris or live.glob or live.template):
        raise UserError("name at least one resource to watch: mcptrio watch URL URI..., or --glob PATTERN")
    if exec is None and exec_concurrency != 1:
        raise UserError("--exec-concurrency is for --exec: name a command, or leave it out")
    for uri in uris:
        if "{" in uri or "*" in uri:
            flag = "--template" if "{" in uri else "--glob"
            say(f"{uri} is one exact URI here; to watch all that are like it: {flag} '{uri}'")
    wanted = live.wanted(uris) if live.given else []
    remote = _remote(url, client)
    if exec is not None:
        return _watch_exec(remote, uris, wanted, exec, exec_concurrency, every=live.every, as_json=json)
    return run_until_signal(lambda: watch(remote, uris, Output(), wanted=wanted, as_json=json), Exit.OK)


def _watch_exec(
    remote: Remote,
    uris: Sequence[str],
    wanted: Sequence[Wanted],
    command: str,
    concurrency: int,
    *,
    every: bool,
    as_json: bool,
) -> int:
    from mcptrio.cli.remote import run_until_signal
    from mcptrio.cli.watch_exec import MOST_CONCURRENCY, watch_exec

    if not command.strip() or "\0" in command:
        raise UserError("--exec needs a command, such as --exec 'date >> changes.log'")
    if not 1 <= concurrency <= MOST_CONCURRENCY:
        raise UserError(f"--exec-concurrency must be between 1 and {MOST_CONCURRENCY}")
    if as_json:
        raise UserError("--json is for lines; with --exec each command gets its change as JSON anyway")
    return run_until_signal(
        lambda: watch_exec(remote, uris, command, wanted=wanted, every=every, concurrency=concurrency),
        Exit.OK,
    )


@app.command(group=CLIENTS)
def call(
    url: Url,
    tool: str,
    /,
    *arguments: Annotated[str, Parameter(name="NAME=VALUE")],
    json: Json = False,
    client: ClientFlags = ClientFlags(),  # noqa: B008 - it is frozen
) -> int:
    """Call a tool, and write what it returns. Exit code 5 when the tool reports an error.

    Parameters
    ----------
    tool
        Name of the tool.
    arguments
        Arguments: text where the tool wants text, else JSON, such as days=3 or tags='["a"]'.
    json
        Write the structured result as JSON.
    """
    from mcptrio.cli.call import call
    from mcptrio.cli.output import Output
    from mcptrio.cli.remote import run_until_signal

    remote = _remote(url, client)
    return run_until_signal(lambda: call(remote, tool, arguments, Output(), as_json=json), Exit.INTERRUPTED)


@app.command(group=CLIENTS)
def read(
    url: Url,
    uri: str,
    /,
    *,
    json: Json = False,
    client: ClientFlags = ClientFlags(),  # noqa: B008 - it is frozen
) -> int:
    """Read a resource, and write what it holds as it is: text or bytes.

    Parameters
    ----------
    uri
        URI of the resource.
    json
        Write the whole result as JSON.
    """
    from mcptrio.cli.call import read
    from mcptrio.cli.output import Output
    from mcptrio.cli.remote import run_until_signal

    remote = _remote(url, client)
    return run_until_signal(lambda: read(remote, uri, Output(), as_json=json), Exit.INTERRUPTED)


@app.command(group=CLIENTS)
def inspect(url: Url, /, *, json: Json = False, client: ClientFlags = ClientFlags()) -> int:  # noqa: B008
    """Show who a server is and what it offers: tools, resources, templates, prompts.

    Parameters
    ----------
    json
        Write JSON.
    """
    from mcptrio.cli.inspect import inspect
    from mcptrio.cli.output import Output
    from mcptrio.cli.remote import run_until_signal

    remote = _remote(url, client)
    return run_until_signal(lambda: inspect(remote, Output(), as_json=json), Exit.INTERRUPTED)


@app.command(group=CLIENTS)
def bridge(
    url: Url,
    /,
    *,
    token: TokenFlags = TokenFlags(),  # noqa: B008 - it is frozen
    timeout: float = 30.0,
) -> int:
    """Be a stdio MCP server that carries everything to another server, and back.

    For hosts that only start programs. Both protocol revisions pass as they
    are. After a lost connection it connects again, subscribes again, and tells
    the host of one update for each subscribed resource; a request that was
    under way is answered with an error. Ends when standard input does.

    Parameters
    ----------
    timeout
        Seconds to wait for a connection.
    """
    from mcptrio.cli.bridge import bridge

    flags = ClientFlags(token_env=token.token_env, token_file=token.token_file, timeout=timeout)
    return bridge(_remote(url, flags))


def _remote(url: str, flags: ClientFlags) -> Remote:
    """The server of a client's command, and this process made ready to talk to it."""
    from mcptrio.cli.log import LEVELS, set_up_logging
    from mcptrio.cli.remote import Remote

    level = os.environ.get("MCP_LOG_LEVEL", "").strip().lower() or "error"
    if level not in LEVELS:
        raise UserError(f"MCP_LOG_LEVEL: `{level}` is none of {', '.join(LEVELS)}")
    if not 0 < flags.timeout < 1e6:
        raise UserError("--timeout must be a number of seconds above 0")
    token = None if url.startswith("stdio:") else token_of(flags, os.environ)
    set_up_logging(level)
    return Remote(url=url, revision=flags.revision, timeout=flags.timeout, token=token)
