"""How every client of the project connects: one URL, one stream, perhaps a WebSocket on it (by trio-websocket)."""

import logging
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import trio
from trio_websocket import (
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
)

__all__ = ["DialError", "Endpoint", "Rejected", "dial", "dial_websocket", "parse_url"]

_logger = logging.getLogger(__name__)
_TLS = {"http": False, "ws": False, "https": True, "wss": True}


class DialError(OSError):
    """A connection could not be made; the message says to where, and why."""


class Rejected(DialError):
    """The server answered the WebSocket handshake with an HTTP response: its `status` and `body`."""

    def __init__(self, url: str, status: int, body: bytes) -> None:
        super().__init__(f"{url} rejected the WebSocket handshake: HTTP {status}")
        self.status = status
        self.body = body


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a URL points: `target` is the path with its query. `host` has no brackets."""

    host: str
    port: int
    tls: bool
    target: str

    @property
    def host_header(self) -> str:
        """The `Host` of a request: with the port where it is not the default, an IPv6 address in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    @property
    def websocket_url(self) -> str:
        """The endpoint as a `ws:` or `wss:` URL."""
        return f"{'wss' if self.tls else 'ws'}://{self.host_header}{self.target}"

    @property
    def http_url(self) -> str:
        """The endpoint as an `http:` or `https:` URL."""
        return f"{'https' if self.tls else 'http'}://{self.host_header}{self.target}"


def parse_url(url: str, *, default_path: str = "/mcp") -> Endpoint:
    """Return where `url` points: http(s) and ws(s) are the same here. Without a path it is `default_path`.

    Raises `ValueError`, with a message for the user, for any other URL.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"not a valid URL: {url!r}: {error}") from error
    tls = _TLS.get(parts.scheme)
    if tls is None or not host:
        raise ValueError(
            f"not a URL to connect to: {url!r}: it must look like http://host:port/path or ws://..."
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
    where = endpoint.host_header
    try:
        with trio.fail_after(timeout):
            stream = await trio.open_tcp_stream(endpoint.host, endpoint.port)
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
        raise DialError(f"cannot connect to {where}: {error.__cause__ or error}") from error


async def dial_websocket(
    nursery: trio.Nursery,  # the caller's nursery ends the connection: trio-websocket's reader lives in it
    url: str,
    *,
    timeout: float,
    stream: trio.abc.Stream | None = None,
    tls: ssl.SSLContext | None = None,
    subprotocols: Sequence[str] = ("mcp",),
    headers: Iterable[tuple[str, str]] = (),
    max_message: int = 16 * 1024 * 1024,
    message_queue: int = 64,
) -> WebSocketConnection:
    """Connect and open a WebSocket; its reader runs in `nursery` until the connection ends, and never raises.

    The connection is closed with its own `aclose`, which waits for the peer: bound it. It ends with the nursery.

    Args:
        nursery: for the connection's life.
        url: see `parse_url`.
        timeout: for everything up to the open WebSocket (s).
        stream: instead of connecting: an open stream, owned from now on, over which `url` is asked for.
        tls: see `dial`.
        subprotocols: offered to the server, which may choose one or none.
        headers: further header fields of the request.
        max_message: size of a received message (bytes); a bigger one closes with 1009.
        message_queue: received messages that may wait; beyond, reading (and answering pings) pauses.

    Raises:
        ValueError: for a URL that is none.
        Rejected: if the server answers with anything but an upgrade.
        DialError: if it cannot connect, or not within `timeout`.
    """
    endpoint = parse_url(url)
    started = trio.current_time()
    connected = stream if stream is not None else await dial(endpoint, timeout=timeout, tls=tls)
    connection: WebSocketConnection = await nursery.start(
        _keep,
        connected,
        endpoint,
        max(0.0, started + timeout - trio.current_time()),
        tuple(subprotocols),
        [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers],
        max_message,
        message_queue,
    )
    return connection


class _Ear(trio.abc.Stream):
    """A stream that tells when the peer's bytes end: trio-websocket's handshake would go on waiting for them."""

    def __init__(self, stream: trio.abc.Stream, on_end: Callable[[], None]) -> None:
        self._stream = stream
        self._on_end = on_end
        self.ended = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(
        self,
    ) -> None:  # pragma: no cover (part of a Stream; never called)
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data: bytes | bytearray = b""
        try:
            data = await self._stream.receive_some(max_bytes)
        finally:
            if not data:  # the end, or an error
                self.ended = True
                self._on_end()
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _keep(
    stream: trio.abc.Stream,
    endpoint: Endpoint,
    timeout: float,
    subprotocols: tuple[str, ...],
    headers: list[tuple[bytes, bytes]],
    max_message: int,
    message_queue: int,
    *,
    task_status: trio.TaskStatus[WebSocketConnection],
) -> None:
    """Hold a connection's reader task, from the handshake to the end; the stream is closed in any case."""
    url = endpoint.websocket_url
    error: DialError | None = None
    connection: WebSocketConnection | None = None
    opened = False
    try:
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(timeout) as scope:
                ear = _Ear(stream, on_end=partial(scope.cancel, reason="the connection ended"))
                connection = await wrap_client_stream(
                    nursery,
                    ear,  # type: ignore[arg-type]  # any stream will do
                    endpoint.host_header,
                    endpoint.target,
                    subprotocols=subprotocols,
                    extra_headers=headers,
                    max_message_size=max_message,
                    message_queue_size=message_queue,
                    receive_buffer_size=65_536,
                )
            if ear.ended:
                error = DialError(f"{url} closed the connection during the handshake")
            elif connection is None:
                error = DialError(f"{url} did not answer within {timeout:g} s")
            else:
                opened = True
                task_status.started(connection)
            if error is not None:
                nursery.cancel_scope.cancel(reason="the handshake failed")
    except* ConnectionRejected as rejected:
        reply = rejected.exceptions[0]
        assert isinstance(reply, ConnectionRejected)
        error = Rejected(url, reply.status_code, reply.body or b"")
    except* Exception as failed:
        # Some bytes of a peer make the library's reader raise. The connection is over; nobody else is concerned.
        _logger.warning("%s: the connection failed: %r", url, failed.exceptions[0])
        error = DialError(f"{url}: the connection failed: {failed.exceptions[0]!r}")
    finally:
        await trio.aclose_forcefully(stream)
    if error is not None and not opened:
        raise error
