"""`mcptrio serve`: a server from a configuration file, or of an App in somebody's module."""

from __future__ import annotations

import dataclasses
import errno
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import structlog

from mcptrio.app import Address, App, run
from mcptrio.app.address import CannotListen
from mcptrio.cli.configured import (
    access_or_explain,
    configured_app,
    doubts_of,
    load_or_explain,
    tls_or_explain,
)
from mcptrio.cli.exits import CannotWrite, Exit, NobodyReads, UserError, first
from mcptrio.cli.log import set_up_logging
from mcptrio.cli.printing import print_text
from mcptrio.cli.target import is_config, load_app
from mcptrio.config import Config, ServerTable, exposure
from mcptrio.config.importing import place
from mcptrio.masking import mask_text
from mcptrio.supervision import Escalation

_log = structlog.get_logger("mcptrio.cli")

_OF_LISTENING = (
    *("--host", "--port", "--unix-socket", "--allow-host", "--allow-origin"),
    *("--token-file", "--anonymous", "--tls-certificate", "--tls-key"),
)
"""Flags that say nothing to a server on standard input and output."""


def serve(
    target: str | None, *, flags: Mapping[str, object], environ: Mapping[str, str], stdio: bool = False
) -> int:
    """Serve until a signal. The first line on standard output is JSON: `endpoint` and `websocket`, the URLs.

    With `stdio` the one client is on standard input and output, which then carry nothing else, and its end is
    another way to end.

    Raises:
        UserError: there is nothing to serve, or it cannot be served like this.
    """
    if target is None:
        raise UserError(
            "there is nothing to serve: name a configuration (mcptrio serve CONFIG.toml) "
            "or an app (mcptrio serve module:app), or try mcptrio demo"
        )
    if stdio:
        _serve_stdio(target, flags, environ)
    else:
        app, config = _app_of(target, flags, environ)
        run_app(app, config.server, announce, tls_or_explain(config))
    return Exit.OK


def _serve_stdio(target: str, flags: Mapping[str, object], environ: Mapping[str, str]) -> None:
    from mcptrio.app.stdio import NoStreams, run_stdio, taken_streams

    if unfit := [flag for flag in _OF_LISTENING if flags.get(flag) is not None]:
        raise UserError(f"{unfit[0]} is for a server that listens: leave it out, or --stdio")
    try:
        # Before anybody's code is imported: what it prints is not for the client.
        with taken_streams() as streams:
            app, _ = _app_of(target, flags, environ, listens=False)
            with _mistakes_told("the app could not be served"):
                run_stdio(app, streams)
    except NoStreams as error:
        raise UserError(f"{error.strerror}: --stdio is for a program that starts this one") from None


def _app_of(
    target: str, flags: Mapping[str, object], environ: Mapping[str, str], *, listens: bool = True
) -> tuple[App, Config]:
    """What is to be served, with logging set up as its configuration says."""
    file = Path(target) if is_config(target) else None
    config = load_or_explain(file, flags=flags, environ=environ, listens=listens and file is not None)
    set_up_logging(config.server.log_level, config.server.log_format)
    if file is not None:
        app = configured_app(config, environ)
    else:
        app = load_app(target)
        if listens:  # checked only now: whether it may be open to others, its own tokens say
            has_tokens = app.access.tokens is not None
            config = load_or_explain(None, flags=flags, environ=environ, tokens=has_tokens)
        _stand_over(app, config, environ)
    for doubt in doubts_of(config, app.access):
        _log.warning("the configuration may not be what was meant", problem=str(doubt))
    return app, config


def run_app(
    app: App,
    server: ServerTable,
    on_ready: Callable[[Address], None],
    tls: ssl.SSLContext | None = None,
) -> None:
    """Run an app as this process, until a signal has ended it.

    Raises:
        UserError: the address cannot be listened on or is open to everybody, the app's own code failed before the
            server was ready, or a part of the server could not be kept running.
    """
    for _, message in exposure(server, tokens=app.access.tokens is not None):
        raise UserError(message)
    ready = False

    def now_ready(address: Address) -> None:
        nonlocal ready
        ready = True
        on_ready(address)

    with _mistakes_told("the app could not start", lambda: not ready):
        try:
            run(
                app,
                host=server.host,
                port=server.port,
                unix_socket=server.unix_socket,
                tls=tls,
                anonymous=server.anonymous,
                allowed_hosts=server.allowed_hosts,
                allowed_origins=server.allowed_origins,
                on_ready=now_ready,
            )
        except CannotListen as error:
            if server.unix_socket is not None:
                raise UserError(f"cannot listen at {server.unix_socket}: {error.strerror}") from None
            raise UserError(bind_message(error, server.host, server.port)) from None


@contextmanager
def _mistakes_told(what: str, told: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Make a UserError of what the app's own code raises, while that is `told`, and of a server that gave up."""
    try:
        yield
    except Escalation as error:
        cause = first(error.__cause__ or error)
        why = "" if cause is error else f" ({type(cause).__name__}: {cause})"
        raise UserError(f"the server gave up: {error}{why}; the log above says more", Exit.FAULT) from None
    except (UserError, NobodyReads):
        raise
    except Exception as error:
        if not told():
            raise
        _log.debug(what, exc_info=error)
        cause = first(error)
        message = mask_text(f"{what}: {type(cause).__name__}: {cause}".rstrip(": "))
        raise UserError(message + (place(cause) or place(error))) from None


def bind_message(error: OSError, host: str, port: int) -> str:
    """Why an address cannot be listened on, and what to do."""
    codes = {each.errno for each in _flat(error)}
    if errno.EADDRINUSE in codes:
        return f"port {port} of {host} is taken: choose another with --port, or --port 0 for a free one"
    if errno.EACCES in codes:
        return f"port {port} of {host} is not open to this user: choose one above 1023 with --port"
    if errno.EADDRNOTAVAIL in codes:
        return f"{host} is no address of this machine: choose one with --host, such as 127.0.0.1"
    return f"cannot listen on {host}, port {port}: {error}"


def _flat(error: BaseException | None) -> list[OSError]:
    """The system's errors behind one that Trio made of them."""
    if isinstance(error, BaseExceptionGroup):
        return [found for each in error.exceptions for found in _flat(each)]
    if isinstance(error, OSError):
        return [error, *_flat(error.__cause__)]
    return []


def announce(address: Address) -> None:
    """The one line on standard output. A server whose output nobody reads serves all the same."""
    line = {"endpoint": address.endpoint, "websocket": address.websocket}
    try:
        print_text(msgspec.json.encode(line).decode() + "\n")
    except NobodyReads:
        _log.warning("nobody reads standard output")
    except CannotWrite as error:
        _log.warning("the announcement is lost", error=str(error))


def _stand_over(app: App, config: Config, environ: Mapping[str, str]) -> None:
    """An app has its own limits, tokens and rate; what flags and environment say stands over them."""
    for setting in config.settings():
        if setting.path == ("server", "limits", "max_connections") and setting.origin.layer == "environment":
            assert isinstance(setting.value, int)
            limits = dataclasses.replace(app.settings.limits, max_connections=setting.value)
            app.settings = dataclasses.replace(app.settings, limits=limits)
    access = access_or_explain(config, environ)
    if access.tokens is not None:
        app.access.tokens = access.tokens
    if access.rate is not None:
        app.access.rate = access.rate
