"""HTTP clients. The only module of the project that imports httpx: import it where it is needed, not before."""

import ssl
from collections.abc import Mapping
from functools import cache

import httpx

__all__ = ["default_tls", "open_http_client"]


@cache
def default_tls() -> ssl.SSLContext:
    """The context of all clients that are given none; it verifies. Reads all certificates, so call it before things run."""
    return httpx.create_ssl_context(trust_env=False)


def open_http_client(
    *,
    timeout: float = 30.0,
    max_connections: int = 20,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> httpx.AsyncClient:
    """Return a client with limits: to be used as `async with`, which closes its connections.

    Args:
        timeout: for each step of a request: connecting, sending or receiving a piece, waiting for a free connection
            (s). A request as a whole is bounded by the caller's cancel scope.
        max_connections: open at once.
        headers: sent with every request.
        tls: instead of `default_tls`.
        transport: instead of the network: tests in memory.

    Redirects are not followed (a caller that trusts them says so per request), and the environment's proxies are
    not used.
    """
    return httpx.AsyncClient(
        timeout=httpx.Timeout(timeout),
        limits=httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections),
        headers=dict(headers or {}),
        verify=default_tls() if tls is None else tls,
        transport=transport,
        follow_redirects=False,
        trust_env=False,
    )
