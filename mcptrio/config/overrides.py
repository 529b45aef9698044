"""What stands over a file: environment variables, and over them the flags of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from mcptrio.config.path import Path
from mcptrio.config.problem import Problem
from mcptrio.config.settings import Document
from mcptrio.config.shape import faults
from mcptrio.sources.secret import Secret

Layer = Literal["flag", "environment", "file", "default"]

ENVIRONMENT: Mapping[str, Path] = {
    "MCP_LOG_LEVEL": ("server", "log_level"),
    "MCP_MAX_CONNECTIONS": ("server", "limits", "max_connections"),
    "MCP_RATE_LIMIT": ("server", "rate_limit"),
    "MCP_TOKENS": ("server", "tokens"),
}
"""Environment variables, and what they set. An empty one counts as not set. A secret is only looked for when needed."""

FLAGS: Mapping[str, Path] = {
    "--host": ("server", "host"),
    "--port": ("server", "port"),
    "--unix-socket": ("server", "unix_socket"),
    "--tls-certificate": ("server", "tls_certificate"),
    "--tls-key": ("server", "tls_key"),
    "--token-file": ("server", "tokens"),
    "--anonymous": ("server", "anonymous"),
    "--log-level": ("server", "log_level"),
    "--log-format": ("server", "log_format"),
    "--allow-host": ("server", "allowed_hosts"),
    "--allow-origin": ("server", "allowed_origins"),
}
"""Flags of the command line, and what they set; a secret by the file that it is in."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Which layer a value comes from, and where in it: `--port`, `MCP_LOG_LEVEL`, `mcptrio.toml:7`."""

    layer: Layer
    where: str = ""

    def __str__(self) -> str:
        return f"{self.layer} {self.where}".rstrip()


@dataclass(frozen=True, slots=True)
class Override:
    """A value that stands over the file's."""

    value: object
    origin: Origin


def overrides(
    environ: Mapping[str, str], flags: Mapping[str, object]
) -> tuple[dict[Path, Override], list[Problem]]:
    """What environment and flags set, and what is wrong with it. A flag that is None was not given."""
    found: dict[Path, Override] = {}
    problems: list[Problem] = []
    for name, path in ENVIRONMENT.items():
        if text := environ.get(name, "").strip():
            wanted = type_at(path)
            value: object
            if Secret in get_args(wanted):
                value = {"env": name}
            else:
                try:
                    value = msgspec.convert(text, int, strict=False)
                except msgspec.ValidationError:
                    value = text.lower()
            problems += [Problem(name, each.message) for each in faults(value, wanted)]
            found[path] = Override(value, Origin("environment", name))
    for name, path in FLAGS.items():
        value = flags.get(name)
        if value is not None:
            wanted = type_at(path)
            if Secret in get_args(wanted):
                value = {"file": value}
            problems += [Problem(name, each.message) for each in faults(value, wanted)]
            found[path] = Override(value, Origin("flag", name))
    return found, problems


def type_at(path: Path) -> object:
    """The declared type of a setting, bounds included.

    Raises:
        KeyError: there is no such setting.
    """
    wanted: object = Document
    for step in path:
        if not (isinstance(wanted, type) and issubclass(wanted, Struct)):
            raise KeyError(step)
        wanted = {each.encode_name: each.type for each in msgspec.structs.fields(wanted)}[str(step)]
    return wanted
