"""One poll's way to its document: the request, its redirects, and a body that cannot outgrow its bound."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urldefrag, urljoin, urlsplit

import trio
from msgspec import Struct

from mcptrio.sources.poller.conditional import Validators, retry_after
from mcptrio.sources.shown_url import shown_url

MAX_REDIRECTS = 5
"""How many redirects one poll follows."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429})
_PORTS = {"http": 80, "https": 443}
_UNSOUND = "that is no sound gzip"
_GZIP = 31  # zlib's window bits for a gzip header and trailer


class HttpResponse(Protocol):
    """What is used of httpx's `Response`."""

    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    def aiter_raw(self) -> AsyncIterator[bytes]: ...


class Cookies(Protocol):
    """What is used of httpx's `Cookies`."""

    def clear(self) -> None: ...


class HttpClient(Protocol):
    """What is used of httpx's `AsyncClient`, so that nothing here imports httpx."""

    @property
    def cookies(self) -> Cookies: ...

    def stream(
        self, method: str, url: str, *, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[HttpResponse]: ...


class FetchFailed(Exception):
    """A poll without a document; the text says why.

    `lasting` is whether somebody has to do something about it, as far as one can tell. `retry_after` is how
    many seconds the server asked to be left alone.
    """

    def __init__(self, why: str, *, lasting: bool, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.lasting = lasting
        self.retry_after = retry_after


class Document(Struct, frozen=True):
    """A complete body, unpacked, and what identifies it."""

    body: bytes
    validators: Validators


class Fetcher:
    """Asks one URL for its document.

    `headers` go to the URL's own origin only: where a redirect leads to another scheme, host or port, the
    request goes on without them. At most `max_body` bytes of a body are taken, unpacked.
    """

    def __init__(self, client: HttpClient, url: str, headers: Mapping[str, str], max_body: int) -> None:
        self._client = client
        self._url = url
        self._headers = headers
        self._max_body = max_body

    async def fetch(self, known: Validators) -> Document | None:
        """The document; None if it is still the known one.

        Has no deadline of its own. If cancelled, the connection is dropped.

        Raises:
            FetchFailed: whatever went wrong, on whichever side.
        """
        # Polls are independent of one another, and a server cannot make the next request grow.
        self._client.cookies.clear()
        url = self._url
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._ask(url, known)
            if not isinstance(answer, str):
                return answer
            url = answer
        raise FetchFailed(f"{shown_url(self._url)} redirects more than {MAX_REDIRECTS} times", lasting=True)

    async def _ask(self, url: str, known: Validators) -> Document | str | None:
        conditions = known.request_headers(url)
        own = self._headers if _origin(url) == _origin(self._url) else {}
        headers = {"accept-encoding": "gzip", **own, **conditions}
        try:
            async with self._client.stream("GET", url, headers=headers) as response:
                status = response.status_code
                if status in (200, 203):
                    return Document(await self._read(url, response), Validators.of(url, response.headers))
                if status == 304 and conditions:
                    return None
                if status in _REDIRECTS and "location" in response.headers:
                    return _redirected(url, response.headers["location"])
                raise _refusal(url, response)
        except FetchFailed:
            raise
        except Exception as error:
            # Clients raise more than they document: their own errors, those of the parser and of TLS under
            # them, of IDNA. All of it means that this poll failed, and nothing of ours is raised in there.
            said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise FetchFailed(f"{shown_url(url)} cannot be fetched: {said[:300]}", lasting=False) from error

    async def _read(self, url: str, response: HttpResponse) -> bytes:
        coding = response.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("identity", "", "gzip", "x-gzip"):
            raise FetchFailed(
                f"{shown_url(url)} sent a document packed as {coding[:50]!r}, not as gzip", lasting=True
            )
        body = _Body(self._max_body, packed="gzip" in coding)
        # Leaving the loop early would leave the generators inside httpx to the garbage collector; cancelling
        # its next read instead unwinds them all.
        with trio.CancelScope() as enough:
            async for piece in response.aiter_raw():
                if not body.feed(piece):
                    enough.cancel(reason="no more of this document is needed")
        try:
            return body.finish()
        except _Unusable as error:
            raise FetchFailed(f"{shown_url(url)} sent a document {error}", lasting=True) from None


class _Unusable(Exception):
    pass


class _Body:
    """A body being read; never larger than its bound, however well it was packed."""

    def __init__(self, most: int, *, packed: bool) -> None:
        self._most = most
        self._body = bytearray()
        self._unpacker = zlib.decompressobj(_GZIP) if packed else None
        self._fault = ""

    def feed(self, piece: bytes) -> bool:
        """Take the next piece. False once it is clear that the body cannot be used."""
        if not self._fault:
            try:
                self._unpack(piece)
            except zlib.error:
                self._fault = _UNSOUND
        return not self._fault

    def _unpack(self, piece: bytes) -> None:
        if self._unpacker is None:
            self._add(piece)
            return
        while piece and not self._fault:
            if self._unpacker.eof:  # gzip may come in several members
                self._unpacker = zlib.decompressobj(_GZIP)
            # One byte more than may be: enough to see that it is too much.
            self._add(self._unpacker.decompress(piece, self._most - len(self._body) + 1))
            piece = self._unpacker.unused_data

    def _add(self, data: bytes) -> None:
        if len(self._body) + len(data) > self._most:
            self._fault = f"of more than {self._most} bytes (see `max_body`)"
            self._body.clear()
        else:
            self._body += data

    def finish(self) -> bytes:
        """The body, once all of it was fed. Raises `_Unusable` if it cannot be used."""
        if not self._fault and self._unpacker is not None and not self._unpacker.eof:
            self._fault = _UNSOUND
        if self._fault:
            raise _Unusable(self._fault)
        return bytes(self._body)


def _redirected(url: str, location: str) -> str:
    target = urldefrag(urljoin(url, location)).url
    scheme, host, _ = _origin(target)
    if scheme in _PORTS and host:
        return target
    raise FetchFailed(f"{shown_url(url)} redirects to something that is no http URL", lasting=True)


def _refusal(url: str, response: HttpResponse) -> FetchFailed:
    status = response.status_code
    try:
        words = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        words = str(status)
    if status == 304:
        words += " to a request without conditions"
    return FetchFailed(
        f"{shown_url(url)} answered {words}",
        lasting=not (status in _PASSING or status >= 500),
        retry_after=retry_after(response.headers, datetime.now(UTC)),
    )


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
