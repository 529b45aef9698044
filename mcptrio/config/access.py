"""What the `[server]` table says of who may come in, made ready: tokens and rate, and the certificate."""

from __future__ import annotations

import math
import ssl
from collections.abc import Mapping
from pathlib import Path

from mcptrio.access import Access, RateLimit, Tokens, per_second
from mcptrio.config.settings import ServerTable
from mcptrio.sources.secret import Secret


def access_of(table: ServerTable, environ: Mapping[str, str] | None = None) -> Access:
    """Who may come in, and how often. Reads the tokens from where they are kept.

    Raises:
        ValueError: they are not there, or cannot be used; the text names the place and shows none.
    """
    tokens = None if table.tokens is None else _tokens(table.tokens, environ)
    return Access(tokens, _rate(table))


def tls_of(table: ServerTable) -> ssl.SSLContext | None:
    """The server's certificate and key, ready to be used; None without one. Reads the files.

    Raises:
        ValueError: one cannot be used; the text names the file.
    """
    if table.tls_certificate is None:
        return None
    from mcptrio.wire.tls import server_context

    return server_context(Path(table.tls_certificate), None if table.tls_key is None else Path(table.tls_key))


def _tokens(secret: Secret, environ: Mapping[str, str] | None) -> Tokens:
    if secret.file:
        return Tokens.read(Path(secret.file))
    return Tokens.parse(secret.reveal(environ), f"the environment variable {secret.env}")


def _rate(table: ServerTable) -> RateLimit | None:
    if table.rate_limit is None:
        return None
    rate = per_second(table.rate_limit)
    return RateLimit(rate, table.rate_burst or max(1, math.ceil(rate)))
