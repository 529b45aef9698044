"""What is right by itself in the `[server]` table, and does not go together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import get_args

from mcptrio.access import Exposed, check_exposure, is_loopback, per_second
from mcptrio.config.overrides import Layer, Origin
from mcptrio.config.settings import ServerTable

GIVE_TOKENS = (
    "give tokens by `--token-file FILE` or server.tokens, "
    "or say by `--anonymous` or server.anonymous that this is meant"
)
"""What to do where everybody would be let in."""

_LAYERS: tuple[Layer, ...] = get_args(Layer)
"""The highest first."""

Conflict = tuple[str, str]
"""The key that is wrong, and why."""


def conflicts(server: ServerTable) -> Iterator[Conflict]:
    """What does not go together, whichever layers it comes from."""
    if server.rate_limit is None:
        if server.rate_burst is not None:
            yield "rate_burst", "goes with a rate_limit, and there is none"
    else:
        try:
            per_second(server.rate_limit)
        except ValueError as error:
            yield "rate_limit", str(error)
    if server.tls_key is not None and server.tls_certificate is None:
        yield "tls_key", "goes with a certificate: give `--tls-certificate FILE`, or server.tls_certificate"


def listening_conflicts(server: ServerTable, origin: Callable[[str], Origin]) -> Iterator[Conflict]:
    """What else does not, for a server that listens."""
    if server.unix_socket is None:
        yield from _exposed_names(server)
        return
    own = origin("unix_socket")
    for key in ("host", "port"):
        if _LAYERS.index(origin(key).layer) <= _LAYERS.index(own.layer):
            yield key, f"stands beside unix_socket ({own}), which takes its place: leave one of them out"


def exposure(server: ServerTable, *, tokens: bool) -> Iterator[Conflict]:
    """That others reach a server which lets everybody in; `tokens` is whether it has some."""
    if server.unix_socket is None:
        try:
            check_exposure(server.host, tokens=tokens, anonymous=server.anonymous, fix=GIVE_TOKENS)
        except Exposed as error:
            yield "host", str(error)


def _exposed_names(server: ServerTable) -> Iterator[Conflict]:
    """A server that others can reach must know the names they use: a web page could reach it under any."""
    if not server.allowed_hosts and not is_loopback(server.host):
        yield (
            "host",
            f"{server.host} is reachable from outside, so the names that clients use must be listed: "
            "`--allow-host NAME`, or server.allowed_hosts in the file (`*` allows any)",
        )
