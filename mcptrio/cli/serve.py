"""`mcptrio serve`: a server from a configuration file, or of an App in somebody's module."""

from __future__ import annotations

import dataclasses
import errno
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import structlog

from mcptrio.app import Address, App, run
from mcptrio.app.address import open_sockets
from mcptrio.cli.configured import configured_app, load_or_explain
from mcptrio.cli.exits import CannotWrite, Exit, NobodyReads, UserError, first
from mcptrio.cli.log import set_up_logging
from mcptrio.cli.printing import print_text
from mcptrio.cli.target import is_config, load_app
from mcptrio.config import Config, ServerTable
from mcptrio.config.importing import place
from mcptrio.masking import mask_text
from mcptrio.supervision import Escalation

_log = structlog.get_logger("mcptrio.cli")


def serve(target: str | None, *, flags: Mapping[str, object], environ: Mapping[str, str]) -> int:
    """Serve until a signal. The first line on standard output is JSON: `endpoint` and `websocket`, the URLs.

    Raises:
        UserError: there is nothing to serve, or it cannot be served like this.
    """
    if target is None:
        raise UserError(
            "there is nothing to serve: name a configuration (mcptrio serve CONFIG.toml) "
            "or an app (mcptrio serve module:app), or try mcptrio demo"
        )
    if is_config(target):
        config = load_or_explain(Path(target), flags=flags, environ=environ)
        set_up_logging(config.server.log_level, config.server.log_format)
        for doubt in config.doubts():
            _log.warning("the configuration may not be what was meant", problem=str(doubt))
        app = configured_app(config)
    else:
        config = load_or_explain(None, flags=flags, environ=environ)
        set_up_logging(config.server.log_level, config.server.log_format)
        app = load_app(target)
        _limit_connections(app, config)
    run_app(app, config.server, announce)
    return Exit.OK


def run_app(app: App, server: ServerTable, on_ready: Callable[[Address], None]) -> None:
    """Run an app as this process, until a signal has ended it.

    Raises:
        UserError: the address cannot be listened on, the app's own code failed before the server was ready, or a
            part of the server could not be kept running.
    """
    ready = False

    def now_ready(address: Address) -> None:
        nonlocal ready
        ready = True
        on_ready(address)

    try:
        run(
            app,
            host=server.host,
            port=server.port,
            allowed_hosts=server.allowed_hosts,
            allowed_origins=server.allowed_origins,
            on_ready=now_ready,
        )
    except Escalation as error:
        cause = first(error.__cause__ or error)
        why = "" if cause is error else f" ({type(cause).__name__}: {cause})"
        raise UserError(f"the server gave up: {error}{why}; the log above says more", Exit.FAULT) from None
    except (UserError, NobodyReads):
        raise
    except Exception as error:
        if ready:
            raise
        if isinstance(error, OSError) and _in_listening(error):
            raise UserError(bind_message(error, server.host, server.port)) from None
        _log.debug("the app could not start", exc_info=error)
        cause = first(error)
        told = mask_text(f"the app could not start: {type(cause).__name__}: {cause}".rstrip(": "))
        raise UserError(told + (place(cause) or place(error))) from None


def _in_listening(error: OSError) -> bool:
    """Whether an error of the system is about the address, and not about what the app's own code opens."""
    return any(frame.name == open_sockets.__name__ for frame in traceback.extract_tb(error.__traceback__))


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


def _limit_connections(app: App, config: Config) -> None:
    """An app has its own limits; what the environment says stands over them."""
    for setting in config.settings():
        if setting.path == ("server", "limits", "max_connections") and setting.origin.layer == "environment":
            assert isinstance(setting.value, int)
            limits = dataclasses.replace(app.settings.limits, max_connections=setting.value)
            app.settings = dataclasses.replace(app.settings, limits=limits)
