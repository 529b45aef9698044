"""The `[server]` table of a configuration file: types, bounds and defaults."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Literal, get_type_hints

import msgspec
from msgspec import Meta, Struct, field

from mcptrio.access.rate import FASTEST, LARGEST, SLOWEST
from mcptrio.server.settings import ServerSettings
from mcptrio.sources.duration import seconds, seconds_between
from mcptrio.sources.secret import Secret
from mcptrio.wire import Limits

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["json", "console"]

_MOST = 1_000_000_000
"""Bound of every limit: TOML knows `inf` and `nan`, and a limit is neither."""
_SHORTEST = 0.001
_MAY_BE_ZERO = frozenset(("stream_after",))
"""Times of which zero says something: at once."""

Count = Annotated[int, Meta(ge=1, le=_MOST)]
Time = Annotated[float, Meta(ge=_SHORTEST, le=_MOST)] | str
TimeOrZero = Annotated[float, Meta(ge=0.0, le=_MOST)] | str
File = Annotated[str, Meta(min_length=1)]


def _fields_of(kind: type) -> list[tuple[str, object, object]]:
    """The numeric fields of a dataclass of limits, as msgspec wants them: name, bounded type, default."""
    types: dict[object, object] = {int: Count, float: Time}
    hints = get_type_hints(kind)
    return [
        (each.name, TimeOrZero if each.name in _MAY_BE_ZERO else types[hints[each.name]], each.default)
        for each in dataclasses.fields(kind)
        if hints[each.name] in types
    ]


def _check_times(table: Struct) -> None:
    for name, value in msgspec.structs.asdict(table).items():
        if isinstance(value, str):
            seconds_between(name, value, 0.0 if name in _MAY_BE_ZERO else _SHORTEST, _MOST)


if TYPE_CHECKING:

    class LimitsTable(Struct, frozen=True):
        """`[server.limits]`: every limit of the wire and of the server, under its own name.

        Times are seconds, or text with a unit such as "30s".
        """

else:
    # Made from the rooms' own dataclasses, so that no limit and no default is written twice.
    LimitsTable = msgspec.defstruct(
        "LimitsTable",
        _fields_of(Limits) + _fields_of(ServerSettings),
        namespace={"__post_init__": _check_times},
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
    )


class ServerTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[server]` table."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    """Address to listen on. Any but a loopback address wants `allowed_hosts`, and `tokens` or `anonymous`."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 8765
    """Port to listen on; 0 picks a free one."""
    unix_socket: File | None = None
    """Path of a Unix socket to listen on, in the place of host and port."""
    tls_certificate: File | None = None
    """PEM file of the certificate and those above it: clients then speak https and wss."""
    tls_key: File | None = None
    """PEM file of the certificate's key, if it is not in the same file."""
    tokens: Secret | None = None
    """Where the bearer tokens are, one of which each request must bring: `principal:token` lines, or only tokens."""
    anonymous: bool = False
    """Let everybody in who reaches an address beyond this machine, without tokens."""
    rate_limit: Annotated[float, Meta(ge=SLOWEST, le=FASTEST)] | str | None = None
    """Requests of one principal, or of one address where there are no tokens: "100/s", "600/m", or a number a second."""
    rate_burst: Annotated[int, Meta(ge=1, le=LARGEST)] | None = None
    """How many of them may come at once; without it, those of one second."""
    name: Annotated[str, Meta(min_length=1)] = "mcptrio"
    """The name that clients are told."""
    instructions: str | None = None
    """What clients are told about the use of this server."""
    log_level: LogLevel = "info"
    """The least important level that is logged."""
    log_format: LogFormat = "console"
    """`json` (a line per event, for machines) or `console`."""
    allowed_hosts: list[str] = []
    """Host names that clients may use, `*` for any. Empty: the loopback names and the address itself."""
    allowed_origins: list[str] = []
    """Web origins that may connect, beside those of loopback hosts."""
    wait_for_change: bool = False
    """Offer the tool wait_for_change, for hosts that do not act on updates."""
    introspection: bool = True
    """Whether clients may read what the server knows of itself, at `mcptrio://...`."""
    limits: LimitsTable = field(default_factory=LimitsTable)
    """What peers may cost."""


class Document(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole file. What a `[[source]]` holds depends on its kind."""

    server: ServerTable = field(default_factory=ServerTable)
    source: list[dict[str, object]] = []


def server_settings(table: ServerTable) -> ServerSettings:
    """The limits, and what else of the table is the server's, as it takes them: times in seconds."""
    values: dict[str, object] = {
        name: seconds(value) if isinstance(value, str) else value
        for name, value in msgspec.structs.asdict(table.limits).items()
    }
    values["introspection"] = table.introspection
    values["limits"] = {each.name: values.pop(each.name) for each in dataclasses.fields(Limits)}
    return msgspec.convert(values, ServerSettings)
