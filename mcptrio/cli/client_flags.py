"""The flags of the commands that talk to a server, and the token among them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cyclopts import Parameter

from mcptrio.cli.exits import UserError

Revision = Literal["auto", "2025-11-25", "2026-07-28"]

TOKEN_VARIABLE = "MCPTRIO_TOKEN"
"""The environment variable whose token is sent where no flag names another."""

_MAX_FILE = 65_536

_NAMED = re.compile(r"[A-Za-z0-9._@+-]+:\s*([A-Za-z0-9._~+/-]+=*)")
"""A line of a server's file of tokens: no token has a colon."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TokenFlags:
    """Who the server is told that this is."""

    token_env: str | None = None
    """Environment variable that holds the bearer token. [default: MCPTRIO_TOKEN, if set]"""
    token_file: str | None = None
    """File that holds the bearer token, alone or as a server's file has it: NAME:TOKEN."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ClientFlags(TokenFlags):
    """How a server is talked to."""

    revision: Revision = "auto"
    """Protocol revision to speak."""
    timeout: float = 30.0
    """Seconds to wait for the server."""


def token_of(flags: TokenFlags, environ: Mapping[str, str]) -> str | None:
    """The bearer token to send, if any.

    Raises:
        UserError: it is not where the flags say. No message shows a token.
    """
    from mcptrio.client.target import check_token

    if flags.token_env is not None and flags.token_file is not None:
        raise UserError("--token-env and --token-file both name a token: leave one out")
    if flags.token_file is not None:
        where, token = flags.token_file, _in_file(Path(flags.token_file))
    else:
        where = flags.token_env or TOKEN_VARIABLE
        token = environ.get(where, "").strip()
        if not token:
            if flags.token_env is None:
                return None
            raise UserError(f"--token-env: the environment variable {where} is not set")
    try:
        check_token(token)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    return token


def _in_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE).decode()
    except OSError as error:
        raise UserError(f"--token-file: {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"--token-file: {path} holds no text") from None
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if len(lines) > 1:
        raise UserError(f"--token-file: {path} holds {len(lines)} tokens: name a file with the one to send")
    named = _NAMED.fullmatch(lines[0]) if lines else None
    return named[1] if named else "".join(lines)
