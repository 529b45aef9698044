"""The flags of the commands that make a server from a configuration."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated

from cyclopts import Parameter

Names = Annotated[list[str] | None, Parameter(negative=())]
Switch = Annotated[bool, Parameter(negative=())]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ServerFlags:
    """What stands over the environment and the file. What is not given is None, or False for a switch."""

    host: str | None = None
    """Address to listen on. [default: 127.0.0.1]"""
    port: int | None = None
    """Port to listen on; 0 picks a free one. [default: 8765]"""
    unix_socket: str | None = None
    """Path of a Unix socket to listen on instead; only this user can connect."""
    allow_host: Names = None
    """Host name that clients may use; repeat it for more; * allows any. Needed beyond loopback addresses."""
    allow_origin: Names = None
    """Web origin that may connect, beside those of this machine; repeat it for more."""
    token_file: str | None = None
    """File of bearer tokens, a NAME:TOKEN or TOKEN in each line: every request must bring one."""
    anonymous: Switch = False
    """Let everybody in who reaches an address beyond this machine, without tokens."""
    tls_certificate: str | None = None
    """PEM file of a certificate: clients then speak https and wss."""
    tls_key: str | None = None
    """PEM file of its key, if it is not in the same file."""
    log_level: str | None = None
    """debug, info, warning or error. [default: info]"""
    log_format: str | None = None
    """console, or json for a line of JSON per event. [default: console]"""

    def given(self) -> dict[str, object]:
        """By the names that `mcptrio.config.FLAGS` has; None was not given."""
        values = ((each.name, getattr(self, each.name)) for each in fields(self))
        return {f"--{name.replace('_', '-')}": None if value is False else value for name, value in values}
