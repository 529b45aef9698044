"""How every client of the project connects: one URL, one stream."""

import contextlib
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

import trio

__all__ = ["DialError", "Endpoint", "dial", "parse_url"]

_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds until the first probe and between probes, and how many are not answered by one that has vanished."""

_TLS = {"http": False, "ws": False, "https": True, "wss": True}

UNIX = "unix:"
"""How the URL of a Unix socket begins; its path follows."""

_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
"""OpenSSL's reasons where what answers a TLS handshake is something else."""

_OTHER_NAME = 62
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH; that of an address is two above."""


class DialError(OSError):
    """A connection could not be made; the message says to where, and why."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a URL points: `target` is the path with its query. `host` has no brackets.

    With `unix_socket` that is the path of the socket to connect to, and the host is what requests say.
    """

    host: str
    port: int
    tls: bool
    target: str
    unix_socket: str | None = None

    @property
    def host_header(self) -> str:
        """The `Host` of a request: with the port where it is not the default, an IPv6 address in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    @property
    def websocket_url(self) -> str:
        """The endpoint as a `ws:` or `wss:` URL; `unix:/path` for a Unix socket."""
        return self._url("ws")

    @property
    def http_url(self) -> str:
        """The endpoint as an `http:` or `https:` URL; `unix:/path` for a Unix socket."""
        return self._url("http")

    def _url(self, scheme: str) -> str:
        if self.unix_socket is not None:
            return f"{UNIX}{self.unix_socket}"
        return f"{scheme}{'s' if self.tls else ''}://{self.host_header}{self.target}"


def parse_url(url: str, *, default_path: str = "/mcp") -> Endpoint:
    """Return where `url` points: http(s) and ws(s) are the same here. Without a path it is `default_path`.

    `unix:/path` is a Unix socket, where requests go to `default_path` of localhost.

    Raises `ValueError`, with a message for the user, for any other URL.
    """
    if url.startswith(UNIX):
        path = url.removeprefix(UNIX)
        if not path or path.startswith("//") or "\0" in path:
            raise ValueError(f"not a Unix socket to connect to: {url!r}: it must look like unix:/path")
        return Endpoint("localhost", 80, False, default_path, unix_socket=path)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"not a valid URL: {url!r}: {error}") from error
    tls = _TLS.get(parts.scheme)
    if tls is None or not host:
        raise ValueError(
            f"not a URL to connect to: {url!r}: it must look like http://host:port/path, ws://... "
            "or unix:/path"
        )
    if parts.username is not None:
        raise ValueError("a URL to connect to must not hold a user name or password")
    path = default_path if parts.path in ("", "/") else parts.path
    target = f"{path}?{parts.query}" if parts.query else path
    if not target.isascii() or not target.isprintable() or " " in target:
        raise ValueError(f"not a valid URL: {url!r}: its path must be percent-encoded")
    return Endpoint(host, port if port is not None else (443 if tls else 80), tls, target)


async def dial(
    endpoint: Endpoint, *, timeout: float, tls: ssl.SSLContext | None = None
) -> trio.SocketStream | trio.SSLStream[trio.SocketStream]:
    """Connect, without Nagle's delay, with TLS (verified, by the default context or `tls`) where the URL says so.

    Raises `DialError` if it cannot, also within `timeout` (s). If cancelled, nothing is left open.
    """
    where = endpoint.unix_socket or endpoint.host_header
    try:
        with trio.fail_after(timeout):
            if endpoint.unix_socket is not None:
                return await trio.open_unix_socket(endpoint.unix_socket)
            stream = await trio.open_tcp_stream(endpoint.host, endpoint.port)
            _watch(stream)
            if not endpoint.tls:
                return stream
            secure = trio.SSLStream(
                stream,
                tls if tls is not None else ssl.create_default_context(),
                server_hostname=endpoint.host,
                https_compatible=True,
            )
            try:
                await secure.do_handshake()
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
            return secure
    except trio.TooSlowError as error:
        raise DialError(f"connecting to {where} took longer than {timeout:g} s") from error
    except (OSError, trio.BrokenResourceError) as error:
        cause = _first(error.__cause__ or error)
        why = _tls_told(cause) if isinstance(cause, ssl.SSLError) else str(cause)
        raise DialError(f"cannot connect to {where}: {why}") from error


def _watch(stream: trio.SocketStream) -> None:
    """Have the system notice a peer that has vanished: a connection on which nothing is sent would stay for ever."""
    with contextlib.suppress(OSError):  # it is gone already: whoever reads finds out
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            if (option := getattr(socket, name, None)) is not None:
                stream.setsockopt(socket.IPPROTO_TCP, option, value)


def _tls_told(error: ssl.SSLError) -> str:
    """What went wrong with TLS, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in (_OTHER_NAME, _OTHER_NAME + 2):
            return f"the server's certificate is for another name: {error.verify_message}"
        return (
            f"the server's certificate is not trusted by this machine ({error.verify_message}): "
            "for a certificate authority of your own, name its file by SSL_CERT_FILE"
        )
    if error.reason in _NO_TLS:
        return "the server does not speak TLS there: use http:// or ws://"
    return f"TLS failed ({error.reason or error}): is this a port for https and wss?"


def _first(error: BaseException) -> BaseException:
    # A name may have several addresses; what became of the first one says enough.
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
